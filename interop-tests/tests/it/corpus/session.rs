//! Messages of a session (attack rows T12, T13, T14, T16, T17).

use super::bytes::{Field, cuts, field, hex, joined, message, odd_texts, short, zre};
use super::case::{Door, Expect, Table, closed, kept, nothing};

const WHISPER: u8 = 2;
const SHOUT: u8 = 3;
const JOIN: u8 = 4;
const LEAVE: u8 = 5;
const PING: u8 = 6;
const PING_OK: u8 = 7;
const ELECT: u8 = 8;
const LEADER: u8 = 9;
const GOODBYE: u8 = 10;

pub(super) fn table() -> Table {
    let mut table = Table::at(Door::Entered);
    ends(&mut table);
    lengths(&mut table);
    heads(&mut table);
    sequences(&mut table);
    statuses(&mut table);
    content(&mut table);
    groups(&mut table);
    elections(&mut table);
    hellos(&mut table);
    table
}

fn truncated() -> Expect {
    kept("message_truncated")
}

/// A message with number 2.
fn say(id: u8, body: &[u8]) -> Vec<u8> {
    message(&[&zre(id, 2, body)])
}

/// Each command with the fields it has.
fn commands() -> Vec<(&'static str, u8, Vec<Field>)> {
    let group = || vec![field("group's length", [3]), field("group", *b"all")];
    let with = |more: Vec<Field>| group().into_iter().chain(more).collect::<Vec<_>>();
    let id = || vec![field("UUID's length", [32]), field("UUID", *b"0123456789ABCDEF0123456789ABCDEF")];
    vec![
        ("SHOUT", SHOUT, group()),
        ("JOIN", JOIN, with(vec![field("status", [1])])),
        ("LEAVE", LEAVE, with(vec![field("status", [1])])),
        ("ELECT", ELECT, with(id())),
        ("LEADER", LEADER, with(id())),
    ]
}

fn ends(table: &mut Table) {
    for (name, id, fields) in commands() {
        for (place, body) in cuts(&fields) {
            table.case(format!("{name} that ends {place}"), say(id, &body), truncated());
        }
    }
    let names =
        ["HELLO", "WHISPER", "SHOUT", "JOIN", "LEAVE", "PING", "PING-OK", "ELECT", "LEADER", "GOODBYE"];
    for (name, id) in names.into_iter().zip(1..) {
        for at in 1..6 {
            table.case(
                format!("{name} that ends after {at} bytes"),
                message(&[&zre(id, 2, b"")[..at]]),
                truncated(),
            );
        }
    }
    table.case("an empty message", message(&[b""]), truncated());
    table.case("a message of empty frames", message(&[b"", b"", b""]), truncated());
}

fn lengths(table: &mut Table) {
    for (name, id, fields) in commands() {
        let whole = joined(&fields);
        for claimed in [whole.len(), 128, 255] {
            let mut body = whole.clone();
            body[0] = u8::try_from(claimed).expect("a byte");
            table.case(format!("{name} whose group claims {claimed} bytes"), say(id, &body), truncated());
        }
    }
    for (name, id) in [("ELECT", ELECT), ("LEADER", LEADER)] {
        for claimed in [33, 64, 255] {
            let body = [&short(b"all")[..], &[claimed], &[b'A'; 32]].concat();
            table.case(format!("{name} whose UUID claims {claimed} bytes"), say(id, &body), truncated());
        }
    }
}

fn heads(table: &mut Table) {
    for signature in
        [[0xAA, 0xA0], [0xAA, 0xA2], [0xA1, 0xAA], [0xAB, 0xA1], [0, 0], [0xFF, 0xFF], *b"GE", *b"ZR"]
    {
        let head = [&signature[..], &zre(PING, 2, b"")[2..]].concat();
        table.case(
            format!("a PING with signature {}", hex(&signature)),
            message(&[&head]),
            kept("message_bad_signature"),
        );
    }
    for (what, body) in [
        ("text", &b"hello there"[..]),
        ("JSON", b"{\"jsonrpc\":\"2.0\"}"),
        ("a kilobyte of zeros", &[0; 1_024]),
        ("a gossip HELLO", b"\xaa\xa0\x01\x01"),
    ] {
        table.case(format!("{what} instead of a message"), message(&[body]), kept("message_bad_signature"));
    }
    for version in [0, 1, 3, 4, 0x7F, 0xFF] {
        for (name, id) in [("PING", PING), ("WHISPER", WHISPER), ("JOIN", JOIN)] {
            let mut head = zre(id, 2, b"");
            head[3] = version;
            table.case(
                format!("{name} of version {version}"),
                message(&[&head, b"content"]),
                kept("message_bad_version"),
            );
        }
    }
    for id in [0, 11, 12, 16, 31, 64, 127, 128, 200, 254, 255] {
        table.case(
            format!("a message of id {id}"),
            message(&[&zre(id, 2, b"whatever"), b"more"]),
            kept("message_unknown_id"),
        );
    }
}

