//! One message as a JSON object, and back: the frames that come out are those that went in, byte for byte.
//!
//! `{"peer":…,"name":…,"json":<payload>}` is a message of one frame that is JSON. The payload's own text stands there,
//! never a rewritten one, and reading takes that text again; JSON with white space round it is not taken for JSON, since
//! a reader of the object would drop that.
//! `{"peer":…,"name":…,"frames":[{"text":…} | {"base64":…}, …]}` is every other one: frames that are UTF-8 as text.
//! Tools that know only a few types of JSON Schema (Foxglove) want no alternatives in an array; so each frame is an object.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use zyre_rs::{Message, PeerId};

/// The schema of all messages with frames.
pub(super) const MESSAGE_SCHEMA: &str = r#"{"type":"object","title":"zyre.Message","description":"A whisper or shout: its payload as `json` if it was one frame of JSON, else its frames","properties":{"peer":{"type":"string","description":"UUID of the sender"},"name":{"type":"string","description":"Name of the sender"},"frames":{"type":"array","items":{"type":"object","properties":{"text":{"type":"string"},"base64":{"type":"string"}}}}},"required":["peer","name"]}"#;
/// The schema of events.
pub(super) const EVENT_SCHEMA: &str = r#"{"type":"object","title":"zyre.Event","description":"What a peer did","properties":{"event":{"type":"string"},"peer":{"type":"string","description":"UUID of the peer"},"name":{"type":"string"},"group":{"type":"string"},"endpoint":{"type":"string"},"headers":{"type":"object","properties":{}},"reason":{"type":"string"}},"required":["event","peer","name"]}"#;

/// Senders whose beginning of the object is kept ready.
const MAX_SENDERS: usize = 1024;

/// Writes messages as JSON objects.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    senders: HashMap<PeerId, (Arc<str>, Vec<u8>)>,
    text: Vec<u8>,
}

impl Encoder {
    /// The object of a message; valid until the next one.
    pub(crate) fn encode(&mut self, peer: PeerId, name: &Arc<str>, message: &Message) -> &[u8] {
        self.text.clear();
        let known = self.senders.get(&peer).filter(|(known, _)| known == name);
        match known {
            Some((_, head)) => self.text.extend_from_slice(head),
            None => {
                let head = head(peer, name);
                self.text.extend_from_slice(&head);
                if self.senders.len() >= MAX_SENDERS {
                    self.senders.clear();
                }
                self.senders.insert(peer, (name.clone(), head));
            }
        }
        match message.frames() {
            [frame] if is_json(frame) => {
                self.text.extend_from_slice(b"\"json\":");
                self.text.extend_from_slice(frame);
            }
            frames => {
                self.text.extend_from_slice(b"\"frames\":[");
                for (index, frame) in frames.iter().enumerate() {
                    if index > 0 {
                        self.text.push(b',');
                    }
                    write_frame(&mut self.text, frame);
                }
                self.text.push(b']');
            }
        }
        self.text.push(b'}');
        &self.text
    }
}

fn head(peer: PeerId, name: &str) -> Vec<u8> {
    let mut head = Vec::new();
    let _ = write!(head, "{{\"peer\":\"{peer}\",\"name\":");
    write_text(&mut head, name);
    head.push(b',');
    head
}

