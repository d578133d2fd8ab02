//! What whispers and shouts of a benchmark look like: a frame with a number, and one with the payload.

use bytes::Bytes;
use zyre_rs::Message;

/// What the first frame begins with; the number comes behind it.
const MAGIC: &[u8; 12] = b"zyre-bench/1";

pub(super) fn encode(number: u64, payload: &Bytes) -> Message {
    Message::from(vec![head(number), payload.clone()])
}

/// The short answer to a shout.
pub(super) fn answer(number: u64) -> Message {
    Message::from(head(number))
}

/// Its number; `None` for a message that is not of a benchmark.
pub(super) fn number(message: &Message) -> Option<u64> {
    let number = message.frames().first()?.strip_prefix(MAGIC)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

fn head(number: u64) -> Bytes {
    [MAGIC.as_slice(), &number.to_be_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_other_messages_have_none() {
        let payload = Bytes::from_static(b"payload");
        assert_eq!(number(&encode(7, &payload)), Some(7));
        assert_eq!(encode(7, &payload).frames().last(), Some(&payload));
        assert_eq!(number(&answer(u64::MAX)), Some(u64::MAX));
        for other in ["", "zyre-bench/1", "zyre-bench/1short", "zyre-bench/2\0\0\0\0\0\0\0\0"] {
            assert_eq!(number(&Message::from(other)), None, "{other}");
        }
    }
}
