//! The tokio shell: the sockets, clocks and tasks round the sans-IO core. It decides nothing about the protocol.

pub(crate) mod addresses;
pub(crate) mod beacon;
pub(crate) mod beaconing;
pub(crate) mod connection;
pub(crate) mod counters;
pub(crate) mod driver;
pub(crate) mod gossip;
pub(crate) mod groups;
pub(crate) mod heap;
pub(crate) mod inbox;
pub(crate) mod interface;
pub(crate) mod line;
pub(crate) mod link;
pub(crate) mod listener;
#[cfg(feature = "test-util")]
pub(crate) mod memory;
pub(crate) mod outbox;
pub(crate) mod request;
pub(crate) mod security;
pub(crate) mod setup;
pub(crate) mod stream;
pub(crate) mod transport;
