//! The thread that writes what the node tells, in the order it tells it.
//!
//! It takes batches from a queue of [`MAX_BATCHES`]; who fills it waits while it is full, the node's own queue fills then and
//! its senders wait, so that a disk that is too slow loses nothing. A batch holds at most what the node had queued.

use super::file::Topic;
use super::{Clock, Encoder, Error, Sink};
use crate::args::is_provider_group;
use crate::output::EventLine;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zyre_rs::{Event, Events, ExitReason, Message, Node};

/// One is written while the next one waits.
const MAX_BATCHES: usize = 2;
/// Events in a batch.
const MAX_BATCH: usize = 1024;
/// How long a quiet network keeps what came last from the disk.
const TICK: Duration = Duration::from_millis(500);

/// What is recorded besides shouts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) whispers: bool,
    pub(crate) events: bool,
    pub(crate) rpc: bool,
}

/// How far a recording is, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Messages recorded.
    pub(crate) messages: AtomicU64,
    /// Bytes in their frames.
    pub(crate) payload: AtomicU64,
    /// Bytes on disk.
    pub(crate) written: AtomicU64,
    /// Messages that were lost before they reached this node, as far as their sequence tells.
    pub(crate) lost: AtomicU64,
}

/// A recording that is whole.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// None when there was nothing to record.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) messages: u64,
    /// On disk.
    pub(crate) bytes: u64,
}

/// A recording that goes on.
pub(crate) struct Recording {
    taking: JoinHandle<()>,
    outcome: oneshot::Receiver<Result<Recorded, Error>>,
}

impl Recording {
    /// Waits until nothing is recorded any more: the node has stopped, or what came could not be written.
    pub(crate) async fn ended(&mut self) {
        // A task that is cut short has ended as well.
        let _ = (&mut self.taking).await;
    }

    /// Waits until all is written that the node told before it stopped. `None` if the thread was lost.
    pub(crate) async fn finish(self) -> Option<Result<Recorded, Error>> {
        self.outcome.await.ok()
    }
}

/// What was taken from the node at one time; empty when nothing came for a while.
struct Batch {
    time: u64,
    events: Vec<Event>,
}

/// Writes what it is handed.
pub(crate) struct Recorder {
    sink: Sink,
    selection: Selection,
    tally: Arc<Tally>,
    node: BTreeMap<String, String>,
    encoder: Encoder,
    text: Vec<u8>,
}

impl Recorder {
    /// Records the node's events until they end, which they do when it has stopped.
    pub(crate) fn start(
        sink: Sink,
        selection: Selection,
        tally: Arc<Tally>,
        node: &Node,
        events: Events,
    ) -> Result<Recording, Error> {
        let node = [("name", node.name().to_owned()), ("uuid", node.id().to_string())];
        let node = node.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let recorder = Self { sink, selection, tally, node, encoder: Encoder::default(), text: Vec::new() };
        let (sender, batches) = mpsc::channel(MAX_BATCHES);
        let (done, outcome) = oneshot::channel();
        let write = move || {
            let _ = done.send(recorder.run(batches));
        };
        std::thread::Builder::new().name("recorder".to_owned()).spawn(write).map_err(Error::Thread)?;
        Ok(Recording { taking: tokio::spawn(take(events, sender)), outcome })
    }

    fn run(mut self, mut batches: mpsc::Receiver<Batch>) -> Result<Recorded, Error> {
        while let Some(Batch { time, events }) = batches.blocking_recv() {
            for event in &events {
                self.record(time, event)?;
                self.flush()?;
            }
            self.flush()?;
            self.tally.written.store(self.sink.done().bytes, Ordering::Relaxed);
        }
        let (done, files) = self.sink.finish(&self.node, self.tally.lost.load(Ordering::Relaxed))?;
        self.tally.written.store(done.bytes, Ordering::Relaxed);
        Ok(Recorded { files, messages: done.messages, bytes: done.bytes })
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.sink.flush(&self.node, self.tally.lost.load(Ordering::Relaxed))
    }

    fn record(&mut self, time: u64, event: &Event) -> Result<(), Error> {
        if let Event::Exit { reason: ExitReason::MessagesLost { count }, .. } = event {
            self.tally.lost.fetch_add(u64::from(*count), Ordering::Relaxed);
        }
        match event {
            Event::Shout { peer, name, group, message } => {
                let text = self.encoder.encode(*peer, name, message);
                self.sink.write(&Topic::Shout(group.clone()), time, text)?;
                self.count(message.size());
            }
            Event::Whisper { peer, name, message } => {
                let rpc = if self.selection.rpc { rpc_topic(message) } else { None };
                if let Some(topic) = rpc.or(self.selection.whispers.then_some(Topic::Whisper)) {
                    let text = self.encoder.encode(*peer, name, message);
                    self.sink.write(&topic, time, text)?;
                    self.count(message.size());
                }
            }
            other => {
                if self.selection.rpc && is_about_providers(other) {
                    self.event(&Topic::Provider, time, other)?;
                }
                if self.selection.events {
                    self.event(&Topic::Event, time, other)?;
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, topic: &Topic, time: u64, event: &Event) -> Result<(), Error> {
        self.text.clear();
        // Memory takes everything, and an event has text keys.
        let _ = serde_json::to_writer(&mut self.text, &EventLine::from(event));
        self.sink.write(topic, time, &self.text)?;
        self.count(0);
        Ok(())
    }

    fn count(&self, payload: usize) {
        self.tally.messages.fetch_add(1, Ordering::Relaxed);
        self.tally.payload.fetch_add(payload as u64, Ordering::Relaxed);
    }
}

/// Hands the events on until they end, or nobody writes them any more.
async fn take(mut events: Events, batches: mpsc::Sender<Batch>) {
    let clock = Clock::start();
    loop {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let ended =
            matches!(tokio::time::timeout(TICK, events.recv_many(&mut batch, MAX_BATCH)).await, Ok(0));
        if ended || batches.send(Batch { time: clock.now(), events: batch }).await.is_err() {
            return;
        }
    }
}

/// Who begins or ends to provide something.
fn is_about_providers(event: &Event) -> bool {
    match event {
        Event::Join { group, .. } | Event::Leave { group, .. } => is_provider_group(&group.to_str_lossy()),
        Event::Exit { .. } => true,
        _ => false,
    }
}

/// Whether a whisper is JSON-RPC, and whether it asks or answers.
fn rpc_topic(message: &Message) -> Option<Topic> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(rename = "jsonrpc")]
        _version: serde::de::IgnoredAny,
        method: Option<serde::de::IgnoredAny>,
    }
    let first = message.frames().first()?;
    let asks = match first.first()? {
        b'{' => serde_json::from_slice::<Envelope>(first).ok()?.method.is_some(),
        b'[' => serde_json::from_slice::<Vec<Envelope>>(first).ok()?.first()?.method.is_some(),
        _ => return None,
    };
    Some(if asks { Topic::Request } else { Topic::Response })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_answers_are_told_from_other_whispers() {
        for (text, topic) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"a.b","params":{}}"#, Some(Topic::Request)),
            (r#"[{"jsonrpc":"2.0","method":"a.b"}]"#, Some(Topic::Request)),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"method":1}}"#, Some(Topic::Response)),
            (r#"{"method":"a"}"#, None),
            ("[]", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(rpc_topic(&Message::from(text)), topic, "{text}");
        }
    }
}
