//! One line on a terminal that tells how far a recording, a replay or a measurement is.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How often the line is written anew.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The line; nothing where standard error is no terminal, and with `NO_COLOR`, which asks for plain output.
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() && !super::is_plain() }
    }

    pub(crate) fn show(&self, text: impl fmt::Display) {
        if self.is_shown {
            // Back to the begin of the line, and nothing is left of a longer one before.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}
