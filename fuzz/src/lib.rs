//! Fuzz targets: functions that take any bytes and panic if the code under test breaks a promise.
//!
//! libFuzzer runs them (`fuzz/run`), plain tests replay the committed corpus through them and mutate it a little
//! (`fuzz/tests`). Most hold the code against a second, simple reading of the same bytes (`reference`) or against
//! itself: written and read again, cut differently, run twice.

#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a target reports a finding")]

pub mod corpus;
mod curve_peer;
mod machine;
pub mod mutator;
mod reference;
mod targets;

use targets::*;

/// One thing to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the corpus folder and the dictionary too.
    pub name: &'static str,
    /// Takes any bytes; a panic is a finding.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input that makes sense, in bytes.
    pub max_len: usize,
    /// Mutated inputs that take a debug build about a second.
    pub smoke_runs: u32,
}

/// All of them.
pub const TARGETS: [Target; 13] = [
    beacon::TARGET,
    endpoint::TARGET,
    message::TARGET,
    zmtp_stream::TARGET,
    ready::TARGET,
    curve_server::TARGET,
    curve_client::TARGET,
    hello_limits::TARGET,
    rpc_envelope::TARGET,
    gossip::TARGET,
    core::TARGET,
    session::TARGET,
    key_file::TARGET,
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
