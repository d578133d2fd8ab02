//! Commands (RFC 37, "commands"): READY and its metadata, ERROR, PING and PONG.
//!
//! A command is a frame whose body is a name and data that depends on it. SUBSCRIBE, CANCEL and names
//! that nobody has invented yet come out as [`Command::Other`]: forbidden in the handshake, ignored
//! after it, so that a newer peer may say more than we understand.

use super::codec::put_command_header;
use crate::id::printable;

/// Longest command in bytes: the longest a ZRE peer sends is READY with some 60, CURVE's with some 310.
pub const MAX_COMMAND: usize = 4 * 1024;

/// Most properties in a READY: ZMTP defines three; the rest is for applications.
pub const MAX_PROPERTIES: usize = 32;

/// Longest context of a PING in bytes (RFC 37, "ping-context").
const MAX_PING_CONTEXT: usize = 16;

/// The body of a command frame, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// The sender is ready to exchange messages (NULL mechanism).
    Ready {
        /// Properties of the sender, for [`Metadata::decode`].
        metadata: &'a [u8],
    },
    /// The sender refuses the connection.
    Error {
        /// Text for a human, at most 255 bytes of anything.
        reason: &'a [u8],
    },
    /// The sender asks for a PONG.
    Ping {
        /// After so many tenths of a second without traffic the sender wants to be given up; 0 is never.
        ttl: u16,
        /// To be sent back.
        context: &'a [u8],
    },
    /// The answer to a PING of ours.
    Pong {
        /// The context of that PING.
        context: &'a [u8],
    },
    /// Any other command.
    Other {
        /// Its name, at most 255 bytes of anything.
        name: &'a [u8],
    },
}

/// A command frame that is not what its name promises. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The name is empty or longer than the command.
    #[error("a ZMTP command without a whole name")]
    Nameless,
    /// A property of READY is cut off.
    #[error("the metadata of READY ends inside a property")]
    TruncatedMetadata,
    /// READY has more than [`MAX_PROPERTIES`] properties.
    #[error("READY has more than {MAX_PROPERTIES} properties")]
    TooManyProperties,
    /// A property's name is empty or has bytes other than letters, digits and `-_.+`.
    #[error("READY has a property whose name is not one")]
    InvalidPropertyName,
    /// A property is there twice, so that two readers could believe different things.
    #[error("READY has a property twice")]
    DuplicateProperty,
    /// The reason of ERROR is cut off.
    #[error("an ERROR command without a whole reason")]
    TruncatedError,
    /// PING ends inside its time to live.
    #[error("a PING command without a time to live")]
    TruncatedPing,
    /// The context of PING is longer than 16 bytes.
    #[error("a PING command with a context of over {MAX_PING_CONTEXT} bytes")]
    PingContextTooLong,
}

impl CommandError {
    /// The name this cause is counted under.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::Nameless => "command_nameless",
            Self::TruncatedMetadata => "ready_truncated",
            Self::TooManyProperties => "ready_too_many_properties",
            Self::InvalidPropertyName => "ready_invalid_property_name",
            Self::DuplicateProperty => "ready_duplicate_property",
            Self::TruncatedError => "error_truncated",
            Self::TruncatedPing => "ping_truncated",
            Self::PingContextTooLong => "ping_context_too_long",
        }
    }
}

impl<'a> Command<'a> {
    /// Reads the body of a command frame.
    ///
    /// # Errors
    /// When the name or the fixed part of a known command is incomplete.
    pub fn decode(body: &'a [u8]) -> Result<Self, CommandError> {
        let mut rest = body;
        let name = short_string(&mut rest).filter(|name| !name.is_empty()).ok_or(CommandError::Nameless)?;
        Ok(match name {
            b"READY" => Self::Ready { metadata: rest },
            b"ERROR" => Self::Error { reason: short_string(&mut rest).ok_or(CommandError::TruncatedError)? },
            b"PING" => {
                let (ttl, context) = rest.split_first_chunk().ok_or(CommandError::TruncatedPing)?;
                if context.len() > MAX_PING_CONTEXT {
                    return Err(CommandError::PingContextTooLong);
                }
                Self::Ping { ttl: u16::from_be_bytes(*ttl), context }
            }
            b"PONG" => Self::Pong { context: rest },
            name => Self::Other { name },
        })
    }
}

