//! Runs nodes of this crate together with real pyre and zyre.js nodes and lets tests talk to them.
//!
//! [`provision`] fetches the two implementations on first use, [`netns`] builds a LAN out of network namespaces,
//! [`peer`] drives one node of any kind as a process. Nothing here touches a network that it did not make itself, and
//! everything it makes is gone when its value is dropped, also when a test panics.
//!
//! A machine that cannot run such tests (not root, no Node.js, no package registry) skips them with a printed
//! reason; with `ZYRE_INTEROP=required` in the environment it fails them instead. A test therefore starts with
//! [`or_return!`].

pub mod adapter;
pub mod job;
pub mod load;
mod log;
pub mod netns;
pub mod peer;
pub mod process;
pub mod provision;
pub mod usage;

use std::io::Write;

/// What this machine lacks for an interop test; the text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

impl Missing {
    /// Names what is missing.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Turns something missing into a printed `SKIPPED: <reason>` and `None`.
///
/// # Panics
/// When the environment says `ZYRE_INTEROP=required`, since a skipped test must then count as a failed one.
pub fn or_skip<T>(provided: Result<T, Missing>) -> Option<T> {
    let missing = match provided {
        Ok(value) => return Some(value),
        Err(missing) => missing,
    };
    if std::env::var_os("ZYRE_INTEROP").is_some_and(|value| value == "required") {
        fail(&format!("ZYRE_INTEROP=required, but {missing}"));
    }
    // Straight to standard error: the test runner swallows what `println!` prints in a passing test.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {missing}");
    None
}

/// Unwraps what a test needs, or ends the test as skipped (see [`or_skip`]).
#[macro_export]
macro_rules! or_return {
    ($provided:expr) => {
        match $crate::or_skip($provided) {
            Some(value) => value,
            None => return,
        }
    };
}

/// Fails the running test.
#[track_caller]
#[expect(clippy::panic, reason = "a failed expectation ends the test that had it")]
fn fail(message: &str) -> ! {
    panic!("{message}")
}
