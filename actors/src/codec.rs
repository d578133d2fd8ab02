//! How parameters and results become bytes: JSON for everyone, MessagePack between nodes that both announce it.

use bytes::Bytes;

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
    pub codec: Codec,
    /// One JSON or MessagePack value.
    pub bytes: Bytes,
}
