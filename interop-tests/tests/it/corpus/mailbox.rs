//! What a mailbox may say that the node connects to.

use super::bytes::{claim, command, flagged, greeting, message, property, zre};
use super::case::{After, Door, Expect, Table, closed, nothing};

pub(super) fn tables() -> Vec<Table> {
    vec![first_bytes(), handshake(), session()]
}

fn first_bytes() -> Table {
    let mut table = Table::at(Door::MailboxFresh);
    let not = || closed("greeting_not_zmtp");
    for (name, bytes) in [
        ("an HTTP answer", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
        ("a banner of SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("a banner of SMTP", b"220 victim ESMTP\r\n"),
        ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x28"),
        ("a ZRE message", b"\xaa\xa1\x01\x02\x00\x01"),
        ("64 zeros", &[0; 64]),
        ("64 bytes FF", &[0xFF; 64]),
        ("a megabyte of noise", &[0x5A; 1 << 20]),
    ] {
        table.case(format!("{name} from a mailbox"), bytes, not());
    }
    table.case("a mailbox whose tenth byte is wrong", greeting("NULL", &[(9, &[0])]), not());
    for major in 0..3 {
        table.case(
            format!("a mailbox of ZMTP version byte {major}"),
            greeting("NULL", &[(10, &[major])]),
            closed("greeting_old_version"),
        );
    }
    table.case("a mailbox that wants PLAIN", greeting("PLAIN", &[]), closed("handshake_plain_refused"));
    table.case(
        "a mailbox that wants CURVE",
        greeting("CURVE", &[(32, &[1])]),
        closed("handshake_curve_refused"),
    );
    for name in ["", "GSSAPI", "null", "NULLX", "\x1b[2J"] {
        table.case(
            format!("a mailbox that wants {name:?}"),
            greeting(name, &[]),
            closed("handshake_mechanism_mismatch"),
        );
    }
    for at in [0, 1, 10, 12, 33, 63, 64] {
        table
            .case(
                format!("a mailbox that ends after {at} bytes"),
                greeting("NULL", &[])[..at].to_vec(),
                closed("link_closed_in_handshake"),
            )
            .hang_up = true;
    }
    table
}

fn handshake() -> Table {
    let mut table = Table::at(Door::MailboxGreeted);
    let mut ready = |name: &str, expect: Expect, properties: Vec<Vec<u8>>| {
        table.case(format!("a mailbox with {name}"), command("READY", &properties.concat()), expect);
    };
    let router = || property(b"Socket-Type", b"ROUTER");
    for other in ["DEALER", "REP", "PUB", "STREAM", "router", "", "ROUTER\0"] {
        ready(
            &format!("socket type {other:?}"),
            closed("handshake_socket_type_mismatch"),
            vec![property(b"Socket-Type", other.as_bytes())],
        );
    }
    ready("no socket type", closed("handshake_no_socket_type"), vec![property(b"Identity", b"")]);
    ready(
        "an identity of 256 bytes",
        closed("handshake_identity_too_long"),
        vec![router(), property(b"Identity", &[1; 256])],
    );
    ready(
        "a property without a name",
        closed("ready_invalid_property_name"),
        vec![router(), property(b"", b"")],
    );
    ready(
        "a property of control characters",
        closed("ready_invalid_property_name"),
        vec![router(), property(b"\x1b[2J", b"")],
    );
    ready("its socket type twice", closed("ready_duplicate_property"), vec![router(), router()]);
    ready(
        "33 properties",
        closed("ready_too_many_properties"),
        [router()].into_iter().chain((0..32).map(|n| property(format!("X-{n}").as_bytes(), b""))).collect(),
    );
    ready("a READY that ends in a property", closed("ready_truncated"), vec![router(), b"\x08Iden".to_vec()]);
    ready("a property that claims 4 GiB", closed("ready_truncated"), vec![b"\x01X\xff\xff\xff\xff".to_vec()]);
    table.case(
        "a mailbox with PING instead of READY",
        command("PING", b"\0\0"),
        closed("handshake_unexpected_command"),
    );
    for name in ["HELLO", "WELCOME", "SUBSCRIBE", "ready"] {
        table.case(
            format!("a mailbox with {name} instead of READY"),
            command(name, &[0; 40]),
            closed("handshake_unexpected_command"),
        );
    }
    table.case("a mailbox with an ERROR", command("ERROR", b"\x03400"), closed("handshake_refused"));
    table.case("a mailbox with an ERROR that is cut", command("ERROR", b"\x03"), closed("error_truncated"));
    table.case("a mailbox with a nameless command", [4, 1, 0], closed("command_nameless"));
    table.case(
        "a mailbox with a message before READY",
        message(&[b"early"]),
        closed("handshake_message_before_ready"),
    );
    for flags in [0x08, 0x80, 0xFF] {
        table.case(
            format!("a mailbox with flags {flags:02X}"),
            flagged(flags, b"x"),
            closed("frame_reserved_flags"),
        );
    }
    table.case("a mailbox with READY and MORE", flagged(5, b"\x05READY"), closed("frame_command_with_more"));
    table.case("a mailbox with a command of 4,097 bytes", claim(4, 4_097), closed("frame_command_too_large"));
    table.case("a mailbox with a command of 2^63 bytes", claim(4, 1 << 63), closed("frame_length_overflow"));
    for at in [0, 1, 2, 8, 20] {
        let whole = command("READY", &router());
        table
            .case(
                format!("a mailbox whose READY ends after {at} bytes"),
                whole[..at].to_vec(),
                closed("link_closed_in_handshake"),
            )
            .hang_up = true;
    }
    table
}

fn session() -> Table {
    let mut table = Table::at(Door::MailboxUp);
    for flags in [0x08, 0x10, 0x80, 0xFF] {
        table.case(
            format!("a mailbox with flags {flags:02X} later"),
            flagged(flags, b"x"),
            closed("frame_reserved_flags"),
        );
    }
    table.case(
        "a mailbox with a command that goes on",
        flagged(5, b"\x04PING"),
        closed("frame_command_with_more"),
    );
    table.case("a mailbox that claims 2^63 bytes", claim(0, 1 << 63), closed("frame_length_overflow"));
    for length in [4_097, 1 << 32] {
        table.case(
            format!("a mailbox with a command of {length} bytes"),
            claim(4, length),
            closed("frame_command_too_large"),
        );
    }
    for (name, bytes) in [("an empty command", vec![4, 0]), ("a nameless command", vec![4, 1, 0])] {
        table.case(format!("a mailbox with {name} later"), bytes, closed("command_nameless"));
    }
    table.case("a mailbox with a PING that is cut", command("PING", b"\0"), closed("ping_truncated"));
    table.case(
        "a mailbox with a PING of 17 bytes context",
        command("PING", &[0; 19]),
        closed("ping_context_too_long"),
    );
    table.case(
        "a mailbox with an ERROR that claims more",
        command("ERROR", b"\x09no"),
        closed("error_truncated"),
    );
    table.case("a mailbox with an ERROR later", command("ERROR", b"\x04nope"), closed("link_error_command"));
    let ignored = || nothing("").and("link_message_ignored");
    table.case("a mailbox with an empty message", [0, 0], ignored());
    table.case("a mailbox with a ZRE message", message(&[&zre(10, 1, b"")]), ignored());
    table.case("a mailbox with a message of a megabyte", message(&[&vec![0; 1 << 20]]), ignored());
    table.case(
        "a mailbox with three frames",
        message(&[b"a", b"b", b"c"]),
        nothing("").and_times("link_message_ignored", 3..=3),
    );
    let other = "a command that has no meaning here is passed over";
    for (name, data) in
        [("SUBSCRIBE", &b"all"[..]), ("READY", b""), ("PONG", b"nobody"), ("MESSAGE", &[0; 40])]
    {
        table.case(format!("a mailbox with {name} later"), command(name, data), nothing(other));
    }
    table.case(
        "a mailbox with a hundred PINGs",
        command("PING", b"\0\0").repeat(100),
        nothing("some are answered, and the others counted")
            .and_times("pings_unanswered", 0..=99)
            .then(After::Free),
    );
    table.case("a mailbox that claims 2^62 bytes of message", claim(0, 1 << 62), ignored().then(After::Free));
    table
}
