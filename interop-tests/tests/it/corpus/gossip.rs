//! Gossip, at a hub and at a leaf of it.

use super::bytes::{claim, command, cuts, field, flagged, hex, long, message, odd_texts, short};
use super::case::{After, Door, Expect, Me, Table, closed, kept, nothing};

const HELLO: u8 = 1;
const PUBLISH: u8 = 2;
const PONG: u8 = 4;
const INVALID: u8 = 5;

fn head(id: u8) -> Vec<u8> {
    vec![0xAA, 0xA0, id, 1]
}

fn say(id: u8, body: &[u8]) -> Vec<u8> {
    message(&[&[&head(id)[..], body].concat()])
}

fn publish(key: &[u8], value: &[u8]) -> Vec<u8> {
    say(PUBLISH, &[&short(key)[..], &long(value), &[0; 4]].concat())
}

fn key(me: &Me) -> Vec<u8> {
    me.id.to_string().into_bytes()
}

fn endpoint(me: &Me) -> Vec<u8> {
    format!("tcp://{}", me.mailbox).into_bytes()
}

pub(super) fn hub() -> Table {
    let mut table = Table::at(Door::Hub);
    words(&mut table);
    tuples(&mut table);
    table.case("a PONG to a hub", say(PONG, b""), kept("gossip_unexpected"));
    table.case("an INVALID to a hub", say(INVALID, b""), kept("gossip_unexpected"));
    table.case("a HELLO to a hub", say(HELLO, b""), nothing("it gets the list"));
    table.case(
        "a hundred HELLOs to a hub",
        say(HELLO, b"").repeat(100),
        nothing("it gets the list a hundred times"),
    );
    frames(&mut table);
    table
}

/// The same said by a hub; each ends in a new connection, so there are fewer.
pub(super) fn leaf() -> Table {
    let mut table = Table::at(Door::Leaf);
    words(&mut table);
    tuples(&mut table);
    table.case("a PING from a hub", say(3, b""), nothing("nobody asks a leaf"));
    table.case("a HELLO from a hub", say(HELLO, b""), nothing("nobody asks a leaf"));
    table.case("an INVALID from a hub", say(INVALID, b""), nothing("it says HELLO again"));
    table
}

fn garbage() -> Expect {
    kept("gossip_garbage")
}

fn words(table: &mut Table) {
    let fields = || {
        vec![
            field("signature", [0xAA, 0xA0]),
            field("id", [PUBLISH]),
            field("version", [1]),
            field("key's length", [32]),
            field("key", *b"0123456789ABCDEF0123456789ABCDEF"),
            field("value's length", 16_u32.to_be_bytes()),
            field("value", *b"tcp://127.0.0.2:"),
            field("time to live", [0; 4]),
        ]
    };
    for (place, bytes) in cuts(&fields()) {
        table.case(format!("a PUBLISH that ends {place}"), message(&[&bytes]), garbage());
    }
    for signature in [[0xAA, 0xA1], [0xAA, 0xA2], [0xA0, 0xAA], [0, 0], [0xFF, 0xFF]] {
        let bytes = [&signature[..], &[HELLO, 1]].concat();
        table.case(
            format!("a gossip message with signature {}", hex(&signature)),
            message(&[&bytes]),
            garbage(),
        );
    }
    for version in [0, 2, 255] {
        table.case(
            format!("a gossip message of version {version}"),
            message(&[&[0xAA, 0xA0, HELLO, version]]),
            garbage(),
        );
    }
    for id in [0, 6, 7, 127, 128, 255] {
        table.case(format!("a gossip message of id {id}"), say(id, b""), garbage());
    }
    for claimed in [33, 128, 255] {
        let body = [&[claimed][..], &[b'A'; 32]].concat();
        table.case(format!("a key that claims {claimed} bytes"), say(PUBLISH, &body), garbage());
    }
    for claimed in [256, 65_536, 0x7FFF_FFFF, u32::MAX] {
        table.made(format!("a value that claims {claimed} bytes"), garbage(), move |me, _| {
            say(PUBLISH, &[&short(&key(me))[..], &claimed.to_be_bytes(), b"tcp://"].concat())
        });
    }
    table.made("a value of 4,097 bytes", garbage(), |me, _| publish(&key(me), &[b'x'; 4_097]));
    table.case("a gossip message of no bytes", message(&[b""]), garbage());
    table.case("text instead of gossip", message(&[b"hello there"]), garbage());
}