/// What a command after the handshake meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A PING; its PONG has been appended.
    Ping {
        /// Tenths of a second without traffic after which the peer wants to be given up; 0 is never.
        ttl: u16,
    },
    /// The answer to a PING of ours.
    Pong,
    /// The peer is about to close the connection.
    Error {
        /// Why, safe to display.
        reason: String,
    },
    /// Not for us.
    Ignored,
}

/// Handles a command that came after the handshake, appending to `out` what has to be answered.
///
/// Each PING costs up to 23 bytes of `out`: write it out before reading on, or a peer that sends PINGs
/// and never reads makes it grow.
///
/// # Errors
/// When the command is malformed; the connection must be closed.
pub fn answer(body: &[u8], out: &mut Vec<u8>) -> Result<Received, CommandError> {
    Ok(match Command::decode(body)? {
        Command::Ping { ttl, context } => {
            put_pong(out, context);
            Received::Ping { ttl }
        }
        Command::Pong { .. } => Received::Pong,
        Command::Error { reason } => {
            Received::Error { reason: printable(&String::from_utf8_lossy(reason)).into_owned() }
        }
        Command::Ready { .. } | Command::Other { .. } => Received::Ignored,
    })
}

/// Appends a whole command frame. A name has at most 255 bytes.
pub fn put_command(out: &mut Vec<u8>, name: &[u8], data: &[u8]) {
    put_command_header(out, 1 + name.len().min(255) + data.len());
    put_short_string(out, name);
    out.extend_from_slice(data);
}

/// Appends a PING that asks to be given up after `ttl` tenths of a second without traffic (0 is never).
pub fn put_ping(out: &mut Vec<u8>, ttl: u16) {
    put_command(out, b"PING", &ttl.to_be_bytes());
}

/// Appends the PONG for a PING.
pub fn put_pong(out: &mut Vec<u8>, context: &[u8]) {
    put_command(out, b"PONG", context);
}

/// Appends an ERROR, the polite way to refuse a peer in the handshake. Reasons are cut at 255 bytes.
pub fn put_error(out: &mut Vec<u8>, reason: &str) {
    let mut data = Vec::with_capacity(1 + reason.len());
    put_short_string(&mut data, reason.as_bytes());
    put_command(out, b"ERROR", &data);
}

/// The properties a peer announces in the handshake, in the order they came.
///
/// Their names are compared without regard to case (RFC 37, "metadata").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(String, Vec<u8>)>);

impl Metadata {
    /// Adds a property of ours. Names longer than 255 bytes are cut; there are none.
    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All properties.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The bytes after the name in READY.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &self.0 {
            put_short_string(&mut bytes, name.as_bytes());
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        bytes
    }

    /// Reads the bytes after the name in READY, at most [`MAX_COMMAND`] of them.
    ///
    /// # Errors
    /// When a property is cut off, ill-named or there twice, or when there are too many.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, CommandError> {
        let mut known = Self::default();
        while !bytes.is_empty() {
            if known.0.len() == MAX_PROPERTIES {
                return Err(CommandError::TooManyProperties);
            }
            let name = short_string(&mut bytes).ok_or(CommandError::TruncatedMetadata)?;
            let name = property_name(name).ok_or(CommandError::InvalidPropertyName)?;
            let value = long_string(&mut bytes).ok_or(CommandError::TruncatedMetadata)?;
            if known.get(name).is_some() {
                return Err(CommandError::DuplicateProperty);
            }
            known.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(known)
    }
}

fn property_name(bytes: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
    let name = str::from_utf8(bytes).ok()?;
    (!name.is_empty() && bytes.iter().all(allowed)).then_some(name)
}

fn short_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = *bytes.split_off_first()?;
    bytes.split_off(..usize::from(length))
}

