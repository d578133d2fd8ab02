//! What waits for one peer: encoded chunks, and behind them messages that cannot be numbered yet.
//!
//! A message is numbered and encoded when it is queued, which is what makes queueing fast, with two
//! exceptions that go to a backlog of unencoded messages: everything under [`Overflow::DropOldest`], as only
//! what has no number yet can be dropped; and everything after the *hold*, the place where the peer's
//! unknown wrap begins. Invariant: chunks before backlog is the order of queueing, content and control alike.

use super::Refused;
use super::backlog::{Backlog, Content, Control};
use super::chunk::{Chunk, Head, Tally, wire_size};
use crate::message::Message;
use crate::net::heap;
use crate::proto::sequence::{FIRST, Flavour, Next, Outbound};
use crate::wire::{Command, Hello, HelloFields, Limit, put_hello_header};
use crate::zmtp;
use crate::{LinkLimit, Overflow};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Control messages that may wait. Far above what a node has to say (1,024 groups); a peer that makes us
/// answer and never reads is cut there.
const MAX_CONTROL: u64 = 10_000;

/// PONGs that may wait in one chunk, for the same kind of peer.
const MAX_PONGS: u8 = 16;

/// Empty chunks kept for reuse while the link is busy.
const MAX_SPARES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Full under [`Overflow::Disconnect`].
    Cut,
    Closed,
}

/// What the writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write the chunk.
    Write,
    /// Sleep until something is queued.
    Idle,
    /// Wait until the wrap can be passed, then release.
    Held,
    /// It is over: full (`true`) or closed.
    Ended { full: bool },
}

#[derive(Debug)]
pub(super) struct Queue {
    limit: LinkLimit,
    policy: Overflow,
    pub(super) phase: Phase,
    /// The writer is to be woken by the next message.
    pub(super) asleep: bool,
    /// Something has been written since the queue was last asked to relax.
    pub(super) used: bool,
    /// Somebody waits for progress.
    pub(super) watched: bool,
    pub(super) retry: bool,
    /// Neither numbering nor encoding goes on.
    held: bool,
    /// The hold ends with a HELLO, whatever is known of the peer.
    pub(super) greet_asked: bool,
    sequence: Outbound,
    open: Chunk,
    full: VecDeque<Chunk>,
    spares: Vec<Chunk>,
    backlog: Backlog,
    /// Bytes waiting in all, with what is being written.
    bytes: usize,
    writing_since: Option<Instant>,
    pub(super) accepted: Tally,
    /// Written, or dropped.
    pub(super) done: Tally,
    pub(super) dropped: u64,
    /// PINGs queued and not answered yet.
    pub(super) unanswered: u32,
    sent_bytes: u64,
    /// What the first HELLO says; gone once it is in the stream.
    greeting: Option<Arc<HelloFields>>,
    /// What a HELLO after everything encoded so far says.
    hello: Arc<HelloFields>,
    endpoint: Box<[u8]>,
}

impl Queue {
    pub(super) fn new(hello: Arc<HelloFields>, limit: LinkLimit, policy: Overflow) -> Self {
        Self {
            limit,
            policy,
            phase: Phase::Open,
            asleep: false,
            used: false,
            watched: false,
            retry: false,
            held: false,
            greet_asked: false,
            sequence: Outbound::after_hello(),
            open: Chunk::default(),
            full: VecDeque::new(),
            spares: Vec::new(),
            backlog: Backlog::default(),
            bytes: 0,
            writing_since: None,
            accepted: Tally::default(),
            done: Tally::default(),
            dropped: 0,
            unanswered: 0,
            sent_bytes: 0,
            greeting: Some(hello.clone()),
            hello,
            endpoint: Box::default(),
        }
    }

    fn drops_oldest(&self) -> bool {
        self.policy == Overflow::DropOldest
    }

    fn encodes_at_once(&self) -> bool {
        !self.held && !self.drops_oldest() && self.backlog.is_empty()
    }

    /// Whether a message may be queued. One always may on an empty link, whatever its size.
    #[inline]
    pub(super) fn fits(&self, size: usize) -> bool {
        let (messages, bytes) = if self.drops_oldest() {
            // What the writer has taken, at most one chunk, can no longer be dropped and does not count.
            (self.backlog.content.len() as u64, self.backlog.bytes)
        } else {
            (self.accepted.content - self.done.content, self.bytes)
        };
        messages == 0
            || messages < self.limit.messages as u64 && bytes.saturating_add(size) <= self.limit.bytes
    }