fn tuples(table: &mut Table) {
    let wrong_key = || kept("gossip_key_refused");
    for (what, text) in odd_texts() {
        table.made(format!("a key of {what}"), wrong_key(), move |me, _| publish(&text, &endpoint(me)));
    }
    for (what, text) in [
        ("nothing", &b""[..]),
        ("31 digits", &[b'A'; 31]),
        ("33 digits", &[b'A'; 33]),
        ("32 letters G", &[b'G'; 32]),
        ("16 raw bytes", &[7; 16]),
    ] {
        table.made(format!("a key of {what}"), wrong_key(), move |me, _| publish(text, &endpoint(me)));
    }
    let wrong_value = || kept("gossip_value_refused");
    for (what, text) in odd_texts() {
        table.made(format!("a value of {what}"), wrong_value(), move |me, _| publish(&key(me), &text));
    }
    for (what, text) in [
        ("nothing", &b""[..]),
        ("a host and port", b"127.0.0.2:5670"),
        ("an endpoint and a NUL", b"tcp://127.0.0.2:5670\0"),
        ("an endpoint and a line feed", b"tcp://127.0.0.2:5670\n"),
        ("an endpoint and an escape", b"tcp://127.0.0.2:5670\x1b[2J"),
        ("an endpoint that is no UTF-8", b"tcp://\xff:5670"),
    ] {
        table.made(format!("a value of {what}"), wrong_value(), move |me, _| publish(&key(me), text));
    }
    table.made("a value of 513 bytes", wrong_value(), |me, _| {
        publish(&key(me), &[&b"tcp://"[..], &[b'x'; 507]].concat())
    });
    table.made("a value of 4,096 bytes", wrong_value(), |me, _| {
        publish(&key(me), &[&b"tcp://"[..], &[b'x'; 4_090]].concat())
    });
    for text in [
        "tcp://",
        "tcp://*:*",
        "tcp://localhost:5670",
        "tcp://127.0.0.2:0",
        "tcp://127.0.0.2:65536",
        "tcp://0.0.0.0:5670",
        "ipc:///tmp/x",
        "inproc://x",
        "udp://127.0.0.2:5",
        "://",
        "tcp://[::1",
        "%s%s%n://",
    ] {
        table.made(format!("a value {text:?}"), kept("gossip_endpoint_unusable"), move |me, _| {
            publish(&key(me), text.as_bytes())
        });
    }
    table.made("a value with a key of CURVE", kept("gossip_needs_curve"), |me, _| {
        publish(&key(me), &[&endpoint(me)[..], b"|rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"].concat())
    });
    table.made("the victim at another endpoint", nothing("it knows better"), |me, _| {
        publish(me.victim.to_string().as_bytes(), &endpoint(me))
    });
    table.made("a proper tuple", nothing("it is one").then(After::Calls), |me, _| {
        publish(&key(me), &endpoint(me))
    });
    table.made(
        "a tuple whose key is in small letters",
        nothing("zyre.js writes so").then(After::Calls),
        |me, _| publish(me.id.to_string().to_lowercase().as_bytes(), &endpoint(me)),
    );
    table.made("a tuple in two frames", nothing("the first counts").then(After::Calls), |me, _| {
        let first = [&head(PUBLISH)[..], &short(&key(me)), &long(&endpoint(me)), &[0; 4]].concat();
        message(&[&first, b"more"])
    });
}

fn frames(table: &mut Table) {
    table.case("a gossip frame with flags 08", flagged(8, b"x"), closed("frame_reserved_flags"));
    table.case("a gossip message of 8,193 bytes", claim(0, 8_193), closed("frame_message_too_large"));
    table.case("a gossip message of 4 GiB", claim(0, 1 << 32), closed("frame_message_too_large"));
    table.case("a gossip message of 2^63 bytes", claim(0, 1 << 63), closed("frame_length_overflow"));
    table.case(
        "a gossip message of five frames",
        message(&[b"", b"", b"", b"", b""]),
        closed("frame_too_many_frames"),
    );
    table.case("a gossip command of 4,097 bytes", claim(4, 4_097), closed("frame_command_too_large"));
    table.case("a gossip command that goes on", flagged(5, b"\x04PING"), closed("frame_command_with_more"));
    table.case("a gossip PING that is cut", command("PING", b"\0"), closed("ping_truncated"));
    table.case("a gossip command without a name", [4, 1, 0], closed("command_nameless"));
    table.case(
        "a gossip ERROR",
        command("ERROR", b"\x02no"),
        nothing("the client says that it ends").then(After::Closed),
    );
    for at in [1, 2, 3] {
        table
            .case(
                format!("a gossip frame that ends after {at} bytes"),
                say(HELLO, b"")[..at].to_vec(),
                nothing("").and("message_cut_off").then(After::Closed),
            )
            .hang_up = true;
    }
}
