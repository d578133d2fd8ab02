//! What hostile and unusual messages come to, beyond the golden ones.

use super::*;
use crate::{Codec, code};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use zyre_rs::Message;

fn read(text: impl Into<Message>) -> Decoded {
    decode(&text.into(), &Limits::default())
}

#[track_caller]
fn refused(text: impl Into<Message>) -> i64 {
    match read(text) {
        Decoded::One(Packet::Invalid { error, .. }) => error.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn request(text: impl Into<Message>) -> Request {
    match read(text) {
        Decoded::One(Packet::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

#[test]
fn depth_bombs_are_refused_before_they_are_parsed() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let bomb = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}", open.repeat(1_000_000));
        assert_eq!(refused(bomb), code::INVALID_REQUEST);
    }
    assert_eq!(read("[".repeat(1_000_000)), Decoded::Other);
}

#[test]
fn a_frame_over_the_limit_is_refused_and_an_ordinary_one_of_any_size_is_not() {
    let limits = Limits { frame: 200 };
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "x".repeat(200));
    let decoded = decode(&Message::from(large), &limits);
    assert!(matches!(decoded, Decoded::One(Packet::Invalid { .. })), "{decoded:?}");
    let binary: Message =
        [&br#"{"jsonrpc":"2.0","id":1,"codec":"msgpack"}"#[..], &[0; 201]].into_iter().collect();
    let decoded = decode(&binary, &limits);
    assert!(matches!(decoded, Decoded::One(Packet::Invalid { .. })), "{decoded:?}");
    assert_eq!(decode(&Message::from("{".repeat(1_000)), &limits), Decoded::Other);
}

#[test]
fn a_long_batch_is_refused_with_one_error() {
    let entry = r#"{"jsonrpc":"2.0","method":"m"}"#;
    let batch = |entries: usize| format!("[{}]", vec![entry; entries].join(","));
    assert!(matches!(read(batch(MAX_BATCH)), Decoded::Batch(packets) if packets.len() == MAX_BATCH));
    assert_eq!(refused(batch(MAX_BATCH + 1)), code::INVALID_REQUEST);
    assert_eq!(refused(batch(100_000)), code::INVALID_REQUEST);
    assert_eq!(refused(format!("{},]", batch(300).trim_end_matches(']'))), code::PARSE_ERROR);
}

#[test]
fn counts_that_lie_reserve_nothing() {
    for head in
        [[0xDD, 0xFF, 0xFF, 0xFF, 0xFF], [0xDF, 0xFF, 0xFF, 0xFF, 0xFF], [0xC6, 0xFF, 0xFF, 0xFF, 0xFF]]
    {
        let body = Body { codec: Codec::MessagePack, bytes: Bytes::copy_from_slice(&head) };
        assert!(body.decode::<Value>().is_err());
        assert!(body.decode::<Vec<()>>().is_err());
        assert!(body.to_json().is_err());
    }
}

#[test]
fn meta_is_found_wherever_it_stands_and_the_other_parameters_stay() {
    let meta = r#""_meta":{"deadline_ms":950}"#;
    for (params, expected) in [
        (format!(r#"{{"a":1,"b":2,{meta}}}"#), r#"{"a":1,"b":2}"#),
        (format!(r#"{{"a":1,{meta},"b":2}}"#), r#"{"a":1,"b":2}"#),
        (format!(r#"{{{meta},"a":1,"b":2}}"#), r#"{"a":1,"b":2}"#),
        (format!(r#"{{ {meta} , "a" : 1 , "b":2 }}"#), r#"{"a" : 1,"b":2}"#),
        (format!(r#"{{"a":1,"b":2 , {meta} }}"#), r#"{"a":1,"b":2}"#),
        (format!(r#"{{{meta}}}"#), "{}"),
        (format!(r#"{{"_meta":{{"deadline_ms":1}},"a":1,{meta}}}"#), r#"{"a":1}"#),
        (format!(r#"{{"a":"\"_meta\"","b":["_meta"],{meta}}}"#), r#"{"a":"\"_meta\"","b":["_meta"]}"#),
        (
            format!(r#"{{"_meta ":1,"a":{{{meta}}},{meta}}}"#),
            r#"{"_meta ":1,"a":{"_meta":{"deadline_ms":950}}}"#,
        ),
    ] {
        let request = request(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#));
        assert_eq!(request.meta.deadline, Some(Duration::from_millis(950)), "{params}");
        assert_eq!(&request.params.bytes[..], expected.as_bytes(), "{params}");
    }
}

#[test]
fn text_that_only_looks_like_meta_stays_a_parameter() {
    for params in [
        r#"{"a":"_meta"}"#,
        r#"["_meta",{"_meta":{"deadline_ms":1}}]"#,
        r#"{"a":{"_meta":{"deadline_ms":1}}}"#,
        r#"{"a":[{"b":1,"_meta":{"deadline_ms":1}}]}"#,
        r#"{"\u005fmeta":{"deadline_ms":1}}"#,
    ] {
        let request = request(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#));
        assert_eq!(
            (request.meta, &request.params.bytes[..]),
            (Meta::default(), params.as_bytes()),
            "{params}"
        );
    }
}

#[test]
fn a_deadline_beyond_all_bounds_is_cut_to_what_a_clock_can_take() {
    for endless in ["18446744073709551615", "1e300", "999999999999999999999999999"] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{"deadline_ms":{endless}}}}}}}"#
        );
        assert_eq!(request(text).meta.deadline, Some(Duration::from_secs(365 * 24 * 60 * 60)), "{endless}");
    }
}

#[test]
fn what_is_left_of_a_deadline_is_rounded_up() {
    for (nanos, millis) in
        [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (2_999_999_999, 3_000)]
    {
        let meta = Meta { deadline: Some(Duration::from_nanos(nanos)), ..Meta::default() };
        let message = encode_notification("m", &Body::null(), &meta);
        let read = request(message).meta.deadline;
        assert_eq!(read, Some(Duration::from_millis(millis)), "{nanos}");
    }
}

#[test]
fn a_first_attempt_is_not_mentioned() {
    for attempt in [None, Some(0), Some(1)] {
        let meta = Meta { attempt, ..Meta::default() };
        let message = encode_notification("m", &Body::null(), &meta);
        assert_eq!(message.text(), Some(r#"{"jsonrpc":"2.0","method":"m"}"#));
    }
}

#[test]
fn parameters_become_an_object_or_an_array() {
    let deadline = Meta { deadline: Some(Duration::from_millis(5)), ..Meta::default() };
    for (params, plain, with_meta) in [
        ("null", "", r#","params":{"_meta":{"deadline_ms":5}}"#),
        ("3", r#","params":[3]"#, r#","params":[3]"#),
        (r#""x""#, r#","params":["x"]"#, r#","params":["x"]"#),
        ("[1]", r#","params":[1]"#, r#","params":[1]"#),
        ("[]", r#","params":[]"#, r#","params":{"_meta":{"deadline_ms":5}}"#),
        ("{}", r#","params":{}"#, r#","params":{"_meta":{"deadline_ms":5}}"#),
        ("{ }", r#","params":{ }"#, r#","params":{"_meta":{"deadline_ms":5}}"#),
        (r#"{"a":1 }"#, r#","params":{"a":1 }"#, r#","params":{"a":1,"_meta":{"deadline_ms":5}}"#),
        (
            r#"{"_meta":{"credit":1},"a":1}"#,
            r#","params":{"_meta":{"credit":1},"a":1}"#,
            r#","params":{"a":1,"_meta":{"deadline_ms":5}}"#,
        ),
    ] {
        let body = Body { codec: Codec::Json, bytes: Bytes::from_static(params.as_bytes()) };
        for (meta, expected) in [(&Meta::default(), plain), (&deadline, with_meta)] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"m"{expected}}}"#);
            assert_eq!(encode_notification("m", &body, meta).text(), Some(&text[..]), "{params}");
        }
    }
}

#[test]
fn error_data_that_nobody_would_read_is_left_out() {
    let deep = (0..BODY_DEPTH).fold(json!([]), |inner, _| json!([inner]));
    let error = RpcError::new(code::APPLICATION, "deep").with_data(deep);
    let told = encode_error(&Id(Bytes::from_static(b"1")), &error);
    let without = r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"deep"}}"#;
    assert_eq!(told.text(), Some(without));
}

#[test]
fn an_error_is_never_larger_than_receivers_accept() {
    for (message, data) in
        [("\u{1}".repeat(100_000), 10), ("é".repeat(100_000), 300_000), (String::new(), 250_000)]
    {
        let error = RpcError::new(i64::MIN, message).with_data("x".repeat(data).into());
        let decoded = read(encode_error(&Id(Bytes::from_static(b"1")), &error));
        let Decoded::One(Packet::Response(Response { outcome: Err(told), .. })) = decoded else {
            panic!("not read as an error: {decoded:?}");
        };
        assert!(error.message.starts_with(&told.message) && told.code == i64::MIN);
        assert_eq!(told.data.is_some(), data < MAX_ERRORS);
    }
}

#[test]
fn errors_that_would_take_much_room_as_values_are_refused() {
    let error = |zeros: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":1,"message":"","data":[{}0]}}}}"#,
            "0,".repeat(zeros)
        )
    };
    assert!(matches!(read(error(MAX_ERRORS / 2 - 100)), Decoded::One(Packet::Response(_))));
    assert_eq!(refused(error(MAX_ERRORS / 2)), code::INVALID_REQUEST);
    let batch = vec![error(MAX_ERRORS / 200); 110];
    assert_eq!(refused(format!("[{}]", batch.join(","))), code::INVALID_REQUEST);
}

#[test]
fn bodies_and_short_ids_are_slices_of_their_frame() {
    let frame = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a","method":"m","params":[1,2]}"#);
    let within = |bytes: &Bytes| frame.as_ptr_range().contains(&bytes.as_ptr());
    let Request { id, params, .. } = request(frame.clone());
    assert!(within(&params.bytes) && id.is_some_and(|id| within(&id.0)));
}

#[test]
fn surrogates_are_text_only_in_pairs() {
    let pair =
        request(r#"{"jsonrpc":"2.0","id":"\ud83e\udd80","method":"\ud83e\udd80","params":["\ud800"]}"#);
    assert_eq!(pair.method, "🦀");
    assert_eq!(pair.id, Some(Id(Bytes::from_static(br#""\ud83e\udd80""#))), "echoed as it came");
    assert!(pair.params.decode::<(String,)>().is_err());
    let in_meta = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"\ud800":1,"_meta":{},"a":1}}"#;
    assert!(request(in_meta).params.decode::<Value>().is_err());
    assert_eq!(refused(r#"{"\ud800":1,"jsonrpc":"2.0"}"#), code::PARSE_ERROR);
}
