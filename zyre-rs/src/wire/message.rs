//! The first frame of a ZRE message, version 2 (RFC 36 "Protocol Signature", ids 8–10 as zyre C).
//!
//! Content frames of WHISPER and SHOUT are not seen here. Invariant: an error says the sequence
//! number whenever the frame had one, because a malformed body still counts in the sequence.

use bytes::BufMut;

use super::hello::{BodyError, Hello, Limit};
use super::reader::{Reader, Truncated};
use super::writer::put_string;
use crate::{GroupName, PeerId};

const SIGNATURE: [u8; 2] = [0xAA, 0xA1];
const VERSION: u8 = 2;
/// Signature, id, version, sequence. (The id comes before the version.)
pub(super) const HEADER_LEN: usize = 6;

mod id {
    pub(super) const HELLO: u8 = 1;
    pub(super) const WHISPER: u8 = 2;
    pub(super) const SHOUT: u8 = 3;
    pub(super) const JOIN: u8 = 4;
    pub(super) const LEAVE: u8 = 5;
    pub(super) const PING: u8 = 6;
    pub(super) const PING_OK: u8 = 7;
    pub(super) const ELECT: u8 = 8;
    pub(super) const LEADER: u8 = 9;
    pub(super) const GOODBYE: u8 = 10;
}

/// What one peer tells another.
///
/// ELECT, LEADER, GOODBYE and unknown ids make pyre and zyre.js drop the sender and end gyre: send
/// them only to a peer that has shown it knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Opens the session.
    Hello(Hello),
    /// Content for this peer alone; the frames after this one are the content.
    Whisper,
    /// Content for a group; the frames after this one are the content.
    Shout {
        /// The addressed group.
        group: GroupName,
    },
    /// The sender is now in the group.
    Join {
        /// The joined group.
        group: GroupName,
        /// The sender's count of JOIN and LEAVE modulo 256. Never to be enforced: peers miscount.
        status: u8,
    },
    /// The sender is no longer in the group.
    Leave {
        /// The left group.
        group: GroupName,
        /// As in [`Command::Join`].
        status: u8,
    },
    /// Asks for a PING-OK.
    Ping,
    /// Answers a PING.
    PingOk,
    /// Proposes a leader for a group (zyre C).
    Elect {
        /// The group that elects.
        group: GroupName,
        /// The candidate with the lowest id the sender knows of.
        challenger: PeerId,
    },
    /// Announces the elected leader of a group (zyre C).
    Leader {
        /// The group that elected.
        group: GroupName,
        /// Who won.
        leader: PeerId,
    },
    /// The sender leaves the network (zyre C).
    Goodbye,
    /// A message of a later protocol: it counts in the sequence and is otherwise ignored.
    Unknown {
        /// Its id.
        id: u8,
    },
}

/// A decoded first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its place in what the sender sent on this connection; HELLO is 1.
    pub sequence: u16,
    /// What it says.
    pub command: Command,
}

/// Reads the first frame of a message; bytes after its last field are ignored, as everybody does.
///
/// # Errors
/// When the frame is not a ZRE message of version 2, or its body is cut short or beyond the limits.
pub fn decode(frame: &[u8]) -> Result<Decoded, MessageError> {
    let mut reader = Reader::new(frame);
    if reader.array()? != SIGNATURE {
        return Err(MessageError::BadSignature);
    }
    let id = reader.u8()?;
    let version = reader.u8()?;
    if version != VERSION {
        return Err(MessageError::BadVersion { version });
    }
    let sequence = reader.u16()?;
    match decode_body(id, reader) {
        Ok(command) => Ok(Decoded { sequence, command }),
        Err(BodyError::Truncated) => Err(MessageError::Truncated { sequence: Some(sequence) }),
        Err(BodyError::Limit(limit)) => Err(MessageError::Limit { sequence, limit }),
        Err(BodyError::PeerId) => Err(MessageError::BadPeerId { sequence }),
    }
}

fn decode_body(id: u8, mut body: Reader<'_>) -> Result<Command, BodyError> {
    Ok(match id {
        id::HELLO => Command::Hello(Hello::decode_body(body)?),
        id::WHISPER => Command::Whisper,
        id::SHOUT => Command::Shout { group: group(&mut body)? },
        id::JOIN => Command::Join { group: group(&mut body)?, status: body.u8()? },
        id::LEAVE => Command::Leave { group: group(&mut body)?, status: body.u8()? },
        id::PING => Command::Ping,
        id::PING_OK => Command::PingOk,
        id::ELECT => Command::Elect { group: group(&mut body)?, challenger: peer_id(&mut body)? },
        id::LEADER => Command::Leader { group: group(&mut body)?, leader: peer_id(&mut body)? },
        id::GOODBYE => Command::Goodbye,
        id => Command::Unknown { id },
    })
}

fn group(body: &mut Reader<'_>) -> Result<GroupName, BodyError> {
    GroupName::from_bytes(body.string()?).map_err(|_| Limit::GroupName.into())
}

