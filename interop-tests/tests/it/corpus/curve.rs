//! A secured node: its beacons, and the handshake of whoever connects to it, cut, changed and said again.

mod messages;
mod server;

use super::attacker::{hello, identity, opening, random_id, ready_of};
use super::bytes::{claim, command, flagged, greeting, message};
use super::case::{Case, Door, Expect, Table, closed, counted};
use zyre_rs::wire::Beacon;

pub(super) fn tables() -> Vec<Table> {
    vec![
        beacons(),
        first_bytes(),
        client_hello(),
        initiate(),
        messages::before_hello(),
        messages::session(),
        server::welcome(),
        server::ready(),
    ]
}

fn beacons() -> Table {
    let mut table = Table::at(Door::Beacon);
    table.made("an open beacon", counted("beacon_unsecured"), |me, _| {
        Beacon { id: me.id, port: me.mailbox.port(), key: None }.encode()
    });
    table.made("an open goodbye of the good peer", counted("beacon_unsecured"), |me, _| {
        Beacon { id: me.good, port: 0, key: None }.encode()
    });
    for (what, byte) in [("zeros", 0), ("ones", 1), ("FF", 0xFF)] {
        table.made(format!("a beacon with a key of {what}"), counted("beacon_wrong_key"), move |me, _| {
            Beacon { id: me.id, port: me.mailbox.port(), key: Some([byte; 32]) }.encode()
        });
    }
    for length in [0, 21, 23, 53, 55] {
        table.case(
            format!("{length} bytes to a secured node"),
            [&b"ZRE\x03"[..], &[1; 60]].concat()[..length].to_vec(),
            counted("beacon_wrong_size"),
        );
    }
    table.case(
        "54 bytes of version 1",
        [&b"ZRE\x01"[..], &[1; 50]].concat(),
        counted("beacon_wrong_version"),
    );
    table.made(
        "a goodbye of a stranger with the key of another network",
        counted("beacon_wrong_key"),
        |_, _| Beacon { id: random_id(), port: 0, key: Some([3; 32]) }.encode(),
    );
    table
}

fn first_bytes() -> Table {
    let mut table = Table::at(Door::Fresh);
    table.made("an open peer", closed("handshake_null_refused"), |me, _| opening(me));
    table.case("a peer with a password", greeting("PLAIN", &[]), closed("handshake_plain_refused"));
    for name in ["", "GSSAPI", "curve", "CURVEX", "CURV"] {
        table.case(
            format!("a peer that wants {name:?}"),
            greeting(name, &[]),
            closed("handshake_mechanism_mismatch"),
        );
    }
    table.case("an HTTP request to a secured node", b"GET / HTTP/1.1\r\n\r\n", closed("greeting_not_zmtp"));
    table.case("a TLS client to a secured node", b"\x16\x03\x01\x02\x00", closed("greeting_not_zmtp"));
    table.case("ZMTP 2 to a secured node", greeting("CURVE", &[(10, &[1])]), closed("greeting_old_version"));
    for at in [0, 10, 63, 64] {
        table
            .case(
                format!("a CURVE greeting that ends after {at} bytes"),
                greeting("CURVE", &[])[..at].to_vec(),
                closed("handshake_broken_off"),
            )
            .hang_up = true;
    }
    table
}

/// The genuine bytes with one changed.
fn flipped(at: usize) -> impl Fn(&[u8]) -> Vec<u8> {
    move |genuine| {
        let mut bytes = genuine.to_vec();
        bytes[at] ^= 1;
        bytes
    }
}

/// The body of a genuine command, with so many bytes left or added, in a frame of the right length.
fn resized(genuine: &[u8], size: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut bytes = genuine[body(genuine)..].to_vec();
    bytes.resize(size(bytes.len()), 0);
    flagged(4, &bytes)
}

