//! A text that is drawn anew in its place, where there is a terminal to do that on.

use super::Output;
use crate::failure::Failure;
use std::io::{IsTerminal, Write, stdout};

/// What stands at the end of the terminal. Programs, pipes, plain terminals and `NO_COLOR` get none.
pub(crate) struct Screen {
    is_live: bool,
    /// Lines that stand there now, and the text they are of.
    drawn: usize,
    text: String,
}

impl Screen {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            is_live: !output.is_json() && stdout().is_terminal() && !super::is_plain(),
            drawn: 0,
            text: String::new(),
        }
    }

    /// Whether it is there; if not, lines are to be printed as things happen.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Puts these lines in the place of those before.
    pub(crate) fn draw(&mut self, output: &mut Output, text: &str) -> Result<(), Failure> {
        if text == self.text {
            return Ok(());
        }
        self.erase(output)?;
        text.clone_into(&mut self.text);
        let all = text.lines().count();
        // The cursor stays below, and goes up no further than the first line of the terminal.
        let room = height().map_or(usize::MAX, |height| height.saturating_sub(1).max(1));
        let shown = if all > room { room - 1 } else { all };
        let mut lines: Vec<_> = text.lines().take(shown).map(str::to_owned).collect();
        if shown < all {
            lines.push(format!("and {} more", all - shown));
        }
        self.drawn = lines.len();
        // Without wrapping, so that a line of text is one of the terminal.
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        write!(output.out, "\x1b[?7l{text}\x1b[?7h").map_err(Failure::Output)?;
        output.flush()
    }

    /// Takes the lines off.
    pub(crate) fn erase(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.text.clear();
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            // Up to its first line, and clear all below.
            lines => write!(output.out, "\x1b[{lines}A\x1b[J").map_err(Failure::Output),
        }
    }
}

/// Lines of the terminal, if they can be known.
#[cfg(unix)]
fn height() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0).then_some(size.ws_row.into())
}

#[cfg(not(unix))]
fn height() -> Option<usize> {
    None
}