fn peer_id(body: &mut Reader<'_>) -> Result<PeerId, BodyError> {
    let text = std::str::from_utf8(body.string()?).map_err(|_| BodyError::PeerId)?;
    text.parse().map_err(|_| BodyError::PeerId)
}

/// A WHISPER or SHOUT, as much of it as its first frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Its place in what the sender sent on this connection.
    pub sequence: u16,
    /// The addressed group of a SHOUT, none for a WHISPER.
    pub group: Option<&'a [u8]>,
}

/// The fast path: reads a well-formed WHISPER or SHOUT without allocating.
///
/// None for anything else, malformed frames included: those go to [`decode`].
#[inline]
pub fn decode_content(frame: &[u8]) -> Option<Content<'_>> {
    let [0xAA, 0xA1, id, VERSION, high, low, body @ ..] = frame else { return None };
    let sequence = u16::from_be_bytes([*high, *low]);
    match *id {
        id::WHISPER => Some(Content { sequence, group: None }),
        id::SHOUT => Some(Content { sequence, group: Some(Reader::new(body).string().ok()?) }),
        _ => None,
    }
}

impl Command {
    /// Appends the first frame.
    pub fn encode(&self, sequence: u16, out: &mut Vec<u8>) {
        put_header(out, self.id(), sequence);
        match self {
            Self::Hello(hello) => hello.encode_body(out),
            Self::Shout { group } => put_string(out, group.as_bytes()),
            Self::Join { group, status } | Self::Leave { group, status } => {
                put_string(out, group.as_bytes());
                out.push(*status);
            }
            Self::Elect { group, challenger: peer } | Self::Leader { group, leader: peer } => {
                put_string(out, group.as_bytes());
                put_string(out, peer.to_string().as_bytes());
            }
            Self::Whisper | Self::Ping | Self::PingOk | Self::Goodbye | Self::Unknown { .. } => {}
        }
    }

    /// The byte that names the command on the wire.
    pub const fn id(&self) -> u8 {
        match self {
            Self::Hello(_) => id::HELLO,
            Self::Whisper => id::WHISPER,
            Self::Shout { .. } => id::SHOUT,
            Self::Join { .. } => id::JOIN,
            Self::Leave { .. } => id::LEAVE,
            Self::Ping => id::PING,
            Self::PingOk => id::PING_OK,
            Self::Elect { .. } => id::ELECT,
            Self::Leader { .. } => id::LEADER,
            Self::Goodbye => id::GOODBYE,
            Self::Unknown { id } => *id,
        }
    }
}

/// Appends the prefix of a HELLO; [`Hello::encode_body`] gives what follows.
pub fn put_hello_header(out: &mut impl BufMut, sequence: u16) {
    put_header(out, id::HELLO, sequence);
}

/// Appends the first frame of a WHISPER (6 bytes). `out` is a buffer that grows.
#[inline]
pub fn put_whisper_header(out: &mut impl BufMut, sequence: u16) {
    put_header(out, id::WHISPER, sequence);
}

/// Appends the first frame of a SHOUT (7 bytes and the group's name). `out` is a buffer that grows.
#[inline]
pub fn put_shout_header(out: &mut impl BufMut, sequence: u16, group: &GroupName) {
    put_header(out, id::SHOUT, sequence);
    put_string(out, group.as_bytes());
}

#[inline]
fn put_header(out: &mut impl BufMut, id: u8, sequence: u16) {
    let [high, low] = sequence.to_be_bytes();
    let header: [u8; HEADER_LEN] = [SIGNATURE[0], SIGNATURE[1], id, VERSION, high, low];
    out.put_slice(&header);
}

/// Why a frame is not a message we understand. Count it; it does not end the session by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It does not begin with `AA A1`: not ZRE. It has no place in the sequence; ignore it.
    #[error("the frame does not begin with the ZRE signature")]
    BadSignature,
    /// Another protocol version, such as ZRE 1 (RFC 20), which we cannot talk to; ignore it.
    #[error("ZRE version {version} is not spoken here, only 2; update the peer")]
    BadVersion {
        /// The byte where the version stands.
        version: u8,
    },
    /// It ends in the middle of a field; ignore the message but count its sequence number.
    #[error("the message ends in the middle of a field")]
    Truncated {
        /// Its sequence number, when the frame got as far.
        sequence: Option<u16>,
    },
    /// A HELLO beyond the limits; ignore it but count its sequence number.
    #[error("the message is beyond a limit: {limit}")]
    Limit {
        /// Its sequence number.
        sequence: u16,
        /// Which limit.
        limit: Limit,
    },
    /// The peer named in an ELECT or LEADER is not 32 hexadecimal digits; ignore the message but
    /// count its sequence number.
    #[error("the message names a peer by something other than 32 hexadecimal digits")]
    BadPeerId {
        /// Its sequence number.
        sequence: u16,
    },
}

