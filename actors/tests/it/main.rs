//! The actor layer end to end on the network in memory, and what users of the crate see of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step fails the test")]

mod actors;
mod calls;
mod common;
mod derive;
mod handlers;
mod hostile;
mod lifecycle;
mod pages;
mod pools;
mod topics;
mod traces;