fn sequences(table: &mut Table) {
    let gap = || closed("sequence_gap").and("EXIT");
    for sequence in [0, 1, 3, 4, 255, 258, 512, 32_768, 65_534, 65_535] {
        table.case(
            format!("a whisper with number {sequence} instead of 2"),
            message(&[&zre(WHISPER, sequence, b""), b"x"]),
            gap(),
        );
    }
    let others = [
        ("SHOUT", SHOUT),
        ("JOIN", JOIN),
        ("LEAVE", LEAVE),
        ("PING", PING),
        ("PING-OK", PING_OK),
        ("ELECT", ELECT),
        ("LEADER", LEADER),
        ("GOODBYE", GOODBYE),
        ("an unknown id", 99),
    ];
    let body = [short(b"all"), short(&[b'A'; 32])].concat();
    for (name, id) in others {
        for sequence in [0, 3] {
            table.case(
                format!("{name} with number {sequence} instead of 2"),
                message(&[&zre(id, sequence, &body)]),
                gap(),
            );
        }
    }
    table.case("a JOIN that is cut and has number 3", message(&[&zre(JOIN, 3, b"")]), gap());
    table.case(
        "a whisper said twice",
        message(&[&zre(WHISPER, 2, b""), b"x"]).repeat(2),
        gap().and("WHISPER"),
    );
    table.case(
        "a gap behind a whisper",
        [message(&[&zre(WHISPER, 2, b""), b"x"]), message(&[&zre(WHISPER, 4, b""), b"x"])].concat(),
        gap().and("WHISPER"),
    );
}

fn statuses(table: &mut Table) {
    // HELLO says status 0.
    for status in [0, 2, 3, 127, 128, 254, 255] {
        let body = [&short(b"g")[..], &[status]].concat();
        table.case(
            format!("a JOIN with status {status} instead of 1"),
            say(JOIN, &body),
            kept("status_mismatch").and("JOIN"),
        );
        table.case(
            format!("a LEAVE with status {status} instead of 1"),
            say(LEAVE, &body),
            kept("status_mismatch").and("LEAVE"),
        );
    }
    let join = |sequence, status| message(&[&zre(JOIN, sequence, &[&short(b"g")[..], &[status]].concat())]);
    table.case(
        "two JOINs with one status",
        [join(2, 1), join(3, 1)].concat(),
        kept("status_mismatch").and_times("JOIN", 2..=2),
    );
    table.case(
        "the status of zyre.js at its wrap",
        [join(2, 254), join(3, 0)].concat(),
        kept("status_mismatch").and_times("JOIN", 2..=2),
    );
}

fn content(table: &mut Table) {
    let whispers = |why| nothing(why).and("WHISPER");
    table.case(
        "a WHISPER without content",
        say(WHISPER, b""),
        whispers("it is one empty frame: gyre sends that"),
    );
    table.case(
        "a WHISPER of an empty frame",
        message(&[&zre(WHISPER, 2, b""), b""]),
        whispers("content is anything"),
    );
    table.case(
        "a WHISPER with bytes behind its header",
        message(&[&zre(WHISPER, 2, b"behind"), b"x"]),
        whispers("they are ignored, as by all"),
    );
    table.case(
        "a WHISPER of a ZRE message",
        message(&[&zre(WHISPER, 2, b""), &zre(GOODBYE, 3, b"")]),
        whispers("content is anything"),
    );
    table.case(
        "a WHISPER of a megabyte",
        message(&[&zre(WHISPER, 2, b""), &vec![0xFF; 1 << 20]]),
        whispers("content is anything"),
    );
    table.case(
        "a WHISPER of 1,023 empty frames",
        message(&[&[&zre(WHISPER, 2, b"")[..]], &[&b""[..]; 1_023][..]].concat()),
        whispers("1,024 frames are accepted"),
    );
    for (what, text) in odd_texts() {
        table.case(
            format!("a WHISPER of {what}"),
            message(&[&zre(WHISPER, 2, b""), &text]),
            whispers("content is anything"),
        );
    }
    let shouts = |why| nothing(why).and("SHOUT");
    let all = zre(SHOUT, 2, &short(b"all"));
    table.case("a SHOUT without content", message(&[&all]), shouts("it is one empty frame"));
    table.case(
        "a SHOUT with bytes behind its group",
        message(&[&[&all[..], b"behind"].concat(), b"x"]),
        shouts("they are ignored, as by all"),
    );
    table.case("a SHOUT of three frames", message(&[&all, b"a", b"", b"c"]), shouts("content is anything"));
    for group in ["", "ALL", "al", "all ", "all\0", "theirs"] {
        table.case(
            format!("a SHOUT to group {group:?}"),
            message(&[&zre(SHOUT, 2, &short(group.as_bytes())), b"x"]),
            kept("shout_foreign"),
        );
    }
    for (what, text) in odd_texts() {
        table.case(
            format!("a SHOUT to a group of {what}"),
            message(&[&zre(SHOUT, 2, &short(&text)), b"x"]),
            kept("shout_foreign"),
        );
    }
}

