//! Frames and commands after the handshake (attack rows T2, T4, RFC 37 "framing").

use zyre_rs::zmtp::put_frame;

use super::bytes::{claim, command, flagged, message, zre};
use super::case::{After, Door, Expect, Table, closed, nothing};

/// What is so before HELLO is so after it.
pub(super) fn tables() -> Vec<Table> {
    [Door::Shaken, Door::Entered].into_iter().map(at).collect()
}

fn at(door: Door) -> Table {
    let mut table = Table::at(door);
    headers(&mut table);
    messages(&mut table, door);
    more(&mut table, door);
    commands(&mut table);
    ends(&mut table);
    table
}

fn headers(table: &mut Table) {
    for flags in [0x08, 0x10, 0x20, 0x40, 0x80, 0x09, 0x0A, 0x0C, 0x18, 0xF8, 0xFF] {
        table.case(
            format!("a frame with flags {flags:02X}"),
            flagged(flags, b"x"),
            closed("frame_reserved_flags"),
        );
    }
    for flags in [5, 7] {
        table.case(
            format!("a command that goes on, flags {flags:02X}"),
            claim(flags, 4)[..2].to_vec(),
            closed("frame_command_with_more"),
        );
    }
    for (what, length) in
        [("2^63", 1 << 63), ("2^63 + 1", (1 << 63) + 1), ("2^64 - 1", u64::MAX), ("2^64 - 9", u64::MAX - 8)]
    {
        table.case(
            format!("a frame that claims {what} bytes"),
            claim(0, length),
            closed("frame_length_overflow"),
        );
        table.case(
            format!("a frame that goes on and claims {what} bytes"),
            claim(1, length),
            closed("frame_length_overflow"),
        );
    }
    for length in [4_097, 65_535, 1 << 20, 1 << 32, 1 << 62] {
        table.case(
            format!("a command that claims {length} bytes"),
            claim(4, length),
            closed("frame_command_too_large"),
        );
    }
}

/// The most bytes a message may have: less before HELLO, and room for its first frame later.
fn limit(door: Door) -> u64 {
    if door == Door::Shaken { 256 << 10 } else { (64 << 20) + 512 }
}

fn messages(table: &mut Table, door: Door) {
    let large = || closed("frame_message_too_large");
    let limit = limit(door);
    for (what, length) in [
        ("one byte more than is accepted", limit + 1),
        ("twice what is accepted", 2 * limit),
        ("4 GiB - 1", (1 << 32) - 1),
        ("4 GiB", 1 << 32),
        ("16 GiB", 1 << 34),
        ("2^62", 1 << 62),
        ("2^63 - 1", (1 << 63) - 1),
    ] {
        table.case(format!("a frame that claims {what}"), claim(0, length), large());
        table.case(format!("a frame that goes on and claims {what}"), claim(1, length), large());
    }
    table.case(
        "two frames that claim too much together",
        [&flagged(1, b"x")[..], &claim(0, limit)].concat(),
        large(),
    );
    table.case(
        "a second frame that makes the sum overflow",
        [&flagged(1, b"x")[..], &claim(0, i64::MAX as u64)].concat(),
        large(),
    );
}

fn more(table: &mut Table, door: Door) {
    let many = |count: usize, last: bool| {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, &zre(2, 2, b""), true);
        for n in 1..count {
            put_frame(&mut bytes, b"", !last || n + 1 < count);
        }
        bytes
    };
    for count in [1_025, 1_026, 5_000] {
        table.case(
            format!("a message of {count} frames"),
            many(count, true),
            closed("frame_too_many_frames"),
        );
    }
    table.case("frames without end", many(20_000, false), closed("frame_too_many_frames"));
    let taken = |why| arrives(door, why);
    table.case("a message of 1,024 frames", many(1_024, true), taken("1,024 are accepted"));
    table.case(
        "a message with a PING amid it",
        [&flagged(1, &zre(2, 2, b""))[..], &command("PING", b"\0\0"), &flagged(0, b"end")].concat(),
        taken("libzmq does that"),
    );
    let pings = command("PONG", b"").repeat(1_024);
    table.case(
        "a message with 1,024 commands amid it",
        [&flagged(1, b"x")[..], &pings, &flagged(0, b"")].concat(),
        closed("frame_too_many_frames"),
    );
}

/// A whisper with number 2 is taken in a session and no more than counted before.
fn arrives(door: Door, why: &'static str) -> Expect {
    let event = if door == Door::Shaken { "before_hello" } else { "WHISPER" };
    nothing(why).and(event)
}

fn commands(table: &mut Table) {
    let bad = || closed("zmtp_bad_command");
    table.case("an empty command", [4, 0], bad());
    table.case("a command without a name", [4, 1, 0], bad());
    table.case("a command whose name is longer than it", b"\x04\x05\x09PING", bad());
    table.case("a PING without its time", command("PING", b""), bad());
    table.case("a PING with half of its time", command("PING", b"\0"), bad());
    table.case("a PING with a context of 17 bytes", command("PING", &[0; 19]), bad());
    table.case("a PING with a context of 4,000 bytes", command("PING", &[0; 4_002]), bad());
    table.case("an ERROR without a reason", command("ERROR", b""), bad());
    table.case("an ERROR that claims more than it has", command("ERROR", b"\x09no"), bad());
    let other = "a command that has no meaning in a session is passed over";
    for (name, bytes) in [
        ("an ERROR with a reason", command("ERROR", b"\x04nope")),
        ("READY again", command("READY", b"")),
        ("READY again, and cut", command("READY", b"\x0bSocket")),
        ("a SUBSCRIBE", command("SUBSCRIBE", b"all")),
        ("a CANCEL", command("CANCEL", b"all")),
        ("a MESSAGE of CURVE", command("MESSAGE", &[0; 40])),
        ("a HELLO of CURVE", command("HELLO", &[0; 194])),
        ("a PONG nobody asked for", command("PONG", b"nobody")),
        ("a PONG with a context of 4,000 bytes", command("PONG", &[7; 4_000])),
        ("a command named with a NUL", command("\0", b"")),
        ("a command of 255 bytes name", command(&"N".repeat(255), b"")),
        ("a command of the most bytes", command("X", &[0; 4_094])),
        ("a hundred PINGs", command("PING", b"\0\0").repeat(100)),
        ("a PING with the largest time", command("PING", b"\xff\xff")),
    ] {
        table.case(name, bytes, nothing(other));
    }
}

/// The connection ends amid a message.
fn ends(table: &mut Table) {
    let cut = || closed("message_cut_off");
    let long = [&claim(0, 300)[..], &[0; 300]].concat();
    let two = message(&[&zre(2, 2, b""), b"content"]);
    for at in [1, 2, 8, 9, 10, 308] {
        table.case(format!("a long frame that ends after {at} bytes"), long[..at].to_vec(), cut()).hang_up =
            true;
    }
    for at in [1, 2, 3, 7, 8, 9, 10, 11, 16] {
        table.case(format!("a whisper that ends after {at} bytes"), two[..at].to_vec(), cut()).hang_up = true;
    }
    for at in [1, 2, 3, 7] {
        table
            .case(
                format!("a PING that ends after {at} bytes"),
                command("PING", b"\0\0")[..at].to_vec(),
                cut(),
            )
            .hang_up = true;
    }
    table
        .case("an end where a message ends", Vec::new(), nothing("everybody may go").then(After::Closed))
        .hang_up = true;
}
