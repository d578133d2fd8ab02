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

    /// The application's own error, if that is what this is: its code is outside the reserved range and its data fits `E`.
    /// An error without data is read from its message, so that plain text reaches an `E` that is text.
    pub fn application<E: serde::de::DeserializeOwned>(&self) -> Option<E> {
        if (-32768..=-32000).contains(&self.code) {
            return None;
        }
        let data = self.data.clone().unwrap_or_else(|| Value::String(self.message.clone()));
        serde_json::from_value(data).ok()
    }

    /// `data.retry_after_ms` of a refusal.
    pub fn retry_after(&self) -> Option<Duration> {
        self.data.as_ref()?.get("retry_after_ms")?.as_u64().map(Duration::from_millis)
    }
}

/// For `?` in a handler that calls others: what went wrong there is no answer of this method, so it travels as −32603
/// with its text. A handler that knows better maps the error itself.
impl<E: fmt::Display> From<CallError<E>> for RpcError {
    fn from(error: CallError<E>) -> Self {
        Self::new(code::INTERNAL_ERROR, error.to_string())
    }
}

/// For `?` in a handler that streams: −32003 if nobody waits any more, else −32603.
impl From<ItemError> for RpcError {
    fn from(error: ItemError) -> Self {
        let code = match error {
            ItemError::NotWaitedFor => code::CANCELLED,
            ItemError::NotEncoded(_) | ItemError::Send(_) => code::INTERNAL_ERROR,
        };
        Self::new(code, error.to_string())
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

/// Serving a method or a service failed. Nothing is served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another service of this system has this method.
    #[error("{method} is served here already; drain that service first or choose another name")]
    MethodTaken {
        /// Which one.
        method: String,
    },
    /// The method's name cannot be used.
    #[error("{method:?} cannot be served: {problem}")]
    InvalidMethod {
        /// As given.
        method: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An actor was given no method.
    #[error("service {service:?} has no method; add one with `.method::<Message>()`")]
    NoMethod {
        /// Which one.
        service: String,
    },
    /// The service's group could not be joined.
    #[error(transparent)]
    Group(#[from] zyre_rs::GroupError),
    /// The thread that actors run on could not be started.
    #[error("cannot start the actors' thread: {reason}; lower the number of threads or raise the limit")]
    Host {
        /// What the system says.
        reason: String,
    },
    /// The actor stopped by itself, or failed more often than its restart strategy allows, before it was announced.
    #[error("the actor ended before it was served; see the log for its panic, if it had one")]
    Ended,
    /// The system has stopped.
    #[error("the system has stopped")]
    Stopped,
}

/// An item of a streaming answer was not sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The caller has gone, has cancelled, or wants no answer: stop working.
    #[error("nobody waits for the answer any more")]
    NotWaitedFor,
    /// The item cannot be encoded.
    #[error("the item cannot be encoded: {0}")]
    NotEncoded(String),
    /// The node did not take it.
    #[error(transparent)]
    Send(zyre_rs::SendError),
}

/// Publishing or subscribing failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The name is longer than a group's may be.
    #[error(transparent)]
    InvalidName(#[from] zyre_rs::GroupNameTooLong),
    /// Groups that begin with `svc/` or `pool/` stand for services and pools.
    #[error(
        "{topic:?} cannot be a topic: names that begin with svc/ or pool/ are services and pools; choose another"
    )]
    Reserved {
        /// The name as given.
        topic: String,
    },
    /// The group could not be joined; nothing is subscribed.
    #[error(transparent)]
    Group(#[from] zyre_rs::GroupError),
    /// The message cannot be encoded as JSON; nothing was sent.
    #[error("the message cannot be encoded: {0}")]
    NotEncoded(String),
    /// A subscriber did not take it; the others did.
    #[error(transparent)]
    Send(#[from] zyre_rs::SendError),
    /// Nobody subscribed in time.
    #[error("nobody has subscribed to {topic} in time; check that a subscriber runs and is on this network")]
    NoSubscriber {
        /// Which topic.
        topic: String,
    },
    /// The system has stopped.
    #[error("the system has stopped")]
    Stopped,
}
