//! The first frame of a ZRE message: what two readers say of it, and whether it reads back.

use crate::Target;
use crate::reference::{self, Reading, Value};
use zyre_rs::GroupName;
use zyre_rs::wire::{
    Command, Content, Decoded, Hello, MessageError, Reader, decode, decode_content, put_hello_header,
    put_shout_header, put_whisper_header, vectors,
};

pub(crate) const TARGET: Target = Target {
    name: "message",
    run: check,
    seeds: || super::vectors(vectors::MESSAGES),
    max_len: 2048,
    smoke_runs: 40_000,
};

/// Holds every promise about one frame.
pub(crate) fn check(frame: &[u8]) {
    let decoded = decode(frame);
    agrees(&decoded, &reference::read(frame));
    assert_eq!(Reader::new(frame).is_empty(), frame.is_empty());
    assert_eq!(decode_content(frame), decoded.as_ref().ok().and_then(content_of), "the fast path agrees");
    match decoded {
        Ok(decoded) => reads_back(&decoded, frame.len()),
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.counter().is_empty());
            let numbered = !matches!(error, MessageError::BadSignature | MessageError::BadVersion { .. });
            assert_eq!(error.sequence().is_some(), numbered && frame.len() >= 6);
        }
    }
}

fn agrees(decoded: &Result<Decoded, MessageError>, reading: &Reading) {
    let message = match reading {
        Reading::Short => return assert_eq!(*decoded, Err(MessageError::Truncated { sequence: None })),
        Reading::Foreign => {
            let foreign =
                matches!(decoded, Err(MessageError::BadSignature | MessageError::BadVersion { .. }));
            return assert!(foreign, "{decoded:?}");
        }
        Reading::Message(message) => message,
    };
    match decoded {
        Ok(decoded) => {
            assert!(message.whole && !message.over && !message.bad_id, "{decoded:?} {message:?}");
            assert_eq!((decoded.command.id(), decoded.sequence), (message.id, message.sequence));
            assert_eq!(values(&decoded.command), message.values);
        }
        Err(MessageError::Truncated { sequence }) => {
            assert_eq!(*sequence, Some(message.sequence));
            assert!(!message.whole);
        }
        Err(MessageError::Limit { sequence, .. }) => {
            assert_eq!(*sequence, message.sequence);
            assert!(message.over);
        }
        Err(MessageError::BadPeerId { sequence }) => {
            assert_eq!(*sequence, message.sequence);
            assert!(message.bad_id);
        }
        Err(error) => panic!("{error:?} for {message:?}"),
    }
}

/// A command in the words of the reference.
fn values(command: &Command) -> Vec<Value> {
    let text = |bytes: &[u8]| Value::Text(bytes.to_vec());
    let group = |group: &GroupName| text(group.as_bytes());
    match command {
        Command::Hello(hello) => vec![
            text(&hello.endpoint),
            Value::Names(hello.groups.iter().map(|group| group.as_bytes().to_vec()).collect()),
            Value::Number(hello.status),
            text(&hello.name),
            Value::Headers(hello.headers.clone()),
        ],
        Command::Shout { group: name } => vec![group(name)],
        Command::Join { group: name, status } | Command::Leave { group: name, status } => {
            vec![group(name), Value::Number(*status)]
        }
        Command::Elect { group: name, challenger: peer } | Command::Leader { group: name, leader: peer } => {
            vec![group(name), text(peer.to_string().as_bytes())]
        }
        _ => Vec::new(),
    }
}

fn content_of(decoded: &Decoded) -> Option<Content<'_>> {
    let sequence = decoded.sequence;
    match &decoded.command {
        Command::Whisper => Some(Content { sequence, group: None }),
        Command::Shout { group } => Some(Content { sequence, group: Some(group.as_bytes()) }),
        _ => None,
    }
}

fn reads_back(decoded: &Decoded, length: usize) {
    let mut encoded = Vec::new();
    decoded.command.encode(decoded.sequence, &mut encoded);
    // A header that was there twice is gone, so are dashes in ids and bytes after the last field.
    assert!(encoded.len() <= length);
    assert_eq!(decode(&encoded).as_ref(), Ok(decoded));
    let mut pieces = Vec::new();
    match &decoded.command {
        Command::Hello(hello) => {
            assert_eq!(Hello::new(hello.clone().into_fields()).as_ref(), Ok(hello));
            assert!(hello.headers.iter().all(|(name, value)| hello.header(name) == Some(value)));
            put_hello_header(&mut pieces, decoded.sequence);
            hello.encode_body(&mut pieces);
        }
        Command::Whisper => put_whisper_header(&mut pieces, decoded.sequence),
        Command::Shout { group } => put_shout_header(&mut pieces, decoded.sequence, group),
        _ => return,
    }
    assert_eq!(pieces, encoded);
}
