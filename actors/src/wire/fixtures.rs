//! The golden messages of `tests/fixtures/rpc.json`, which other implementations can be held against too.

use super::*;
use crate::Codec;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;
use zyre_rs::Message;

/// One golden message.
#[derive(Deserialize)]
pub(super) struct Fixture {
    pub(super) name: String,
    frames: Vec<Frame>,
    pub(super) decoded: Value,
    /// Written as this crate writes it.
    #[serde(default)]
    pub(super) canonical: bool,
    /// An example in docs/rpc.md.
    #[serde(default)]
    doc: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Frame {
    Text(String),
    Binary { hex: String },
}

impl Frame {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Binary { hex } => (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
                .collect(),
        }
    }
}

impl Fixture {
    pub(super) fn message(&self) -> Message {
        self.frames.iter().map(Frame::bytes).collect()
    }
}

pub(super) fn fixtures() -> Vec<Fixture> {
    serde_json::from_str(include_str!("../../tests/fixtures/rpc.json")).expect("the fixtures are JSON")
}

/// What was decoded, in the words of the fixtures.
pub(super) fn describe(decoded: &Decoded) -> Value {
    match decoded {
        Decoded::Other => json!({"kind": "other"}),
        Decoded::One(packet) => describe_packet(packet),
        Decoded::Batch(packets) => {
            json!({"kind": "batch", "entries": packets.iter().map(describe_packet).collect::<Vec<_>>()})
        }
    }
}

fn describe_packet(packet: &Packet) -> Value {
    let value = |body: &Body| body.decode::<Value>().expect("a whole body");
    let id = |id: &Id| serde_json::from_slice::<Value>(&id.0).expect("an id is JSON");
    let codec = |body: &Body| match body.codec {
        Codec::Json => "json",
        Codec::MessagePack => "msgpack",
    };
    match packet {
        Packet::Request(request) => {
            let mut told = json!({
                "kind": if request.id.is_some() { "request" } else { "notification" },
                "method": request.method,
                "codec": codec(&request.params),
                "params": value(&request.params),
            });
            if let Some(of_request) = &request.id {
                told["id"] = id(of_request);
            }
            if request.meta != Meta::default() {
                told["meta"] = describe_meta(&request.meta);
            }
            told
        }
        Packet::Response(Response { id: of_call, outcome: Ok(result) }) => {
            json!({"kind": "result", "id": id(of_call), "codec": codec(result), "result": value(result)})
        }
        Packet::Response(Response { id: of_call, outcome: Err(error) }) => {
            json!({"kind": "error", "id": id(of_call), "error": error})
        }
        Packet::Cancel { id: of_call } => json!({"kind": "cancel", "id": id(of_call)}),
        Packet::Item { id: of_call, seq, value: item } => {
            json!({"kind": "item", "id": id(of_call), "seq": seq, "codec": codec(item), "value": value(item)})
        }
        Packet::Credit { id: of_call, n } => json!({"kind": "credit", "id": id(of_call), "n": n}),
        Packet::Invalid { id: of_call, error } => {
            json!({"kind": "invalid", "code": error.code, "id": of_call.as_ref().map_or(Value::Null, id)})
        }
    }
}

fn describe_meta(meta: &Meta) -> Value {
    let mut told = Map::new();
    if let Some(deadline) = meta.deadline {
        told.insert("deadline_ms".to_owned(), json!(deadline.as_millis() as u64));
    }
    if let Some(attempt) = meta.attempt {
        told.insert("attempt".to_owned(), json!(attempt));
    }
    if let Some(traceparent) = meta.traceparent {
        told.insert("traceparent".to_owned(), json!(traceparent.to_string()));
    }
    if let Some(credit) = meta.credit {
        told.insert("credit".to_owned(), json!(credit));
    }
    told.into()
}

