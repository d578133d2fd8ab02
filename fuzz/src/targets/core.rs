//! Any story told to the protocol machine: inputs in any order that a shell can bring about, with time between them.

use crate::Target;
use crate::curve_peer::byte;
use crate::machine::{Conn, Link, ME, Machine, address, group, keys};
use arbitrary::Unstructured;
use std::time::{Duration, Instant};
use zyre_rs::proto::{ConnId, Input, LinkId, LinkLoss};
use zyre_rs::wire::{Beacon, Command, Hello, HelloFields};
use zyre_rs::{Endpoint, GroupName};

pub(crate) const TARGET: Target = Target { name: "core", run, seeds, max_len: 1024, smoke_runs: 3_000 };

/// Connections at one time.
const CONNS: u64 = 8;

fn seeds() -> Vec<Vec<u8>> {
    // (time, what, who and where): see `step`.
    let met = [0, 0, 1, 0, 0, 1, 2, 0, 1, 1, 3, 1, 2, 1];
    let with = |options: u8, more: &[u8]| [&[options], &met[..], more].concat();
    vec![
        with(0, &[]),
        with(7, &[9, 4, 1, 6, 1, 9, 4, 1, 7, 0]),
        with(1, &[200, 15, 250, 15, 250, 15]),
        with(7, &[1, 7, 2, 1, 8, 2, 1, 9, 1, 1, 6, 1, 1, 13, 1]),
        with(15, &[1, 10, 3, 1, 11, 1, 1, 12, 1, 1, 14]),
        with(1, &(0..40).flat_map(|n| [n, n % 16, n, 1]).collect::<Vec<_>>()),
    ]
}

fn run(data: &[u8]) {
    let options = data.first().copied().unwrap_or(0);
    let began = Instant::now();
    let first = tell(data, began, options & 128 != 0);
    if options & 128 != 0 {
        assert_eq!(first, tell(data, began, true), "equal inputs, equal outputs");
    }
}

fn tell(data: &[u8], began: Instant, keep_diary: bool) -> Option<String> {
    let mut u = Unstructured::new(data);
    let mut machine = Machine::new(began, byte(&mut u));
    machine.diary = keep_diary.then(String::new);
    machine.tell(Input::Timeout);
    let mut slots = Vec::from_iter((0..CONNS).map(ConnId));
    for _ in 0..300 {
        if u.is_empty() {
            break;
        }
        // Up to a second mostly, up to a minute now and then.
        let pause = byte(&mut u);
        machine.pass(Duration::from_millis(match pause {
            0..200 => u64::from(pause) * 5,
            _ => u64::from(pause - 199) * 1_000,
        }));
        if let Some(input) = step(&mut u, &machine, &mut slots) {
            machine.tell(input);
        }
    }
    machine.pass(Duration::from_secs(61));
    machine.tell(Input::Stop);
    machine.tell(Input::Timeout);
    machine.diary
}

