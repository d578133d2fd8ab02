//! Whispers as JSON-RPC 2.0 and back (`docs/rpc.md`). Bytes from the network are hostile: depth, size and counts are
//! bounded before anything is built from them, and whatever is not JSON-RPC is left alone.

use crate::{Body, RpcError};
use bytes::Bytes;
use std::time::Duration;

/// A request's id: the JSON text of a string or number, echoed as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) Bytes);

/// What travels beside the parameters, in `params._meta`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meta {
    /// What is left of the caller's deadline.
    pub(crate) deadline: Option<Duration>,
    /// 1 for the first try; a retry at another provider counts on.
    pub(crate) attempt: Option<u32>,
    /// W3C Trace Context.
    pub(crate) traceparent: Option<TraceParent>,
    /// How many stream items may be sent before more are granted by `rpc.credit`; without it any number.
    pub(crate) credit: Option<u32>,
}

/// A W3C `traceparent`: trace, parent span, flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    pub(crate) flags: u8,
}

/// A request, or a notification if it has no id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: Option<Id>,
    pub(crate) method: String,
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