    #[inline]
    pub(super) fn push_content(
        &mut self,
        flavour: Flavour,
        head: Head<'_>,
        frames: &[Bytes],
    ) -> Result<(), Refused> {
        if self.phase != Phase::Open {
            return Err(Refused::Closed);
        }
        let size = wire_size(head, frames);
        if !self.fits(size) {
            self.overflow(size)?;
        }
        self.accepted.content += 1;
        self.bytes += size;
        if self.encodes_at_once()
            && let Some(sequence) = self.number(flavour)
        {
            self.open.put_content(sequence, head, frames, size);
            self.roll();
        } else {
            let message = match frames {
                [one] => Message::from(one.clone()),
                many => Message::from(many.to_vec()),
            };
            let group = match head {
                Head::Whisper => None,
                Head::Shout(group) => Some(group.clone()),
            };
            let order = self.backlog.order();
            self.backlog.bytes += size;
            let queued_at = Instant::now();
            self.backlog.content.push_back(Content { order, queued_at, group, message, size });
        }
        Ok(())
    }

    fn overflow(&mut self, size: usize) -> Result<(), Refused> {
        match self.policy {
            Overflow::Block(_) | Overflow::DropNewest => Err(Refused::Full),
            Overflow::Disconnect => {
                self.end(Phase::Cut);
                Err(Refused::Cut)
            }
            Overflow::DropOldest => {
                while !self.fits(size) {
                    let Some(oldest) = self.backlog.pop_content() else { break };
                    self.bytes -= oldest.size;
                    self.done.content += 1;
                    self.dropped += 1;
                }
                Ok(())
            }
        }
    }

