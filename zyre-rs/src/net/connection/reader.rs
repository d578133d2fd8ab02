//! Reading into buffers that cost what the peer has sent: none while it is quiet, the size of a large message
//! while one arrives, so that its bytes are copied at most once on their way to the application.

use super::handshake::retry;
use super::sealed::Sealed;
use super::{Connection, End, STUCK_TIMEOUT};
use crate::net::heap;
use crate::net::inbox::Share;
use crate::net::line::Line;
use crate::zmtp::next_read_size;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a read of a busy connection gets room for, and beyond which a message is one of its own. Each read costs a
/// system call and wakes the application, each byte of room some cache.
pub(super) const MAX_READ_SIZE: usize = 256 * 1024;
/// What a read of a quiet one gets room for: most say a HELLO and then little, and a mesh starts many at once.
const FIRST_READ_SIZE: usize = 4 * 1024;
/// A read into less than this part of the room is not worth its system call.
pub(super) const MIN_SPACE: usize = 8;
/// A buffer used up to here is copied from and kept; beyond, it is given away whole.
const COPY_UP_TO: usize = 8 * 1024;
/// A message up to this size is believed at once if one as large has been completed on the connection.
const MAX_TRUST: usize = 4 << 20;

/// Buffers handed on and watched for their return: what lies in the inbox and at the application, as a rule.
const MAX_LENT: usize = 8;
/// How long a connection that falls quiet keeps its buffers: longer than the pauses of a busy one.
const KEEP_BUFFERS: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Reader {
    /// Plain frames.
    pub(super) bytes: BytesMut,
    /// What is before them, where the connection is sealed.
    pub(super) sealed: Option<Box<Sealed>>,
    /// Handles to buffers handed on, oldest first. One that nobody else holds any more is used again: new
    /// memory would have to be mapped in page by page.
    lent: VecDeque<Bytes>,
    /// What a read gets room for; grows while reads fill it.
    pub(super) room: usize,
    /// How far `bytes` has been parsed: up to here are whole messages.
    pub(super) parsed: usize,
    /// Largest completed message, which the peer has paid for in bytes.
    pub(super) trust: usize,
    pub(super) share: Share,
}

impl Reader {
    pub(super) fn new(bytes: BytesMut, sealed: Option<Box<Sealed>>, share: Share) -> Self {
        Self { bytes, sealed, lent: VecDeque::new(), room: FIRST_READ_SIZE, parsed: 0, trust: 0, share }
    }

    /// What has not been parsed yet.
    #[inline]
    pub(super) fn unparsed(&self) -> &[u8] {
        self.bytes.get(self.parsed..).unwrap_or_default()
    }

    /// Takes out the parsed bytes, to be kept.
    pub(super) fn take_parsed(&mut self) -> Bytes {
        self.trust = self.trust.max(self.parsed.min(MAX_TRUST));
        let parsed = std::mem::take(&mut self.parsed).min(self.bytes.len());
        if parsed <= COPY_UP_TO {
            let taken = Bytes::copy_from_slice(self.bytes.get(..parsed).unwrap_or_default());
            self.skip(parsed);
            taken
        } else {
            let taken = if parsed == self.bytes.len() {
                std::mem::take(&mut self.bytes).freeze()
            } else {
                self.bytes.split_to(parsed).freeze()
            };
            self.lend(&taken);
            taken
        }
    }

    fn lend(&mut self, buffer: &Bytes) {
        if self.lent.len() >= MAX_LENT {
            self.lent.pop_front();
        }
        self.lent.push_back(buffer.clone());
    }

    /// An empty buffer of this size at least, one that has come back if there is one.
    fn buffer(&mut self, size: usize) -> BytesMut {
        while self.lent.front().is_some_and(Bytes::is_unique) {
            let Some(Ok(mut back)) = self.lent.pop_front().map(Bytes::try_into_mut) else { break };
            back.clear();
            if back.capacity() >= size {
                return back;
            }
        }
        BytesMut::with_capacity(size)
    }

    /// Drops the parsed bytes.
    pub(super) fn drop_parsed(&mut self) {
        let parsed = std::mem::take(&mut self.parsed).min(self.bytes.len());
        self.skip(parsed);
        self.share.release();
    }

