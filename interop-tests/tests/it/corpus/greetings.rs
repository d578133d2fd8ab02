//! The first bytes of a connection (attack row X1, RFC 37 "greeting").

use super::attacker::{opening, ready_of};
use super::bytes::{command, greeting};
use super::case::{Door, Expect, Table, closed, nothing};

pub(super) fn table() -> Table {
    let mut table = Table::at(Door::Fresh);
    protocols(&mut table);
    signatures(&mut table);
    versions(&mut table);
    mechanisms(&mut table);
    tolerated(&mut table);
    cuts(&mut table);
    table
}

/// What knocks on open ports.
fn protocols(table: &mut Table) {
    let others: [(&str, &[u8]); 25] = [
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: victim\r\n\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("WebSocket", b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
        ("TLS 1.3", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("SMTP", b"EHLO victim\r\n"),
        ("FTP", b"USER anonymous\r\n"),
        ("IRC", b"NICK mallory\r\n"),
        ("SIP", b"OPTIONS sip:victim SIP/2.0\r\n\r\n"),
        ("RTSP", b"DESCRIBE rtsp://victim RTSP/1.0\r\n\r\n"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n"),
        ("memcached", b"stats\r\n"),
        ("MQTT", b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04evil"),
        ("AMQP", b"AMQP\x00\x00\x09\x01"),
        ("PostgreSQL", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"),
        ("SMB", b"\x00\x00\x00\x54\xffSMBr"),
        ("LDAP", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"),
        ("BitTorrent", b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"),
        ("Java serialisation", b"\xac\xed\x00\x05"),
        ("SOCKS 5", b"\x05\x01\x00"),
        ("JSON-RPC without ZMTP", br#"{"jsonrpc":"2.0","id":1,"method":"calc.add"}"#),
        ("a ZRE beacon", b"ZRE\x01aaaaaaaaaaaaaaaa\x13\x88"),
        ("a ZRE message without ZMTP", b"\xaa\xa1\x06\x02\x00\x01"),
        ("a telnet negotiation", b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27"),
    ];
    for (name, bytes) in others {
        table.case(name, bytes, closed("greeting_not_zmtp"));
    }
    table.case("64 zeros", vec![0; 64], closed("greeting_not_zmtp"));
    table.case("64 bytes FF", vec![0xFF; 64], closed("greeting_not_zmtp"));
    table.case("two line feeds", b"\n\n", closed("greeting_not_zmtp"));
    table.case("RDP, like an identity of ZMTP 1.0", b"\x03\x00\x00\x13\x0e\xe0", closed("greeting_zmtp_1"));
    table.case("a megabyte of noise", vec![0xA5; 1 << 20], closed("greeting_not_zmtp"));
}

fn signatures(table: &mut Table) {
    for first in [0, 1, 0x7F, 0x80, 0xFE] {
        // A length and no flags: so begins an identity of ZMTP 1.0.
        let name = if first == 0 { "greeting_not_zmtp" } else { "greeting_zmtp_1" };
        table.case(
            format!("a greeting that begins with {first:02X}"),
            greeting("NULL", &[(0, &[first])]),
            closed(name),
        );
    }
    for tenth in [0, 1, 0x7E, 0x80, 0xFF] {
        table.case(
            format!("a greeting whose tenth byte is {tenth:02X}"),
            greeting("NULL", &[(9, &[tenth])]),
            closed("greeting_not_zmtp"),
        );
    }
    table.case("ZMTP 1.0, anonymous", b"\x01\x00", closed("greeting_zmtp_1"));
    table.case("ZMTP 1.0 with an identity", b"\x12\x00\x01aaaaaaaaaaaaaaaa", closed("greeting_zmtp_1"));
    table.case("ZMTP 1.0 with a long identity", b"\xff\0\0\0\0\0\0\x01\0\0aaaa", closed("greeting_not_zmtp"));
}

fn versions(table: &mut Table) {
    for major in 0..3 {
        table.case(
            format!("ZMTP with version byte {major}"),
            greeting("NULL", &[(10, &[major])]),
            closed("greeting_old_version"),
        );
    }
    table.case(
        "ZMTP 2.0 as libzmq 3 says it",
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0",
        closed("greeting_old_version"),
    );
    for (major, minor) in [(3, 0), (3, 2), (3, 255), (4, 0), (127, 1), (255, 255)] {
        greets(table, format!("ZMTP {major}.{minor}"), "newer ones fall back to 3", move || {
            greeting("NULL", &[(10, &[major, minor])])
        });
    }
}

fn mechanisms(table: &mut Table) {
    let other = || closed("handshake_mechanism_mismatch");
    table.case("mechanism PLAIN", greeting("PLAIN", &[]), closed("handshake_plain_refused"));
    table.case("mechanism CURVE", greeting("CURVE", &[]), closed("handshake_curve_refused"));
    let names =
        ["", "GSSAPI", "null", "NULLX", "NUL", " NULL", "NULL ", "NULL\n", "\x1b[2J", "ABCDEFGHIJKLMNOPQRST"];
    for name in names {
        table.case(format!("mechanism {name:?}"), greeting(name, &[]), other());
    }
    table.case("mechanism NULL behind a NUL", greeting("", &[(13, b"NULL")]), other());
    table.case("mechanism NULL with noise behind it", greeting("NULL", &[(17, b"noise")]), other());
    table.case("mechanism NULL with one byte in its last place", greeting("NULL", &[(31, &[1])]), other());
    table.case("a mechanism that is no UTF-8", greeting("", &[(12, b"\xff\xfe\xc3\x28")]), other());
    table.case("a mechanism of 20 bytes FF", greeting("", &[(12, &[0xFF; 20])]), other());
}

/// What others write differently and nobody may mind.
fn tolerated(table: &mut Table) {
    for (what, length) in
        [("zero", [0; 8]), ("as libzmq has it", [0, 0, 0, 0, 0, 0, 0, 18]), ("all ones", [0xFF; 8])]
    {
        let patch = move || greeting("NULL", &[(1, &length)]);
        greets(table, format!("the length of ZMTP 1.0 {what}"), "it holds anything", patch);
    }
    for flag in [1, 2, 0x80, 0xFF] {
        let patch = move || greeting("NULL", &[(32, &[flag])]);
        greets(table, format!("as-server {flag:02X}"), "NULL has no sides", patch);
    }
    let filler = || greeting("NULL", &[(33, &[0xEE; 31])]);
    greets(table, "a filler that is not zero".into(), "the RFC does not say that it is looked at", filler);
}

fn greets(
    table: &mut Table,
    name: String,
    why: &'static str,
    greeting: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) {
    table.made(name, nothing(why), move |me, _| [greeting(), command("READY", &ready_of(me))].concat());
}

fn cuts(table: &mut Table) {
    let broken = || -> Expect { closed("handshake_broken_off") };
    for at in [0, 1, 2, 8, 9, 10, 11, 12, 13, 16, 31, 32, 33, 63, 64] {
        table
            .case(
                format!("a greeting that ends after {at} bytes"),
                greeting("NULL", &[])[..at].to_vec(),
                broken(),
            )
            .hang_up = true;
    }
    for at in [65, 66, 67, 71, 72, 73, 83, 84, 87, 88, 93, 94, 102, 103, 106, 107, 108, 123] {
        table
            .made(format!("an opening that ends after {at} bytes"), broken(), move |me, _| {
                opening(me)[..at].to_vec()
            })
            .hang_up = true;
    }
}
