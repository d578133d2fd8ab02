//! Whispers as JSON-RPC 2.0 and back (`docs/rpc.md`). Bytes from the network are hostile: depth, size and counts are
//! bounded before anything is built from them, and whatever is not JSON-RPC is left alone.
//!
//! What is taken for JSON-RPC: text that begins with `{`, or with `[` and `{`, and contains `"jsonrpc"`. If it parses,
//! the object (or one object of the array) must have that as a member; if it does not parse, it is answered as broken
//! JSON-RPC. Everything else is an ordinary whisper, the empty array too, which JSON-RPC would have answered.

#![deny(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::string_slice))]

mod compact;
mod decode;
mod depth;
mod encode;
#[cfg(test)]
mod fixtures;
#[cfg(feature = "fuzzing")]
#[allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic is how it reports a finding"
)]
pub(crate) mod fuzzing;
mod id;
mod meta;
mod number;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
mod trace;

pub(crate) use decode::decode;
pub(crate) use depth::{json_exceeds, msgpack_fault};
pub(crate) use encode::{
    encode_batch, encode_cancel, encode_credit, encode_error, encode_item, encode_notification,
    encode_request, encode_response,
};
pub(crate) use id::{Id, Incarnation, OwnId, WriteId, parse_own};
pub(crate) use meta::Meta;
pub(crate) use trace::TraceParent;

use crate::{Body, RpcError};

/// Objects and arrays in one another, in a frame.
const MAX_DEPTH: usize = 64;

/// The same for parameters and results, which stand in an envelope, which may stand in a batch.
pub(crate) const BODY_DEPTH: usize = MAX_DEPTH - 2;

/// Entries of a batch.
pub(crate) const MAX_BATCH: usize = 256;

/// Bytes of a method's name.
pub(crate) const MAX_METHOD: usize = 255;

/// Bytes of the error objects of a whisper: they become values before it is known whether anybody waits for them, and
/// values take many times the room of their text.
pub(crate) const MAX_ERRORS: usize = 256 * 1024;

/// How much of a whisper is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes in each of the frames.
    pub(crate) frame: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 16 * 1024 * 1024 }
    }
}

/// A request, or a notification if it has no id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: Option<Id>,
    pub(crate) method: String,
    /// Without `_meta`.
    pub(crate) params: Body,
    pub(crate) meta: Meta,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) id: Id,
    pub(crate) outcome: Result<Body, RpcError>,
}

/// One JSON-RPC object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packet {
    Request(Request),
    Response(Response),
    /// `rpc.cancel {"id"}`
    Cancel {
        id: Id,
    },
    /// `rpc.item {"id","seq","value"}`
    Item {
        id: Id,
        seq: u64,
        value: Body,
    },
    /// `rpc.credit {"id","n"}`
    Credit {
        id: Id,
        n: u32,
    },
    /// Claims to be JSON-RPC and is not valid; `id` where one could be read. To be answered with the error.
    Invalid {
        id: Option<Id>,
        error: RpcError,
    },
}

/// What a whisper turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decoded {
    /// Not JSON-RPC: an ordinary whisper.
    Other,
    One(Packet),
    /// An array; answered by an array.
    Batch(Vec<Packet>),
}