    fn skip(&mut self, count: usize) {
        if count == self.bytes.len() { self.bytes.clear() } else { self.bytes.advance(count) }
    }

    /// Appends what the next successful read brings. At least `missing` bytes are known to be due.
    pub(super) async fn read(
        &mut self,
        connection: &Connection,
        line: Option<&Arc<Line>>,
        missing: usize,
    ) -> Result<(), End> {
        if self.sealed.is_some() {
            // Boxed: open mode should not carry its size.
            return Box::pin(self.read_sealed(connection, line)).await;
        }
        loop {
            if self.wants_share(missing) {
                Box::pin(self.share.grow(self.target(missing), line)).await;
            }
            self.make_room(missing);
            match connection.stream.try_read_buf(&mut self.bytes) {
                Ok(0) => return Err(self.ended(connection)),
                Ok(_) => {
                    if self.bytes.len() == self.bytes.capacity() {
                        self.grow_room();
                    }
                    // A peer that floods must not hold the thread.
                    tokio::task::coop::consume_budget().await;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.share.is_none() {
                        self.idle(connection).await?;
                    } else {
                        // It holds what others may be waiting for.
                        let waited = Box::pin(timeout(STUCK_TIMEOUT, connection.stream.readable())).await;
                        let Ok(readable) = waited else {
                            connection.count("message_stuck");
                            return Err(End);
                        };
                        readable.map_err(|_| End)?;
                    }
                }
                Err(error) if retry(&error) => {}
                Err(_) => return Err(self.ended(connection)),
            }
        }
    }

    /// The peer says no more. Part of a message is none, but somebody sent it.
    pub(super) fn ended(&self, connection: &Connection) -> End {
        let unopened = self.sealed.as_ref().is_some_and(|sealed| !sealed.is_empty());
        if unopened || !self.unparsed().is_empty() {
            connection.count("message_cut_off");
        }
        End
    }

    /// A read has filled its room.
    pub(super) fn grow_room(&mut self) {
        self.room = (self.room * 4).min(MAX_READ_SIZE);
        if self.room == MAX_READ_SIZE {
            heap::expect_load();
        }
    }

    /// Waits for more: first with the buffers kept, then without.
    pub(super) async fn idle(&mut self, connection: &Connection) -> Result<(), End> {
        if !self.lent.is_empty() {
            // Boxed: an idle connection should not carry its size.
            match Box::pin(timeout(KEEP_BUFFERS, connection.stream.readable())).await {
                Ok(readable) => return readable.map_err(|_| End),
                Err(_) => self.lent = VecDeque::new(),
            }
        }
        self.shed();
        connection.stream.readable().await.map_err(|_| End)
    }

    /// Bytes there will be once the next read has filled its room.
    fn target(&self, missing: usize) -> usize {
        self.bytes.len() + next_read_size(missing, self.bytes.len().max(self.trust))
    }

    fn wants_share(&self, missing: usize) -> bool {
        self.target(missing) > MAX_READ_SIZE
    }

    /// Makes room for the next read: exactly the rest of a large message, so that the next one starts in a buffer
    /// of its own; plenty otherwise.
    fn make_room(&mut self, missing: usize) {
        let space = self.bytes.capacity() - self.bytes.len();
        let target = self.target(missing);
        let enough = if target > MAX_READ_SIZE {
            target - self.bytes.len()
        } else {
            missing.max(self.room / MIN_SPACE)
        };
        if space >= enough {
            return;
        }
        self.move_to(target.max(self.room));
    }

    /// Makes room for so many bytes that are here already.
    pub(super) fn make_space(&mut self, count: usize) {
        if self.bytes.capacity() - self.bytes.len() < count {
            self.move_to(self.bytes.len() + count);
        }
    }

    fn move_to(&mut self, size: usize) {
        let mut larger = self.buffer(size);
        larger.extend_from_slice(&self.bytes);
        self.bytes = larger;
    }

    /// Nothing will arrive for a while: keep no more than has.
    fn shed(&mut self) {
        self.room = FIRST_READ_SIZE;
        self.shed_sealed();
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        } else if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
    }
}