fn groups(table: &mut Table) {
    let status = |name: &[u8]| [&short(name)[..], &[1]].concat();
    for (what, text) in odd_texts() {
        table.case(
            format!("a JOIN of a group of {what}"),
            say(JOIN, &status(&text)),
            nothing("text is bytes inside").and("JOIN"),
        );
    }
    table.case(
        "a JOIN of a group without a name",
        say(JOIN, &status(b"")),
        nothing("a group's name may be empty").and("JOIN"),
    );
    table.case(
        "a JOIN with content frames",
        message(&[&zre(JOIN, 2, &status(b"g")), b"x"]),
        nothing("they are ignored").and("JOIN"),
    );
    table.case(
        "a LEAVE of a group it is not in",
        say(LEAVE, &status(b"g")),
        nothing("it is told all the same, as by zyre").and("LEAVE"),
    );
    let join = |sequence: u16| {
        message(&[&zre(JOIN, sequence, &[&short(b"g")[..], &[(sequence - 1) as u8]].concat())])
    };
    table.case(
        "a JOIN said twice",
        [join(2), join(3)].concat(),
        nothing("it is told each time, as by zyre").and_times("JOIN", 2..=2),
    );
    let joins: Vec<u8> = (2..1_100)
        .flat_map(|n: u16| {
            let body = [&short(format!("g{n}").as_bytes())[..], &[(n - 1) as u8]].concat();
            message(&[&zre(JOIN, n, &body)])
        })
        .collect();
    table.case(
        "1,098 JOINs",
        joins,
        kept("peer_groups_over_limit")
            .and_times("peer_groups_over_limit", 74..=74)
            .and_times("JOIN", 1_024..=1_024),
    );
}

fn elections(table: &mut Table) {
    let wrong = || kept("message_bad_peer_id");
    let about = |id: &[u8]| [short(b"all"), short(id)].concat();
    let uuids: [(&str, &[u8]); 10] = [
        ("nothing", b""),
        ("31 digits", &[b'A'; 31]),
        ("33 digits", &[b'A'; 33]),
        ("16 raw bytes", &[0xA5; 16]),
        ("32 letters G", &[b'G'; 32]),
        ("32 spaces", &[b' '; 32]),
        ("32 NULs", &[0; 32]),
        ("32 bytes FF", &[0xFF; 32]),
        ("digits with a sign", b"+123456789ABCDEF0123456789ABCDEF"),
        ("255 digits", &[b'A'; 255]),
    ];
    for (what, uuid) in uuids {
        table.case(format!("ELECT of {what}"), say(ELECT, &about(uuid)), wrong());
        table.case(format!("LEADER of {what}"), say(LEADER, &about(uuid)), wrong());
    }
    table.case(
        "LEADER where nobody elects",
        say(LEADER, &about(&[b'A'; 32])),
        kept("leader_without_election"),
    );
    table.case("a PING-OK nobody asked for", say(PING_OK, b""), nothing("it says that the peer lives"));
    table.case("a PING with bytes behind it", say(PING, b"behind"), nothing("they are ignored, as by all"));
    table.case("a GOODBYE", say(GOODBYE, b""), closed("EXIT"));
    table.case(
        "a GOODBYE and a whisper",
        [say(GOODBYE, b""), message(&[&zre(WHISPER, 3, b""), b"x"])].concat(),
        closed("EXIT"),
    );
}

fn hellos(table: &mut Table) {
    let body = [&short(b"tcp://127.0.0.2:9")[..], &[0; 4], &[0], &short(b"mallory"), &[0; 4]].concat();
    table.case("a HELLO with number 2", message(&[&zre(1, 2, &body)]), kept("hello_misnumbered"));
    for sequence in [0, 3, 65_535] {
        table.case(
            format!("a HELLO with number {sequence}"),
            message(&[&zre(1, sequence, &body)]),
            closed("sequence_gap").and("EXIT"),
        );
    }
    table.case("a HELLO that is cut, in a session", message(&[&zre(1, 2, b"\x11tcp")]), truncated());
    table.case(
        "a HELLO beyond a limit, in a session",
        message(&[&zre(1, 2, &[&short(b"x")[..], &[0xFF; 4]].concat())]),
        kept("message_over_limit"),
    );
    table.made("the same HELLO again", nothing("").and("hello_in_band").and("hello_answers"), |me, _| {
        super::attacker::hello(me)
    });
    table.made(
        "another HELLO",
        nothing("").and("hello_in_band").and("EXIT").and("ENTER").and_times("hello_answers", 0..=1),
        |me, _| {
            let body = [
                &short(format!("tcp://{}", me.mailbox).as_bytes())[..],
                &[0; 4],
                &[0],
                &short(b"other"),
                &[0; 4],
            ]
            .concat();
            message(&[&zre(1, 1, &body)])
        },
    );
    table.case(
        "a HELLO with a bad endpoint, in a session",
        message(&[&zre(
            1,
            1,
            &[&short(b"ipc:///tmp/x")[..], &[0; 4], &[0], &short(b"attacker"), &[0; 4]].concat(),
        )]),
        nothing("")
            .and("hello_in_band")
            .and("hello_bad_endpoint")
            .and_times("hello_answers", 0..=1)
            .and_times("EXIT", 0..=1)
            .and_times("ENTER", 0..=1),
    );
}
