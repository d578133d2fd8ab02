//! The tokio shell: the sockets, clocks and tasks round the sans-IO core. It decides nothing about the protocol.

pub(crate) mod beacon;
pub(crate) mod connection;
pub(crate) mod counters;
pub(crate) mod groups;
pub(crate) mod inbox;
pub(crate) mod interface;
pub(crate) mod line;
pub(crate) mod listener;
pub(crate) mod request;
pub(crate) mod stream;
