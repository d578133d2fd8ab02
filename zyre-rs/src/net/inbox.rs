//! The node's event queue: many connections and the driver on one side, one application on the other.
//!
//! Connections hand in *batches*, one per socket read, and wait when the application is slow (their window, the
//! node's receive budget); the driver hands in single events and never waits. Per peer the order is that of
//! arrival, content and control alike; between peers turns are fair (attack rows T4, T15 in `docs/hardening.md`).
//!
//! Invariant: nothing is taken for a peer after its EXIT until a connection is admitted anew.

pub(crate) mod batch;
mod events;
mod queue;
#[cfg(test)]
mod tests;

pub use events::Events;

use super::counters::Counters;
use super::line::Line;
use super::request::Leash;
use crate::{Event, PeerId};
use batch::Batch;
use queue::{Pushed, Queue};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection waits once this much of its peer is queued; with one message of any size on top it stays far
/// below the 8 MiB of T15. A few reads' worth keeps the data in the cache, and more was slower.
const WINDOW: usize = 768 * 1024;
/// Most messages of one peer before it is another peer's turn.
const TURN_MESSAGES: usize = 64;
/// Most bytes of one peer before it is another peer's turn.
const TURN_BYTES: usize = 256 * 1024;
/// Most bytes of messages in the node, whole and unfinished (T4); four of the largest if that is more.
const BUDGET: usize = 256 << 20;
/// Waiting shorter than this is the normal course of a busy application, not a stall.
const STALLED_AFTER: Duration = Duration::from_millis(100);

/// The name undelivered events are counted under.
const DISCARDED: &str = "events_discarded";

/// Makes a queue; `max_message` is the largest message a connection may bring.
pub(crate) fn inbox(counters: Arc<Counters>, max_message: usize) -> (Inbox, Events) {
    let budget = BUDGET.max(max_message.saturating_mul(4));
    let inbox = Inbox(Arc::new(Shared { queue: Mutex::new(Queue::new(budget)), counters }));
    (inbox.clone(), Events::new(inbox))
}

/// The side that fills the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    counters: Arc<Counters>,
}

impl Inbox {
    /// Queues an event of the driver's. Never waits and is never refused while the node runs: connections wait for
    /// room ([`Feed::wait`]) before they tell the driver anything.
    pub(crate) fn push_event(&self, peer: PeerId, event: Event) {
        let mut queue = self.lock();
        if queue.abandoned || queue.closed {
            queue.pass_over(peer, &event);
            drop(queue);
            return self.0.counters.count(DISCARDED);
        }
        queue.push_event(peer, event);
        Self::wake(queue);
    }

    /// Takes nothing more. What is queued is still delivered, then the events end.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.wake_all();
        Self::wake(queue);
    }

    /// Bytes held for messages, whole and unfinished.
    pub(crate) fn used(&self) -> usize {
        self.lock().used()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the application, after the lock is free.
    fn wake(mut queue: MutexGuard<'_, Queue>) {
        let reader = queue.reader.take();
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The session is over (its peer has left) or the node stops: nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

/// What one connection holds of the receive budget for a message that is not yet whole.
#[derive(Debug)]
pub(crate) struct Share {
    inbox: Inbox,
    bytes: usize,
    overdraft: bool,
    notify: Arc<Notify>,
}

impl Share {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self { inbox, bytes: 0, overdraft: false, notify: Arc::default() }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.bytes == 0
    }

    /// Waits until `total` bytes may be held. Cancel safe.
    pub(crate) async fn grow(&mut self, total: usize, line: Option<&Arc<Line>>) {
        let mut patience = Patience::new(line);
        while let Some(more) = total.checked_sub(self.bytes).filter(|more| *more > 0) {
            if self.inbox.lock().grow(more, &mut self.overdraft, &self.notify) {
                self.bytes = total;
            } else {
                if patience.ends_at.is_none() {
                    self.inbox.0.counters.count("receive_budget_full");
                }
                patience.wait(&self.notify, &self.inbox.0.counters).await;
            }
        }
    }

    /// Gives everything back: the message is whole, or dropped.
    pub(crate) fn release(&mut self) {
        if !self.is_none() {
            self.inbox.lock().shrink(std::mem::take(&mut self.bytes), std::mem::take(&mut self.overdraft));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

/// Where one admitted connection puts its content.
#[derive(Debug)]
pub(crate) struct Feed {
    inbox: Inbox,
    pub(crate) peer: PeerId,
    pub(crate) name: Arc<str>,
    pub(crate) line: Arc<Line>,
    leash: Arc<Leash>,
    session: u32,
    /// The batch that waits for room; here, so that a connection cut short still has it counted.
    waiting: Option<Box<Batch>>,
}

impl Feed {
    pub(crate) fn new(
        inbox: Inbox,
        peer: PeerId,
        name: Arc<str>,
        line: Arc<Line>,
        leash: Arc<Leash>,
    ) -> Self {
        let session = inbox.lock().attach(peer);
        Self { inbox, peer, name, line, leash, session, waiting: None }
    }

    /// Queues a batch at once if there is room; `Ok(false)` means go on with [`wait`](Self::wait).
    pub(crate) fn try_push(&mut self, batch: Box<Batch>, share: &mut Share) -> Result<bool, Ended> {
        debug_assert!(self.waiting.is_none(), "one batch waits at a time");
        self.waiting = Some(batch);
        self.retry(share)
    }

    /// Waits until the batch that found no room is queued, or until there is room when there is none, and lets the
    /// line know when that takes long.
    pub(crate) async fn wait(&mut self, share: &mut Share) -> Result<(), Ended> {
        let mut patience = Patience::new(Some(&self.line));
        while !self.retry(share)? {
            patience.wait(&share.notify, &self.inbox.0.counters).await;
        }
        Ok(())
    }

    fn retry(&mut self, share: &mut Share) -> Result<bool, Ended> {
        let mut queue = self.inbox.lock();
        let pulled = self.leash.is_pulled();
        if queue.abandoned && !pulled && !queue.closed {
            drop(queue);
            self.discard();
        } else {
            let pushed = if pulled {
                Pushed::Refused
            } else {
                queue.push(self.peer, self.session, share.bytes, &mut self.waiting, &share.notify)
            };
            match pushed {
                Pushed::Wait => return Ok(false),
                Pushed::Refused => return Err(Ended),
                Pushed::Taken => Inbox::wake(queue),
            }
        }
        share.release();
        Ok(true)
    }

    fn discard(&mut self) {
        if let Some(batch) = self.waiting.take() {
            self.inbox.0.counters.add(DISCARDED, batch.messages());
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.discard();
        self.inbox.lock().detach(self.peer);
    }
}

/// A wait for the application: lets the line know when it is long and when it is over, also when it is cut short.
struct Patience {
    line: Option<Arc<Line>>,
    ends_at: Option<Instant>,
}

impl Patience {
    fn new(line: Option<&Arc<Line>>) -> Self {
        Self { line: line.cloned(), ends_at: None }
    }

    async fn wait(&mut self, notify: &Notify, counters: &Counters) {
        let ends_at = *self.ends_at.get_or_insert_with(|| Instant::now() + STALLED_AFTER);
        if tokio::time::timeout_at(ends_at, notify.notified()).await.is_ok() {
            return;
        }
        if let Some(line) = self.line.as_ref().filter(|line| !line.is_stalled()) {
            line.set_stalled(true);
            counters.count("reader_stalled");
        }
        notify.notified().await;
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let (Some(line), Some(_)) = (&self.line, self.ends_at) {
            line.set_stalled(false);
        }
    }
}