/// Encodes what a fixture describes.
fn encode(told: &Value) -> Message {
    let id = Id(told["id"].to_string().into());
    let codec = if told["codec"] == "msgpack" { Codec::MessagePack } else { Codec::Json };
    let body = |name: &str| Body::encode(codec, &told[name]).expect("JSON can be encoded");
    let number = |name: &str| told["meta"][name].as_u64();
    let meta = Meta {
        deadline: number("deadline_ms").map(Duration::from_millis),
        attempt: number("attempt").map(|attempt| attempt as u32),
        traceparent: told["meta"]["traceparent"].as_str().and_then(TraceParent::parse),
        credit: number("credit").map(|credit| credit as u32),
    };
    match told["kind"].as_str() {
        Some("request") => encode_request(&id, method(told), &body("params"), &meta),
        Some("notification") => encode_notification(method(told), &body("params"), &meta),
        Some("result") => encode_response(&id, &body("result")),
        Some("error") => {
            let error = serde_json::from_value(told["error"].clone()).expect("an error");
            encode_error(&id, &error)
        }
        Some("cancel") => encode_cancel(&id),
        Some("item") => encode_item(&id, told["seq"].as_u64().expect("a number"), &body("value")),
        Some("credit") => encode_credit(&id, told["n"].as_u64().expect("a number") as u32),
        Some("batch") => encode_batch(told["entries"].as_array().expect("entries").iter().map(encode)),
        kind => panic!("a {kind:?} cannot be canonical"),
    }
}

fn method(told: &Value) -> &str {
    told["method"].as_str().expect("a method")
}

#[test]
fn every_golden_message_is_decoded_as_it_says() {
    for fixture in fixtures() {
        let decoded = decode(&fixture.message(), &Limits::default());
        assert_eq!(describe(&decoded), fixture.decoded, "{}", fixture.name);
    }
}

#[test]
fn every_canonical_message_is_encoded_byte_for_byte() {
    let mut seen = 0;
    for fixture in fixtures().iter().filter(|fixture| fixture.canonical) {
        assert_eq!(encode(&fixture.decoded), fixture.message(), "{}", fixture.name);
        seen += 1;
    }
    assert!(seen >= 25, "only {seen} canonical messages");
}

#[test]
fn no_part_of_a_valid_message_is_taken_for_a_valid_message() {
    for fixture in fixtures().iter().filter(|fixture| fixture.canonical) {
        let message = fixture.message();
        let first = message[0].clone();
        for end in 0..first.len() {
            let cut: Message =
                [first.slice(..end)].into_iter().chain(message.iter().skip(1).cloned()).collect();
            let decoded = decode(&cut, &Limits::default());
            let is_refused = matches!(decoded, Decoded::Other | Decoded::One(Packet::Invalid { .. }));
            assert!(is_refused, "{} up to {end}: {decoded:?}", fixture.name);
        }
        if let Some(second) = message.get(1) {
            for end in 0..second.len() {
                let body = Body { codec: Codec::MessagePack, bytes: second.slice(..end) };
                assert!(body.decode::<Value>().is_err(), "{} up to {end}", fixture.name);
            }
            let alone = decode(&Message::from(first), &Limits::default());
            assert!(matches!(alone, Decoded::One(Packet::Invalid { .. })), "{}", fixture.name);
        }
    }
}

#[test]
fn no_golden_message_with_one_byte_changed_panics() {
    for fixture in fixtures().iter().filter(|fixture| fixture.message().size() < 300) {
        let message = fixture.message();
        let Some(first) = message.first() else { continue };
        for at in 0..first.len() {
            for value in [0, b' ', b'"', b'\\', b'{', b'}', b'[', b',', b':', b'1', b'-', 0x7F, 0x80, 0xFF] {
                let mut changed = first.to_vec();
                changed[at] = value;
                let changed: Message =
                    [Bytes::from(changed)].into_iter().chain(message.iter().skip(1).cloned()).collect();
                decode(&changed, &Limits::default());
            }
        }
    }
}

#[test]
fn the_page_for_implementers_shows_the_golden_messages_and_no_others() {
    let page = include_str!("../../../docs/rpc.md");
    let mut examples = Vec::new();
    for fixture in fixtures().iter().filter(|fixture| fixture.doc) {
        let text = fixture.message().text().expect("examples are text").to_owned();
        assert!(page.lines().any(|line| line == text), "docs/rpc.md lacks {}: {text}", fixture.name);
        examples.push(text);
    }
    for line in page.lines().filter(|line| line.starts_with(['{', '['])) {
        assert!(examples.iter().any(|example| example == line), "docs/rpc.md has its own {line}");
    }
}
