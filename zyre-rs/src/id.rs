//! Who and where: the peer's identity and the name of a group, parsed at the edge and trusted afterwards.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A node's UUID: any 16 bytes (peers exist that do not set the RFC 4122 version bits).
///
/// Its text form is 32 upper-case hexadecimal digits without dashes, as zyre prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 16]);

impl PeerId {
    /// Wraps the 16 bytes that travel on the wire.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes as they travel on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first six hexadecimal digits: what zyre takes for a name when none is given.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(6);
        text
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 hexadecimal digits (dashes are allowed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer id is 32 hexadecimal digits, with or without dashes")]
pub struct InvalidPeerId;

impl FromStr for PeerId {
    type Err = InvalidPeerId;

    fn from_str(text: &str) -> Result<Self, InvalidPeerId> {
        // With braces round it, or as a URN, it is longer; that parser takes them too.
        let usual = Some(text).filter(|text| matches!(text.len(), 32 | 36));
        let uuid = usual.and_then(|text| uuid::Uuid::try_parse(text).ok()).ok_or(InvalidPeerId)?;
        Ok(Self(uuid.into_bytes()))
    }
}

/// The name of a group: at most 255 bytes (its length travels in one byte), compared byte by byte.
///
/// Names given by users are UTF-8; names from the wire may be any bytes, since pyre cuts
/// non-ASCII names in the middle of a character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<[u8]>);

/// The group's name is longer than 255 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group name has at most 255 bytes, this one has {length}; choose a shorter one")]
pub struct GroupNameTooLong {
    /// Bytes in the name as given.
    pub length: usize,
}

impl GroupName {
    /// Longest name in bytes: its length travels as one byte (RFC 36, `string`).
    pub const MAX_LEN: usize = 255;

    /// Takes a name as it came from the wire.
    ///
    /// # Errors
    /// When it has more than [`GroupName::MAX_LEN`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GroupNameTooLong> {
        if bytes.len() > Self::MAX_LEN {
            return Err(GroupNameTooLong { length: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// The name as it travels on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name for display: bytes that are not UTF-8 become U+FFFD.
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl TryFrom<&str> for GroupName {
    type Error = GroupNameTooLong;

    fn try_from(name: &str) -> Result<Self, GroupNameTooLong> {
        Self::from_bytes(name.as_bytes())
    }
}

impl std::borrow::Borrow<[u8]> for GroupName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for GroupName {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for GroupName {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.to_str_lossy()))
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

/// Escapes control characters, so that a peer's text cannot drive the terminal that shows it.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().flat_map(|c| EscapeControl(c).into_chars()).collect())
    } else {
        Cow::Borrowed(text)
    }
}

struct EscapeControl(char);

impl EscapeControl {
    fn into_chars(self) -> impl Iterator<Item = char> {
        let (escaped, plain) =
            if self.0.is_control() { (Some(self.0.escape_default()), None) } else { (None, Some(self.0)) };
        escaped.into_iter().flatten().chain(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_id_reads_back_from_its_text_in_any_usual_form() {
        let id = PeerId::from_bytes(*b"\x00\x01\xab\xcdEFGHIJKLMNOP");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        assert_eq!("0001ABCD-4546-4748-494a-4b4c4d4e4f50".parse(), Ok(id));
        assert_eq!("0001".parse::<PeerId>(), Err(InvalidPeerId));
    }

    #[test]
    fn a_peer_id_in_braces_or_as_a_urn_is_refused() {
        for text in
            ["{0001abcd-4546-4748-494a-4b4c4d4e4f50}", "urn:uuid:0001abcd-4546-4748-494a-4b4c4d4e4f50", ""]
        {
            assert_eq!(text.parse::<PeerId>(), Err(InvalidPeerId), "{text}");
        }
    }

    #[test]
    fn control_characters_are_escaped_for_display_and_kept_inside() {
        let name = GroupName::from_bytes(b"a\x1b[2Jb").expect("short");
        assert_eq!(name.to_string(), "a\\u{1b}[2Jb");
        assert_eq!(name.as_bytes(), b"a\x1b[2Jb");
    }

    #[test]
    fn a_group_name_of_255_bytes_is_taken_and_256_refused() {
        assert!(GroupName::try_from("x".repeat(255).as_str()).is_ok());
        assert_eq!(GroupName::try_from("x".repeat(256).as_str()), Err(GroupNameTooLong { length: 256 }));
    }
}
