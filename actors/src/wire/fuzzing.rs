//! What `fuzz/` holds whispers against: plain JSON, another way through the same text, and the journey out and back.

use super::*;
use crate::Codec;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use zyre_rs::Message;

/// Holds every promise about one whisper; panics if one is broken.
pub fn whisper(message: &Message) {
    let decoded = decode(message, &Limits::default());
    against_plain_json(message, &decoded);
    assert_eq!(gists(&decode(&respaced(message), &Limits::default())), gists(&decoded), "with more spaces");
    packets(&decoded).iter().for_each(there_and_back);
    in_a_batch(packets(&decoded));
    let small = decode(message, &Limits { frame: 40 });
    let fits = message.iter().take(2).all(|frame| frame.len() <= 40);
    assert!(!fits || small == decoded);
    assert!(fits || matches!(small, Decoded::Other | Decoded::One(Packet::Invalid { .. })));
}

fn packets(decoded: &Decoded) -> &[Packet] {
    match decoded {
        Decoded::Other => &[],
        Decoded::One(packet) => std::slice::from_ref(packet),
        Decoded::Batch(packets) => packets,
    }
}

/// What two packets that mean the same have in common.
fn gist(packet: &Packet) -> String {
    let body = |body: &Body| format!("{:?} {:?}", body.codec, body.decode::<Value>().ok());
    match packet {
        Packet::Request(Request { id, method, params, meta }) => {
            let meta = Meta { attempt: meta.attempt.filter(|attempt| *attempt > 1), ..meta.clone() };
            format!("{id:?} {method} {} {meta:?}", body(params))
        }
        Packet::Response(Response { id, outcome: Ok(result) }) => format!("{id:?} {}", body(result)),
        Packet::Response(Response { id, outcome: Err(error) }) => {
            let said: String = error.message.chars().take(1024).collect();
            format!("{id:?} {} {said}", error.code)
        }
        Packet::Item { id, seq, value } => format!("{id:?} {seq} {}", body(value)),
        Packet::Invalid { id, error } => format!("invalid {id:?} {}", error.code),
        Packet::Cancel { .. } | Packet::Credit { .. } => format!("{packet:?}"),
    }
}

fn gists(decoded: &Decoded) -> Option<Vec<String>> {
    let is_json_rpc = !matches!(decoded, Decoded::Other);
    is_json_rpc.then(|| packets(decoded).iter().map(gist).collect())
}

/// Spaces after the first brace: the quick walk gives up, the parser does not.
fn respaced(message: &Message) -> Message {
    let mut frames: Vec<Vec<u8>> = message.iter().map(|frame| frame.to_vec()).collect();
    if let Some(first) = frames.first_mut()
        && let Some(brace) = first.iter().position(|byte| *byte == b'{')
    {
        first.splice(brace..=brace, *b"{  ");
    }
    frames.into_iter().collect()
}

fn against_plain_json(message: &Message, decoded: &Decoded) {
    let frame = message.first().map_or(&[][..], |frame| frame);
    let is_refused = matches!(decoded, Decoded::Other | Decoded::One(Packet::Invalid { .. }));
    assert!(is_refused || serde_json::from_slice::<IgnoredAny>(frame).is_ok(), "{decoded:?} is no JSON");
    match (serde_json::from_slice(frame), decoded) {
        (Ok(Value::Object(object)), Decoded::One(packet)) => means(&object, packet, frame),
        (Ok(Value::Object(object)), Decoded::Other) => {
            let is_named = frame.windows(9).any(|text| text == b"\"jsonrpc\"");
            assert!(!is_named || !object.contains_key("jsonrpc"));
        }
        (Ok(Value::Array(entries)), Decoded::Batch(packets)) => {
            assert_eq!(entries.len(), packets.len());
            for (entry, packet) in entries.iter().zip(packets) {
                if let Value::Object(object) = entry {
                    means(object, packet, frame);
                }
            }
        }
        (_, Decoded::Batch(packets)) => assert!(packets.len() <= MAX_BATCH),
        _ => {}
    }
}

