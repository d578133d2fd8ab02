//! W3C Trace Context, `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>).

use std::fmt;

/// A W3C `traceparent`: trace, parent span, flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    pub(crate) flags: u8,
}

impl TraceParent {
    /// Reads `00-<32 digits>-<16 digits>-<2 digits>`, lower case. Of a version after 00 the fields known here are read.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let [version] = hex::<1>(fields.next()?)?;
        let trace = hex::<16>(fields.next()?)?;
        let span = hex::<8>(fields.next()?)?;
        let [flags] = hex::<1>(fields.next()?)?;
        let has_more = fields.next().is_some();
        let is_known = version == 0 && !has_more || (1..=0xFE).contains(&version);
        (is_known && trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, flags })
    }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !odd.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(character.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_reads_back_as_it_was_written() {
        let parsed = TraceParent::parse(TEXT).expect("the example of the W3C");
        assert_eq!((parsed.trace[0], parsed.span[1], parsed.flags), (0x4B, 0xF0, 1));
        assert_eq!(parsed.to_string(), TEXT);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = TEXT.replacen("00", "cc", 1);
        assert_eq!(TraceParent::parse(&later), TraceParent::parse(TEXT));
        assert_eq!(TraceParent::parse(&format!("{later}-what-else")), TraceParent::parse(TEXT));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
