//! MESSAGE, the frame of a sealed connection: changed, said again, of every size.

use super::{body, changed, flipped};
use crate::corpus::bytes::{claim, command, flagged, message, zre};
use crate::corpus::case::{Door, Table, closed, nothing};

/// MESSAGE frames. The genuine one is short or long, and its parts lie behind its header: name, counter, tag, content.
fn messages(table: &mut Table) {
    let forged = || closed("curve_message_forged");
    for (what, at, expect) in [
        ("name's length", 0, closed("curve_unsealed_frame")),
        ("name", 4, closed("curve_unsealed_frame")),
        ("counter, to a higher one", 8, forged()),
        ("tag", 16, forged()),
        ("flags", 32, forged()),
        ("content", 36, forged()),
    ] {
        changed(table, format!("a MESSAGE with another {what}"), expect, move |genuine| {
            flipped(body(genuine) + at)(genuine)
        });
    }
    for counter in [0_u64, 1, 2] {
        changed(
            table,
            format!("a MESSAGE with counter {counter}"),
            closed("curve_replayed"),
            move |genuine| {
                let at = body(genuine) + 8;
                let mut bytes = genuine.to_vec();
                bytes[at..at + 8].copy_from_slice(&counter.to_be_bytes());
                bytes
            },
        );
    }
    let sized = |genuine: &[u8], size: usize| {
        let mut bytes = genuine[body(genuine)..].to_vec();
        bytes.resize(size, 0);
        flagged(0, &bytes)
    };
    for (size, counter) in [
        (7, "curve_unsealed_frame"),
        (8, "curve_malformed"),
        (15, "curve_malformed"),
        (16, "curve_malformed"),
        (31, "curve_malformed"),
        (32, "curve_malformed"),
        (33, "curve_message_forged"),
        (34, "curve_message_forged"),
        (35, "curve_message_forged"),
    ] {
        changed(table, format!("a MESSAGE of {size} bytes"), closed(counter), move |genuine| {
            sized(genuine, size)
        });
    }
    let unsealed = || closed("curve_unsealed_frame");
    changed(table, "an open message in a sealed connection", unsealed(), |_| message(&[&zre(6, 2, b"")]));
    changed(table, "an empty frame in a sealed connection", unsealed(), |_| vec![0, 0]);
    changed(table, "an open PING in a sealed connection", unsealed(), |_| command("PING", b"\0\0"));
    changed(table, "MESSAGE as a command", unsealed(), |genuine| {
        [&[genuine[0] | 4][..], &genuine[1..]].concat()
    });
    changed(table, "a MESSAGE that goes on", unsealed(), |genuine| {
        [&[genuine[0] | 1][..], &genuine[1..]].concat()
    });
    for flags in [0x08, 0x80] {
        changed(
            table,
            format!("a MESSAGE with flags {flags:02X}"),
            closed("frame_reserved_flags"),
            move |genuine| [&[genuine[0] | flags][..], &genuine[1..]].concat(),
        );
    }
    changed(table, "a MESSAGE that claims 16 GiB", closed("frame_message_too_large"), |_| claim(0, 1 << 34));
    changed(table, "a MESSAGE that claims 2^63 bytes", closed("frame_length_overflow"), |_| {
        claim(0, 1 << 63)
    });
    for at in [1, 5, 20, 40] {
        changed(
            table,
            format!("a MESSAGE that ends after {at} bytes"),
            closed("message_cut_off"),
            move |genuine| genuine[..at].to_vec(),
        )
        .hang_up = true;
    }
}

pub(super) fn before_hello() -> Table {
    let mut table = Table::at(Door::CurveShaken);
    messages(&mut table);
    table
}

pub(super) fn session() -> Table {
    let mut table = Table::at(Door::CurveEntered);
    messages(&mut table);
    changed(&mut table, "a sealed whisper", nothing("it is one").and("WHISPER"), <[u8]>::to_vec);
    changed(&mut table, "a sealed whisper said again", closed("curve_replayed").and("WHISPER"), |genuine| {
        // Both of its frames.
        genuine.repeat(2)
    });
    table
}
