//! What travels in a whisper or a shout: one or more frames of bytes.

use bytes::Bytes;
use std::fmt;

/// The content of a whisper or a shout: one or more frames.
///
/// Text, bytes and collections of frames convert into it. A frame may be empty; a message without
/// any frame is refused when it is sent, since it breaks existing peers (pyre's node thread dies of it).
/// Note that zyre.js and gyre hand only the first frame to their application.
///
/// ```
/// use zyre_rs::Message;
/// let one = Message::from("hello");
/// let three: Message = ["f1", "", "f3"].into_iter().collect();
/// assert_eq!(one.text(), Some("hello"));
/// assert_eq!(three.len(), 3);
/// assert_eq!(&three[2][..], b"f3");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Frames);

/// One frame is by far the usual case and needs no list.
#[derive(Clone)]
enum Frames {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl PartialEq for Frames {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Frames {}

impl Frames {
    fn as_slice(&self) -> &[Bytes] {
        match self {
            Self::One(frame) => std::slice::from_ref(frame),
            Self::Many(frames) => frames,
        }
    }
}

impl Message {
    /// The frames in order.
    pub fn frames(&self) -> &[Bytes] {
        self.0.as_slice()
    }

    /// The frames in order, owned.
    pub fn into_frames(self) -> Vec<Bytes> {
        match self.0 {
            Frames::One(frame) => vec![frame],
            Frames::Many(frames) => frames,
        }
    }

    /// The first frame as text; `None` if it is not UTF-8 or there is no frame. Further frames are in [`frames`](Self::frames).
    pub fn text(&self) -> Option<&str> {
        self.frames().first().and_then(|frame| std::str::from_utf8(frame).ok())
    }

    /// Bytes in all frames together.
    pub fn size(&self) -> usize {
        self.frames().iter().map(Bytes::len).sum()
    }
}

impl std::ops::Deref for Message {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        self.frames()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

impl From<Bytes> for Message {
    fn from(frame: Bytes) -> Self {
        Self(Frames::One(frame))
    }
}

impl From<Vec<Bytes>> for Message {
    fn from(frames: Vec<Bytes>) -> Self {
        Self(Frames::Many(frames))
    }
}

macro_rules! one_frame {
    ($($type:ty => $convert:expr),* $(,)?) => {$(
        impl From<$type> for Message {
            fn from(frame: $type) -> Self {
                Self(Frames::One($convert(frame)))
            }
        }
    )*};
}

one_frame! {
    &str => |text: &str| Bytes::copy_from_slice(text.as_bytes()),
    &[u8] => Bytes::copy_from_slice,
    String => Bytes::from,
    Vec<u8> => Bytes::from,
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(frame: &[u8; N]) -> Self {
        Self::from(frame.as_slice())
    }
}

/// Anything that is a frame, so that iterators of strings, byte vectors and `Bytes` all collect.
impl<F: AsFrame> FromIterator<F> for Message {
    fn from_iter<I: IntoIterator<Item = F>>(frames: I) -> Self {
        let mut frames = frames.into_iter().map(AsFrame::into_frame);
        match (frames.next(), frames.next()) {
            (None, _) => Self(Frames::Many(Vec::new())),
            (Some(only), None) => Self(Frames::One(only)),
            (Some(first), Some(second)) => {
                Self(Frames::Many([first, second].into_iter().chain(frames).collect()))
            }
        }
    }
}

/// A value that becomes one frame of a [`Message`].
pub trait AsFrame {
    /// The frame's bytes.
    fn into_frame(self) -> Bytes;
}

impl AsFrame for Bytes {
    fn into_frame(self) -> Bytes {
        self
    }
}

impl AsFrame for Vec<u8> {
    fn into_frame(self) -> Bytes {
        self.into()
    }
}

impl AsFrame for String {
    fn into_frame(self) -> Bytes {
        self.into()
    }
}

impl AsFrame for &str {
    fn into_frame(self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

impl AsFrame for &[u8] {
    fn into_frame(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_frames_are_equal_messages_however_they_were_built() {
        assert_eq!(Message::from("a"), Message::from(vec![Bytes::from("a")]));
        assert_ne!(Message::from(""), Message::from(Vec::<Bytes>::new()));
    }

    #[test]
    fn collecting_nothing_gives_no_frame_and_collecting_two_gives_two() {
        assert_eq!(std::iter::empty::<Bytes>().collect::<Message>().len(), 0);
        assert_eq!(["x", "y"].into_iter().collect::<Message>().size(), 2);
    }
}
