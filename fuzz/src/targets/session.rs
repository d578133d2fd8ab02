//! A whole session: bytes of connections through ZMTP and ZRE into the protocol machine, as the node's shell does it.
//!
//! The first byte sets the machine up. Then come pieces of two connections: a byte that says which, its top bits how long to wait
//! before, two bytes of length, and the bytes.

use super::zmtp_stream::opening;
use crate::Target;
use crate::curve_peer::byte;
use crate::machine::{Conn, Machine, address};
use arbitrary::Unstructured;
use std::time::{Duration, Instant};
use zyre_rs::PeerId;
use zyre_rs::proto::sequence::{FIRST, Inbound};
use zyre_rs::proto::{ConnId, Input};
use zyre_rs::wire::{Command, Decoded, MAX_HELLO, decode, decode_content, vectors};
use zyre_rs::zmtp::{
    Decoder, Handshake, Identities, Limits, Mechanism, Role, Status, Step, answer, peer_id, put_message,
    put_ping,
};

pub(crate) const TARGET: Target = Target { name: "session", run, seeds, max_len: 4096, smoke_runs: 12_000 };

fn seeds() -> Vec<Vec<u8>> {
    let messages = super::vectors(vectors::MESSAGES);
    let hello = |n: u8| {
        let identity: Vec<u8> = [1].into_iter().chain([n; 16]).collect();
        let mut bytes = opening("DEALER", &identity);
        put_message(&mut bytes, &messages[..1]);
        bytes
    };
    let piece = |which: u8, bytes: &[u8]| [&[which], &(bytes.len() as u16).to_le_bytes()[..], bytes].concat();
    let mut talk = Vec::new();
    put_ping(&mut talk, 7);
    for (sequence, id, body) in [
        (2, 2, &b""[..]),
        (3, 4, b"\x02g1\x01"),
        (4, 3, b"\x02g1"),
        (5, 6, b""),
        (6, 5, b"\x02g1\x02"),
        (7, 77, b""),
    ] {
        let head = [&[0xAA, 0xA1, id, 2, 0, sequence], body].concat();
        put_message(&mut talk, &[head, b"content".to_vec()]);
    }
    let mut stray = Vec::new();
    messages.iter().for_each(|message| put_message(&mut stray, &[message]));
    vec![
        [vec![0], piece(0, &hello(1)), piece(0, &talk), piece(1, &hello(2)), piece(1, &talk)].concat(),
        [vec![7], piece(0, &hello(1)), piece(1, &hello(1)), piece(2, &talk), piece(1, &talk)].concat(),
        [vec![1], piece(0, &opening("DEALER", &[1; 17])), piece(0, &talk)].concat(),
        [vec![1], piece(0, &hello(1)), piece(0, &stray), piece(0xF0, &stray)].concat(),
        [vec![1], piece(0, &hello(1)), piece(0, &hello(1)[64..]), piece(0xF0, &[])].concat(),
    ]
}

fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    // Open: what is sealed has other targets.
    let mut machine = Machine::new(Instant::now(), byte(&mut u) & !64);
    machine.tell(Input::Timeout);
    let mut conns = [Some(Connection::new(0)), Some(Connection::new(1))];
    let mut next = 2;
    while !u.is_empty() {
        let which = byte(&mut u);
        machine.pass(Duration::from_millis(u64::from(which >> 4) * 700));
        let length = usize::from(u.arbitrary::<u16>().unwrap_or(0)).min(u.len());
        let piece = u.bytes(length).unwrap_or_default();
        let Some(conn) = conns.get_mut(usize::from(which & 1)) else { continue };
        let goes_on = conn.as_mut().is_some_and(|conn| conn.take(piece, &mut machine).is_some());
        if !goes_on || which & 2 != 0 {
            if let Some(over) = conn.replace(Connection::new(next)) {
                over.farewell(&mut machine);
            }
            next += 1;
        }
    }
    conns.into_iter().flatten().for_each(|conn| conn.farewell(&mut machine));
    machine.pass(Duration::from_secs(61));
    machine.tell(Input::Stop);
}

