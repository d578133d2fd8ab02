//! Gossip discovery as czmq's `zgossip` speaks it between a hub and its leaves (no RFC).
//!
//! Invariant: keys have at most 255 bytes and values at most [`MAX_VALUE`], ours and received ones
//! alike, so encoding cannot fail. Zyre publishes its UUID as key and its endpoint as value.

use super::reader::{Reader, Truncated};
use super::writer::{put_long_string, put_string};

const SIGNATURE: [u8; 2] = [0xAA, 0xA0];
const VERSION: u8 = 1;

/// Longest key: its length travels in one byte.
pub const MAX_KEY: usize = 255;
/// Longest value: an endpoint and a CURVE key need under 300 bytes, the rest is room to spare.
pub const MAX_VALUE: usize = 4 * 1_024;

mod id {
    pub(super) const HELLO: u8 = 1;
    pub(super) const PUBLISH: u8 = 2;
    pub(super) const PING: u8 = 3;
    pub(super) const PONG: u8 = 4;
    pub(super) const INVALID: u8 = 5;
}

/// One gossip message; always a single frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A leaf asks for every tuple the hub knows.
    Hello,
    /// A tuple, new or changed.
    Publish(Publish),
    /// Keeps a leaf registered; the hub answers with PONG.
    Ping,
    /// Answers PING.
    Pong,
    /// The hub does not know the leaf: say HELLO and publish again.
    Invalid,
}

/// A published tuple within the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    key: Vec<u8>,
    value: Vec<u8>,
    ttl: u32,
}

impl Publish {
    /// Checks the limits. `ttl` is in milliseconds; existing nodes always send 0.
    ///
    /// # Errors
    /// When the key has more than [`MAX_KEY`] or the value more than [`MAX_VALUE`] bytes.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>, ttl: u32) -> Result<Self, GossipError> {
        let (key, value) = (key.into(), value.into());
        match (key.len(), value.len()) {
            (length, _) if length > MAX_KEY => Err(GossipError::KeyTooLong { length }),
            (_, length) if length > MAX_VALUE => Err(GossipError::ValueTooLong { length }),
            _ => Ok(Self { key, value, ttl }),
        }
    }

    /// What the tuple is about: in zyre the node's UUID as 32 upper-case hexadecimal digits.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// What is said about it: in zyre the endpoint, with CURVE followed by `|` and the public key.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// How long it should live; 0 for ever.
    pub const fn ttl(&self) -> u32 {
        self.ttl
    }
}

impl Message {
    /// Reads a frame; bytes after the last field are ignored.
    ///
    /// # Errors
    /// When the frame is not a gossip message of version 1 within the limits.
    pub fn decode(frame: &[u8]) -> Result<Self, GossipError> {
        let mut reader = Reader::new(frame);
        if reader.array()? != SIGNATURE {
            return Err(GossipError::BadSignature);
        }
        let id = reader.u8()?;
        let version = reader.u8()?;
        if version != VERSION {
            return Err(GossipError::BadVersion { version });
        }
        match id {
            id::HELLO => Ok(Self::Hello),
            id::PUBLISH => {
                let (key, value, ttl) = (reader.string()?, reader.long_string()?, reader.u32()?);
                // Before the copy, so that a long value costs nothing.
                if value.len() > MAX_VALUE {
                    return Err(GossipError::ValueTooLong { length: value.len() });
                }
                Ok(Self::Publish(Publish::new(key, value, ttl)?))
            }
            id::PING => Ok(Self::Ping),
            id::PONG => Ok(Self::Pong),
            id::INVALID => Ok(Self::Invalid),
            id => Err(GossipError::UnknownId { id }),
        }
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let id = match self {
            Self::Hello => id::HELLO,
            Self::Publish(_) => id::PUBLISH,
            Self::Ping => id::PING,
            Self::Pong => id::PONG,
            Self::Invalid => id::INVALID,
        };
        out.extend_from_slice(&[SIGNATURE[0], SIGNATURE[1], id, VERSION]);
        if let Self::Publish(Publish { key, value, ttl }) = self {
            put_string(out, key);
            put_long_string(out, value);
            out.extend_from_slice(&ttl.to_be_bytes());
        }
    }
}

/// Why a frame is not a gossip message, or a tuple cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GossipError {
    /// It does not begin with `AA A0`: not gossip. A hub answers INVALID.
    #[error("the frame does not begin with the gossip signature; is this endpoint a gossip hub?")]
    BadSignature,
    /// Only version 1 exists. A hub answers INVALID.
    #[error("gossip version {version} is not spoken here, only 1")]
    BadVersion {
        /// The version byte.
        version: u8,
    },
    /// No gossip message has this id. A hub answers INVALID.
    #[error("no gossip message has the id {id}")]
    UnknownId {
        /// The id.
        id: u8,
    },
    /// It ends in the middle of a field. A hub answers INVALID.
    #[error("the gossip message ends in the middle of a field")]
    Truncated,
    /// The key is over [`MAX_KEY`]; the tuple is refused. Publish a shorter key.
    #[error("a gossip key has at most {MAX_KEY} bytes, this one has {length}; choose a shorter one")]
    KeyTooLong {
        /// Bytes in the key.
        length: usize,
    },
    /// The value is over [`MAX_VALUE`]; the tuple is refused. Publish a shorter value.
    #[error("a gossip value has at most {MAX_VALUE} bytes, this one has {length}; choose a shorter one")]
    ValueTooLong {
        /// Bytes in the value.
        length: usize,
    },
}

impl From<Truncated> for GossipError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_gossip_is_refused_by_its_reason() {
        assert_eq!(Message::decode(b""), Err(GossipError::Truncated));
        assert_eq!(Message::decode(b"\xaa\xa1\x01\x01"), Err(GossipError::BadSignature));
        assert_eq!(Message::decode(b"\xaa\xa0\x01\x02"), Err(GossipError::BadVersion { version: 2 }));
        for id in [0, 6, 255] {
            assert_eq!(Message::decode(&[0xAA, 0xA0, id, 1]), Err(GossipError::UnknownId { id }));
        }
        assert_eq!(Message::decode(b"\xaa\xa0\x02\x01\x00\xff\xff\xff\xff"), Err(GossipError::Truncated));
    }

    #[test]
    fn keys_and_values_at_their_limit_are_taken_and_one_byte_more_refused() {
        let longest = Publish::new(vec![0; MAX_KEY], vec![0xff; MAX_VALUE], u32::MAX).unwrap();
        let mut frame = Vec::new();
        Message::Publish(longest.clone()).encode(&mut frame);
        assert_eq!(Message::decode(&frame), Ok(Message::Publish(longest)));

        let key = Publish::new(vec![0; MAX_KEY + 1], "", 0);
        assert_eq!(key, Err(GossipError::KeyTooLong { length: MAX_KEY + 1 }));
        let value = Publish::new("", vec![0; MAX_VALUE + 1], 0);
        assert_eq!(value, Err(GossipError::ValueTooLong { length: MAX_VALUE + 1 }));
        let long = [&b"\xaa\xa0\x02\x01\x00\x00\x00\x10\x01"[..], &[0; MAX_VALUE + 1 + 4]].concat();
        assert_eq!(Message::decode(&long), Err(GossipError::ValueTooLong { length: MAX_VALUE + 1 }));
    }
}
