//! Group messaging on a LAN without a broker: a ZRE (RFC 36) node.
//!
//! Nodes find each other by UDP beacon, connect over ZMTP, join named groups, *shout* to a group and *whisper* to a
//! peer. A node of this crate is on the wire what pyre, zyre and zyre.js are, and meets them on one network.
//!
//! [`Node::builder`] starts a node; its [`Events`] tell who is there and what is said. [`blocking`] is the same for
//! programs without an async runtime.
//!
//! # Layers
//! [`wire`] and [`zmtp`] turn bytes into types and back, [`proto`] decides what a node does; none of them does I/O.
//! The rest is the tokio shell (feature `net`, on by default) that carries it out. Feature `test-util` adds a
//! network in memory ([`MemoryNetwork`]) and the simulator.

#[cfg(feature = "net")]
pub mod blocking;
#[cfg(feature = "net")]
mod builder;
#[cfg(feature = "net")]
mod config;
mod error;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
#[cfg(feature = "net")]
mod interfaces;
#[cfg(feature = "net")]
mod key;
#[cfg(feature = "net")]
mod membership;
mod message;
#[cfg(feature = "net")]
mod net;
#[cfg(feature = "net")]
mod node;
pub mod proto;
#[cfg(feature = "net")]
mod scout;
mod settings;
mod trust;
pub mod wire;
pub mod zmtp;

/// Version of this crate, as nodes tell each other in a header.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(feature = "net")]
pub use builder::NodeBuilder;
pub use error::{ConnectError, GroupError, SendError, StartError, TrustError};
pub use event::{Event, ExitReason, Headers};
pub use id::{GroupName, GroupNameTooLong, InvalidPeerId, PeerId, printable};
#[cfg(feature = "net")]
pub use interfaces::{Interface, interfaces};
#[cfg(feature = "net")]
pub use key::{InvalidNetworkKey, InvalidNodeKey, NetworkKey, NodeKey};
#[cfg(feature = "net")]
pub use membership::{Membership, Peer};
pub use message::{AsFrame, Message};
#[cfg(feature = "net")]
pub use net::inbox::Events;
#[cfg(all(feature = "net", feature = "test-util"))]
pub use net::memory::MemoryNetwork;
#[cfg(feature = "net")]
pub use net::outbox::LinkStats;
#[cfg(feature = "net")]
pub use node::{Node, Stats};
#[cfg(feature = "net")]
pub use scout::{Scout, Sighting};
pub use settings::{EndpointPolicy, LinkLimit, Overflow, Timers};
pub use trust::{Applicant, InvalidTrustedKeys, TrustedKeys};
pub use wire::Endpoint;
pub use zmtp::curve::{InvalidKey, PublicKey};
