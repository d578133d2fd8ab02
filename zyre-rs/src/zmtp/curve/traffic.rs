//! MESSAGE: after the exchange every frame of either side travels in a box of its own.
//!
//! On the wire it is a frame without flags; the flags of the frame in it are the first byte of what is sealed, as libzmq has it.

use super::CurveError;
use super::boxes::{Shared, TAG, counted_nonce};
use crate::zmtp::codec::{COMMAND, FrameError, Header, LONG, MORE, put_frame_header};
use bytes::{BufMut, BytesMut};
use std::fmt;
use std::ops::Range;

pub(super) const FROM_CLIENT: [u8; 16] = *b"CurveZMQMESSAGEC";
pub(super) const FROM_SERVER: [u8; 16] = *b"CurveZMQMESSAGES";

const NAME: &[u8; 8] = b"\x07MESSAGE";
/// Flags of the frame inside: it has a successor; it is a command.
const INNER_MORE: u8 = 1;
const INNER_COMMAND: u8 = 2;

/// Bytes by which the body of a MESSAGE is longer than that of the frame in it.
pub const SEALED_OVERHEAD: usize = NAME.len() + size_of::<u64>() + TAG + 1;

/// Bytes a frame with a body of `length` takes on the wire once it is sealed.
#[inline]
pub fn sealed_size(length: usize) -> usize {
    let body = length.saturating_add(SEALED_OVERHEAD);
    body.saturating_add(if body > 255 { 9 } else { 2 })
}

/// Seals one direction of a connection.
pub struct Sealer {
    shared: Shared,
    prefix: [u8; 16],
    /// Of the last box.
    counter: u64,
}

impl Sealer {
    pub(super) const fn new(shared: Shared, prefix: [u8; 16], counter: u64) -> Self {
        Self { shared, prefix, counter }
    }

    /// Appends the frame with this header (its `size` does not matter) and body as a MESSAGE.
    ///
    /// # Errors
    /// When all counters are used up; the connection must be closed.
    #[inline]
    pub fn seal(&mut self, out: &mut Vec<u8>, header: &Header, body: &[u8]) -> Result<(), CurveError> {
        self.counter = self.counter.checked_add(1).ok_or(CurveError::Exhausted)?;
        let flags = if header.more { INNER_MORE } else { 0 } | if header.command { INNER_COMMAND } else { 0 };
        self.put(out, flags, body);
        Ok(())
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>, flags: u8, body: &[u8]) {
        put_frame_header(out, body.len() + SEALED_OVERHEAD, false);
        out.extend_from_slice(NAME);
        out.extend_from_slice(&self.counter.to_be_bytes());
        let tag_at = out.len();
        out.extend_from_slice(&[0; TAG]);
        out.push(flags);
        out.extend_from_slice(body);
        if let Some((tag, plain)) = out.get_mut(tag_at..).and_then(<[u8]>::split_first_chunk_mut) {
            *tag = self.shared.seal(&counted_nonce(self.prefix, self.counter), plain);
        }
    }

