//! The tokio shell: the sockets, clocks and tasks round the sans-IO core. It decides nothing about the protocol.

pub(crate) mod beacon;
pub(crate) mod counters;
pub(crate) mod interface;
pub(crate) mod line;
pub(crate) mod link;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod memory;
pub(crate) mod outbox;
pub(crate) mod request;
pub(crate) mod stream;
pub(crate) mod transport;
