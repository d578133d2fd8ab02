//! What a peer's ROUTER sends back on our link: commands, which are handled, and messages, which are not ours.

use super::{End, LinkTask};
use crate::net::stream::Stream;
use crate::proto::LinkLoss;
use crate::zmtp::{Header, Received};
use bytes::{Buf, BytesMut};
use std::io;

/// Holds at most one unfinished command; messages are passed over as they arrive, whatever their size.
#[derive(Debug)]
pub(super) struct Incoming {
    buffer: BytesMut,
    skip: u64,
}

impl Incoming {
    /// Begins with what came behind the handshake.
    pub(super) fn new(rest: BytesMut) -> Self {
        Self { buffer: rest, skip: 0 }
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
        let broken = |counter| {
            counters.count(counter);
            End::Lost(LinkLoss::Closed)
        };
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped as u64;
            let header = Header::decode(&self.buffer).map_err(|error| broken(error.counter()))?;
            let Some(header) = header else { return Ok(()) };
            if !header.command {
                self.buffer.advance(header.size);
                self.skip = header.body;
                counters.count("link_message_ignored");
                continue;
            }
            let end = header.size.saturating_add(usize::try_from(header.body).unwrap_or(usize::MAX));
            let Some(body) = self.buffer.get(header.size..end) else { return Ok(()) };
            match task.outbox.answer(body).map_err(|error| broken(error.counter()))? {
                Received::Error { reason } => {
                    tracing::debug!(link = task.link.0, reason, "the peer ends the link");
                    return Err(broken("link_error_command"));
                }
                Received::Ping { .. } | Received::Pong | Received::Ignored => self.buffer.advance(end),
            }
        }
    }
}
