//! JSON-RPC in whispers, at a node with actors (docs/rpc.md).

use super::bytes::{message, short, zre};
use super::case::{Door, Expect, Table, kept, nothing};

/// The victim takes this much JSON in a frame.
const MAX_JSON: usize = 1 << 20;

pub(super) fn table() -> Table {
    let mut table = Table::at(Door::Entered);
    broken(&mut table);
    envelopes(&mut table);
    limits(&mut table);
    batches(&mut table);
    codecs(&mut table);
    notifications(&mut table);
    answers(&mut table);
    requests(&mut table);
    others(&mut table);
    table
}

fn invalid() -> Expect {
    kept("packets_invalid")
}

/// Whispers this text.
fn says(table: &mut Table, name: impl Into<String>, text: impl AsRef<[u8]>, expect: Expect) {
    table.case(name, whisper(&[text.as_ref()]), expect);
}

fn whisper(frames: &[&[u8]]) -> Vec<u8> {
    message(&[&[&zre(2, 2, b"")[..]], frames].concat())
}

/// An object with these members behind the version.
fn object(members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0",{members}}}"#)
}

fn broken(table: &mut Table) {
    let whole = r#"{"jsonrpc":"2.0","id":1,"method":"calc.add","params":{"a":1,"b":2}}"#;
    // The version's name is there, so that it is meant for us.
    for at in [10, 11, 12, 14, 16, 17, 18, 21, 22, 23, 24, 32, 33, 42, 43, 52, 53, 54, 57, 58, 59, 63, 65, 66]
    {
        says(table, format!("a request that ends after {at} bytes"), &whole[..at], invalid());
    }
    for (what, text) in [
        ("a comma too many", object(r#""id":1,"method":"a","#)),
        ("a comma too few", r#"{"jsonrpc":"2.0" "id":1}"#.into()),
        ("single quotes", r#"{"jsonrpc":'2.0'}"#.into()),
        ("a comment", r#"{"jsonrpc":"2.0",/* */"id":1}"#.into()),
        ("names without quotes", r#"{"jsonrpc":"2.0",id:1}"#.into()),
        ("NaN", object(r#""id":NaN,"method":"a""#)),
        ("Infinity", object(r#""id":-Infinity,"method":"a""#)),
        ("a number with a leading zero", object(r#""id":01,"method":"a""#)),
        ("a number in hexadecimal", object(r#""id":0x1,"method":"a""#)),
        ("a sign alone", object(r#""id":-,"method":"a""#)),
        ("a bare word", object(r#""id":nul,"method":"a""#)),
        ("an unknown escape", object(r#""id":"\q","method":"a""#)),
        ("half a unicode escape", object(r#""id":"\u12","method":"a""#)),
        ("a raw line feed in a string", object("\"id\":\"\n\",\"method\":\"a\"")),
        ("a raw NUL in a string", object("\"id\":\"\0\",\"method\":\"a\"")),
        ("two objects", format!("{whole}{whole}")),
        ("text behind it", format!("{whole}x")),
        ("a NUL behind it", format!("{whole}\0")),
        ("the wrong closing bracket", whole.replace("}}", "]}")),
        ("a closing bracket too many", format!("{whole}}}")),
    ] {
        says(table, format!("a request with {what}"), text, invalid());
    }
    for (what, bytes) in [
        ("FF", &b"\xff"[..]),
        ("a cut sequence", b"\xc3"),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
    ] {
        says(
            table,
            format!("a request with {what} in its UTF-8"),
            [&br#"{"jsonrpc":"2.0","id":1,"method":""#[..], bytes, b"\"}"].concat(),
            invalid(),
        );
    }
}

fn envelopes(table: &mut Table) {
    for version in ["1.0", "2", "2.00", " 2.0", "", "3.0", "2.0\\u0000"] {
        says(
            table,
            format!("version {version:?}"),
            format!(r#"{{"jsonrpc":"{version}","id":1,"method":"a"}}"#),
            invalid(),
        );
    }
    for version in ["2.0", "2", "null", "true", "[]", "{}", "-1", "1e400"] {
        says(
            table,
            format!("version {version} without quotes"),
            format!(r#"{{"jsonrpc":{version},"id":1,"method":"a"}}"#),
            invalid(),
        );
    }
    for id in ["true", "false", "[]", "{}", "[1]", r#"{"a":1}"#] {
        says(table, format!("id {id}"), object(&format!(r#""id":{id},"method":"calc.add""#)), invalid());
    }
    says(
        table,
        "an id of half a pair of surrogates",
        object(r#""id":"\ud800","method":"any.thing""#),
        nothing("an id is given back as it came"),
    );
    for method in ["null", "1", "true", "[]", "{}", r#""\ud800""#] {
        says(table, format!("method {method}"), object(&format!(r#""id":1,"method":{method}"#)), invalid());
    }
    for params in ["1", "true", r#""text""#, "-0.5"] {
        says(
            table,
            format!("params {params}"),
            object(&format!(r#""id":1,"method":"any.thing","params":{params}"#)),
            invalid(),
        );
    }
    for (name, members) in [
        ("nothing else", r#""x":1"#),
        ("an id alone", r#""id":1"#),
        ("params alone", r#""id":1,"params":[]"#),
        ("a method and a result", r#""id":1,"method":"a","result":1"#),
        ("a method and an error", r#""id":1,"method":"a","error":{"code":1,"message":""}"#),
        ("a result and an error", r#""id":1,"result":1,"error":{"code":1,"message":""}"#),
        ("an id twice", r#""id":1,"id":2,"method":"a""#),
        ("a method twice", r#""id":1,"method":"a","method":"b""#),
        ("params twice", r#""id":1,"method":"a","params":[],"params":[]"#),
        ("a second version", r#""jsonrpc":"2.0","id":1,"method":"a""#),
        ("a result without id", r#""result":1"#),
        ("an error without id", r#""error":{"code":1,"message":""}"#),
        ("an error that is text", r#""id":1,"error":"no""#),
        ("an error that is null", r#""id":1,"error":null"#),
        ("an error without code", r#""id":1,"error":{"message":""}"#),
        ("an error without message", r#""id":1,"error":{"code":1}"#),
        ("an error with a code of text", r#""id":1,"error":{"code":"1","message":""}"#),
        ("an error with a code beyond 64 bits", r#""id":1,"error":{"code":1e30,"message":""}"#),
        ("an error with a message of a number", r#""id":1,"error":{"code":1,"message":1}"#),
    ] {
        says(table, format!("an object with {name}"), object(members), invalid());
    }
    says(table, "an empty object with a version", r#"{"jsonrpc":"2.0"}"#, invalid());
}

fn limits(table: &mut Table) {
    let deep = |open: &str, close: &str, depth: usize| {
        object(&format!(
            r#""id":1,"method":"any.thing","params":{}{}"#,
            open.repeat(depth),
            close.repeat(depth)
        ))
    };
    for depth in [64, 65, 1_000, 100_000] {
        says(table, format!("params of {depth} arrays in one another"), deep("[", "]", depth), invalid());
    }
    says(table, "params of 100,000 open arrays", deep("[", "", 100_000), invalid());
    says(table, "params of 50,000 open objects", deep(r#"{"a":"#, "", 50_000), invalid());
    says(table, "params of 62 arrays in one another", deep("[", "]", 62), nothing("62 are accepted"));
    says(
        table,
        "a frame of 1 MiB and a byte",
        {
            let empty = object(r#""id":1,"method":"any.thing","params":[""]"#);
            empty.replace(r#"[""]"#, &format!(r#"["{}"]"#, "x".repeat(MAX_JSON + 1 - empty.len())))
        },
        invalid(),
    );
    says(
        table,
        "a frame of 1 MiB",
        {
            let empty = object(r#""id":1,"method":"any.thing","params":[""]"#);
            empty.replace(r#"[""]"#, &format!(r#"["{}"]"#, "x".repeat(MAX_JSON - empty.len())))
        },
        nothing("1 MiB is what this node accepts"),
    );
    for length in [256, 1_000, 100_000] {
        says(
            table,
            format!("a method of {length} bytes"),
            object(&format!(r#""id":1,"method":"{}""#, "m".repeat(length))),
            invalid(),
        );
    }
    says(
        table,
        "a method of 255 bytes",
        object(&format!(r#""id":1,"method":"{}""#, "m".repeat(255))),
        kept("methods_unknown"),
    );
    for length in [300, 100_000] {
        says(
            table,
            format!("an id of {length} bytes"),
            object(&format!(r#""id":"{}","method":"any.thing""#, "i".repeat(length))),
            invalid(),
        );
    }
    says(
        table,
        "an id of 400 digits",
        object(&format!(r#""id":{},"method":"any.thing""#, "1".repeat(400))),
        invalid(),
    );
    says(
        table,
        "an error of 300 KiB",
        object(&format!(r#""id":1,"error":{{"code":1,"message":"{}"}}"#, "e".repeat(300 << 10))),
        invalid(),
    );
}

fn batches(table: &mut Table) {
    let request = object(r#""id":1,"method":"any.thing""#);
    let of = |entries: &[&str]| format!("[{}]", entries.join(","));
    says(table, "a batch of 257", of(&vec![request.as_str(); 257]), invalid());
    says(table, "a batch of 10,000", of(&vec![request.as_str(); 10_000]), invalid());
    says(table, "half a batch", format!("[{request},"), invalid());
    says(table, "a batch that is not closed", format!("[{request}"), invalid());
    says(table, "a batch with a comma too many", format!("[{request},]"), invalid());
    for (what, entry) in [
        ("a number", "1"),
        ("null", "null"),
        ("text", r#""text""#),
        ("an empty array", "[]"),
        ("an empty object", "{}"),
        ("a batch", "[{}]"),
    ] {
        says(table, format!("a batch with {what}"), of(&[&request, entry]), invalid());
    }
    says(
        table,
        "a batch with three broken requests",
        of(&[&object(r#""id":{}"#), &object(r#""method":1"#), &object("\"x\":1")]),
        nothing("").and_times("packets_invalid", 3..=3),
    );
    says(table, "two batches", format!("{0}{0}", of(&[&request])), invalid());
}

fn codecs(table: &mut Table) {
    let request = |codec: &str| object(&format!(r#""id":1,"codec":{codec},"method":"any.thing""#));
    for codec in [r#""pickle""#, r#""""#, r#""JSON""#, r#""cbor""#, "1", "null", "[]", "{}"] {
        says(table, format!("codec {codec}"), request(codec), invalid());
    }
    says(table, "MessagePack without a frame for it", request(r#""msgpack""#), invalid());
    let packed = |bytes: &[u8]| whisper(&[request(r#""msgpack""#).as_bytes(), bytes]);
    let both = object(r#""id":1,"codec":"msgpack","method":"any.thing","params":[1]"#);
    table.case("parameters in both frames", whisper(&[both.as_bytes(), b"\x90"]), invalid());
    table.case("a MessagePack frame of 1 MiB and a byte", packed(&vec![0xC0; MAX_JSON + 1]), invalid());
}

fn notifications(table: &mut Table) {
    let note = |name: &str, params: &str| object(&format!(r#""method":"rpc.{name}","params":{params}"#));
    for name in ["cancel", "item", "credit"] {
        for params in ["null", "[]", "{}", r#"{"id":{}}"#, r#"{"id":[]}"#, r#"{"id":true}"#] {
            says(table, format!("rpc.{name} with {params}"), note(name, params), invalid());
        }
    }
    for (name, params) in [
        ("item", r#"{"id":1}"#),
        ("item", r#"{"id":1,"seq":-1}"#),
        ("item", r#"{"id":1,"seq":1.5}"#),
        ("item", r#"{"id":1,"seq":"1"}"#),
        ("item", r#"{"id":1,"seq":18446744073709551616}"#),
        ("credit", r#"{"id":1}"#),
        ("credit", r#"{"id":1,"n":-1}"#),
        ("credit", r#"{"id":1,"n":1.5}"#),
        ("credit", r#"{"id":1,"n":4294967296}"#),
        ("credit", r#"{"id":1,"n":"1"}"#),
    ] {
        says(table, format!("rpc.{name} with {params}"), note(name, params), invalid());
    }
    for id in ["1", r#""x""#, r#""00000000-1""#, "-1"] {
        says(
            table,
            format!("an item of call {id}, which nobody made"),
            note("item", &format!(r#"{{"id":{id},"seq":0,"value":1}}"#)),
            kept("items_unknown"),
        );
        says(
            table,
            format!("credit for call {id}, which nobody serves"),
            note("credit", &format!(r#"{{"id":{id},"n":4294967295}}"#)),
            kept("credits_unknown"),
        );
        says(
            table,
            format!("a cancel of call {id}, which nobody serves"),
            note("cancel", &format!(r#"{{"id":{id}}}"#)),
            kept("cancels_too_late"),
        );
    }
    for method in ["no.such", "rpc.no_such", "", "rpc.", "\\u0000"] {
        says(
            table,
            format!("notification {method:?}"),
            object(&format!(r#""method":"{method}""#)),
            kept("methods_unknown"),
        );
    }
}

fn answers(table: &mut Table) {
    for id in [
        "1",
        "0",
        "-1",
        "1.5",
        "null",
        r#""""#,
        r#""x""#,
        r#""00000000-1""#,
        r#""ffffffff-ffffffffffffffff""#,
    ] {
        says(
            table,
            format!("a result for {id}, which nobody asked"),
            object(&format!(r#""id":{id},"result":1"#)),
            kept("responses_unknown"),
        );
        says(
            table,
            format!("an error for {id}, which nobody asked"),
            object(&format!(r#""id":{id},"error":{{"code":-32001,"message":""}}"#)),
            kept("responses_unknown"),
        );
    }
}

fn requests(table: &mut Table) {
    for method in [
        "no.such",
        "calc",
        "calc.",
        "calc.add.x",
        "CALC.ADD",
        "calc.sub",
        "rpc.no_such",
        "",
        "../etc/passwd",
        "\\u0000",
        "\\u001b[2J",
        "_",
        ".",
    ] {
        says(
            table,
            format!("method {method:?}"),
            object(&format!(r#""id":1,"method":"{method}""#)),
            kept("methods_unknown"),
        );
    }
    for params in [
        "[]",
        "[1]",
        "[1,2,3]",
        "{}",
        r#"{"a":1}"#,
        r#"{"a":"1","b":2}"#,
        r#"{"a":1.5,"b":2}"#,
        r#"{"a":9223372036854775808,"b":1}"#,
        r#"{"a":null,"b":null}"#,
        r#"{"a":[1],"b":{}}"#,
        "null",
    ] {
        says(
            table,
            format!("calc.add of {params}"),
            object(&format!(r#""id":1,"method":"calc.add","params":{params}"#)),
            nothing("the caller gets -32602"),
        );
    }
    for meta in [
        "1",
        "null",
        "[]",
        r#"{"deadline_ms":-1}"#,
        r#"{"deadline_ms":1e99}"#,
        r#"{"deadline_ms":"x"}"#,
        r#"{"credit":-1}"#,
        r#"{"credit":"x"}"#,
        r#"{"traceparent":"x"}"#,
        r#"{"idempotency_key":1}"#,
    ] {
        says(
            table,
            format!("_meta of {meta}"),
            object(&format!(r#""id":1,"method":"any.thing","params":{{"_meta":{meta}}}"#)),
            nothing("what it cannot read there it does without"),
        );
    }
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("a byte that is none", b"\xc1"),
        ("half a map", b"\x82\xa1a"),
        ("4 billion entries claimed", b"\xdd\xff\xff\xff\xff"),
        ("4 GiB of text claimed", b"\xdb\xff\xff\xff\xff"),
        ("4 GiB of bytes claimed", b"\xc6\xff\xff\xff\xff"),
        ("10,000 arrays in one another", &[0x91; 10_000]),
    ] {
        let request = object(r#""id":1,"codec":"msgpack","method":"calc.add""#);
        table.case(
            format!("MessagePack of {what}"),
            whisper(&[request.as_bytes(), bytes]),
            nothing("the caller gets -32602"),
        );
    }
    let request = object(r#""id":7,"method":"any.thing""#);
    table.case(
        "a request in a shout",
        message(&[&zre(3, 2, &short(b"all")), request.as_bytes()]),
        nothing("calls are whispered").and("SHOUT"),
    );
}

/// Not JSON-RPC: for the application.
fn others(table: &mut Table) {
    let other = || nothing("it is no JSON-RPC, and the application's").and("WHISPER");
    for (what, text) in [
        ("nothing", ""),
        ("an empty object", "{}"),
        ("an empty array", "[]"),
        ("another object", r#"{"hello":"world"}"#),
        ("the word alone", r#""jsonrpc""#),
        ("an open brace", "{"),
        ("an array of the word", r#"["jsonrpc"]"#),
        ("the word as a value", r#"{"a":"jsonrpc"}"#),
        ("the word inside", r#"{"a":{"jsonrpc":"2.0"}}"#),
        ("XML", r#"<?xml version="1.0"?><methodCall/>"#),
    ] {
        says(table, format!("a whisper of {what}"), text, other());
    }
    table.case("a whisper without a frame", whisper(&[]), other());
    table.case(
        "a request in the second frame",
        whisper(&[b"", object(r#""id":1,"method":"any.thing""#).as_bytes()]),
        other(),
    );
    table.case("a whisper of 100,000 zeros", whisper(&[&vec![0; 100_000]]), other());
}
