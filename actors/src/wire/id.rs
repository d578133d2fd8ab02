//! The ids of requests: ours, and those of others, which are echoed as they came.

use super::number::{write_decimal, write_hex};
use crate::caller::CallId;
use bytes::Bytes;

/// A request's id: the JSON text of a string, a number or null, echoed as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) Bytes);

/// Longest id as JSON text: a string of 256 bytes and its quotes.
pub(crate) const MAX_ID: usize = 258;

/// Up to this size of its frame an id shares the frame's bytes; beyond, it is copied, since results are kept by id
/// and must not keep large parameters with them.
const SHARED: usize = 1024;

impl Id {
    /// Takes an id out of its frame; `None` if it is too long or of another type.
    pub(super) fn read(frame: &Bytes, json: &str) -> Option<Self> {
        let fits =
            json.len() <= MAX_ID && matches!(json.as_bytes(), b"null" | [b'"' | b'-' | b'0'..=b'9', ..]);
        let text = || if frame.len() <= SHARED { frame.slice_ref(json.as_bytes()) } else { copy(json) };
        fits.then(|| Self(text()))
    }
}

fn copy(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// One life of a caller, chosen at random, so that an answer to a call before a restart is not taken for a new one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incarnation(pub(crate) u32);

/// The id of a call of our own: `"<incarnation in hex>-<number>"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnId(pub(crate) Incarnation, pub(crate) CallId);

impl From<OwnId> for Id {
    fn from(own: OwnId) -> Self {
        let mut text = Vec::with_capacity(24);
        own.write_to(&mut text);
        Self(text.into())
    }
}

/// Finds the call that an id of ours belongs to; `None` if it is another incarnation's or was never ours.
pub(crate) fn parse_own(id: &Id, incarnation: Incarnation) -> Option<CallId> {
    let text = std::str::from_utf8(&id.0).ok()?.strip_prefix('"')?.strip_suffix('"')?;
    let (hex, number) = text.split_once('-')?;
    let is_plain = |text: &str| match text.as_bytes() {
        [] => false,
        [only] => only.is_ascii_hexdigit(),
        [first, ..] => matches!(first, b'1'..=b'9' | b'a'..=b'f'),
    };
    let is_ours = is_plain(hex)
        && is_plain(number)
        && !hex.bytes().any(|digit| digit.is_ascii_uppercase())
        && u32::from_str_radix(hex, 16) == Ok(incarnation.0);
    if is_ours { number.parse().ok().map(CallId) } else { None }
}

/// What can stand as an id in an envelope.
pub(crate) trait WriteId {
    /// Appends the id as JSON text.
    fn write_to(&self, out: &mut Vec<u8>);
}

impl WriteId for Id {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl WriteId for OwnId {
    fn write_to(&self, out: &mut Vec<u8>) {
        let Self(Incarnation(incarnation), CallId(number)) = self;
        out.push(b'"');
        write_hex(out, u64::from(*incarnation));
        out.push(b'-');
        write_decimal(out, *number);
        out.push(b'"');
    }
}

/// `null` stands where an id could not be read.
impl WriteId for Option<Id> {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Some(id) => id.write_to(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &'static str) -> Id {
        Id(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn an_id_of_ours_reads_back_and_one_of_another_life_does_not() {
        for (incarnation, call) in [(0, 0), (0x7F3A, 12), (u32::MAX, u64::MAX)] {
            let id = Id::from(OwnId(Incarnation(incarnation), CallId(call)));
            assert_eq!(parse_own(&id, Incarnation(incarnation)), Some(CallId(call)));
            assert_eq!(parse_own(&id, Incarnation(incarnation ^ 1)), None);
        }
        assert_eq!(Id::from(OwnId(Incarnation(0x7F3A), CallId(12))), id("\"7f3a-12\""));
    }

    #[test]
    fn only_the_text_that_was_sent_is_ours() {
        for foreign in [
            "12",
            "null",
            "\"\"",
            "\"7f3a\"",
            "\"7f3a-\"",
            "\"-12\"",
            "\"7F3A-12\"",
            "\"07f3a-12\"",
            "\"+7f3a-12\"",
            "\"7f3a-012\"",
            "\"7f3a-+12\"",
            "\"7f3a-c\"",
            "\"7f3a-12-1\"",
            "\"7f3a-99999999999999999999\"",
            "\"7f3\\u0061-12\"",
        ] {
            assert_eq!(parse_own(&id(foreign), Incarnation(0x7F3A)), None, "{foreign}");
        }
    }

    #[test]
    fn an_id_of_a_large_frame_does_not_keep_the_frame() {
        for (size, shared) in [(100, true), (100_000, false)] {
            let frame = Bytes::from(format!("\"id\"{}", " ".repeat(size)));
            let text = std::str::from_utf8(&frame[..4]).expect("text");
            let id = Id::read(&frame, text).expect("an id");
            assert_eq!(id.0.as_ptr() == frame.as_ptr(), shared);
        }
    }
}
