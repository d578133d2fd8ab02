//! What holds for all bytes and all values: no panic, and what is written reads back.

use super::fixtures::fixtures;
use super::*;
use crate::Codec;
use crate::caller::CallId;
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;
use std::time::Duration;
use zyre_rs::Message;

fn read(message: &Message) -> Decoded {
    decode(message, &Limits::default())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Halves have the same text in every program.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 2.0)),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map("[a-z_\"]{0,6}", inner, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn metas() -> impl Strategy<Value = Meta> {
    let traces = (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())
        .prop_filter("zeros are no trace", |(trace, span, _)| *trace != [0; 16] && *span != [0; 8])
        .prop_map(|(trace, span, flags)| TraceParent { trace, span, flags });
    let deadlines = (0_u64..1 << 34).prop_map(Duration::from_millis);
    let options = (
        proptest::option::of(deadlines),
        proptest::option::of(2..u32::MAX),
        proptest::option::of(traces),
        proptest::option::of(any::<u32>()),
    );
    options.prop_map(|(deadline, attempt, traceparent, credit)| Meta {
        deadline,
        attempt,
        traceparent,
        credit,
    })
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::Json), Just(Codec::MessagePack)]
}

/// What JSON parameters look like after their journey.
fn as_params(value: Value, meta: &Meta) -> Value {
    match value {
        Value::Object(mut members) => {
            members.remove("_meta");
            members.into()
        }
        Value::Array(values) if values.is_empty() && !meta.is_empty() => Value::Object(Default::default()),
        Value::Null if !meta.is_empty() => Value::Object(Default::default()),
        Value::Array(_) | Value::Null => value,
        lone => vec![lone].into(),
    }
}

proptest! {
    #[test]
    fn requests_read_back(value in values(), meta in metas(), method in ".{0,60}", codec in codecs(), id: (u32, u64)) {
        let (incarnation, call) = (Incarnation(id.0), CallId(id.1));
        let params = Body::encode(codec, &value).expect("JSON can be encoded");
        let message = encode_request(&OwnId(incarnation, call), &method, &params, &meta);
        let Decoded::One(Packet::Request(request)) = read(&message) else {
            panic!("not read as a request: {message:?}");
        };
        prop_assert_eq!(parse_own(&request.id.expect("an id"), incarnation), Some(call));
        prop_assert_eq!(request.method, method);
        let is_positional = codec == Codec::Json && !matches!(value, Value::Object(_) | Value::Null)
            && value != Value::Array(Vec::new());
        prop_assert_eq!(request.meta, if is_positional { Meta::default() } else { meta.clone() });
        let expected = if codec == Codec::Json { as_params(value, &meta) } else { value };
        prop_assert_eq!(request.params.decode::<Value>(), Ok(expected));
    }

    #[test]
    fn responses_and_items_read_back(value in values(), codec in codecs(), seq: u64, text in ".{0,40}", code: i64) {
        let id = Id(Value::from(text.as_str()).to_string().into());
        let body = Body::encode(codec, &value).expect("JSON can be encoded");
        let response = |outcome| Decoded::One(Packet::Response(Response { id: id.clone(), outcome }));
        prop_assert_eq!(read(&encode_response(&id, &body)), response(Ok(body.clone())));
        let item = Packet::Item { id: id.clone(), seq, value: body };
        if let Packet::Item { value, .. } = &item {
            prop_assert_eq!(read(&encode_item(&id, seq, value)), Decoded::One(item));
        }
        let mut error = RpcError::new(code, text);
        error.data = Some(value).filter(|data| !data.is_null());
        prop_assert_eq!(read(&encode_error(&id, &error)), response(Err(error)));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(frames in vec(vec(any::<u8>(), 0..80), 0..3)) {
        read(&frames.into_iter().collect());
    }

    #[test]
    fn json_like_text_is_decoded_without_a_panic(
        parts in vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\""), Just(" "), Just("\\"), Just("1"), Just("null"),
                Just("\"jsonrpc\""), Just("\"2.0\""), Just("\"id\""), Just("\"method\""), Just("\"params\""), Just("\"_meta\""),
                Just("{\"jsonrpc\":\"2.0\","), Just("\"codec\":\"msgpack\""), Just("\u{e9}"),
            ],
            0..40,
        )
    ) {
        read(&Message::from(parts.concat()));
    }

    #[test]
    fn golden_messages_with_bytes_changed_are_decoded_without_a_panic(
        which: prop::sample::Index, changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let golden = fixtures();
        let frames = which.get(&golden).message().into_frames();
        let mut frames: Vec<Vec<u8>> = frames.iter().map(|frame| frame.to_vec()).collect();
        for frame in frames.iter_mut().filter(|frame| !frame.is_empty()) {
            for (at, value) in &changes {
                let at = at.index(frame.len());
                frame[at] = *value;
            }
        }
        if let Decoded::One(Packet::Request(request)) = read(&frames.into_iter().collect()) {
            let _ = request.params.decode::<Value>();
            let _ = request.params.to_json();
        }
    }

    #[test]
    fn any_bytes_as_msgpack_become_json_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
        let body = Body { codec: Codec::MessagePack, bytes: Bytes::from(bytes) };
        if let Ok(json) = body.to_json() {
            prop_assert!(json.decode::<Value>().is_ok());
        }
    }
}