impl MessageError {
    /// The sequence number the message takes up in spite of the error, if it had one.
    pub const fn sequence(&self) -> Option<u16> {
        match self {
            Self::BadSignature | Self::BadVersion { .. } => None,
            Self::Truncated { sequence } => *sequence,
            Self::Limit { sequence, .. } | Self::BadPeerId { sequence } => Some(*sequence),
        }
    }

    /// The name this cause is counted under.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::BadSignature => "message_bad_signature",
            Self::BadVersion { .. } => "message_bad_version",
            Self::Truncated { .. } => "message_truncated",
            Self::Limit { .. } => "message_over_limit",
            Self::BadPeerId { .. } => "message_bad_peer_id",
        }
    }
}

impl From<Truncated> for MessageError {
    fn from(_: Truncated) -> Self {
        Self::Truncated { sequence: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_id_is_a_command_with_its_sequence_number() {
        for id in [0, 11, 255] {
            let frame = [0xAA, 0xA1, id, 2, 0xff, 0xfe, 9, 9];
            assert_eq!(decode(&frame), Ok(Decoded { sequence: 65534, command: Command::Unknown { id } }));
        }
    }

    #[test]
    fn another_signature_or_version_is_an_error_without_a_sequence_number() {
        for frame in [&b"\xaa\xa0\x06\x02\x00\x02"[..], b"\xa1\xaa\x06\x02\x00\x02", b"GET / HTTP/1.1"] {
            assert_eq!(decode(frame), Err(MessageError::BadSignature));
        }
        for version in [0, 1, 3, 255] {
            let error = decode(&[0xAA, 0xA1, 6, version, 0, 2]).unwrap_err();
            assert_eq!((error, error.sequence()), (MessageError::BadVersion { version }, None));
        }
    }

    #[test]
    fn a_truncated_join_is_an_error_that_still_counts_in_the_sequence() {
        for frame in [
            &b"\xaa\xa1\x04\x02\x00\x07"[..],
            b"\xaa\xa1\x04\x02\x00\x07\x02G",
            b"\xaa\xa1\x04\x02\x00\x07\x02G1",
        ] {
            assert_eq!(decode(frame).unwrap_err().sequence(), Some(7));
        }
        assert_eq!(decode(b"\xaa\xa1\x04\x02\x00"), Err(MessageError::Truncated { sequence: None }));
        assert_eq!(decode(b""), Err(MessageError::Truncated { sequence: None }));
    }

    #[test]
    fn an_elect_or_leader_without_a_peer_id_is_an_error_that_still_counts_in_the_sequence() {
        let texts = [&b""[..], b"12", &[b'Z'; 32], &[0xff; 32], &[0; 255]];
        for (id, text) in [id::ELECT, id::LEADER].into_iter().flat_map(|id| texts.map(|text| (id, text))) {
            let mut frame = vec![0xAA, 0xA1, id, 2, 0, 9, 1, b'G', text.len() as u8];
            frame.extend(text);
            assert_eq!(decode(&frame), Err(MessageError::BadPeerId { sequence: 9 }));
        }
    }

    #[test]
    fn bytes_after_the_last_field_are_ignored() {
        let mut frame = Vec::new();
        let command = Command::Join { group: "G".try_into().unwrap(), status: 3 };
        command.encode(4, &mut frame);
        frame.extend([0xff; 9]);
        assert_eq!(decode(&frame), Ok(Decoded { sequence: 4, command }));
    }

    #[test]
    fn the_fast_headers_are_the_bytes_of_the_full_encoder() {
        let group = GroupName::try_from("x".repeat(255).as_str()).unwrap();
        let (mut fast, mut full) = (bytes::BytesMut::new(), Vec::new());
        put_whisper_header(&mut fast, 65535);
        Command::Whisper.encode(65535, &mut full);
        put_shout_header(&mut fast, 513, &group);
        Command::Shout { group }.encode(513, &mut full);
        assert_eq!(fast, full);
    }

    #[test]
    fn a_stamped_hello_body_is_the_hello() {
        let hello = Hello::new(Default::default()).unwrap();
        let (mut stamped, mut full) = (Vec::new(), Vec::new());
        put_hello_header(&mut stamped, 1);
        hello.encode_body(&mut stamped);
        Command::Hello(hello).encode(1, &mut full);
        assert_eq!(stamped, full);
    }

    #[test]
    fn the_fast_path_declines_what_is_not_whole_content() {
        for frame in [
            &b""[..],
            b"\xaa\xa1\x02\x02\x00",
            b"\xaa\xa1\x02\x03\x00\x01",
            b"\xaa\xa0\x02\x02\x00\x01",
            b"\xaa\xa1\x03\x02\x00\x01",
            b"\xaa\xa1\x03\x02\x00\x01\x03ab",
            b"\xaa\xa1\x04\x02\x00\x01\x01a\x00",
        ] {
            assert_eq!(decode_content(frame), None);
        }
        assert_eq!(
            decode_content(b"\xaa\xa1\x03\x02\x01\x00\x02abc"),
            Some(Content { sequence: 256, group: Some(b"ab") })
        );
    }
}