/// An incoming connection, as `net/connection` serves it.
struct Connection {
    conn: ConnId,
    handshake: Option<Handshake>,
    decoder: Decoder,
    buffer: Vec<u8>,
    peer: PeerId,
    /// It has been told to the machine.
    announced: bool,
    /// Nothing but ZMTP commands has come yet.
    fresh: bool,
    inbound: Inbound,
}

impl Connection {
    fn new(number: u64) -> Self {
        let role = Role::Router { accept: Identities::Nodes };
        Self {
            conn: ConnId(number),
            handshake: Some(Handshake::new(role, Mechanism::Null)),
            decoder: Decoder::new(Limits { max_message: MAX_HELLO, ..Limits::default() }),
            buffer: Vec::new(),
            peer: PeerId::from_bytes([0; 16]),
            announced: false,
            fresh: true,
            inbound: Inbound::after_hello(),
        }
    }

    fn is(&self, state: Conn, machine: &Machine) -> bool {
        machine.conns.get(&self.conn) == Some(&state)
    }

    fn farewell(self, machine: &mut Machine) {
        if self.announced && !self.is(Conn::Over, machine) {
            let expected = self.inbound.expected();
            machine.tell(Input::ConnClosed { conn: self.conn, peer: self.peer, expected });
        }
    }

    /// Takes more bytes; `None` once the connection has to be closed.
    fn take(&mut self, bytes: &[u8], machine: &mut Machine) -> Option<()> {
        self.buffer.extend_from_slice(bytes);
        if let Some(handshake) = &mut self.handshake {
            let (consumed, status) = handshake.receive(&self.buffer).ok()?;
            self.buffer.drain(..consumed);
            let Status::Done(theirs) = status else { return Some(()) };
            self.peer = peer_id(&theirs.identity).ok()?.0;
            self.handshake = None;
        }
        let mut heard = false;
        // What waits for the machine's word is not read on.
        while !self.is(Conn::Waiting, machine) {
            if self.announced && !self.is(Conn::Accepted, machine) {
                return None;
            }
            let head = match self.decoder.next(&self.buffer).ok()? {
                Step::NeedMore { .. } => break,
                Step::Command { body, consumed } => {
                    answer(body, &mut Vec::new()).ok()?;
                    self.buffer.drain(..consumed);
                    continue;
                }
                Step::Message(message) => {
                    let head = message.frame(0).unwrap_or_default().to_vec();
                    let consumed = message.consumed();
                    self.buffer.drain(..consumed);
                    head
                }
            };
            heard |= self.on_message(&head, machine)?;
        }
        if heard {
            machine.tell(Input::Heard { peer: self.peer });
        }
        Some(())
    }

    /// Whether it was content.
    fn on_message(&mut self, head: &[u8], machine: &mut Machine) -> Option<bool> {
        let (conn, peer, source) = (self.conn, self.peer, address(self.peer.as_bytes()[0] % 240, 40_000));
        let decoded = decode(head);
        let number = match &decoded {
            Ok(decoded) => Some(decoded.sequence),
            Err(error) => error.sequence(),
        };
        if let Ok(Decoded { sequence: FIRST, command: Command::Hello(hello) }) = decoded {
            (self.announced, self.fresh, self.inbound) = (true, false, Inbound::after_hello());
            machine.tell(Input::Hello { conn, peer, source, hello, key: None });
            return Some(false);
        }
        if !self.announced {
            // It may go on where another connection ended.
            if let Some(sequence) = number.filter(|_| self.fresh) {
                self.announced = true;
                self.inbound = Inbound::resuming(sequence);
                machine.tell(Input::Resume { conn, peer, source, sequence, key: None });
                if !self.is(Conn::Accepted, machine) {
                    return None;
                }
            } else {
                self.fresh = false;
                return Some(false);
            }
        }
        if let Some(Err(gap)) = number.map(|number| self.inbound.check(number)) {
            machine.tell(Input::Gap { conn, peer, missing: gap.missing });
            return None;
        }
        if decode_content(head).is_some() {
            return Some(true);
        }
        match decoded {
            Ok(Decoded { command: Command::Hello(_) | Command::Unknown { .. }, .. }) | Err(_) => {}
            Ok(Decoded { command, .. }) => machine.tell(Input::Command { conn, peer, command }),
        }
        Some(false)
    }
}
