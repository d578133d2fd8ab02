//! Datagrams on the beacon port (attack rows B1–B6).

use zyre_rs::PeerId;
use zyre_rs::wire::Beacon;

use super::attacker::random_id;
use super::bytes::hex;
use super::case::{After, Door, Me, Table, counted, nothing};

/// A beacon of this case.
fn mine(me: &Me) -> Vec<u8> {
    plain(me.id, me.mailbox.port())
}

fn plain(id: PeerId, port: u16) -> Vec<u8> {
    Beacon { id, port, key: None }.encode()
}

pub(super) fn table() -> Table {
    let mut table = Table::at(Door::Beacon);
    sizes(&mut table);
    versions(&mut table);
    prefixes(&mut table);
    secured(&mut table);
    claims(&mut table);
    newcomers(&mut table);
    table
}

fn sizes(table: &mut Table) {
    let wrong = || counted("beacon_wrong_size");
    for length in
        [0, 1, 2, 3, 4, 5, 6, 19, 20, 21, 23, 24, 25, 53, 55, 63, 64, 65, 100, 512, 1_472, 8_192, 65_507]
    {
        table.made(format!("a beacon of {length} bytes"), wrong(), move |me, _| {
            let mut bytes = mine(me);
            bytes.resize(length, 0);
            bytes
        });
    }
    for length in [1, 21, 23, 64, 1_400] {
        table.case(format!("{length} bytes FF"), vec![0xFF; length], wrong());
    }
    table.made("two beacons in one datagram", wrong(), |me, _| [mine(me), mine(me)].concat());
    table.made("a beacon with a line feed", wrong(), |me, _| [mine(me), b"\n".to_vec()].concat());
    table.made("a beacon of RFC 36 as hexadecimal text", wrong(), |me, _| hex(&mine(me)).into_bytes());
}

fn versions(table: &mut Table) {
    for version in [0, 2, 3, 4, 5, b'1', 0x7F, 0x80, 0xFF] {
        table.made(
            format!("22 bytes of version {version}"),
            counted("beacon_wrong_version"),
            move |me, _| {
                let mut bytes = mine(me);
                bytes[3] = version;
                bytes
            },
        );
    }
    for version in [0, 1, 2, 4, b'3', 0xFF] {
        table.made(
            format!("54 bytes of version {version}"),
            counted("beacon_wrong_version"),
            move |me, _| {
                let mut bytes = mine(me);
                bytes[3] = version;
                bytes.resize(54, 0x55);
                bytes
            },
        );
    }
}

fn prefixes(table: &mut Table) {
    let wrong = || counted("beacon_wrong_prefix");
    for at in 0..3 {
        for (what, change) in
            [("of the other case", 0x20), ("with its last bit flipped", 1), ("with its first bit set", 0x80)]
        {
            table.made(format!("prefix byte {at} {what}"), wrong(), move |me, _| {
                let mut bytes = mine(me);
                bytes[at] ^= change;
                bytes
            });
        }
    }
    table.case("22 zeros", vec![0; 22], wrong());
    table.case("22 bytes FF", vec![0xFF; 22], wrong());
    table.case("54 zeros", vec![0; 54], wrong());
    table.case("54 bytes of text", vec![b'Z'; 54], wrong());
    table.case("a search of SSDP", *b"M-SEARCH * HTTP/1.1\r\n\r", wrong());
    table.case("a query of DNS", *b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04zyre\0\0\x01\0\x01", wrong());
}

fn secured(table: &mut Table) {
    for (what, key) in [
        ("zeros", [0; 32]),
        ("FF", [0xFF; 32]),
        ("a first byte of zero", {
            let mut key = [9; 32];
            key[0] = 0;
            key
        }),
    ] {
        table.made(
            format!("a secured beacon with a key of {what}"),
            counted("beacon_secured"),
            move |me, _| Beacon { id: me.id, port: me.mailbox.port(), key: Some(key) }.encode(),
        );
    }
    table.made("a secured goodbye of the good peer", counted("beacon_secured"), |me, _| {
        Beacon { id: me.good, port: 0, key: Some([5; 32]) }.encode()
    });
}

/// Lies about the victim and its good peer.
fn claims(table: &mut Table) {
    let none = |why| nothing(why).then(After::Free);
    table.made("the victim's UUID at another port", counted("identity_conflicts"), |me, _| {
        plain(me.victim, me.mailbox.port())
    });
    table.made("the victim's own beacon, from elsewhere", counted("identity_conflicts"), |me, _| {
        plain(me.victim, me.victim_at.port())
    });
    table.made("a goodbye of the victim to itself", counted("identity_conflicts"), |me, _| {
        plain(me.victim, 0)
    });
    table.made("a goodbye of the good peer, from elsewhere", counted("goodbye_foreign_address"), |me, _| {
        plain(me.good, 0)
    });
    table.made(
        "the good peer at another address",
        none("a node may have moved: it is asked, and its answer settles it"),
        |me, _| plain(me.good, me.mailbox.port()),
    );
    table.made(
        "the good peer at a closed port",
        none("a node may have moved: it is asked, and its answer settles it"),
        |me, _| plain(me.good, 1),
    );
    table.made("a goodbye of nobody", none("every late goodbye looks like that"), |_, _| {
        plain(random_id(), 0)
    });
    table.made("a goodbye of the zero UUID", none("every late goodbye looks like that"), |_, _| {
        plain(PeerId::from_bytes([0; 16]), 0)
    });
}

fn newcomers(table: &mut Table) {
    let calls = || nothing("it is a beacon").then(After::Calls);
    table.made("a proper beacon", calls(), |me, _| mine(me));
    table.made("a beacon of a UUID that is not random", calls(), |me, _| mine(me));
    // Three tries a beacon at most; the clean-up ends them.
    let refused = || nothing("").then(After::Free).and_times("link_refused", 1..=3);
    for port in [1, 9, 1_023, 65_535] {
        table.made(format!("a beacon that names closed port {port}"), refused(), move |me, _| {
            plain(me.id, port)
        });
    }
}