/// A packet says what its members say.
fn means(object: &Map<String, Value>, packet: &Packet, frame: &[u8]) {
    let known = |id: &Id, holder: Option<&Value>| {
        assert_eq!(serde_json::from_slice::<Value>(&id.0).ok().as_ref(), holder);
    };
    let params = object.get("params");
    if !matches!(packet, Packet::Invalid { .. }) {
        assert_eq!(object.get("jsonrpc"), Some(&Value::from("2.0")));
    }
    match packet {
        Packet::Request(request) => {
            assert_eq!(object.get("method").and_then(Value::as_str), Some(&*request.method));
            assert_eq!(request.id.is_some(), object.contains_key("id"));
            if let Some(id) = &request.id {
                known(id, object.get("id"));
            }
            let mut params = params.cloned().unwrap_or_default();
            // Spelled with an escape it is a parameter.
            if request.params.codec == Codec::Json && !frame.contains(&b'\\') {
                params.as_object_mut().map(|members| members.remove("_meta"));
                assert_eq!(request.params.decode::<Value>(), Ok(params));
            }
        }
        Packet::Response(Response { id, outcome }) => {
            known(id, object.get("id"));
            match outcome {
                Ok(result) if result.codec == Codec::Json => {
                    assert_eq!(result.decode::<Value>().ok().as_ref(), object.get("result"));
                }
                Ok(_) => assert!(!object.contains_key("result")),
                Err(error) => assert_eq!(object["error"]["code"], error.code),
            }
        }
        Packet::Cancel { id } | Packet::Item { id, .. } | Packet::Credit { id, .. } => {
            known(id, params.and_then(|params| params.get("id")));
            assert!(!object.contains_key("id"), "a notification");
        }
        Packet::Invalid { id, error } => {
            assert!(error.code < 0 && !error.message.is_empty());
            if let Some(id) = id {
                known(id, object.get("id"));
            }
        }
    }
}

fn encode(packet: &Packet) -> Message {
    match packet {
        Packet::Request(Request { id: Some(id), method, params, meta }) => {
            encode_request(id, method, params, meta)
        }
        Packet::Request(Request { id: None, method, params, meta }) => {
            encode_notification(method, params, meta)
        }
        Packet::Response(Response { id, outcome: Ok(result) }) => encode_response(id, result),
        Packet::Response(Response { id, outcome: Err(error) }) => encode_error(id, error),
        Packet::Cancel { id } => encode_cancel(id),
        Packet::Item { id, seq, value } => encode_item(id, *seq, value),
        Packet::Credit { id, n } => encode_credit(id, *n),
        Packet::Invalid { id, error } => encode_error(id, error),
    }
}

/// What was read can be said again and is read the same.
fn there_and_back(packet: &Packet) {
    let Decoded::One(again) = decode(&encode(packet), &Limits::default()) else {
        panic!("{packet:?} does not come back");
    };
    if let Packet::Invalid { error, .. } = packet {
        let answers = matches!(&again, Packet::Response(Response { outcome: Err(said), .. }) if said.code == error.code);
        return assert!(answers, "{again:?}");
    }
    assert_eq!(gist(&again), gist(packet));
    if let Packet::Response(Response { outcome: Ok(result), .. }) = packet {
        as_parameters(result);
    }
    if let Packet::Request(Request { id: Some(id), params, .. }) = packet {
        if let Some(call) = parse_own(id, Incarnation(0x7F3A)) {
            assert_eq!(Id::from(OwnId(Incarnation(0x7F3A), call)), *id);
        }
        if let Ok(json) = params.to_json() {
            assert!(json.codec != params.codec || json == *params);
        }
    }
}

/// Any value can be a parameter; a lone one travels in an array.
fn as_parameters(value: &Body) {
    if value.codec == Codec::Json && json_exceeds(&value.bytes, BODY_DEPTH) {
        return;
    }
    let meta = Meta { attempt: Some(2), credit: Some(3), ..Meta::default() };
    for meta in [Meta::default(), meta] {
        let again = decode(&encode_notification("m", value, &meta), &Limits::default());
        assert!(matches!(again, Decoded::One(Packet::Request(_))), "{value:?} as {again:?}");
    }
}

/// The same within an array, for what fits there: one frame, and not deeper than an entry may be.
fn in_a_batch(packets: &[Packet]) {
    let fits = |(_, entry): &(&Packet, Message)| entry.len() == 1 && !json_exceeds(&entry[0], MAX_DEPTH - 1);
    let encoded = packets.iter().map(|packet| (packet, encode(packet)));
    let (kept, entries): (Vec<_>, Vec<_>) = encoded.filter(fits).unzip();
    if kept.is_empty() {
        return;
    }
    let Decoded::Batch(again) = decode(&encode_batch(entries), &Limits::default()) else {
        panic!("{kept:?} do not come back as a batch");
    };
    for (packet, again) in kept.iter().zip(&again) {
        assert!(
            matches!(packet, Packet::Invalid { .. }) || gist(packet) == gist(again),
            "{packet:?} {again:?}"
        );
    }
}
