//! Writing sealed: a chunk's frames are sealed into a second buffer, a batch at a time, which is then written.

use super::{End, Writer};
use crate::net::outbox::Chunk;
use crate::zmtp::curve::Sealer;
use std::io::{self, IoSlice};

/// Bytes sealed before they are written: enough for a system call, little enough to stay in the cache.
const BATCH: usize = 128 * 1024;

/// What seals a link, and what is sealed and not written yet.
#[derive(Debug)]
pub(super) struct Sealing {
    sealer: Sealer,
    sealed: Vec<u8>,
}

impl Sealing {
    pub(super) const fn new(sealer: Sealer) -> Self {
        Self { sealer, sealed: Vec::new() }
    }

    pub(super) const fn has_memory(&self) -> bool {
        self.sealed.capacity() > 0
    }

    /// The link has been idle for a while.
    pub(super) fn shed(&mut self) {
        self.sealed = Vec::new();
    }
}

impl Writer<'_> {
    /// Writes the whole chunk, unless the link ends.
    pub(super) async fn write_sealed(&mut self, chunk: &mut Chunk) -> Result<(), End> {
        while !chunk.is_written() {
            let Some(sealing) = &mut self.sealing else { return Ok(()) };
            let Sealing { sealer, sealed } = &mut **sealing;
            sealed.clear();
            if let Err(error) = chunk.seal(sealer, sealed, BATCH) {
                self.task.context.counters.count(error.counter());
                return Err(End::Lost(crate::proto::LinkLoss::Closed));
            }
            let sealed = std::mem::take(sealed);
            let mut written = 0;
            let pushed = self.push(&sealed, &mut written).await;
            chunk.advance_sealed(written);
            pushed?;
            if let Some(sealing) = &mut self.sealing {
                sealing.sealed = sealed;
            }
        }
        Ok(())
    }

    async fn push(&mut self, bytes: &[u8], written: &mut usize) -> Result<(), End> {
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write_vectored(&[IoSlice::new(rest)]) {
                Ok(count) => *written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