fn changed(
    table: &mut Table,
    name: impl Into<String>,
    expect: Expect,
    change: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> &mut Case {
    table.made(name, expect, move |_, genuine| change(genuine))
}

fn client_hello() -> Table {
    let mut table = Table::at(Door::CurveGreeted);
    let malformed = || closed("curve_malformed");
    // Two bytes of frame header, then the body of 200.
    for size in [6, 7, 8, 79, 80, 81, 111, 112, 113, 119, 120, 121, 199, 201, 202, 255, 256, 4_096] {
        changed(&mut table, format!("a CURVE HELLO of {size} bytes"), malformed(), move |genuine| {
            resized(genuine, |_| size)
        });
    }
    for (what, at) in [
        ("major version", 8),
        ("minor version", 9),
        ("first byte of padding", 10),
        ("last byte of padding", 81),
    ] {
        changed(&mut table, format!("a CURVE HELLO with another {what}"), malformed(), flipped(at));
    }
    let forged = || closed("curve_wrong_server_key");
    for (what, at) in [
        ("key, at its begin", 82),
        ("key, at its end", 113),
        ("nonce, at its begin", 114),
        ("nonce, at its end", 121),
        ("tag", 122),
        ("box, at its begin", 138),
        ("box, at its end", 201),
    ] {
        changed(&mut table, format!("a CURVE HELLO with another {what}"), forged(), flipped(at));
    }
    for (what, key) in [
        ("zero", [0; 32]),
        ("one", {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }),
        ("FF", [0xFF; 32]),
    ] {
        changed(&mut table, format!("a CURVE HELLO with a key of {what}"), forged(), move |genuine| {
            let mut bytes = genuine.to_vec();
            bytes[82..114].copy_from_slice(&key);
            bytes
        });
    }
    changed(&mut table, "a CURVE HELLO of zeros", forged(), |_| {
        command("HELLO", &[&[1, 0][..], &[0; 192]].concat())
    });
    for (name, data) in [
        ("READY", 40),
        ("WELCOME", 160),
        ("INITIATE", 300),
        ("MESSAGE", 40),
        ("hello", 194),
        ("HELL", 194),
        ("HELLOO", 194),
        ("PING", 2),
    ] {
        changed(&mut table, format!("{name} instead of a CURVE HELLO"), malformed(), move |_| {
            command(name, &vec![0; data])
        });
    }
    changed(&mut table, "an ERROR instead of a CURVE HELLO", closed("handshake_refused"), |_| {
        command("ERROR", b"\x03400")
    });
    changed(&mut table, "an ERROR that is cut instead of a CURVE HELLO", closed("error_truncated"), |_| {
        command("ERROR", b"\x03")
    });
    changed(&mut table, "an empty command instead of a CURVE HELLO", closed("command_nameless"), |_| {
        vec![4, 0]
    });
    table.made("an open READY to a secured node", malformed(), |me, _| command("READY", &ready_of(me)));
    changed(
        &mut table,
        "a message instead of a CURVE HELLO",
        closed("handshake_message_before_ready"),
        |_| message(&[b"x"]),
    );
    table.made("a ZRE HELLO instead of a CURVE HELLO", closed("handshake_message_before_ready"), |me, _| {
        hello(me)
    });
    changed(&mut table, "a CURVE HELLO that goes on", closed("frame_command_with_more"), |genuine| {
        [&[5][..], &genuine[1..]].concat()
    });
    changed(
        &mut table,
        "a CURVE HELLO in a message frame",
        closed("handshake_message_before_ready"),
        |genuine| [&[0][..], &genuine[1..]].concat(),
    );
    changed(
        &mut table,
        "a command of 4,097 bytes instead of a CURVE HELLO",
        closed("frame_command_too_large"),
        |_| claim(4, 4_097),
    );
    changed(&mut table, "two CURVE HELLOs", malformed(), |genuine| genuine.repeat(2));
    for at in [0, 1, 2, 100, 201] {
        changed(
            &mut table,
            format!("a CURVE HELLO that ends after {at} bytes"),
            closed("handshake_broken_off"),
            move |genuine| genuine[..at].to_vec(),
        )
        .hang_up = true;
    }
    table
}

fn initiate() -> Table {
    let mut table = Table::at(Door::CurveWelcomed);
    let malformed = || closed("curve_malformed");
    for size in [9, 10, 24, 25, 26, 104, 105, 106, 112] {
        changed(&mut table, format!("an INITIATE of {size} bytes"), malformed(), move |genuine| {
            resized(genuine, |_| size)
        });
    }
    // Behind nine bytes of frame header and nine of name: cookie nonce, cookie, counter, box.
    for (what, at) in [("cookie's nonce", 18), ("cookie, at its begin", 34), ("cookie, at its end", 113)] {
        changed(
            &mut table,
            format!("an INITIATE with another {what}"),
            closed("curve_wrong_cookie"),
            flipped(at),
        );
    }
    changed(&mut table, "an INITIATE with a cookie of zeros", closed("curve_wrong_cookie"), |genuine| {
        let mut bytes = genuine.to_vec();
        bytes[18..114].fill(0);
        bytes
    });
    for (what, at) in
        [("tag", 122), ("key in its box", 138), ("vouch's nonce", 170), ("vouch", 186), ("metadata", 270)]
    {
        changed(
            &mut table,
            format!("an INITIATE with another {what}"),
            closed("curve_client_forged"),
            flipped(at),
        );
    }
    for (what, size) in [("no box", 113), ("a box of its tag alone", 129), ("a box that is cut", 200)] {
        changed(
            &mut table,
            format!("an INITIATE with {what}"),
            closed("curve_client_forged"),
            move |genuine| resized(genuine, |_| size),
        );
    }
    changed(&mut table, "an INITIATE with a byte behind it", closed("curve_client_forged"), |genuine| {
        resized(genuine, |size| size + 1)
    });
    for counter in [0_u64, 1] {
        changed(
            &mut table,
            format!("an INITIATE with counter {counter}"),
            closed("curve_replayed"),
            move |genuine| counted_as(genuine, counter),
        );
    }
    for counter in [3, u64::MAX] {
        changed(
            &mut table,
            format!("an INITIATE with counter {counter}"),
            closed("curve_client_forged"),
            move |genuine| counted_as(genuine, counter),
        );
    }
    for (name, data) in [("HELLO", 194), ("READY", 40), ("MESSAGE", 40), ("WELCOME", 160), ("initiate", 300)]
    {
        changed(&mut table, format!("{name} instead of INITIATE"), malformed(), move |_| {
            command(name, &vec![0; data])
        });
    }
    changed(&mut table, "a message instead of INITIATE", closed("handshake_message_before_ready"), |_| {
        message(&[b"x"])
    });
    changed(&mut table, "an ERROR instead of INITIATE", closed("handshake_refused"), |_| {
        command("ERROR", b"\x03400")
    });
    changed(&mut table, "INITIATE twice", closed("curve_unsealed_frame"), |genuine| genuine.repeat(2));
    for at in [0, 1, 9, 100, 200] {
        changed(
            &mut table,
            format!("an INITIATE that ends after {at} bytes"),
            closed("handshake_broken_off"),
            move |genuine| genuine[..at].to_vec(),
        )
        .hang_up = true;
    }
    whoever_has_the_key(&mut table);
    table
}

/// Metadata of one who is let in, and is no node.
fn whoever_has_the_key(table: &mut Table) {
    let id = || identity(random_id());
    let dealer = || ("Socket-Type", b"DEALER".to_vec());
    let mut says = |name: &str, expect: Expect, metadata: Vec<(&'static str, Vec<u8>)>| {
        changed(table, format!("a member with {name}"), expect, <[u8]>::to_vec).metadata = Some(metadata);
    };
    says("no metadata", closed("handshake_no_socket_type"), Vec::new());
    says(
        "socket type ROUTER",
        closed("handshake_socket_type_mismatch"),
        vec![("Socket-Type", b"ROUTER".to_vec()), ("Identity", id())],
    );
    says("no identity", closed("handshake_not_a_node"), vec![dealer()]);
    for length in [0, 16, 18, 255] {
        says(
            &format!("an identity of {length} bytes"),
            closed("handshake_not_a_node"),
            vec![dealer(), ("Identity", vec![1; length])],
        );
    }
    says(
        "an identity of 256 bytes",
        closed("handshake_identity_too_long"),
        vec![dealer(), ("Identity", vec![1; 256])],
    );
    says("a property twice", closed("ready_duplicate_property"), vec![dealer(), dealer()]);
    says(
        "a property without a name",
        closed("ready_invalid_property_name"),
        vec![dealer(), ("", Vec::new())],
    );
    says(
        "a property named with a space",
        closed("ready_invalid_property_name"),
        vec![dealer(), ("a b", Vec::new())],
    );
    says(
        "33 properties",
        closed("ready_too_many_properties"),
        NAMES.into_iter().map(|name| (name, Vec::new())).collect(),
    );
}

const NAMES: [&str; 33] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
    "v", "w", "x", "y", "z", "0", "1", "2", "3", "4", "5", "6",
];

/// An INITIATE with another counter.
fn counted_as(genuine: &[u8], counter: u64) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    bytes[114..122].copy_from_slice(&counter.to_be_bytes());
    bytes
}

/// Where the body of a frame begins.
fn body(genuine: &[u8]) -> usize {
    if genuine[0] & 2 != 0 { 9 } else { 2 }
}
