//! The shared half of one link: senders number and encode into it, the link's task writes it out.
//!
//! Queueing takes one short lock, copies small frames and allocates nothing; the writer takes whole chunks by
//! swapping buffers and is woken only when it sleeps. Limits count what waits and what is being written. The
//! order of queueing is the order on the wire, JOIN and content alike.

mod backlog;
mod chunk;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use chunk::{Chunk, Head, MAX_SLICES};
pub(crate) use queue::Step;

use super::line::Line;
use crate::proto::sequence::Flavour;
use crate::wire::{Command, HelloFields, Limit};
use crate::zmtp;
use crate::{LinkLimit, Overflow, PeerId, SendError};
use bytes::Bytes;
use chunk::wire_size;
use queue::{Phase, Queue};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What one link has sent and what waits on it: the sign of a slow peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Whispers and shouts waiting, with those being written.
    pub queued_messages: u64,
    /// Bytes waiting, as they will be on the wire.
    pub queued_bytes: u64,
    /// How long the oldest of what waits has been waiting; messages queued together count as the first of them.
    pub oldest: Option<Duration>,
    /// Whispers and shouts handed to the socket since the link was opened.
    pub sent_messages: u64,
    /// Bytes handed to the socket, all kinds of messages together.
    pub sent_bytes: u64,
    /// Messages dropped under [`Overflow::DropOldest`].
    pub dropped: u64,
}

/// A message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no space; see [`Outbox::wait_for_space`].
    Full,
    /// There is no space, and with this message the link has been cut.
    Cut,
    /// The link is closed, cut or lost.
    Closed,
}

impl Refused {
    /// As the sender is told.
    pub(crate) fn by(self, peer: PeerId) -> SendError {
        match self {
            Self::Full => SendError::Full { peer },
            Self::Cut => SendError::Disconnected { peer },
            Self::Closed => SendError::Reconnecting { peer },
        }
    }
}

#[derive(Debug)]
pub(crate) struct Outbox {
    line: Arc<Line>,
    queue: Mutex<Queue>,
    /// Wakes the link's task.
    task: Notify,
    /// Wakes those who wait for space or for the end of the queue.
    progress: Notify,
}

impl Outbox {
    /// `hello` is what the first HELLO says, without its endpoint.
    pub(crate) fn new(
        line: Arc<Line>,
        hello: Arc<HelloFields>,
        limit: LinkLimit,
        policy: Overflow,
    ) -> Arc<Self> {
        let queue = Mutex::new(Queue::new(hello, limit, policy));
        Arc::new(Self { line, queue, task: Notify::new(), progress: Notify::new() })
    }

    /// Queues a whisper or a shout of at least one frame.
    #[inline]
    pub(crate) fn send_content(&self, head: Head<'_>, frames: &[Bytes]) -> Result<(), Refused> {
        let mut queue = self.lock();
        let result = queue.push_content(self.line.flavour(), head, frames);
        let wake = std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake || result == Err(Refused::Cut) {
            self.task.notify_one();
        }
        result
    }

    /// Queues any other message; it is never refused, and ignored once the link has ended. `hello` is what
    /// a HELLO in the place after it says, when that has changed.
    pub(crate) fn send_control(&self, command: &Command, hello: Option<Arc<HelloFields>>) {
        self.lock().push_control(self.line.flavour(), command, hello);
        self.task.notify_one();
    }

    /// Completes when this message would be accepted, or the link has ended. Another sender may be faster:
    /// try, and wait again. Cancel safe.
    pub(crate) async fn wait_for_space(&self, head: Head<'_>, frames: &[Bytes]) {
        let size = wire_size(head, frames);
        self.watch(|queue| (queue.fits(size) || queue.phase != Phase::Open).then_some(())).await;
    }

    /// Completes when everything queued so far has been handed to the kernel (or dropped); `false` when the
    /// link has ended before. Cancel safe.
    pub(crate) async fn flushed(&self) -> bool {
        let goal = self.lock().accepted;
        self.watch(|queue| {
            let flushed = queue.done.reaches(goal);
            (flushed || queue.phase != Phase::Open).then_some(flushed)
        })
        .await
    }

    async fn watch<T>(&self, mut is_done: impl FnMut(&Queue) -> Option<T>) -> T {
        loop {
            let mut progress = pin!(self.progress.notified());
            progress.as_mut().enable();
            {
                let mut queue = self.lock();
                if let Some(done) = is_done(&queue) {
                    return done;
                }
                queue.watched = true;
            }
            progress.await;
        }
    }

