//! Tests with real pyre and zyre.js nodes; see `src/lib.rs` for what they need and when they are skipped.

#![expect(clippy::expect_used, reason = "a failed expectation in a test's helper ends the test")]

mod cli;
mod common;
mod content;
mod discovery;
mod foreign;
mod lan;
mod mixed;
mod recovery;
mod work;
mod wrap;
