//! A whisper that may be JSON-RPC. A byte 0xFF, which is in no JSON, ends frame 0; what follows is frame 1.

use crate::Target;
use serde_json::Value;
use zyre_rs::Message;
use zyre_rs::wire::vectors;

pub(crate) const TARGET: Target =
    Target { name: "rpc_envelope", run, seeds, max_len: 2048, smoke_runs: 40_000 };

fn run(data: &[u8]) {
    let frames = data.splitn(2, |byte| *byte == 0xFF).filter(|_| !data.is_empty());
    zyre_actors::fuzzing::whisper(&frames.map(<[u8]>::to_vec).collect::<Message>());
}

/// The golden whispers of the actor layer, and some that no program of ours would write.
fn seeds() -> Vec<Vec<u8>> {
    let golden: Value =
        serde_json::from_str(include_str!("../../../actors/tests/fixtures/rpc.json")).expect("it is JSON");
    let frame = |frame: &Value| match frame.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => vectors::bytes(frame["hex"].as_str().unwrap_or_default()),
    };
    let whisper = |golden: &Value| {
        let frames = golden["frames"].as_array().map_or(&[][..], Vec::as_slice);
        frames.iter().map(frame).collect::<Vec<_>>().join(&0xFF)
    };
    let golden = golden.as_array().map_or(&[][..], Vec::as_slice).iter().map(whisper);
    golden.chain(odd()).collect()
}

fn odd() -> Vec<Vec<u8>> {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let binary = |value: &[u8]| {
        [br#"{"jsonrpc":"2.0","id":1,"method":"m","codec":"msgpack"}"#, &b"\xFF"[..], value].concat()
    };
    // One of each head that MessagePack has.
    let heads: [&[u8]; 30] = [
        b"\x01",
        b"\xC0",
        b"\xC2",
        b"\xE0",
        b"\x81\xA1a\x01",
        b"\x91\x02",
        b"\xA1b",
        b"\xC4\x01x",
        b"\xC5\0\x01x",
        b"\xC6\0\0\0\x01x",
        b"\xC7\x01\x05x",
        b"\xC8\0\x01\x05x",
        b"\xC9\0\0\0\x01\x05x",
        b"\xCA\0\0\0\0",
        b"\xCB\0\0\0\0\0\0\0\0",
        b"\xCC\x01",
        b"\xCD\0\x01",
        b"\xCE\0\0\0\x01",
        b"\xCF\0\0\0\0\0\0\0\x01",
        b"\xD4\x05x",
        b"\xD5\x05xy",
        b"\xD6\x05four",
        b"\xD7\x05eight of",
        b"\xD8\x05sixteen of a kin",
        b"\xD9\x01s",
        b"\xDA\0\x01s",
        b"\xDB\0\0\0\x01s",
        b"\xDD\0\0\0\x01\x01",
        b"\xDE\0\x01\x01\x02",
        b"\xDF\0\0\0\x01\x01\x02",
    ];
    let text = |text: String| text.into_bytes();
    vec![
        binary(&[&[0xDC, 0, 30], &heads.concat()[..]].concat()),
        binary(&[0x91; 70]),
        binary(b"\x01\x02"),
        binary(b"\x92\x01"),
        binary(b"\xC1"),
        text(format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{"deadline_ms":1.5,"attempt":2,"credit":3,"traceparent":"{TRACE}","more":1}},"a":1}}}}"#
        )),
        text(format!(
            r#"{{"jsonrpc":"2.0","method":"m","params":{{"a":1,"_meta":{{"traceparent":"{}","attempt":2,"more":1}}}}}}"#,
            TRACE.to_uppercase()
        )),
        text(format!(r#"{{"jsonrpc":"2.0","id":"long","result":"{}"}}"#, "x".repeat(1100))),
        text(format!(
            r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":-1,"message":"{}","data":[1]}}}}"#,
            "y".repeat(1100)
        )),
        br#"{"jsonrpc":"2.0","id":1,"result":7}"#.to_vec(),
        br#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{},"a":1}}"#.to_vec(),
        b"{\"jsonrpc\":\"2.0\",\"id\":\"\x80\"}".to_vec(),
        Vec::new(),
    ]
}
