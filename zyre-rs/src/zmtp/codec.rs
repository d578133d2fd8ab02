//! Frames and messages (RFC 37, "framing"), walked in place in the reader's buffer.
//!
//! The caller keeps one contiguous buffer whose start is the first byte it has not been told to drop.
//! [`Decoder::next`] looks at it, remembers how far the unfinished message has been walked, and so
//! costs the same however the bytes were cut. A message is handed out as ranges of that buffer: nothing
//! is copied, and nothing allocated but the list of ranges, which is used again for the next message.
//!
//! Invariant: a header's claim is only ever compared, never reserved. Memory grows with arrived bytes
//! if the caller's buffer does, for which [`next_read_size`] is the rule.

use std::ops::Range;

use super::command::MAX_COMMAND;

pub(super) const MORE: u8 = 1;
pub(super) const LONG: u8 = 2;
pub(super) const COMMAND: u8 = 4;

/// Range lists longer than this are given back after use: most messages have two frames.
const KEPT_RANGES: usize = 64;

/// Most bytes to read when less has been buffered: what one read of a busy socket returns.
const READ_SIZE: usize = 64 * 1024;

/// What one message may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in all frames of a message together; 64 MiB unless told.
    pub max_message: usize,
    /// Most frames in a message, commands amid them included; 1,024 unless told.
    pub max_frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 64 * 1024 * 1024, max_frames: 1024 }
    }
}

/// The bytes are no frames of a peer we want to hear. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Flag bits that ZMTP 3 reserves are set: the stream is out of step or of another protocol.
    #[error("a frame with reserved flags ({flags:#04x})")]
    ReservedFlags {
        /// The frame's first byte.
        flags: u8,
    },
    /// A command frame announces more frames, which commands cannot have.
    #[error("a command frame with the MORE flag")]
    CommandWithMore,
    /// The length's highest bit is set, which RFC 37 forbids.
    #[error("a frame length of 2^63 or more")]
    LengthOverflow,
    /// A command is longer than [`MAX_COMMAND`].
    #[error("a command of {claimed} bytes; at most {MAX_COMMAND} are accepted")]
    CommandTooLarge {
        /// Bytes announced.
        claimed: u64,
    },
    /// The frames of one message are larger than [`Limits::max_message`] together.
    #[error(
        "a message of {claimed} bytes or more; at most {limit} are accepted, raise the limit if it is wanted"
    )]
    MessageTooLarge {
        /// Bytes announced so far.
        claimed: u64,
        /// The limit in force.
        limit: usize,
    },
    /// A message has more than [`Limits::max_frames`] frames.
    #[error("a message of more than {limit} frames; raise the limit if it is wanted")]
    TooManyFrames {
        /// The limit in force.
        limit: usize,
    },
}

impl FrameError {
    /// The name this cause is counted under.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::ReservedFlags { .. } => "frame_reserved_flags",
            Self::CommandWithMore => "frame_command_with_more",
            Self::LengthOverflow => "frame_length_overflow",
            Self::CommandTooLarge { .. } => "frame_command_too_large",
            Self::MessageTooLarge { .. } => "frame_message_too_large",
            Self::TooManyFrames { .. } => "frame_too_many_frames",
        }
    }
}

