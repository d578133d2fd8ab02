//! Tests with real pyre and zyre.js nodes; see `src/lib.rs` for what they need and when they are skipped.

mod foreign;
mod lan;
