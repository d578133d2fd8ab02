//! Tests with real pyre and zyre.js nodes; see `src/lib.rs` for what they need and when they are skipped.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failed step ends the test")]

mod cli;
mod common;
mod content;
mod discovery;
mod foreign;
mod lan;
mod mixed;
mod recovery;
mod rpc;
mod rpc_cli;
mod rpc_wire;
mod work;
mod wrap;
mod zmtp_conformance;