/// The two or nine bytes before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes in the header itself.
    pub size: usize,
    /// Bytes announced for the body: a claim until they are here.
    pub body: u64,
    /// Whether another frame of the same message follows.
    pub more: bool,
    /// Whether the body is a command.
    pub command: bool,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` while it is incomplete.
    ///
    /// # Errors
    /// As soon as a byte rules the header out, or when a command is longer than [`MAX_COMMAND`].
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((&flags, rest)) = bytes.split_first() else { return Ok(None) };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(FrameError::ReservedFlags { flags });
        }
        let (more, command) = (flags & MORE != 0, flags & COMMAND != 0);
        if command && more {
            return Err(FrameError::CommandWithMore);
        }
        let (size, body) = if flags & LONG == 0 {
            let Some(&length) = rest.first() else { return Ok(None) };
            (2, u64::from(length))
        } else {
            if rest.first().is_some_and(|high| high & 0x80 != 0) {
                return Err(FrameError::LengthOverflow);
            }
            let Some(length) = rest.first_chunk() else { return Ok(None) };
            (9, u64::from_be_bytes(*length))
        };
        if command && body > MAX_COMMAND as u64 {
            return Err(FrameError::CommandTooLarge { claimed: body });
        }
        Ok(Some(Self { size, body, more, command }))
    }

    /// How many bytes the incomplete header at the start of `bytes` lacks.
    pub(super) fn missing(bytes: &[u8]) -> usize {
        let size: usize = if bytes.first().is_some_and(|flags| flags & LONG != 0) { 9 } else { 2 };
        size.saturating_sub(bytes.len()).max(1)
    }
}

/// What [`Decoder::next`] found at the start of the buffer.
#[derive(Debug)]
pub enum Step<'a> {
    /// A whole message; drop [`Message::consumed`] bytes once done with it.
    Message(Message<'a>),
    /// A whole command, for [`answer`](super::answer).
    Command {
        /// The command's body.
        body: &'a [u8],
        /// Bytes to drop. 0 when the command came amid a message, whose bytes must stay; it is not
        /// found again by the next call.
        consumed: usize,
    },
    /// Nothing whole yet. Keep the bytes, append what arrives, call again.
    NeedMore {
        /// Bytes without which there is nothing to find: a claim, so see [`next_read_size`].
        at_least: usize,
    },
}

/// A message where it lies in the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Message<'a> {
    /// Bytes the message took on the wire, to be dropped from the buffer's start.
    #[inline]
    pub fn consumed(&self) -> usize {
        self.bytes.len()
    }

    /// Where the frames are, from the start of the buffer given to [`Decoder::next`]. Never empty.
    #[inline]
    pub fn ranges(&self) -> &'a [Range<usize>] {
        self.ranges
    }

    /// The bytes of one frame.
    #[inline]
    pub fn frame(&self, index: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.ranges.get(index)?.clone())
    }

    /// The bytes of each frame.
    #[inline]
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.ranges.iter().map(move |range| bytes.get(range.clone()).unwrap_or_default())
    }
}

/// Walks the bytes of one connection after its handshake.
///
/// ```
/// use zyre_rs::zmtp::{Decoder, Limits, Step, put_message};
/// let mut buffer = Vec::new();
/// put_message(&mut buffer, &["header", "content"]);
/// let mut decoder = Decoder::new(Limits::default());
/// let Step::Message(message) = decoder.next(&buffer)? else { panic!("it is whole") };
/// assert_eq!(message.frame(1), Some(b"content".as_slice()));
/// assert_eq!(message.consumed(), buffer.len());
/// # Ok::<(), zyre_rs::zmtp::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Frames of the message that starts where the buffer does.
    ranges: Vec<Range<usize>>,
    /// How far that message has been walked.
    walked: usize,
    /// Bytes in `ranges` together; at most `limits.max_message`.
    content: usize,
    /// Commands met amid the message.
    commands: usize,
    /// The message has been handed out, so the next call starts another.
    handed_out: bool,
}

impl Decoder {
    /// A decoder for the first byte after the handshake.
    pub fn new(mut limits: Limits) -> Self {
        // No buffer is larger, and offsets can then be added up without overflow.
        limits.max_message = limits.max_message.min(isize::MAX as usize);
        Self { limits, ranges: Vec::new(), walked: 0, content: 0, commands: 0, handed_out: false }
    }