    /// Appends the frames at the start of `plain` as MESSAGEs; what is not a whole frame is left out.
    ///
    /// # Errors
    /// When all counters are used up, or `plain` holds no frames.
    pub fn seal_frames(&mut self, out: &mut Vec<u8>, mut plain: &[u8]) -> Result<(), CurveError> {
        while let Some(header) = Header::decode(plain)? {
            let end = header.size.saturating_add(usize::try_from(header.body).unwrap_or(usize::MAX));
            let Some(body) = plain.get(header.size..end) else { break };
            self.seal(out, &header, body)?;
            plain = plain.get(end..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
impl Sealer {
    pub(super) const fn skip_to(&mut self, counter: u64) {
        self.counter = counter;
    }

    pub(super) fn seal_with_flags(&mut self, out: &mut Vec<u8>, flags: u8, body: &[u8]) {
        self.counter += 1;
        self.put(out, flags, body);
    }
}

/// What [`Opener::open_frames`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes to drop from the start of what was given.
    pub consumed: usize,
    /// Bytes without which there is no further frame: a claim, so see [`next_read_size`](crate::zmtp::next_read_size).
    pub missing: usize,
}

/// Opens one direction of a connection.
pub struct Opener {
    shared: Shared,
    prefix: [u8; 16],
    /// Of the last box that opened.
    counter: u64,
}

impl Opener {
    pub(super) const fn new(shared: Shared, prefix: [u8; 16], counter: u64) -> Self {
        Self { shared, prefix, counter }
    }

    /// Opens every whole MESSAGE at the start of `sealed` and appends the frames in them to `plain`, for a
    /// [`Decoder`](crate::zmtp::Decoder). None may hold more than `max_frame` bytes. It stops before what is none, which the
    /// next call then refuses.
    ///
    /// # Errors
    /// When `sealed` begins with something that is not a MESSAGE, was changed or sent before, or is too large. The opener is
    /// then of no further use.
    #[inline]
    pub fn open_frames(
        &mut self,
        sealed: &[u8],
        plain: &mut BytesMut,
        max_frame: usize,
    ) -> Result<Opened, CurveError> {
        let mut consumed = 0;
        loop {
            let rest = sealed.get(consumed..).unwrap_or_default();
            let opened = first_body(rest, max_frame).and_then(|body| match body {
                Ok(body) => {
                    self.open(rest.get(body.clone()).unwrap_or_default(), plain)?;
                    Ok(Ok(body.end))
                }
                Err(missing) => Ok(Err(missing)),
            });
            match opened {
                Ok(Ok(end)) => consumed += end,
                Ok(Err(missing)) => return Ok(Opened { consumed, missing }),
                // What was opened before it is good, and the next call meets it at the start.
                Err(_) if consumed > 0 => return Ok(Opened { consumed, missing: 0 }),
                Err(error) => return Err(error),
            }
        }
    }

    /// How many bytes the first MESSAGE in `sealed` lacks; 0 when it is whole.
    ///
    /// # Errors
    /// When it is not a MESSAGE or too large.
    pub fn missing(&self, sealed: &[u8], max_frame: usize) -> Result<usize, CurveError> {
        Ok(first_body(sealed, max_frame)?.err().unwrap_or(0))
    }

    /// Opens the body of one MESSAGE and appends the frame in it.
    ///
    /// # Errors
    /// As [`open_frames`](Self::open_frames).
    #[inline]
    pub fn open(&mut self, body: &[u8], plain: &mut BytesMut) -> Result<(), CurveError> {
        let rest = body.strip_prefix(NAME).ok_or(CurveError::Unsealed)?;
        let (counter, rest) = rest.split_first_chunk().ok_or(CurveError::Malformed)?;
        let (tag, sealed) = rest.split_first_chunk().ok_or(CurveError::Malformed)?;
        let length = sealed.len().checked_sub(1).ok_or(CurveError::Malformed)?;
        let counter = u64::from_be_bytes(*counter);
        if counter <= self.counter {
            return Err(CurveError::Replayed);
        }
        // The sealed flags land where the header ends and are then overwritten with it.
        let short = u8::try_from(length).ok();
        let (before, start) = (plain.len(), if short.is_some() { 1 } else { 8 });
        plain.reserve(start + sealed.len());
        plain.put_bytes(0, start);
        plain.extend_from_slice(sealed);
        let frame = plain.get_mut(before..).unwrap_or_default();
        let opened = frame.get_mut(start..).unwrap_or_default();
        if !self.shared.open(&counted_nonce(self.prefix, counter), tag, opened) {
            plain.truncate(before);
            return Err(CurveError::MessageForged);
        }
        self.counter = counter;
        let inner = opened.first().copied().unwrap_or_default();
        if inner & !(INNER_MORE | INNER_COMMAND) != 0 {
            plain.truncate(before);
            return Err(CurveError::Malformed);
        }
        let flags = if inner & INNER_MORE != 0 { MORE } else { 0 }
            | if inner & INNER_COMMAND != 0 { COMMAND } else { 0 };
        if let Some(short) = short {
            if let Some(header) = frame.first_chunk_mut() {
                *header = [flags, short];
            }
        } else if let Some([first, claim @ ..]) = frame.first_chunk_mut::<9>() {
            *first = flags | LONG;
            *claim = (length as u64).to_be_bytes();
        }
        Ok(())
    }
}

/// Where the body of the first frame is, or how many bytes it lacks.
#[inline]
fn first_body(bytes: &[u8], max_frame: usize) -> Result<Result<Range<usize>, usize>, CurveError> {
    let Some(header) = Header::decode(bytes)? else { return Ok(Err(Header::missing(bytes))) };
    let end = header.size + admit(&header, max_frame)?;
    Ok(if end <= bytes.len() { Ok(header.size..end) } else { Err(end - bytes.len()) })
}

#[inline]
fn admit(header: &Header, max_frame: usize) -> Result<usize, CurveError> {
    if header.command || header.more {
        return Err(CurveError::Unsealed);
    }
    let length = usize::try_from(header.body).ok();
    let too_large = FrameError::MessageTooLarge { claimed: header.body, limit: max_frame };
    Ok(length.filter(|length| *length <= max_frame.saturating_add(SEALED_OVERHEAD)).ok_or(too_large)?)
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("counter", &self.counter).finish_non_exhaustive()
    }
}