    /// Ends the link; what waits is dropped and stays in [`unsent`](Self::unsent).
    pub(crate) fn close(&self) {
        self.lock().end(Phase::Closed);
        self.task.notify_one();
        self.progress.notify_waiters();
    }

    /// Says HELLO again in the stream and counts anew after it; the peer is given a moment to fall quiet first.
    pub(crate) fn ask_to_greet(&self) {
        self.lock().ask_to_greet();
        self.task.notify_one();
    }

    /// Whether a whisper or shout has been accepted since the link was opened.
    pub(crate) fn has_sent_content(&self) -> bool {
        self.lock().accepted.content > 0
    }

    /// A PING-OK has come: PINGs are answered in their order.
    pub(crate) fn on_ping_ok(&self) {
        let mut queue = self.lock();
        queue.unanswered = queue.unanswered.saturating_sub(1);
    }

    /// Whether the peer has read everything up to the last PING.
    pub(crate) fn is_answered(&self) -> bool {
        self.lock().unanswered == 0
    }

    /// Whether the hold is for a HELLO that was asked for.
    pub(crate) fn must_greet(&self) -> bool {
        self.lock().greet_asked
    }

    /// Lets a link that failed to connect try once more.
    pub(crate) fn retry(&self) {
        self.lock().retry = true;
        self.task.notify_one();
    }

    /// Whispers and shouts accepted and neither handed to the socket whole nor dropped. Final once the link's
    /// task has ended.
    pub(crate) fn unsent(&self) -> u64 {
        let queue = self.lock();
        queue.accepted.content - queue.done.content
    }

    pub(crate) fn stats(&self) -> LinkStats {
        self.lock().stats()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in there panics halfway; a poisoned queue is still a queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the link's task needs.
impl Outbox {
    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Gives back a written chunk and takes the next.
    pub(crate) fn next(&self, chunk: &mut Chunk) -> Step {
        let mut queue = self.lock();
        let step = queue.next(self.line.flavour(), chunk);
        let watched = std::mem::take(&mut queue.watched);
        drop(queue);
        if watched {
            self.progress.notify_waiters();
        }
        step
    }

    /// Puts the HELLO in front, with the endpoint at which the peer reaches us.
    pub(crate) fn greet(&self, endpoint: &[u8]) -> Result<(), Limit> {
        self.lock().greet(endpoint)
    }

    /// Ends the hold; `true` when that took a HELLO.
    pub(crate) fn release(&self) -> Result<bool, Limit> {
        let flavour = self.line.flavour();
        self.lock().release(flavour)?;
        Ok(flavour == Flavour::Unknown)
    }

    /// Handles a command frame of the peer; how many bytes answer it.
    pub(crate) fn answer(&self, body: &[u8]) -> Result<(zmtp::Received, usize), zmtp::CommandError> {
        self.lock().answer(body)
    }

    /// Completes when a sleeping writer has something to do, or anything else is asked of the task; sometimes
    /// for nothing. Cancel safe.
    pub(crate) async fn woken(&self) {
        self.task.notified().await;
    }

    /// `Some(full)` once the link is cut or closed.
    pub(crate) fn ended(&self) -> Option<bool> {
        match self.lock().phase {
            Phase::Open => None,
            phase => Some(phase == Phase::Cut),
        }
    }

    /// Waits for [`retry`](Self::retry); `Err(full)` when the link has ended instead.
    pub(crate) async fn retried(&self) -> Result<(), bool> {
        loop {
            if let Some(full) = self.ended() {
                return Err(full);
            }
            if std::mem::take(&mut self.lock().retry) {
                return Ok(());
            }
            self.woken().await;
        }
    }

    /// Gives back what an idle link does not need, if it has been idle since this was last called. The driver calls it
    /// now and then; a timer for each pause of each link would cost more than it saves.
    pub(crate) fn relax(&self) {
        let mut queue = self.lock();
        if !std::mem::take(&mut queue.used) {
            queue.shrink();
        }
    }

    #[cfg(test)]
    pub(crate) fn has_memory(&self) -> bool {
        self.lock().has_memory()
    }

    /// The task ends, with a chunk it may not have written whole.
    pub(crate) fn abandon(&self, chunk: &mut Chunk) {
        self.lock().abandon(chunk);
        self.close();
    }

    /// Messages dropped for newer ones.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}
