//! READY, and what else comes before it (attack row T3, RFC 37 "commands" and "metadata").

use super::attacker::{identity, ready_of};
use super::bytes::{claim, command, field, flagged, hex, joined, message, property, short};
use super::case::{Door, Expect, Me, Table, closed, kept, nothing};

pub(super) fn table() -> Table {
    let mut table = Table::at(Door::Greeted);
    socket_types(&mut table);
    identities(&mut table);
    names(&mut table);
    numbers(&mut table);
    lengths(&mut table);
    commands(&mut table);
    headers(&mut table);
    table
}

fn socket_type(value: &[u8]) -> Vec<u8> {
    property(b"Socket-Type", value)
}

fn dealer() -> Vec<u8> {
    socket_type(b"DEALER")
}

fn id_of(me: &Me) -> Vec<u8> {
    property(b"Identity", &identity(me.id))
}

/// A READY of these properties.
fn ready(
    table: &mut Table,
    name: impl Into<String>,
    expect: Expect,
    properties: impl Fn(&Me) -> Vec<Vec<u8>> + Send + Sync + 'static,
) {
    table.made(name, expect, move |me, _| command("READY", &properties(me).concat()));
}

fn socket_types(table: &mut Table) {
    let others = [
        "REQ",
        "REP",
        "PUB",
        "SUB",
        "XPUB",
        "XSUB",
        "PUSH",
        "PULL",
        "PAIR",
        "ROUTER",
        "STREAM",
        "CLIENT",
        "SERVER",
        "RADIO",
        "DISH",
        "GATHER",
        "SCATTER",
        "PEER",
        "CHANNEL",
        "DGRAM",
        "",
        "dealer",
        "Dealer",
        "DEALER ",
        " DEALER",
        "DEALER\0",
        "DEALE",
        "DEALERS",
        "\x1b[31mDEALER",
    ];
    for other in others {
        ready(table, format!("socket type {other:?}"), closed("handshake_socket_type_mismatch"), move |me| {
            vec![socket_type(other.as_bytes()), id_of(me)]
        });
    }
    ready(table, "a socket type that is no UTF-8", closed("handshake_socket_type_mismatch"), |me| {
        vec![socket_type(b"\xff\xfe"), id_of(me)]
    });
    ready(table, "a socket type of 3,900 bytes", closed("handshake_socket_type_mismatch"), |me| {
        vec![socket_type(&[b'D'; 3_900]), id_of(me)]
    });
    ready(table, "no socket type", closed("handshake_no_socket_type"), |me| vec![id_of(me)]);
    ready(table, "no property at all", closed("handshake_no_socket_type"), |_| Vec::new());
    ready(table, "the socket type under another name", closed("handshake_no_socket_type"), |me| {
        vec![property(b"Socket_Type", b"DEALER"), id_of(me)]
    });
}

fn identities(table: &mut Table) {
    ready(table, "no identity", closed("handshake_not_a_node"), |_| vec![dealer()]);
    for length in [0, 1, 2, 15, 16, 18, 32, 33, 254, 255] {
        ready(table, format!("an identity of {length} bytes"), closed("handshake_not_a_node"), move |_| {
            vec![dealer(), property(b"Identity", &vec![1; length])]
        });
    }
    for length in [256, 257, 1_000, 4_000] {
        ready(
            table,
            format!("an identity of {length} bytes"),
            closed("handshake_identity_too_long"),
            move |_| vec![dealer(), property(b"Identity", &vec![1; length])],
        );
    }
    for first in [0, 2, 0x7F, 0xFF] {
        ready(
            table,
            format!("an identity that begins with {first:02X}"),
            kept("identity_prefix"),
            move |me| {
                vec![dealer(), property(b"Identity", &[&[first], me.id.as_bytes().as_slice()].concat())]
            },
        );
    }
    ready(table, "the UUID as 32 hexadecimal digits", closed("handshake_not_a_node"), |me| {
        vec![dealer(), property(b"Identity", me.id.to_string().as_bytes())]
    });
    ready(table, "the identity before the socket type", nothing("the order is free"), |me| {
        vec![id_of(me), dealer()]
    });
}

