//! Numbers of bytes for people.

/// `512 B`, `4.2 kB`, `1.3 GB`: in steps of 1000, as rates are.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(crate) fn sized(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while number >= 999.95
        && let Some(larger) = units.next()
    {
        number /= 1000.0;
        unit = Some(larger);
    }
    format!("{number:.1} {}", unit.unwrap_or(&"TB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_in_steps_of_a_thousand() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (4_200_000_000, "4.2 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(sized(bytes), text);
        }
    }
}