/// The next input; `None` where the shell would have nothing to say.
fn step(u: &mut Unstructured<'_>, machine: &Machine, slots: &mut [ConnId]) -> Option<Input> {
    let what = byte(u) % 19;
    let (who, more) = (byte(u), byte(u));
    // A few peers, each at home at an address of its own; some lie about it.
    let id = machine.id(who % 12);
    let home = if more >= 240 { more } else { who % 12 };
    let port = 5_000 + u16::from(more % 3);
    let slot = usize::from(who) % slots.len();
    let conn = *slots.get(slot)?;
    let state = machine.conns.get(&conn);
    Some(match what {
        0 | 1 => {
            let port = if more % 16 == 15 { 0 } else { port };
            let source = address(home, if more & 32 == 0 { 5670 } else { 40_000 });
            let id = if more == 255 { machine.id(ME) } else { id };
            let key = machine.key(if more == 254 { 1 } else { who % 12 }).map(|key| *key.as_bytes());
            Input::Beacon { source, beacon: Beacon { id, port, key } }
        }
        2 | 3 => {
            if state == Some(&Conn::Over) {
                slots.iter_mut().skip(slot).take(1).for_each(|conn| *conn = ConnId(conn.0 + CONNS));
                return None;
            }
            if state == Some(&Conn::Waiting) {
                return None;
            }
            // An identity can be anything, a key is proven.
            let claimed = if more == 253 { who % 12 } else { owner(conn) };
            let (peer, key) = (machine.id(claimed), machine.key(owner(conn)));
            let source = address(owner(conn), 40_000 + u16::from(more & 1));
            if what == 3 && more & 7 == 7 && state.is_none() {
                return Some(Input::Resume { conn, peer, source, sequence: u16::from(byte(u)), key });
            }
            Input::Hello { conn, peer, source, hello: hello(u, conn, port, more), key }
        }
        4 | 5 => {
            let command = command(u, machine, more);
            accepted(state)?;
            Input::Command { conn, peer: machine.id(owner(conn)), command }
        }
        6 => match machine.links.iter().nth(usize::from(who) % machine.links.len().max(1))? {
            (link, Link::Opening) if more & 1 == 0 => Input::LinkUp { link: *link },
            (link, Link::Opening) => Input::LinkFailed { link: *link, refused: more & 2 == 0 },
            (link, state) => stale(*link, *state, more)?,
        },
        7 => {
            // The newest link.
            let (link, state) = machine.links.iter().next_back()?;
            match state {
                Link::Opening => Input::LinkUp { link: *link },
                state => stale(*link, *state, more)?,
            }
        }
        8 => Input::Join(group(who % 5)),
        9 => Input::Leave(group(who % 5)),
        10 => Input::Contest(group(who % 5)),
        11 => Input::Dial { endpoint: Endpoint::new(address(home, port)).ok()?, key: machine.key(who % 12) },
        12 => {
            let key = machine.key(if more == 254 { 1 } else { who % 12 }).filter(|_| more & 16 == 0);
            Input::Gossip { peer: id, endpoint: Endpoint::new(address(home, port)).ok()?, key }
        }
        13 => {
            accepted(state)?;
            Input::Gap { conn, peer: machine.id(owner(conn)), missing: more.into() }
        }
        14 => {
            accepted(state)?;
            Input::Misbehaved { conn, peer: machine.id(owner(conn)) }
        }
        15 => {
            state.filter(|state| **state != Conn::Over)?;
            Input::ConnClosed { conn, peer: machine.id(owner(conn)), expected: more.into() }
        }
        16 => {
            accepted(state)?;
            match more {
                0..200 => Input::Heard { peer: machine.id(owner(conn)) },
                _ => Input::Stalled { peer: machine.id(owner(conn)), stalled: more & 1 == 0 },
            }
        }
        // Some are no longer trusted, or again.
        17 => {
            machine.key(ME)?;
            Input::Trust(keys(0..who % 12))
        }
        _ => {
            let own = if more & 1 == 0 { ME } else { ME + 1 };
            Input::Subnets(vec![(address(own, 1).ip(), 24)])
        }
    })
}

fn accepted(state: Option<&Conn>) -> Option<()> {
    (state == Some(&Conn::Accepted)).then_some(())
}

/// Whose connection it is; two connections of one peer are not rare.
fn owner(conn: ConnId) -> u8 {
    (conn.0 % CONNS / 2) as u8 + 1
}

/// News of a link that has its first try behind it.
fn stale(link: LinkId, state: Link, more: u8) -> Option<Input> {
    let cause = if more & 2 == 0 { LinkLoss::Closed } else { LinkLoss::Full };
    match state {
        Link::Up if more & 1 == 0 => Some(Input::LinkUp { link }),
        Link::Up => Some(Input::LinkLost { link, cause }),
        // It was closed while the news were on their way.
        Link::Gone => Some(Input::LinkLost { link, cause }),
        Link::Opening | Link::Failed => None,
    }
}

fn hello(u: &mut Unstructured<'_>, conn: ConnId, port: u16, more: u8) -> Hello {
    let home = owner(conn);
    let endpoint = match byte(u) {
        0..240 => format!("tcp://10.0.0.{home}:{port}"),
        240..245 => "tcp://10.0.0.100:49152".to_owned(),
        245..250 => "ipc://elsewhere".to_owned(),
        other => format!("tcp://{}:{port}", address(other, 1).ip()),
    };
    let groups = (0..more & 3).map(group).collect::<Vec<GroupName>>();
    let native = (b"X-ZYRE-RS".to_vec(), b"0".to_vec());
    let headers = if more & 4 == 0 { vec![native] } else { Vec::new() };
    let fields =
        HelloFields { endpoint: endpoint.into(), groups, status: more, name: b"peer".to_vec(), headers };
    Hello::new(fields).expect("it is small")
}

fn command(u: &mut Unstructured<'_>, machine: &Machine, more: u8) -> Command {
    let (group, status) = (group(more >> 4 & 3), more);
    match more & 15 {
        0 | 1 => Command::Join { group, status },
        2 | 3 => Command::Leave { group, status },
        4 => Command::Ping,
        5 | 6 => Command::PingOk,
        7..10 => Command::Elect { group, challenger: machine.id(byte(u) % 110) },
        10..13 => Command::Leader { group, leader: machine.id(byte(u) % 110) },
        13 => Command::Goodbye,
        14 => Command::Whisper,
        _ => Command::Unknown { id: more },
    }
}
