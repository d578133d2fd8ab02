//! Tests with real pyre and zyre.js nodes; see `src/lib.rs` for what they need and when they are skipped.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failed step ends the test")]

mod bag;
mod cli;
mod cli_doctor;
mod common;
mod content;
mod corpus;
mod discovery;
mod faults;
mod foreign;
mod lan;
mod mixed;
mod recovery;
mod rpc;
mod rpc_cli;
mod rpc_wire;
mod secured;
mod work;
mod wrap;
mod zmtp_conformance;
