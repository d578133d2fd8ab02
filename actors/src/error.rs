//! What can go wrong with a call. Each variant says what is known of whether the work was done.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use zyre_rs::PeerId;

/// The codes of [`RpcError::code`]: those of JSON-RPC 2.0 and this layer's own in its reserved range.
///
/// Applications use codes outside −32768…−32000.
pub mod code {
    /// The bytes are no JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// JSON, but no request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// Nobody here serves this method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The handler failed in a way its author did not foresee, or its result cannot be encoded.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// The actor died while it worked on the request.
    pub const ACTOR_GONE: i64 = -32000;
    /// Not executed: too many requests wait. `data.retry_after_ms` says when to try again.
    pub const OVERLOADED: i64 = -32001;
    /// The deadline passed before the work was done.
    pub const DEADLINE_EXCEEDED: i64 = -32002;
    /// The caller cancelled.
    pub const CANCELLED: i64 = -32003;
    /// The caller may not call this.
    pub const NOT_ALLOWED: i64 = -32004;
    /// A codec or version that is not spoken here.
    pub const UNSUPPORTED: i64 = -32005;
    /// Not executed: the actor is being restarted or the service drains.
    pub const RESTARTING: i64 = -32006;
    /// What an application error gets that chooses no code of its own.
    pub const APPLICATION: i64 = 1;
}

/// A JSON-RPC 2.0 error object, as it came from or goes to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{} (code {code})", zyre_rs::printable(.message))]
pub struct RpcError {
    /// What kind of error; see [`code`].
    pub code: i64,
    /// For people; one sentence.
    pub message: String,
    /// For programs; a typed application error travels here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error with this code and message.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Adds what programs need to know.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// `data.retry_after_ms` of a refusal.
    pub fn retry_after(&self) -> Option<Duration> {
        self.data.as_ref()?.get("retry_after_ms")?.as_u64().map(Duration::from_millis)
    }
}

/// A call did not give a result.
///
/// `maybe_executed` says whether the work may have been done all the same; it is `false` only when it certainly was not.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E = NoError> {
    /// The handler returned its own error.
    #[error("{0}")]
    Application(E),
    /// Nobody serves this now. Nothing was sent; wait with `ready`.
    #[error("nobody serves {target}; start a provider or wait for one with `ready`")]
    NoProvider {
        /// The service, pool or peer that was called.
        target: String,
    },
    /// Every provider asked refused, and none worked on it. Try again later.
    #[error("every provider asked was overloaded or restarting; try again{}", after(.retry_after))]
    Rejected {
        /// When to try again, if a provider said so.
        retry_after: Option<Duration>,
    },
    /// The call never left: the queue of waiting calls or the link is full, or the message too large; `reason` says which.
    #[error("the call was not sent: {reason}")]
    NotSent {
        /// What stood in the way and what to do.
        reason: String,
    },
    /// The deadline passed.
    #[error("no answer within the deadline{}", maybe(.maybe_executed))]
    TimedOut {
        /// Whether it was sent to a provider before.
        maybe_executed: bool,
    },
    /// The provider is gone.
    #[error("{peer} was lost before it answered{}", maybe(.maybe_executed))]
    PeerLost {
        /// Which one.
        peer: PeerId,
        /// Whether it may have worked on the call.
        maybe_executed: bool,
    },
    /// The call was cancelled before it was answered.
    #[error("the call was cancelled")]
    Cancelled,
    /// The provider answered with an error that is not the method's own.
    #[error(transparent)]
    Remote(RpcError),
    /// Parameters or result could not be converted. A result that cannot be decoded was executed.
    #[error("{0}")]
    Decode(String),
}

fn maybe(executed: &bool) -> &'static str {
    if *executed { "; it may have been executed" } else { "; it was not executed" }
}

fn after(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(|| " later".to_owned(), |after| format!(" in {after:?}"))
}

/// The error of methods that have none. No value of it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoError {}

impl fmt::Display for NoError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for NoError {}

impl Serialize for NoError {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for NoError {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this method has no error of its own"))
    }
}
