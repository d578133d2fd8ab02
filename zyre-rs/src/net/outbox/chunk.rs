//! A piece of a link's stream, encoded: what the writer takes at once and gives back for reuse.
//!
//! Small frames are copied into one buffer, large ones kept as `Bytes` at an offset of it, so that one
//! `writev` sends both. Invariant: a chunk begins and ends with whole messages.

use crate::GroupName;
use crate::wire::{put_shout_header, put_whisper_header};
use crate::zmtp::curve::{CurveError, Sealer, sealed_size};
use crate::zmtp::{Header, put_frame, put_frame_header};
use bytes::Bytes;
use std::io::IoSlice;
use tokio::time::Instant;

/// Bytes after which a chunk is closed: enough for one system call to be worth it, little enough that
/// what is written is soon no longer counted as waiting.
pub(super) const CHUNK: usize = 128 * 1024;
/// With frames that are not copied, which cost no memory here, it may be larger: fewer system calls.
const MAX_CHUNK: usize = 512 * 1024;

/// Frames up to this size are copied; above it, a slice of its own is cheaper than the copy.
const MAX_COPIED: usize = 4 * 1024;

/// Pieces in one `writev`.
pub(crate) const MAX_SLICES: usize = 64;

/// What kind of content a message is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    /// For this peer alone.
    Whisper,
    /// For a group.
    Shout(&'a GroupName),
}

impl Head<'_> {
    /// Bytes of the first frame: the 6-byte prefix, and for a SHOUT the group as a `string`.
    #[inline]
    fn len(self) -> usize {
        match self {
            Self::Whisper => 6,
            Self::Shout(group) => 7 + group.as_bytes().len(),
        }
    }
}

/// Bytes a message takes on the wire.
#[inline]
pub(super) fn wire_size(head: Head<'_>, frames: &[Bytes]) -> usize {
    frames.iter().fold(frame_size(head.len()), |sum, frame| sum.saturating_add(frame_size(frame.len())))
}

#[inline]
fn frame_size(length: usize) -> usize {
    length.saturating_add(if length > 255 { 9 } else { 2 })
}

/// How many messages, told apart since only content is limited and can be dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) content: u64,
    pub(super) control: u64,
}

impl Tally {
    pub(super) fn reaches(self, goal: Self) -> bool {
        self.content >= goal.content && self.control >= goal.control
    }
}

