//! Bytes to types and back: beacons, ZRE messages, endpoints and gossip (RFC 36; gossip as czmq speaks it).
//!
//! Everything here is a function of its arguments: no socket, clock or random number. Decoding is
//! total (any bytes give a value or an error, never a panic) and bounded (an announced count or
//! length is a loop bound or a comparison, never a reservation). Encoding cannot fail: what does
//! not fit the wire is refused when the value is made ([`Hello::new`], [`gossip::Publish::new`]).

#![deny(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod beacon;
mod endpoint;
pub mod gossip;
mod hello;
mod message;
#[cfg(test)]
mod properties;
mod reader;
#[cfg(feature = "test-util")]
pub mod vectors;
mod writer;

pub use beacon::{Beacon, BeaconError};
pub use endpoint::{Endpoint, EndpointError};
pub use hello::{
    Hello, HelloFields, Limit, MAX_GROUPS, MAX_HEADER_VALUE, MAX_HEADERS, MAX_HELLO, MAX_STRING,
};
pub use message::{
    Command, Content, Decoded, MessageError, decode, decode_content, put_hello_header, put_shout_header,
    put_whisper_header,
};
pub use reader::{Reader, Truncated};
