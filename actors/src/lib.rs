//! Actors on nodes: typed calls, services and worker pools across a LAN, over ZRE whispers.
//!
//! A call travels as JSON-RPC 2.0 in frame 0 of a whisper (`docs/rpc.md`), so a plain pyre program can serve and call.
//!
//! # Layers
//! `wire` turns whispers into requests and responses and back. `caller` decides where a call goes and when it has
//! failed; `server` decides what is worked on and what is refused; `supervise` decides what is restarted. None of them
//! does I/O or reads a clock. `system` is the tokio shell that carries it out, `host` the only module that names actix.
//!
//! # Spans
//! A call waits in the `tracing` span `rpc.call`, a handler runs in `rpc.serve` (target `zyre_actors::rpc`, level `DEBUG`).
//! Both have `trace_id`, `span_id` and `parent_id`, and W3C `traceparent` joins them over the wire: the spans of all nodes
//! that a request touches make one tree. Where no subscriber looks at them they cost nothing.

// What the derive macro writes names this crate from outside, also when it is used within.
extern crate self as zyre_actors;

#[doc(hidden)]
pub mod __private;
mod caller;
mod closure;
mod codec;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::wire::fuzzing::whisper;
}
mod host;
mod remote;
mod server;
mod service;
#[cfg(test)]
mod sim;
mod supervise;
mod system;
mod topic;
mod trace;
mod wire;
mod work;

/// The actor framework, so that its version need not be chosen twice.
pub use actix;
pub use caller::policy::{ConsistentHash, LeastCost, LeastInFlight, Random, RoundRobin, Sticky};
pub use caller::{Policy, PoolSettings, Provider};
pub use closure::{MethodBuilder, Params};
pub use codec::{Body, Codec, DecodeError, EncodeError};
pub use error::{CallError, ItemError, NoError, RpcError, ServeError, TopicError, code};
pub use host::{ServeBuilder, Supervision};
pub use remote::{ApplicationError, MethodSchema, RemoteMessage};
pub use server::Load;
pub use service::{
    Batch, Call, CallAll, CallStream, DEFAULT_TIMEOUT, Down, ItemStream, JsonCall, PeerRef, Service, Up,
    Watch,
};
pub use supervise::{OneForAll, OneForOne, RestForOne, Strategy};
pub use system::{ActorSystem, ActorSystemBuilder, NodeSource, STOP_TIMEOUT, Serving, SystemStats};
pub use topic::{Latest, Received, SUBSCRIPTION_QUEUE, Subscription, Topic};
pub use work::Context;
pub use zyre_actors_macros::RemoteMessage;

/// Version of this crate, as `rpc.info` tells it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
