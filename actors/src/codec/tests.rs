use super::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Say(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ping;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct List {
    #[serde(default)]
    all: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f32),
    Line { from: (i8, i8), to: (i8, i8) },
    Within(Box<Shape>),
}

fn json(text: &'static str) -> Body {
    Body { codec: Codec::Json, bytes: Bytes::from_static(text.as_bytes()) }
}

#[test]
fn parameters_are_read_by_name_and_by_position() {
    let add = Add { a: 1, b: 2 };
    assert_eq!(json(r#"{"b":2,"a":1}"#).decode(), Ok(add));
    assert_eq!(json("[1,2]").decode(), Ok(Add { a: 1, b: 2 }));
    assert_eq!(json("[1,2]").decode(), Ok((1, 2)));
    assert!(json(r#"{"a":1,"b":2,"c":3}"#).decode::<Add>().is_err());
    assert!(json("[1,2,3]").decode::<Add>().is_err());
}

#[test]
fn a_lone_value_is_read_out_of_an_array_of_one() {
    assert_eq!(json(r#"["hi"]"#).decode(), Ok(Say("hi".to_owned())));
    assert_eq!(json(r#""hi""#).decode(), Ok(Say("hi".to_owned())));
    assert_eq!(json("[[1,2]]").decode(), Ok(Add { a: 1, b: 2 }));
    assert_eq!(json("[[1]]").decode(), Ok(vec![vec![1]]));
    assert!(json(r#"["hi","ho"]"#).decode::<Say>().is_err());
}

#[test]
fn nothing_is_read_in_each_of_its_forms() {
    for nothing in ["null", "{}", "[]", "{ }", "[ ]"] {
        assert_eq!(json(nothing).decode(), Ok(Ping), "{nothing}");
        assert_eq!(json(nothing).decode(), Ok(()), "{nothing}");
        assert_eq!(json(nothing).decode(), Ok(List { all: false }), "{nothing}");
        assert_eq!(json(nothing).decode(), Ok(None::<u8>), "{nothing}");
        assert!(json(nothing).decode::<Add>().is_err(), "{nothing}");
    }
}

#[test]
fn the_reason_is_that_of_the_body_as_it_came_and_bounded() {
    let error = json(r#"[{"a":1}]"#).decode::<Add>().expect_err("no numbers");
    assert!(error.to_string().contains("invalid type: map, expected i64"), "{error}");
    let long = serde_json::to_vec(&json!({"\n".repeat(10_000): 1})).expect("JSON");
    let error = Body { codec: Codec::Json, bytes: long.into() }.decode::<Add>().expect_err("another member");
    assert!(error.to_string().len() <= 4 * MAX_REASON && !error.to_string().contains('\n'), "{error}");
}

/// Encoded in both ways and rewritten from one to the other, a value stays what it was.
#[track_caller]
fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
    let binary = Body::encode(Codec::MessagePack, &value).expect("it can be encoded");
    assert_eq!(binary.decode::<T>().as_ref(), Ok(&value));
    let rewritten = binary.to_json().expect("it can be rewritten");
    assert_eq!(rewritten.codec, Codec::Json);
    assert_eq!(rewritten.decode::<T>().as_ref(), Ok(&value), "{rewritten:?}");
    assert_eq!(Body::encode(Codec::Json, &value).expect("it can be encoded").decode::<T>(), Ok(value));
}

#[test]
fn a_value_survives_being_rewritten_for_a_peer_that_knows_only_json() {
    survives(Add { a: i64::MIN, b: i64::MAX });
    survives(Say("zwölf".to_owned()));
    survives(Ping);
    survives((u64::MAX, 0.1_f32, 1e300_f64, 'é', true, None::<u8>, Some(1)));
    survives(BTreeMap::from([(-1, vec![1_u8, 255]), (7, Vec::new())]));
    survives(BTreeMap::from([(true, "x".to_owned())]));
    survives(Shape::Within(Box::new(Shape::Line { from: (1, -2), to: (3, 4) })));
    survives(vec![Shape::Point, Shape::Circle(1.5)]);
    survives(IpAddr::from([192, 0, 2, 1]));
    survives(json!({"a": [1, -1, 1.5, null, {"b": "c"}]}));
}

#[test]
fn structs_are_maps_in_messagepack_so_that_fields_may_be_added() {
    let body = Body::encode(Codec::MessagePack, &Add { a: 1, b: 2 }).expect("it can be encoded");
    assert_eq!(body.as_bytes(), b"\x82\xa1a\x01\xa1b\x02");
    let more = Body::encode(Codec::MessagePack, &json!({"a": 1, "all": true})).expect("it can be encoded");
    assert_eq!(more.decode(), Ok(List { all: true }));
}

#[test]
fn what_is_nested_too_deeply_is_neither_sent_nor_read() {
    let nested = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    for codec in [Codec::Json, Codec::MessagePack] {
        let body = Body::encode(codec, &nested(BODY_DEPTH)).expect("as deep as allowed");
        assert_eq!(body.decode::<Value>(), Ok(nested(BODY_DEPTH)));
        assert_eq!(Body::encode(codec, &nested(BODY_DEPTH + 1)), Err(EncodeError::TooDeep));
    }
    // The decoder's own limit does not count enums.
    let bomb = b"\x81\xa6Within".repeat(1_000_000);
    let bomb = Body { codec: Codec::MessagePack, bytes: bomb.into() };
    assert!(bomb.decode::<Shape>().is_err());
    assert!(bomb.to_json().is_err());
}

#[test]
fn what_cannot_be_expressed_is_an_error() {
    let by_pair = BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(Body::encode(Codec::Json, &by_pair), Err(EncodeError::Unsupported(_))));
    let body = Body::encode(Codec::MessagePack, &by_pair).expect("MessagePack has such maps");
    assert!(body.to_json().is_err());
    let extension = Body { codec: Codec::MessagePack, bytes: Bytes::from_static(&[0xD4, 1, 2]) };
    assert!(extension.to_json().is_err());
}