fn names(table: &mut Table) {
    let wrong = || closed("ready_invalid_property_name");
    let invalid: [&[u8]; 14] = [
        b"",
        b" ",
        b"\0",
        b"a b",
        b"a\0",
        b"a:b",
        b"a/b",
        b"a=b",
        b"a\nb",
        b"\x1b[2J",
        b"\x7f",
        b"\xff",
        b"gr\xc3\xbc",
        b"a,b",
    ];
    for name in invalid {
        let shown = hex(name);
        ready(table, format!("a property named {shown:?}, in hexadecimal"), wrong(), move |me| {
            vec![dealer(), id_of(me), property(name, b"1")]
        });
    }
    ready(table, "a property name of 255 bytes", nothing("255 are permitted"), |me| {
        vec![dealer(), id_of(me), property(&[b'X'; 255], b"1")]
    });
    ready(table, "a property of every permitted sign", nothing("-_.+ are permitted"), |me| {
        vec![dealer(), id_of(me), property(b"X-a_0.9+Z", b"\0\xff")]
    });
    ready(table, "names in capitals", nothing("names are compared without regard to case"), |me| {
        vec![property(b"SOCKET-TYPE", b"DEALER"), property(b"IDENTITY", &identity(me.id))]
    });
    ready(table, "names in small letters", nothing("names are compared without regard to case"), |me| {
        vec![property(b"socket-type", b"DEALER"), property(b"identity", &identity(me.id))]
    });
    let twice = || closed("ready_duplicate_property");
    ready(table, "the socket type twice", twice(), |me| vec![dealer(), dealer(), id_of(me)]);
    ready(table, "two socket types", twice(), |me| vec![dealer(), socket_type(b"ROUTER"), id_of(me)]);
    ready(table, "the identity twice", twice(), |me| vec![dealer(), id_of(me), id_of(me)]);
    ready(table, "two identities", twice(), |me| {
        vec![dealer(), id_of(me), property(b"Identity", &identity(me.good))]
    });
    ready(table, "an identity in two cases", twice(), |me| {
        vec![dealer(), id_of(me), property(b"iDENTITY", b"")]
    });
    ready(table, "an unknown property twice", twice(), |me| {
        vec![dealer(), id_of(me), property(b"X", b"1"), property(b"x", b"2")]
    });
}

fn numbers(table: &mut Table) {
    let many = |count: usize| (0..count).map(|n| property(format!("X-{n}").as_bytes(), b""));
    ready(table, "32 properties", nothing("32 are accepted"), move |me| {
        [dealer(), id_of(me)].into_iter().chain(many(30)).collect()
    });
    for count in [33, 34, 100, 400] {
        ready(table, format!("{count} properties"), closed("ready_too_many_properties"), move |me| {
            [dealer(), id_of(me)].into_iter().chain(many(count - 2)).collect()
        });
    }
}

/// Lengths that lie, and ends in every place.
fn lengths(table: &mut Table) {
    let cut = || closed("ready_truncated");
    let fields = |me: &Me| {
        vec![
            field("first name's length", [11]),
            field("first name", *b"Socket-Type"),
            field("first value's length", 6_u32.to_be_bytes()),
            field("first value", *b"DEALER"),
            field("second name's length", [8]),
            field("second name", *b"Identity"),
            field("second value's length", 17_u32.to_be_bytes()),
            field("second value", identity(me.id)),
        ]
    };
    let mut at = 0;
    for part in fields(&Me::nobody()) {
        let (name, middle) = (part.name, at + part.bytes.len() / 2);
        for end in [at].into_iter().chain((middle > at).then_some(middle)).filter(|end| *end > 0) {
            // Between the properties it is whole, and lacks one of them.
            let expect = if name == "second name's length" { closed("handshake_not_a_node") } else { cut() };
            table.made(format!("READY that ends {end} bytes in, at its {name}"), expect, move |me, _| {
                command("READY", &joined(&fields(me))[..end])
            });
        }
        at += part.bytes.len();
    }
    for claimed in [18, 19, 255, 256, 65_535, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        table.made(format!("an identity that claims {claimed} bytes"), cut(), move |me, _| {
            let identity = [&short(b"Identity")[..], &claimed.to_be_bytes(), &identity(me.id)].concat();
            command("READY", &[dealer(), identity].concat())
        });
    }
    for claimed in [7, 30, 0x0100_0000, u32::MAX] {
        table.made(format!("a socket type that claims {claimed} bytes"), cut(), move |_, _| {
            command("READY", &[&short(b"Socket-Type")[..], &claimed.to_be_bytes(), b"DEALER"].concat())
        });
    }
    table.made("an identity that claims 16 of its 17 bytes", cut(), |me, _| {
        let identity = [&short(b"Identity")[..], &16_u32.to_be_bytes(), &identity(me.id)].concat();
        command("READY", &[dealer(), identity].concat())
    });
    table.made("a name that claims 255 bytes", cut(), |me, _| {
        command("READY", &[&[255][..], &ready_of(me)].concat())
    });
}