fn write_frame(out: &mut Vec<u8>, frame: &[u8]) {
    if let Ok(text) = std::str::from_utf8(frame) {
        out.extend_from_slice(b"{\"text\":");
        write_text(out, text);
    } else {
        out.extend_from_slice(b"{\"base64\":\"");
        out.extend_from_slice(STANDARD.encode(frame).as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Memory takes everything and a string is always JSON.
    let _ = text.serialize(&mut serde_json::Serializer::new(out));
}

/// Whether a frame is one JSON value and nothing round it.
fn is_json(frame: &[u8]) -> bool {
    // Without `null`, which reads back as no value at all.
    let may_begin = |byte: &u8| matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f');
    frame.first().is_some_and(may_begin)
        && frame.last().is_some_and(|byte| !byte.is_ascii_whitespace())
        && serde_json::from_slice::<&RawValue>(frame).is_ok()
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    frames: Vec<Frame<'a>>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
}

/// The message that an object was made of; `None` if it is no such object.
pub(crate) fn frames(object: &[u8]) -> Option<Message> {
    let object: Object<'_> = serde_json::from_slice(object).ok()?;
    if let Some(json) = object.json {
        return Some(Message::from(json.get()));
    }
    let frames = object.frames.into_iter().map(|frame| match frame {
        Frame { text: Some(text), .. } => Some(text.into_owned().into_bytes()),
        Frame { base64: Some(base64), .. } => STANDARD.decode(base64.as_bytes()).ok(),
        Frame { .. } => None,
    });
    let message: Message = frames.collect::<Option<Vec<_>>>()?.into_iter().collect();
    (!message.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PEER: PeerId = PeerId::from_bytes([0xAB; 16]);

    fn object(message: &Message) -> Value {
        let name: Arc<str> = "cam \"1\"".into();
        let mut encoder = Encoder::default();
        let first = encoder.encode(PEER, &name, message).to_vec();
        assert_eq!(encoder.encode(PEER, &name, message), first, "a known sender changes nothing");
        assert_eq!(frames(&first).as_ref(), Some(message), "{}", String::from_utf8_lossy(&first));
        let object: Value = serde_json::from_slice(&first).expect("JSON");
        assert_eq!((&object["peer"], &object["name"]), (&json!(PEER.to_string()), &json!(&*name)));
        object
    }

    #[test]
    fn a_frame_of_json_is_part_of_the_object_with_its_own_text() {
        for text in
            ["{}", r#"{"b":1.0,"a":[1e4, null]}"#, "42", "-0", "true", "\"a\\u0041\"", "{\"a\":1,\"a\":2}"]
        {
            let object = object(&Message::from(text));
            assert!(object.get("json").is_some() && object.get("frames").is_none(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for text in [&*deep, "[1e400]", "\"\\ud800\""] {
            let name: Arc<str> = "x".into();
            let encoded = Encoder::default().encode(PEER, &name, &Message::from(text)).to_vec();
            assert_eq!(frames(&encoded), Some(Message::from(text)));
        }
    }

    #[test]
    fn what_would_not_come_back_as_it_was_is_kept_as_frames() {
        for text in [" {}", "{}\n", "hello", "", "null", "{\"a\":}", "1 2", "\u{feff}{}", "{\"a\":1}}"] {
            assert_eq!(object(&Message::from(text))["frames"], json!([{"text": text}]), "{text:?}");
        }
        assert_eq!(object(&Message::from(b"\"\xFF\""))["frames"], json!([{"base64": "Iv8i"}]));
    }

    #[test]
    fn several_frames_come_back_as_so_many() {
        let message: Message = [&b"{}"[..], b"", b"\xFF\x00", "zwölf\n".as_bytes()].into_iter().collect();
        let expected = json!([{"text": "{}"}, {"text": ""}, {"base64": "/wA="}, {"text": "zwölf\n"}]);
        assert_eq!(object(&message)["frames"], expected);
    }

    #[test]
    fn a_name_that_changes_is_written_as_it_is_now() {
        let mut encoder = Encoder::default();
        let message = Message::from("x");
        for name in ["old", "new"] {
            let object = encoder.encode(PEER, &name.into(), &message).to_vec();
            let object: Value = serde_json::from_slice(&object).expect("JSON");
            assert_eq!(object["name"], name);
        }
    }

    #[test]
    fn an_object_that_is_no_message_gives_none() {
        for text in
            ["", "[]", "{}", r#"{"frames":[]}"#, r#"{"frames":[{}]}"#, r#"{"frames":[{"base64":"?"}]}"#]
        {
            assert_eq!(frames(text.as_bytes()), None, "{text}");
        }
    }
}
