//! A second connection under a UUID that has a session (attack row T9).

use super::attacker::{hello, opening};
use super::bytes::{message, short, zre};
use super::case::{Door, Me, Table, closed, counted, kept, nothing};
use zyre_rs::PeerId;

pub(super) fn tables() -> Vec<Table> {
    vec![same(), elsewhere(), stolen()]
}

/// A UUID that is known not to be the attacker's.
fn stolen() -> Table {
    let mut table = Table::at(Door::Fresh);
    let refused = || closed("identity_conflicts").and("hello_refused");
    table.made("HELLO of the victim's own UUID", refused(), |me, _| says_hello(me, me.victim));
    table.made("HELLO of the good peer's UUID, from elsewhere", refused(), |me, _| says_hello(me, me.good));
    table
}

fn says_hello(me: &Me, id: PeerId) -> Vec<u8> {
    [opening(&Me { id, ..*me }), hello(me)].concat()
}

/// From the same address: the process has begun anew, or its link has.
fn same() -> Table {
    let mut table = Table::at(Door::Second);
    table.made(
        "HELLO on a second connection",
        nothing("it takes over when the first is read")
            .and("EXIT")
            .and("ENTER")
            .and_times("hello_answers", 0..=1),
        |me, _| hello(me),
    );
    messages(&mut table);
    table
}

/// From another address: whoever holds the session is asked, and does not answer here.
fn elsewhere() -> Table {
    let mut table = Table::at(Door::Elsewhere);
    messages(&mut table);
    let refused = counted("hello_bad_endpoint").and_times("hello_refused", 0..=1);
    table.made("HELLO of another address with a bad endpoint", refused, |_, _| {
        message(&[&zre(1, 1, &[&short(b"ipc:///x")[..], &[0; 4], &[0], &short(b"x"), &[0; 4]].concat())])
    });
    table
}

fn messages(table: &mut Table) {
    for (name, id) in [("a WHISPER", 2), ("a JOIN", 4), ("a PING", 6), ("a GOODBYE", 10)] {
        let body = [&short(b"all")[..], &[1]].concat();
        for sequence in [1, 2, 3, 9] {
            table.case(
                format!("{name} with number {sequence} on a second connection"),
                message(&[&zre(id, sequence, &body), b"x"]),
                kept("before_hello"),
            );
        }
    }
    table.case(
        "a message that is none on a second connection",
        message(&[b"nonsense"]),
        kept("message_bad_signature"),
    );
    table.case(
        "a cut HELLO on a second connection",
        message(&[&zre(1, 1, b"\x09tcp")]),
        kept("message_truncated"),
    );
}
