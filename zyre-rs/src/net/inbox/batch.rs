//! What one socket read brought of content: a frozen buffer and where the frames lie in it.
//!
//! It becomes [`Event`]s one by one in the application's task, so that a reader does no work per message
//! but to note a place.

use crate::{Event, GroupName, Message, PeerId};
use bytes::Bytes;
use std::sync::Arc;

/// Frames up to this size are always copied out: a few bytes must not pin a whole read.
const COPY_UP_TO: usize = 1024;
/// Frames up to this size are copied out with their neighbours, [`CHUNK`] bytes at a time: an allocation each would
/// cost more than all the rest, and what one kept frame pins is still little.
const TINY: usize = 128;
const CHUNK: usize = 2048;
/// A larger frame shares the read's buffer only if it is at least one such part of it.
const GOOD_PART: usize = 8;
/// What a batch costs beyond its bytes, so that a flood of tiny ones is bounded too.
const OVERHEAD: usize = 256;

/// One content frame. 12 bytes, since a read of tiny messages holds thousands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) start: u32,
    pub(crate) length: u32,
    /// Index into [`Batch::groups`], or [`Piece::WHISPER`].
    pub(crate) group: u16,
    /// Whether the next piece belongs to the same message.
    pub(crate) more: bool,
}

impl Piece {
    pub(crate) const WHISPER: u16 = u16::MAX;
}

#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) peer: PeerId,
    pub(crate) name: Arc<str>,
    pub(crate) buffer: Bytes,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) groups: Vec<GroupName>,
    next: usize,
    /// A copy of the part of `buffer` that begins at `chunk_start`.
    chunk: Bytes,
    chunk_start: usize,
}

impl Batch {
    pub(crate) fn new(
        peer: PeerId,
        name: Arc<str>,
        buffer: Bytes,
        pieces: Vec<Piece>,
        groups: Vec<GroupName>,
    ) -> Self {
        Self { peer, name, buffer, pieces, groups, next: 0, chunk: Bytes::new(), chunk_start: 0 }
    }

    /// What it counts against windows and budgets. Does not change while it is read.
    pub(crate) fn cost(&self) -> usize {
        self.buffer.len() + self.pieces.len() * size_of::<Piece>() + OVERHEAD
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.next >= self.pieces.len()
    }

    /// Messages not yet taken.
    pub(crate) fn messages(&self) -> u64 {
        self.pieces.iter().skip(self.next).filter(|piece| !piece.more).count() as u64
    }

    /// The next message and its size in bytes.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Event, usize)> {
        let piece = *self.pieces.get(self.next)?;
        self.next += 1;
        let first = self.frame(piece);
        let (message, size) = if piece.more {
            let message = self.rest(first);
            let size = message.size();
            (message, size)
        } else {
            let size = first.len();
            (Message::from(first), size)
        };
        let (peer, name) = (self.peer, Arc::clone(&self.name));
        let event = match self.groups.get(usize::from(piece.group)) {
            Some(group) => Event::Shout { peer, name, group: group.clone(), message },
            None => Event::Whisper { peer, name, message },
        };
        Some((event, size))
    }

    #[cold]
    fn rest(&mut self, first: Bytes) -> Message {
        let mut frames = vec![first];
        while let Some(piece) = self.pieces.get(self.next).copied() {
            self.next += 1;
            frames.push(self.frame(piece));
            if !piece.more {
                break;
            }
        }
        Message::from(frames)
    }

    #[inline]
    fn frame(&mut self, piece: Piece) -> Bytes {
        let (start, length) = (piece.start as usize, piece.length as usize);
        if length <= TINY {
            return self.tiny(start, length);
        }
        let Some(bytes) = self.buffer.get(start..start.saturating_add(length)) else { return Bytes::new() };
        if length <= COPY_UP_TO || length < self.buffer.len() / GOOD_PART {
            Bytes::copy_from_slice(bytes)
        } else {
            self.buffer.slice_ref(bytes)
        }
    }

    #[inline]
    fn tiny(&mut self, start: usize, length: usize) -> Bytes {
        let within = |chunk: &Bytes, from: usize| {
            let at = start.checked_sub(from)?;
            (at + length <= chunk.len()).then(|| chunk.slice(at..at + length))
        };
        if let Some(frame) = within(&self.chunk, self.chunk_start) {
            return frame;
        }
        let end = self.buffer.len().min(start.saturating_add(CHUNK));
        self.chunk = Bytes::copy_from_slice(self.buffer.get(start..end).unwrap_or_default());
        self.chunk_start = start;
        within(&self.chunk, start).unwrap_or_default()
    }
}
