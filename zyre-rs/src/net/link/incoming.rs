//! What a peer's ROUTER sends back on our link: commands, which are handled, and messages, which are not ours.

use super::{End, LinkTask};
use crate::net::stream::Stream;
use crate::proto::LinkLoss;
use crate::zmtp::curve::{Opener, SEALED_OVERHEAD};
use crate::zmtp::{Header, MAX_COMMAND, Received};
use bytes::{Buf, BytesMut};
use std::io;

/// Holds at most one unfinished command; messages are passed over as they arrive, whatever their size.
#[derive(Debug)]
pub(super) struct Incoming {
    buffer: BytesMut,
    skip: u64,
    /// Where the link is sealed.
    opener: Option<Box<Opener>>,
}

impl Incoming {
    /// Begins with what came behind the handshake.
    pub(super) fn new(rest: BytesMut, opener: Option<Box<Opener>>) -> Self {
        Self { buffer: rest, skip: 0, opener }
    }

    /// Reads once, if there is something.
    pub(super) fn read(&mut self, stream: &Stream, task: &LinkTask) -> Result<(), End> {
        let result = self.fill(stream).and_then(|()| self.parse(task));
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        result
    }

    pub(super) fn fill(&mut self, stream: &Stream) -> Result<(), End> {
        // On the stack: as a rule there is nothing, and this is asked after every write.
        let mut space = [0; 512];
        match stream.try_read(&mut space) {
            Ok(0) => Err(End::Lost(LinkLoss::Closed)),
            Ok(read) => {
                self.buffer.extend_from_slice(space.get(..read).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn parse(&mut self, task: &LinkTask) -> Result<(), End> {
        let counters = &task.context.counters;
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped as u64;
            let header = Header::decode(&self.buffer).map_err(|error| broken(task, error.counter()))?;
            let Some(header) = header else { return Ok(()) };
            if self.opener.is_some() {
                if self.parse_sealed(&header, task)? {
                    continue;
                }
                return Ok(());
            }
            if !header.command {
                self.buffer.advance(header.size);
                self.skip = header.body;
                counters.count("link_message_ignored");
                continue;
            }
            let end = header.size.saturating_add(usize::try_from(header.body).unwrap_or(usize::MAX));
            let Some(body) = self.buffer.get(header.size..end) else { return Ok(()) };
            answer(task, body)?;
            self.buffer.advance(end);
        }
    }

    /// Opens the frame at the start of the buffer, if it may be a command and is here; false if more has to come.
    fn parse_sealed(&mut self, header: &Header, task: &LinkTask) -> Result<bool, End> {
        let counters = &task.context.counters;
        let Some(opener) = &mut self.opener else { return Ok(false) };
        if header.body > (MAX_COMMAND + SEALED_OVERHEAD) as u64 && !header.command {
            self.buffer.advance(header.size);
            self.skip = header.body;
            counters.count("link_message_ignored");
            return Ok(true);
        }
        let end = header.size.saturating_add(usize::try_from(header.body).unwrap_or(usize::MAX));
        let Some(frame) = self.buffer.get(..end) else { return Ok(false) };
        let mut plain = BytesMut::new();
        opener.open_frames(frame, &mut plain, MAX_COMMAND).map_err(|error| broken(task, error.counter()))?;
        self.buffer.advance(end);
        match Header::decode(&plain).map_err(|error| broken(task, error.counter()))? {
            Some(inner) if inner.command => answer(task, plain.get(inner.size..).unwrap_or_default())?,
            _ => counters.count("link_message_ignored"),
        }
        Ok(true)
    }
}

fn broken(task: &LinkTask, counter: &'static str) -> End {
    task.context.counters.count(counter);
    End::Lost(LinkLoss::Closed)
}

/// Handles a command.
fn answer(task: &LinkTask, body: &[u8]) -> Result<(), End> {
    match task.outbox.answer(body).map_err(|error| broken(task, error.counter()))? {
        (Received::Error { reason }, _) => {
            tracing::debug!(link = task.link.0, reason, "the peer ends the link");
            Err(broken(task, "link_error_command"))
        }
        (Received::Ping { .. }, 0) => {
            task.context.counters.count("pings_unanswered");
            Ok(())
        }
        (Received::Ping { .. } | Received::Pong | Received::Ignored, _) => Ok(()),
    }
}
