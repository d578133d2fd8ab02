//! Standard input, as lines of bytes or as a whole.
//!
//! A thread of its own reads it: a read cannot be cancelled, and this one must not hold up the end
//! of the command.

use crate::failure::Failure;
use std::io::{self, BufRead, IsTerminal, Read};
use tokio::sync::{mpsc, oneshot};

/// Lines read ahead of those that were sent.
const MAX_READ_AHEAD: usize = 256;

/// The lines of standard input, without their line ends.
pub(crate) struct Lines(mpsc::Receiver<io::Result<Vec<u8>>>);

impl Lines {
    pub(crate) fn of_stdin() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_READ_AHEAD);
        std::thread::spawn(move || {
            read_lines(io::stdin().lock(), |line| sender.blocking_send(line).is_ok());
        });
        Self(receiver)
    }

    /// The next line, `None` at the end of the input. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.0.recv().await.transpose().map_err(Failure::Input)
    }
}

/// All of standard input.
pub(crate) async fn whole() -> Result<Vec<u8>, Failure> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut input = Vec::new();
        _ = sender.send(io::stdin().lock().read_to_end(&mut input).map(|_| input));
    });
    receiver.await.unwrap_or_else(|_| Ok(Vec::new())).map_err(Failure::Input)
}

/// Whether a person types the input.
pub(crate) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// Hands each line to `take` until it has no more use for them.
fn read_lines(input: impl BufRead, mut take: impl FnMut(io::Result<Vec<u8>>) -> bool) {
    for line in input.split(b'\n') {
        let failed = line.is_err();
        let line = line.map(|mut line| {
            line.pop_if(|last| *last == b'\r');
            line
        });
        if !take(line) || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_only_their_ends_and_may_be_empty_or_not_utf8() {
        let mut lines = Vec::new();
        read_lines(&b"one\r\n\n\xFF\rx\nlast"[..], |line| {
            lines.push(line.expect("memory can be read"));
            true
        });
        assert_eq!(lines, [&b"one"[..], b"", b"\xFF\rx", b"last"]);
    }

    #[test]
    fn reading_ends_when_nobody_wants_more() {
        let mut taken = 0;
        read_lines(&b"a\nb\nc\n"[..], |_| {
            taken += 1;
            taken < 2
        });
        assert_eq!(taken, 2);
    }
}
