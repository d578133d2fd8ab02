//! The targets, one module each.

pub(crate) mod beacon;
pub(crate) mod core;
pub(crate) mod curve_client;
pub(crate) mod curve_server;
pub(crate) mod endpoint;
pub(crate) mod gossip;
pub(crate) mod hello_limits;
pub(crate) mod key_file;
pub(crate) mod message;
pub(crate) mod ready;
pub(crate) mod rpc_envelope;
pub(crate) mod session;
pub(crate) mod zmtp_stream;

use zyre_rs::wire::vectors;

/// Captured bytes as seeds.
fn vectors(table: &[(&str, &str)]) -> Vec<Vec<u8>> {
    table.iter().map(|(_, hex)| vectors::bytes(hex)).collect()
}
