//! A ZRE node (RFC 36): peers find each other by UDP beacon, connect over ZMTP, join groups, shout and whisper.
#![allow(dead_code, unused_imports, reason = "the driver that uses it is not wired yet")]

mod config;
mod error;
mod event;
mod id;
mod message;
#[cfg(feature = "net")]
mod net;
pub mod proto;
pub mod wire;
pub mod zmtp;

pub use config::{EndpointPolicy, LinkLimit, Overflow, Timers};
pub use error::{ConnectError, GroupError, SendError, StartError};
pub use event::{Event, ExitReason, Headers};
pub use id::{GroupName, GroupNameTooLong, InvalidPeerId, PeerId, printable};
pub use message::{AsFrame, Message};
#[cfg(all(feature = "net", any(test, feature = "test-util")))]
pub use net::memory::MemoryNetwork;
#[cfg(feature = "net")]
pub use net::outbox::LinkStats;
pub use wire::Endpoint;