    /// Looks for a whole message or command at the start of `buffer`.
    ///
    /// `buffer` starts with the first byte not yet consumed, as this decoder counted it; it may have
    /// moved in memory and grown at the end since the last call.
    ///
    /// # Errors
    /// When the bytes are no frames, or a limit is passed. The decoder is then of no further use.
    #[inline]
    pub fn next<'a>(&'a mut self, buffer: &'a [u8]) -> Result<Step<'a>, FrameError> {
        if self.handed_out {
            self.start_message();
        }
        loop {
            let rest = buffer.get(self.walked..).unwrap_or_default();
            let Some(header) = Header::decode(rest)? else {
                return Ok(Step::NeedMore { at_least: Header::missing(rest) });
            };
            let length = self.admit(&header)?;
            let start = self.walked + header.size;
            let end = start + length;
            let Some(body) = buffer.get(start..end) else {
                return Ok(Step::NeedMore { at_least: end.saturating_sub(buffer.len()) });
            };
            if header.command {
                return Ok(Step::Command { body, consumed: self.pass_command(end) });
            }
            self.ranges.push(start..end);
            self.content += length;
            self.walked = end;
            if !header.more {
                self.handed_out = true;
                let bytes = buffer.get(..end).unwrap_or_default();
                return Ok(Step::Message(Message { bytes, ranges: &self.ranges }));
            }
        }
    }

    /// Holds a claim against the limits, before a byte of the body is here.
    #[inline]
    fn admit(&self, header: &Header) -> Result<usize, FrameError> {
        let Limits { max_message, max_frames } = self.limits;
        if self.ranges.len() + self.commands >= max_frames && !(header.command && self.ranges.is_empty()) {
            return Err(FrameError::TooManyFrames { limit: max_frames });
        }
        let length = usize::try_from(header.body).ok();
        let room = if header.command { MAX_COMMAND } else { max_message - self.content };
        length.filter(|length| *length <= room).ok_or_else(|| FrameError::MessageTooLarge {
            claimed: header.body.saturating_add(self.content as u64),
            limit: max_message,
        })
    }

    /// Steps over a command that ends at `end`; returns how many bytes the caller may drop.
    fn pass_command(&mut self, end: usize) -> usize {
        if self.ranges.is_empty() {
            return end;
        }
        // libzmq sends its PING whenever the timer fires, between the frames of a message too.
        self.commands += 1;
        self.walked = end;
        0
    }

    #[inline]
    fn start_message(&mut self) {
        self.ranges.clear();
        if self.ranges.capacity() > KEPT_RANGES {
            self.ranges = Vec::new();
        }
        (self.walked, self.content, self.commands, self.handed_out) = (0, 0, 0, false);
    }
}

/// How many bytes to reserve for the next read, when `missing` are claimed and `buffered` are here.
///
/// At most as many as have arrived already (64 KiB to begin with): the buffer doubles with what the
/// peer has really sent, so a header that claims 64 MiB and stops costs 64 KiB.
pub fn next_read_size(missing: usize, buffered: usize) -> usize {
    missing.clamp(1, buffered.max(READ_SIZE))
}

/// Appends the header of a message's frame, whose body of `length` bytes the caller sends next.
#[inline]
pub fn put_frame_header(out: &mut Vec<u8>, length: usize, more: bool) {
    put_header(out, length, u8::from(more) * MORE);
}

/// Appends the header of a command frame, whose body of `length` bytes the caller sends next.
pub(super) fn put_command_header(out: &mut Vec<u8>, length: usize) {
    put_header(out, length, COMMAND);
}

#[inline]
fn put_header(out: &mut Vec<u8>, length: usize, flags: u8) {
    if let Ok(short) = u8::try_from(length) {
        out.extend_from_slice(&[flags, short]);
    } else {
        let [a, b, c, d, e, f, g, h] = (length as u64).to_be_bytes();
        out.extend_from_slice(&[flags | LONG, a, b, c, d, e, f, g, h]);
    }
}

/// Appends one frame of a message.
#[inline]
pub fn put_frame(out: &mut Vec<u8>, body: &[u8], more: bool) {
    put_frame_header(out, body.len(), more);
    out.extend_from_slice(body);
}

/// Appends a message. Without frames there is none, and nothing is appended.
pub fn put_message(out: &mut Vec<u8>, frames: &[impl AsRef<[u8]>]) {
    let Some((last, others)) = frames.split_last() else { return };
    others.iter().for_each(|frame| put_frame(out, frame.as_ref(), true));
    put_frame(out, last.as_ref(), false);
}

#[cfg(test)]
mod tests;
