//! How parameters and results become bytes: JSON for everyone, MessagePack between nodes that both announce it.
//!
//! Both write the same thing: structs as maps and the human-readable form of types that have two, so that a body can
//! be rewritten from one codec to the other without knowing its type.

mod loose;
#[cfg(test)]
mod tests;

use crate::wire::{BODY_DEPTH, json_exceeds, msgpack_fault};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::fmt::Display;

/// An encoding of parameters and results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// In frame 0, readable by every peer.
    #[default]
    Json,
    /// In frame 1; structs as maps, so that fields may be added.
    MessagePack,
}

/// Encoded parameters or an encoded result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// How it is encoded.
    pub(crate) codec: Codec,
    /// One value. JSON is known to be valid; MessagePack of a peer is checked when it is decoded.
    pub(crate) bytes: Bytes,
}

/// A value cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its `Serialize` failed, or it has map keys that JSON cannot express. Nothing was sent; change the type.
    #[error("the value cannot be encoded: {0}")]
    Unsupported(String),
    /// It is nested deeper than receivers accept. Nothing was sent; flatten it.
    #[error("the value is nested deeper than {} levels", BODY_DEPTH)]
    TooDeep,
}

/// A body is not what was expected; the text says where they differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub(crate) String);

/// A peer's text may be part of an error's; no more than this of it is kept.
const MAX_REASON: usize = 300;

fn reason(error: impl Display) -> String {
    let said = error.to_string();
    zyre_rs::printable(&said).chars().take(MAX_REASON).collect()
}

impl Body {
    /// Encodes a value.
    ///
    /// # Errors
    /// [`EncodeError`] if the value cannot be expressed or is nested too deeply.
    pub fn encode<T: Serialize + ?Sized>(codec: Codec, value: &T) -> Result<Self, EncodeError> {
        let (bytes, too_deep) = match codec {
            Codec::Json => {
                let bytes =
                    serde_json::to_vec(value).map_err(|error| EncodeError::Unsupported(reason(error)))?;
                let too_deep = json_exceeds(&bytes, BODY_DEPTH);
                (bytes, too_deep)
            }
            Codec::MessagePack => {
                let mut bytes = Vec::with_capacity(64);
                let mut serializer =
                    rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable();
                value.serialize(&mut serializer).map_err(|error| EncodeError::Unsupported(reason(error)))?;
                let too_deep = msgpack_fault(&bytes, BODY_DEPTH).is_some();
                (bytes, too_deep)
            }
        };
        if too_deep { Err(EncodeError::TooDeep) } else { Ok(Self { codec, bytes: bytes.into() }) }
    }

    /// Decodes a value.
    ///
    /// JSON-RPC parameters are an object or an array, so a lone value travels as an array of one and nothing as an
    /// empty one; where the type does not fit the body as it is, what it stands for is tried.
    ///
    /// # Errors
    /// [`DecodeError`] if the body is not such a value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let decoded = match self.codec {
            Codec::Json => serde_json::from_slice(&self.bytes).or_else(|error| {
                let meant = meant(&self.bytes).and_then(|bytes| serde_json::from_slice(bytes).ok());
                meant.ok_or_else(|| reason(error))
            }),
            Codec::MessagePack => match msgpack_fault(&self.bytes, BODY_DEPTH) {
                Some(fault) => Err(fault.to_owned()),
                None => {
                    let deserializer = rmp_serde::Deserializer::from_read_ref(&self.bytes[..]);
                    T::deserialize(&mut deserializer.with_human_readable()).map_err(reason)
                }
            },
        };
        decoded.map_err(DecodeError)
    }

    /// Nothing: no parameters, or a result without a value.
    pub fn null() -> Self {
        Self { codec: Codec::Json, bytes: Bytes::from_static(b"null") }
    }

    /// Rewrites the body as JSON, for a peer that knows nothing else.
    ///
    /// Binary becomes an array of numbers, keys become strings: what JSON would have written from the start (only
    /// 128-bit integers differ).
    ///
    /// # Errors
    /// [`DecodeError`] if it is MessagePack that is broken or has extension types.
    pub fn to_json(&self) -> Result<Self, DecodeError> {
        match self.codec {
            Codec::Json => Ok(self.clone()),
            Codec::MessagePack => {
                let loose::Loose(value) = self.decode()?;
                Ok(Self { codec: Codec::Json, bytes: value.to_string().into() })
            }
        }
    }

    /// How it is encoded.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The encoded value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What parameters stand for that do not fit as they are: `[x]` for `x`, an empty list or object for nothing, and
/// nothing for an object all of whose members are optional.
fn meant(json: &[u8]) -> Option<&[u8]> {
    let is_empty = |open, close| match json {
        [first, inner @ .., last] => *first == open && *last == close && inner.trim_ascii().is_empty(),
        _ => false,
    };
    if json == b"null" {
        Some(b"{}")
    } else if is_empty(b'{', b'}') || is_empty(b'[', b']') {
        Some(b"null")
    } else {
        let [only] = serde_json::from_slice::<[&RawValue; 1]>(json).ok()?;
        Some(only.get().as_bytes())
    }
}
