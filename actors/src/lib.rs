//! Actors on nodes: typed calls, services and worker pools across a LAN, over ZRE whispers.
//!
//! A call travels as JSON-RPC 2.0 in frame 0 of a whisper (`docs/rpc.md`), so a plain pyre program can serve and call.
//!
//! # Layers
//! `wire` turns whispers into requests and responses and back. `caller` decides where a call goes and when it has
//! failed; `server` decides what is worked on and what is refused; `supervise` decides what is restarted. None of them
//! does I/O or reads a clock. `system` is the tokio shell that carries it out, `host` the only module that names actix.

#![expect(dead_code, reason = "the parts come first, the shell that uses them next")]

mod caller;
mod codec;
mod error;
mod remote;
mod server;
mod wire;
mod work;

pub use codec::{Body, Codec};
pub use error::{CallError, NoError, RpcError, code};
pub use remote::{ApplicationError, MethodSchema, RemoteMessage};
pub use work::Context;
pub use zyre_actors_macros::RemoteMessage;
