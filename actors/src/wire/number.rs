//! Numbers as text, without the machinery of `fmt`: every envelope has some.

/// Appends a number in base 10.
pub(super) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    write_digits::<10>(out, number);
}

/// Appends a number in base 16, lower case.
pub(super) fn write_hex(out: &mut Vec<u8>, number: u64) {
    write_digits::<16>(out, number);
}

#[cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "no BASE is zero"))]
fn write_digits<const BASE: u64>(out: &mut Vec<u8>, mut number: u64) {
    // The longest has 20 digits.
    let mut digits = [b'0'; 20];
    let mut free = digits.len();
    for digit in digits.iter_mut().rev() {
        let value = (number % BASE) as u8;
        *digit = if value < 10 { b'0' | value } else { b'a'.wrapping_add(value).wrapping_sub(10) };
        number /= BASE;
        free = free.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(free..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_fmt_writes_them() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4_999, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let (mut decimal, mut hex) = (Vec::new(), Vec::new());
            write_decimal(&mut decimal, number);
            write_hex(&mut hex, number);
            assert_eq!(decimal, number.to_string().as_bytes());
            assert_eq!(hex, format!("{number:x}").as_bytes());
        }
    }
}
