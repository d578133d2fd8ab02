//! Tests of the crate as its users and its peers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step fails the test")]

mod attack;
mod secured;
mod user_errors;
