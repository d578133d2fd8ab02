//! The tokio shell: the sockets, clocks and tasks round the sans-IO core. It decides nothing about the protocol.

pub(crate) mod beacon;
pub(crate) mod interface;