    /// Queues what is never refused; a peer that lets it pile up beyond reason is cut.
    pub(super) fn push_control(
        &mut self,
        flavour: Flavour,
        command: &Command,
        hello: Option<Arc<HelloFields>>,
    ) {
        if self.phase != Phase::Open {
            return;
        }
        if self.accepted.control - self.done.control >= MAX_CONTROL {
            return self.end(Phase::Cut);
        }
        self.accepted.control += 1;
        if matches!(command, Command::Ping) {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        if self.encodes_at_once()
            && let Some(sequence) = self.number(flavour)
        {
            self.put_control(sequence, command, hello);
        } else {
            let order = self.backlog.order();
            self.backlog.control.push_back((order, Box::new(Control { command: command.clone(), hello })));
        }
    }

    fn put_control(&mut self, sequence: u16, command: &Command, hello: Option<Arc<HelloFields>>) {
        let mut frame = Vec::with_capacity(64);
        command.encode(sequence, &mut frame);
        self.bytes += self.open.put_control(&frame);
        if let Some(hello) = hello {
            self.hello = hello;
        }
        self.roll();
    }

    /// The next number; none where the hold begins.
    #[inline]
    fn number(&mut self, flavour: Flavour) -> Option<u16> {
        match self.sequence.next(flavour) {
            Next::Number(number) => Some(number),
            Next::Wrap => {
                self.held = true;
                None
            }
        }
    }

    /// Closes the open chunk when it is full.
    #[inline]
    fn roll(&mut self) {
        if self.open.is_full() {
            heap::expect_load();
            let mut fresh = self.spares.pop().unwrap_or_default();
            fresh.reserve();
            self.full.push_back(std::mem::replace(&mut self.open, fresh));
        }
    }

    /// Encodes the backlog, as far as may be.
    fn fill(&mut self, flavour: Flavour) {
        while !self.held && !self.backlog.is_empty() {
            // Beyond one chunk, what may be dropped stays where it can be.
            if self.drops_oldest() && !self.full.is_empty() {
                return;
            }
            let Some(sequence) = self.number(flavour) else { return };
            if self.backlog.control_is_first() {
                let Some((_, control)) = self.backlog.control.pop_front() else { return };
                self.put_control(sequence, &control.command, control.hello);
            } else {
                let Some(content) = self.backlog.pop_content() else { return };
                let head = content.group.as_ref().map_or(Head::Whisper, Head::Shout);
                self.open.put_content(sequence, head, content.message.frames(), content.size);
                self.roll();
            }
        }
    }

    /// The chunk has been written (or is empty) and comes back; it becomes the next one.
    pub(super) fn next(&mut self, flavour: Flavour, chunk: &mut Chunk) -> Step {
        self.complete(chunk);
        match self.phase {
            Phase::Open => {}
            phase => return Step::Ended { full: phase == Phase::Cut },
        }
        if self.full.is_empty() && self.open.is_empty() {
            self.fill(flavour);
        }
        if let Some(full) = self.full.pop_front() {
            *chunk = full;
        } else if !self.open.is_empty() {
            *chunk = std::mem::replace(&mut self.open, self.spares.pop().unwrap_or_default());
        } else if self.held {
            return Step::Held;
        } else {
            self.asleep = true;
            return Step::Idle;
        }
        self.writing_since = chunk.queued_at;
        self.used = true;
        Step::Write
    }

    fn complete(&mut self, chunk: &mut Chunk) {
        self.bytes -= chunk.size;
        self.sent_bytes += chunk.size as u64;
        self.done.content += chunk.tally.content;
        self.done.control += chunk.tally.control;
        self.writing_since = None;
        let mut spare = std::mem::take(chunk);
        if spare.has_memory() && self.spares.len() < MAX_SPARES {
            spare.clear();
            self.spares.push(spare);
        }
    }

    /// Puts the HELLO in front of everything. Once only.
    pub(super) fn greet(&mut self, endpoint: &[u8]) -> Result<(), Limit> {
        self.endpoint = endpoint.into();
        let Some(greeting) = &self.greeting else { return Ok(()) };
        let mut chunk = Chunk::default();
        self.bytes += put_hello(&mut chunk, greeting, endpoint)?;
        self.full.push_front(chunk);
        self.greeting = None;
        Ok(())
    }

    /// A HELLO goes into the stream after what is encoded; one that has not been said yet is enough.
    pub(super) fn ask_to_greet(&mut self) {
        if self.phase == Phase::Open && self.greeting.is_none() {
            self.held = true;
            self.greet_asked = true;
        }
    }

    /// Ends the hold: the peer's flavour is known, or a HELLO starts the count anew.
    pub(super) fn release(&mut self, flavour: Flavour) -> Result<(), Limit> {
        if std::mem::take(&mut self.greet_asked) || flavour == Flavour::Unknown {
            self.bytes += put_hello(&mut self.open, &self.hello, &self.endpoint)?;
            self.sequence.restart();
            self.roll();
        }
        self.held = false;
        self.fill(flavour);
        Ok(())
    }

    /// Handles a command of the peer; its PONG, if it needs one, goes out after what is queued. How many bytes it has: none
    /// while as many wait as may.
    pub(super) fn answer(&mut self, body: &[u8]) -> Result<(zmtp::Received, usize), zmtp::CommandError> {
        if self.open.pongs >= MAX_PONGS {
            return Ok((zmtp::answer(body, &mut Vec::new())?, 0));
        }
        let (added, received) = self.open.put_raw(|out| zmtp::answer(body, out));
        self.bytes += added;
        self.open.pongs += u8::from(added > 0);
        Ok((received?, added))
    }

    #[cfg(test)]
    pub(super) fn has_memory(&self) -> bool {
        self.open.has_memory() || !self.spares.is_empty()
    }

    /// Gives back all memory an idle link does not need.
    pub(super) fn shrink(&mut self) {
        if self.open.is_empty() {
            self.open = Chunk::default();
        }
        self.spares = Vec::new();
        self.full.shrink_to_fit();
        self.backlog.content.shrink_to_fit();
        self.backlog.control.shrink_to_fit();
    }

    /// Refuses everything from now on and lets go of what waits.
    pub(super) fn end(&mut self, phase: Phase) {
        if self.phase == Phase::Open {
            self.phase = phase;
            for chunk in self.full.drain(..).chain([std::mem::take(&mut self.open)]) {
                self.bytes -= chunk.size;
            }
            self.bytes -= self.backlog.bytes;
            self.backlog = Backlog::default();
            self.spares = Vec::new();
        }
    }

    /// Accounts for a chunk that was being written when the connection broke.
    pub(super) fn abandon(&mut self, chunk: &mut Chunk) {
        self.done.content += chunk.content_written();
        self.bytes -= chunk.size;
        self.writing_since = None;
        *chunk = Chunk::default();
    }

    pub(super) fn stats(&self) -> super::LinkStats {
        let open = self.phase == Phase::Open;
        let oldest = self
            .writing_since
            .or_else(|| self.full.iter().find_map(|chunk| chunk.queued_at))
            .or(self.open.queued_at)
            .or_else(|| self.backlog.content.front().map(|content| content.queued_at));
        super::LinkStats {
            queued_messages: if open { self.accepted.content - self.done.content } else { 0 },
            queued_bytes: self.bytes as u64,
            oldest: oldest.map(|queued_at| queued_at.elapsed()),
            sent_messages: self.done.content - self.dropped,
            sent_bytes: self.sent_bytes,
            dropped: self.dropped,
        }
    }

    #[cfg(test)]
    pub(super) fn copy_of_open(&self) -> Chunk {
        self.open.copy()
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.open.capacity() + self.full.iter().chain(&self.spares).map(Chunk::capacity).sum::<usize>()
    }
}

/// Appends a HELLO with this endpoint as a whole message; returns its bytes on the wire.
fn put_hello(chunk: &mut Chunk, fields: &HelloFields, endpoint: &[u8]) -> Result<usize, Limit> {
    let hello = Hello::new(HelloFields { endpoint: endpoint.to_vec(), ..fields.clone() })?;
    let mut frame = Vec::new();
    put_hello_header(&mut frame, FIRST);
    hello.encode_body(&mut frame);
    Ok(chunk.put_raw(|out| zmtp::put_frame(out, &frame, false)).0)
}