fn long_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    bytes.split_off(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn put_short_string(out: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..255).unwrap_or(text);
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_answered_with_its_context() {
        let mut out = Vec::new();
        assert_eq!(answer(b"\x04PING\x00\x1Eabc", &mut out), Ok(Received::Ping { ttl: 30 }));
        assert_eq!(out, b"\x04\x08\x04PONGabc");
    }

    #[test]
    fn a_ping_context_of_16_bytes_is_answered_and_17_refused() {
        let mut out = Vec::new();
        assert!(answer(&[b"\x04PING\0\0".as_slice(), &[7; 16]].concat(), &mut out).is_ok());
        assert_eq!(out.len(), 2 + 5 + 16);
        let long = [b"\x04PING\0\0".as_slice(), &[7; 17]].concat();
        assert_eq!(answer(&long, &mut out), Err(CommandError::PingContextTooLong));
    }

    #[test]
    fn commands_that_are_not_for_us_are_ignored_without_an_answer() {
        let mut out = Vec::new();
        for body in [b"\x09SUBSCRIBEtopic".as_slice(), b"\x06CANCEL", b"\x05READY", b"\x03NEW\xFF"] {
            assert_eq!(answer(body, &mut out), Ok(Received::Ignored));
        }
        assert_eq!(answer(b"\x04PONG", &mut out), Ok(Received::Pong));
        assert!(out.is_empty());
    }

    #[test]
    fn the_reason_of_an_error_is_safe_to_display() {
        let got = answer(b"\x05ERROR\x04no\x1B!", &mut Vec::new());
        assert_eq!(got, Ok(Received::Error { reason: "no\\u{1b}!".to_owned() }));
    }

    #[test]
    fn our_commands_read_back() {
        let mut out = Vec::new();
        put_error(&mut out, &"x".repeat(300));
        put_ping(&mut out, 600);
        let (error, ping) = out.split_at(9 + 6 + 256);
        assert_eq!(Command::decode(&error[9..]), Ok(Command::Error { reason: &[b'x'; 255] }));
        assert_eq!(Command::decode(&ping[2..]), Ok(Command::Ping { ttl: 600, context: b"" }));
    }

    #[test]
    fn every_truncated_command_is_an_error() {
        assert_eq!(Command::decode(b""), Err(CommandError::Nameless));
        assert_eq!(Command::decode(b"\x00"), Err(CommandError::Nameless));
        assert_eq!(Command::decode(b"\x05READ"), Err(CommandError::Nameless));
        assert_eq!(Command::decode(b"\x04PING\x00"), Err(CommandError::TruncatedPing));
        assert_eq!(Command::decode(b"\x05ERROR"), Err(CommandError::TruncatedError));
        assert_eq!(Command::decode(b"\x05ERROR\x02n"), Err(CommandError::TruncatedError));
    }

    #[test]
    fn metadata_reads_back_and_its_names_have_no_case() {
        let ours = Metadata::default().with("Socket-Type", b"DEALER").with("Identity", b"\x01id");
        let read = Metadata::decode(&ours.encode()).unwrap();
        assert_eq!(read, ours);
        assert_eq!(read.get("socket-TYPE"), Some(b"DEALER".as_slice()));
        assert_eq!(read.get("Resource"), None);
    }

    #[test]
    fn every_prefix_of_metadata_that_ends_inside_a_property_is_an_error() {
        let bytes = Metadata::default().with("Identity", b"0123456789").encode();
        for end in 1..bytes.len() {
            let got = Metadata::decode(&bytes[..end]);
            assert_eq!(got, Err(CommandError::TruncatedMetadata), "{end} bytes");
        }
    }

    #[test]
    fn metadata_has_at_most_32_properties() {
        let many = |n| (0..n).fold(Metadata::default(), |m, i| m.with(&format!("X-{i}"), b"")).encode();
        assert!(Metadata::decode(&many(32)).is_ok());
        assert_eq!(Metadata::decode(&many(33)), Err(CommandError::TooManyProperties));
    }

    #[test]
    fn ambiguous_or_ill_named_properties_are_refused() {
        let twice = Metadata::default().with("Identity", b"a").with("IDENTITY", b"b").encode();
        assert_eq!(Metadata::decode(&twice), Err(CommandError::DuplicateProperty));
        for name in [b"\x00".as_slice(), b"\x02a ", b"\x02\xC3\xA9"] {
            let bytes = [name, &[0; 4]].concat();
            assert_eq!(Metadata::decode(&bytes), Err(CommandError::InvalidPropertyName));
        }
    }

    #[test]
    fn a_property_that_claims_4_gib_is_truncated() {
        assert_eq!(Metadata::decode(b"\x01X\xFF\xFF\xFF\xFFabc"), Err(CommandError::TruncatedMetadata));
    }
}