#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Frames that belong before these offsets of `bytes`, ascending.
    large: Vec<(usize, Bytes)>,
    /// Bytes on the wire.
    pub(super) size: usize,
    pub(super) tally: Tally,
    /// When its first message was queued.
    pub(super) queued_at: Option<Instant>,
    /// PONGs in it.
    pub(super) pongs: u8,
    /// The writer's place: in `bytes`, in `large`, and within that large frame.
    at: usize,
    passed: usize,
    within: usize,
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(super) fn has_memory(&self) -> bool {
        self.bytes.capacity() > 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK || self.size >= MAX_CHUNK
    }

    /// Room for a whole chunk, once one has been filled.
    pub(super) fn reserve(&mut self) {
        self.bytes.reserve(CHUNK + MAX_COPIED);
    }

    /// Empties it; the memory stays for the next use.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
        let (bytes, large) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.large));
        *self = Self { bytes, large, ..Self::default() };
    }

    #[inline]
    pub(super) fn put_content(&mut self, sequence: u16, head: Head<'_>, frames: &[Bytes], size: usize) {
        self.note();
        put_frame_header(&mut self.bytes, head.len(), !frames.is_empty());
        match head {
            Head::Whisper => put_whisper_header(&mut self.bytes, sequence),
            Head::Shout(group) => put_shout_header(&mut self.bytes, sequence, group),
        }
        let mut left = frames.len();
        for frame in frames {
            left -= 1;
            put_frame_header(&mut self.bytes, frame.len(), left > 0);
            if frame.len() <= MAX_COPIED {
                self.bytes.extend_from_slice(frame);
            } else {
                self.large.push((self.bytes.len(), frame.clone()));
            }
        }
        self.size += size;
        self.tally.content += 1;
    }

    /// Appends a message of one frame; returns its bytes on the wire.
    pub(super) fn put_control(&mut self, frame: &[u8]) -> usize {
        self.note();
        put_frame(&mut self.bytes, frame, false);
        self.tally.control += 1;
        self.size += frame_size(frame.len());
        frame_size(frame.len())
    }

    /// Appends what `put` appends; returns how much it was.
    pub(super) fn put_raw<T>(&mut self, put: impl FnOnce(&mut Vec<u8>) -> T) -> (usize, T) {
        let before = self.bytes.len();
        let result = put(&mut self.bytes);
        let added = self.bytes.len() - before;
        self.size += added;
        (added, result)
    }

    #[inline]
    fn note(&mut self) {
        if self.queued_at.is_none() {
            self.queued_at = Some(Instant::now());
        }
    }

    /// Everything is written.
    pub(crate) fn is_written(&self) -> bool {
        self.at == self.bytes.len() && self.passed == self.large.len()
    }

    /// The next pieces to write; says how many slices it has set.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut at, mut passed, mut within) = (self.at, self.passed, self.within);
        let mut count = 0;
        for slice in slices {
            let piece = match self.large.get(passed) {
                Some((offset, frame)) if *offset == at => {
                    let piece = frame.get(within..).unwrap_or_default();
                    (passed, within) = (passed + 1, 0);
                    piece
                }
                next => {
                    let end = next.map_or(self.bytes.len(), |(offset, _)| *offset);
                    let piece = self.bytes.get(at..end).unwrap_or_default();
                    at = end;
                    piece
                }
            };
            if piece.is_empty() {
                break;
            }
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Moves the writer's place; a large frame is let go as soon as it is written.
    pub(crate) fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let next = self.large.get_mut(self.passed);
            let step = match next {
                Some((offset, frame)) if *offset == self.at => {
                    let step = written.min(frame.len() - self.within);
                    self.within += step;
                    if self.within == frame.len() {
                        *frame = Bytes::new();
                        (self.passed, self.within) = (self.passed + 1, 0);
                    }
                    step
                }
                next => {
                    let end = next.map_or(self.bytes.len(), |(offset, _)| *offset);
                    let step = written.min(end - self.at);
                    self.at += step;
                    step
                }
            };
            if step == 0 {
                return;
            }
            written -= step;
        }
    }

    /// Seals frames from the writer's place on, until `out` holds `batch` bytes or there are no more.
    pub(crate) fn seal(
        &self,
        sealer: &mut Sealer,
        out: &mut Vec<u8>,
        batch: usize,
    ) -> Result<(), CurveError> {
        let (mut at, mut passed) = (self.at, self.passed);
        while out.len() < batch
            && let Some((header, body, next)) = self.frame(at, passed)
        {
            sealer.seal(out, &header, body)?;
            (at, passed) = next;
        }
        Ok(())
    }

    /// Moves the writer's place over the frames of which all sealed bytes are among `written`.
    pub(crate) fn advance_sealed(&mut self, mut written: usize) {
        while let Some((_, body, (at, passed))) = self.frame(self.at, self.passed) {
            let Some(left) = written.checked_sub(sealed_size(body.len())) else { return };
            written = left;
            if passed > self.passed
                && let Some((_, frame)) = self.large.get_mut(self.passed)
            {
                *frame = Bytes::new();
            }
            (self.at, self.passed) = (at, passed);
        }
    }

    /// The frame at a place between frames, and the place behind it.
    fn frame(&self, at: usize, passed: usize) -> Option<(Header, &[u8], (usize, usize))> {
        let header = Header::decode(self.bytes.get(at..)?).ok()??;
        let start = at + header.size;
        match self.large.get(passed) {
            Some((offset, frame)) if *offset == start => Some((header, frame, (start, passed + 1))),
            _ => {
                let end = start.checked_add(usize::try_from(header.body).ok()?)?;
                Some((header, self.bytes.get(start..end)?, (end, passed)))
            }
        }
    }

    /// How many content messages lie wholly before the writer's place: what a lost connection has sent.
    pub(super) fn content_written(&self) -> u64 {
        let (mut at, mut passed, mut whole, mut has_more) = (0, 0, 0, false);
        while let Some(Ok(Some(header))) = self.bytes.get(at..).map(Header::decode) {
            at += header.size;
            if self.large.get(passed).is_some_and(|(offset, _)| *offset == at) {
                passed += 1;
            } else {
                at += usize::try_from(header.body).unwrap_or(usize::MAX - at);
            }
            if at > self.at || passed > self.passed {
                break;
            }
            // Content alone has more than one frame.
            whole += u64::from(has_more && !header.more && !header.command);
            has_more = header.more;
        }
        whole
    }
}

#[cfg(test)]
impl Chunk {
    /// As it was queued.
    pub(super) fn copy(&self) -> Self {
        Self { bytes: self.bytes.clone(), large: self.large.clone(), size: self.size, ..Self::default() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