fn commands(table: &mut Table) {
    let unexpected = || closed("handshake_unexpected_command");
    for name in [
        "HELLO",
        "WELCOME",
        "INITIATE",
        "MESSAGE",
        "SUBSCRIBE",
        "CANCEL",
        "PONG",
        "ready",
        "READYY",
        "READ",
        "\0",
        "\x1b[2J",
    ] {
        table.made(format!("command {name:?} instead of READY"), unexpected(), move |me, _| {
            command(name, &ready_of(me))
        });
    }
    table.case("a PING before READY", command("PING", b"\0\0"), unexpected());
    table.case("a PING without its time", command("PING", b""), closed("ping_truncated"));
    table.case("a PING with half of its time", command("PING", b"\0"), closed("ping_truncated"));
    table.case(
        "a PING with a context of 17 bytes",
        command("PING", &[0; 19]),
        closed("ping_context_too_long"),
    );
    table.case("a command of 255 bytes name", command(&"N".repeat(255), b""), unexpected());
    table.case("an ERROR with a reason", command("ERROR", b"\x04nope"), closed("handshake_refused"));
    table.case("an ERROR with an empty reason", command("ERROR", b"\0"), closed("handshake_refused"));
    table.case(
        "an ERROR with a reason of control characters",
        command("ERROR", b"\x05\x1b[2J\x07"),
        closed("handshake_refused"),
    );
    table.case("an ERROR without a reason", command("ERROR", b""), closed("error_truncated"));
    table.case(
        "an ERROR that claims more reason than it has",
        command("ERROR", b"\xffno"),
        closed("error_truncated"),
    );
    table.case("a command without a name", [4, 1, 0], closed("command_nameless"));
    table.case("an empty command", [4, 0], closed("command_nameless"));
    table.case("a command whose name is longer than it", b"\x04\x06\x09READY", closed("command_nameless"));
    table.made("READY in a message frame", closed("handshake_message_before_ready"), |me, _| {
        message(&[&[&short(b"READY")[..], &ready_of(me)].concat()])
    });
    table.case("an empty message", [0, 0], closed("handshake_message_before_ready"));
    table.case("a message that goes on", [1, 0], closed("handshake_message_before_ready"));
    table.case(
        "a ZRE PING before READY",
        message(&[b"\xaa\xa1\x06\x02\x00\x01"]),
        closed("handshake_message_before_ready"),
    );
    table.made(
        "READY twice",
        nothing("a command that has no meaning in a session is passed over"),
        |me, _| [command("READY", &ready_of(me)), command("READY", &ready_of(me))].concat(),
    );
    table.made("READY with a long header", nothing("a short body may have one"), |me, _| {
        let body = [&short(b"READY")[..], &ready_of(me)].concat();
        [&claim(4, body.len() as u64)[..], &body].concat()
    });
}

fn headers(table: &mut Table) {
    for flags in [0x08, 0x10, 0x20, 0x40, 0x80, 0x0C, 0x14, 0x24, 0x44, 0x84, 0xFC, 0xFF] {
        table.case(
            format!("flags {flags:02X} before READY"),
            flagged(flags, b"\x05READY"),
            closed("frame_reserved_flags"),
        );
    }
    table.case("READY with the MORE flag", flagged(5, b"\x05READY"), closed("frame_command_with_more"));
    table.case("a long READY with the MORE flag", claim(5, 6), closed("frame_command_with_more"));
    for length in [4_097, 65_536, 1 << 20, 1 << 32, (1 << 32) + 6, 1 << 62, i64::MAX as u64] {
        table.case(
            format!("a command that claims {length} bytes"),
            claim(4, length),
            closed("frame_command_too_large"),
        );
    }
    for length in [1 << 63, u64::MAX] {
        table.case(
            format!("a command that claims {length} bytes"),
            claim(4, length),
            closed("frame_length_overflow"),
        );
        table.case(
            format!("a message that claims {length} bytes"),
            claim(0, length),
            closed("frame_length_overflow"),
        );
    }
    for length in [0, 65_536, 1 << 34] {
        table.case(
            format!("a message that claims {length} bytes"),
            claim(0, length),
            closed("handshake_message_before_ready"),
        );
    }
    table.made("READY of the most bytes", nothing("4,096 bytes are accepted"), |me, _| {
        let property = |length: usize| property(b"X", &vec![0; length]);
        let room = 4_096 - 6 - ready_of(me).len() - property(0).len();
        command("READY", &[ready_of(me), property(room)].concat())
    });
    table.made("READY of one byte more", closed("frame_command_too_large"), |me, _| {
        let property = |length: usize| property(b"X", &vec![0; length]);
        let room = 4_096 - 6 - ready_of(me).len() - property(0).len();
        command("READY", &[ready_of(me), property(room + 1)].concat())
    });
}
