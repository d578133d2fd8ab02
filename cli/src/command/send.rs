//! What `shout` and `whisper` share: where messages come from, how often and how fast they go.

use crate::args::Messages;
use crate::failure::Failure;
use crate::input::{self, Lines};
use crate::output::{Output, counted, note};
use std::ffi::OsString;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use zyre_rs::{Message, Node, SendError};

/// How long peers are awaited unless `--timeout` says otherwise: a few beacons.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last messages may take to leave, and then to be taken; a full link (8 MiB) needs a second at 100 Mbit/s.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends all messages, waits until peers have taken them, stops the node and says how many there were.
pub(crate) async fn send_all(
    node: &Node,
    output: &mut Output,
    messages: Messages,
    mut send: impl AsyncFnMut(Message) -> Result<usize, SendError>,
) -> Result<(), Failure> {
    let Messages { frames, count, rate, .. } = messages;
    let mut source = Source::new(frames);
    let mut pace = Pace::new(rate);
    let mut peers = 0;
    while let Some(message) = source.next().await? {
        for _ in 0..count {
            pace.next().await;
            peers = send(message.clone()).await?;
            // Peers that take everything at once must not shut out Ctrl-C.
            tokio::task::consume_budget().await;
        }
    }
    deliver(node).await?;
    output.sent(pace.sent, peers)
}

/// Waits until all messages have left and peers have taken them, and stops the node: what has left is only on its way, and
/// a peer that reads slowly drops it at the goodbye.
pub(crate) async fn deliver(node: &Node) -> Result<(), Failure> {
    if !node.flush(FLUSH_TIMEOUT).await {
        let left: u64 = node.stats().links.values().map(|link| link.queued_messages).sum();
        return Err(Failure::Timeout(format!(
            "{} had not left after {FLUSH_TIMEOUT:?} and may be lost: a peer does not read",
            counted(left, "message")
        )));
    }
    node.stop_within(FLUSH_TIMEOUT).await;
    let slow = node.stats().counter("stop_unacknowledged");
    if slow > 0 {
        note(format_args!(
            "warning: {} had not taken all after {FLUSH_TIMEOUT:?}, so the last messages may be lost; send more slowly \
             (--rate), or let the peer read faster",
            counted(slow, "peer")
        ));
    }
    Ok(())
}

/// Where messages come from.
enum Source {
    Arguments(Option<Message>),
    Input(Lines),
}

impl Source {
    fn new(frames: Vec<OsString>) -> Self {
        if !frames.is_empty() {
            let frames = frames.into_iter().map(OsString::into_encoded_bytes);
            return Self::Arguments(Some(frames.collect()));
        }
        if input::is_typed() {
            note("each line you type is a message; end with Ctrl-D");
        }
        Self::Input(Lines::of_stdin())
    }

    async fn next(&mut self) -> Result<Option<Message>, Failure> {
        match self {
            Self::Arguments(message) => Ok(message.take()),
            Self::Input(lines) => Ok(lines.next().await?.map(Message::from)),
        }
    }
}

/// Lets messages go at their rate. It counts from the first one, so that a late one is made up for.
struct Pace {
    rate: Option<f64>,
    start: Option<Instant>,
    sent: u64,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        Self { rate, start: None, sent: 0 }
    }

    async fn next(&mut self) {
        let start = *self.start.get_or_insert_with(Instant::now);
        if let Some(rate) = self.rate {
            sleep_until(start + due_after(self.sent, rate)).await;
        }
        self.sent += 1;
    }
}

/// When the message after `sent` others is due. The rate is at least 0.001 (see `args`).
#[expect(clippy::cast_precision_loss, reason = "2^53 messages are out of reach")]
pub(super) fn due_after(sent: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(sent as f64 / rate).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_even_distances_from_the_first() {
        assert_eq!(due_after(0, 100.0), Duration::ZERO);
        assert_eq!(due_after(1, 100.0), Duration::from_millis(10));
        assert_eq!(due_after(250, 100.0), Duration::from_millis(2500));
        assert_eq!(due_after(1, 0.001), Duration::from_secs(1000));
    }
}
