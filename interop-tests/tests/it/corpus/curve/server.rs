//! What a server may say to a secured node that connects to it.

use super::{changed, flipped, resized};
use crate::corpus::bytes::{command, message};
use crate::corpus::case::{Door, Table, closed};

pub(super) fn welcome() -> Table {
    let mut table = Table::at(Door::MailboxHello);
    let malformed = || closed("curve_malformed");
    for size in [8, 9, 23, 24, 25, 167, 169, 255] {
        changed(&mut table, format!("a WELCOME of {size} bytes"), malformed(), move |genuine| {
            resized(genuine, |_| size)
        });
    }
    for (what, at) in [("nonce", 10), ("tag", 26), ("key", 42), ("cookie", 80), ("last byte", 169)] {
        changed(
            &mut table,
            format!("a WELCOME with another {what}"),
            closed("curve_server_forged"),
            flipped(at),
        );
    }
    for (name, data) in [("READY", 60), ("HELLO", 194), ("MESSAGE", 40), ("welcome", 160)] {
        changed(&mut table, format!("{name} instead of WELCOME"), malformed(), move |_| {
            command(name, &vec![0; data])
        });
    }
    changed(&mut table, "an ERROR instead of WELCOME", closed("handshake_refused"), |_| {
        command("ERROR", b"\x03400")
    });
    changed(&mut table, "a message instead of WELCOME", closed("handshake_message_before_ready"), |_| {
        message(&[b"x"])
    });
    for at in [0, 1, 100] {
        changed(
            &mut table,
            format!("a WELCOME that ends after {at} bytes"),
            closed("link_closed_in_handshake"),
            move |genuine| genuine[..at].to_vec(),
        )
        .hang_up = true;
    }
    table
}

pub(super) fn ready() -> Table {
    let mut table = Table::at(Door::MailboxInitiate);
    for (what, at) in [("counter", 8), ("tag", 16), ("metadata", 34)] {
        changed(
            &mut table,
            format!("a sealed READY with another {what}"),
            closed("curve_server_forged"),
            flipped(at),
        );
    }
    for (size, counter) in [
        (6, "curve_malformed"),
        (13, "curve_malformed"),
        (14, "curve_server_forged"),
        (29, "curve_server_forged"),
        (31, "curve_server_forged"),
    ] {
        changed(&mut table, format!("a sealed READY of {size} bytes"), closed(counter), move |genuine| {
            resized(genuine, |_| size)
        });
    }
    for (name, data) in [("WELCOME", 160), ("HELLO", 194), ("MESSAGE", 40)] {
        changed(
            &mut table,
            format!("{name} instead of a sealed READY"),
            closed("curve_malformed"),
            move |_| command(name, &vec![0; data]),
        );
    }
    changed(&mut table, "an ERROR instead of a sealed READY", closed("handshake_refused"), |_| {
        command("ERROR", b"\x03400")
    });
    changed(&mut table, "an open READY instead of a sealed one", closed("curve_server_forged"), |_| {
        command("READY", b"\x0bSocket-Type\0\0\0\x06ROUTER")
    });
    changed(
        &mut table,
        "a member's mailbox of socket type DEALER",
        closed("handshake_socket_type_mismatch"),
        <[u8]>::to_vec,
    )
    .metadata = Some(vec![("Socket-Type", b"DEALER".to_vec())]);
    changed(
        &mut table,
        "a member's mailbox without a socket type",
        closed("handshake_no_socket_type"),
        <[u8]>::to_vec,
    )
    .metadata = Some(vec![("Identity", Vec::new())]);
    for at in [0, 1, 20] {
        changed(
            &mut table,
            format!("a sealed READY that ends after {at} bytes"),
            closed("link_closed_in_handshake"),
            move |genuine| genuine[..at].to_vec(),
        )
        .hang_up = true;
    }
    table
}
