//! One connection's bytes, from the greeting on: however they are cut, the same is heard and answered.
//!
//! The first byte chooses our side and the limits, the second how the rest is cut.

use crate::Target;
use crate::mutator::Random;
use zyre_rs::PeerId;
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair};
use zyre_rs::zmtp::{
    Decoder, Greeting, Handshake, Identities, Limits, Mechanism, Metadata, Peer, Role, Status, Step, answer,
    next_read_size, put_command, put_error, put_frame, put_message, put_ping, put_pong,
};

pub(crate) const TARGET: Target =
    Target { name: "zmtp_stream", run, seeds, max_len: 4096, smoke_runs: 15_000 };

/// What a DEALER says first; the mailbox of another kind of socket in its place.
pub(super) fn opening(socket_type: &str, identity: &[u8]) -> Vec<u8> {
    let mut bytes = Greeting::new("NULL", false).encode().to_vec();
    let ready = Metadata::default().with("Socket-Type", socket_type.as_bytes()).with("Identity", identity);
    put_command(&mut bytes, b"READY", &ready.encode());
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let node: Vec<u8> = [1].into_iter().chain([7; 16]).collect();
    let stream = |options: u8, mut bytes: Vec<u8>, more: &dyn Fn(&mut Vec<u8>)| {
        more(&mut bytes);
        [&[options, 5], &bytes[..]].concat()
    };
    let frames = |out: &mut Vec<u8>| {
        put_message(out, &["one", "two"]);
        put_ping(out, 7);
        put_frame(out, b"first", true);
        put_pong(out, b"amid");
        put_frame(out, &[9; 300], false);
        put_command(out, b"SUBSCRIBE", b"topic");
        put_error(out, "enough");
        put_message(out, &[[0_u8; 0]]);
    };
    vec![
        stream(0, opening("DEALER", &node), &frames),
        stream(1, opening("ROUTER", b""), &frames),
        stream(2, opening("DEALER", b""), &frames),
        stream(4, opening("DEALER", &node), &frames),
        stream(12, opening("DEALER", &node), &frames),
        stream(0, opening("REQ", &node), &frames),
        stream(0, opening("DEALER", b"short"), &frames),
        stream(2, opening("DEALER", &[9; 256]), &frames),
        stream(0, Greeting::new("CURVE", true).encode().to_vec(), &frames),
        stream(0, Greeting::new("NULL", false).encode().to_vec(), &|out| put_error(out, "400")),
        stream(0, Greeting::new("NULL", false).encode().to_vec(), &|out| put_frame(out, b"early", false)),
        stream(17, Greeting::new("CURVE", true).encode().to_vec(), &|out| put_error(out, "400")),
        stream(17, Greeting::new("CURVE", true).encode().to_vec(), &|out| put_command(out, b"WELCOME", b"?")),
        stream(0, b"GET / HTTP/1.1\r\n".to_vec(), &|_| {}),
    ]
}

fn pair(n: u8) -> KeyPair {
    KeyPair::from_secret([n; 32])
}

/// What one side has heard, said and concluded.
#[derive(Debug, PartialEq)]
enum Heard {
    Said(Vec<u8>),
    Peer(Box<Peer>),
    Message(Vec<Vec<u8>>),
    Command(Vec<u8>),
    End(&'static str),
}

fn run(data: &[u8]) {
    let [options, cuts, stream @ ..] = data else { return };
    let whole = listen(*options, [stream]);
    assert_eq!(whole, listen(*options, stream.chunks(1)), "byte by byte");
    assert_eq!(whole, listen(*options, pieces(stream, u64::from(*cuts))), "at random places");
}

fn pieces(mut stream: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = Random::new(seed);
    let mut pieces = Vec::new();
    while !stream.is_empty() {
        let most = if random.below(4) == 0 { 400 } else { 12 };
        let length = (1 + random.below(most)).min(stream.len());
        let (piece, rest) = stream.split_at(length);
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

fn listen<'a>(options: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Heard> {
    let mut side = Side::new(options);
    for piece in pieces {
        if side.take(piece).is_none() {
            break;
        }
    }
    side.heard
}

struct Side {
    limits: Limits,
    handshake: Option<Handshake>,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Bytes without which nothing can be whole.
    due: usize,
    heard: Vec<Heard>,
}

impl Side {
    fn new(options: u8) -> Self {
        let role = match options & 3 {
            0 => Role::Router { accept: Identities::Nodes },
            1 => Role::dealer(PeerId::from_bytes([3; 16])),
            2 => Role::Router { accept: Identities::Any },
            _ => Role::Dealer { identity: Vec::new() },
        };
        let limits = match options >> 2 & 3 {
            0 => Limits::default(),
            1 => Limits { max_message: 64, ..Limits::default() },
            2 => Limits { max_frames: 3, ..Limits::default() },
            _ => Limits { max_message: 300, max_frames: 2 },
        };
        // Nothing here is sealed; that side only greets and is refused.
        let mechanism = match options & 16 {
            0 => Mechanism::Null,
            _ => Mechanism::client(Client::new(pair(1), pair(2).public(), &Fresh::new([5; Fresh::SIZE]))),
        };
        let mut handshake = Handshake::new(role, mechanism);
        let said = Heard::Said(handshake.take_output());
        let (buffer, decoder) = (Vec::new(), Decoder::new(limits));
        Self { limits, handshake: Some(handshake), decoder, buffer, due: 0, heard: vec![said] }
    }

    /// Takes more bytes; `None` once the connection has to be closed.
    fn take(&mut self, piece: &[u8]) -> Option<()> {
        self.buffer.extend_from_slice(piece);
        let early = self.due.saturating_sub(piece.len());
        let before = self.heard.len();
        if self.handshake.is_some() {
            self.greet()?;
        }
        if self.handshake.is_none() {
            self.walk()?;
        }
        assert!(early == 0 || self.heard.len() == before, "{early} bytes were still due");
        Some(())
    }

    fn greet(&mut self) -> Option<()> {
        let handshake = self.handshake.as_mut()?;
        let received = handshake.receive(&self.buffer);
        let said = handshake.take_output();
        if !said.is_empty() {
            self.heard.push(Heard::Said(said));
        }
        match received {
            Ok((consumed, status)) => {
                self.buffer.drain(..consumed);
                match status {
                    Status::Done(peer) => {
                        self.heard.push(Heard::Peer(Box::new(peer)));
                        let over = self.handshake.take().map(Handshake::into_mechanism);
                        assert!(
                            over.and_then(Mechanism::into_traffic).is_none(),
                            "NULL leaves nothing behind"
                        );
                    }
                    Status::Pending => assert!(self.buffer.len() < Handshake::MAX_INPUT),
                }
                Some(())
            }
            Err(error) => {
                assert!(!error.to_string().is_empty() && error.farewell().is_none());
                self.end(error.counter())
            }
        }
    }

    fn walk(&mut self) -> Option<()> {
        loop {
            let consumed = match self.decoder.next(&self.buffer) {
                Ok(Step::Message(message)) => {
                    let frames: Vec<Vec<u8>> = message.frames().map(<[u8]>::to_vec).collect();
                    assert!(!frames.is_empty() && frames.len() <= self.limits.max_frames);
                    assert!(frames.iter().map(Vec::len).sum::<usize>() <= self.limits.max_message);
                    assert_eq!(message.ranges().len(), frames.len());
                    assert_eq!(message.frame(frames.len() - 1), frames.last().map(Vec::as_slice));
                    assert_eq!(message.frame(frames.len()), None);
                    reads_back(&frames);
                    self.heard.push(Heard::Message(frames));
                    message.consumed()
                }
                Ok(Step::Command { body, consumed }) => {
                    let mut said = Vec::new();
                    let received = answer(body, &mut said);
                    self.heard.push(Heard::Command(body.to_vec()));
                    if !said.is_empty() {
                        self.heard.push(Heard::Said(said));
                    }
                    if let Err(error) = received {
                        return self.end(error.counter());
                    }
                    consumed
                }
                Ok(Step::NeedMore { at_least }) => {
                    assert!(
                        (1..=self.buffer.len().max(64 * 1024))
                            .contains(&next_read_size(at_least, self.buffer.len()))
                    );
                    self.due = at_least;
                    return Some(());
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    return self.end(error.counter());
                }
            };
            self.buffer.drain(..consumed);
        }
    }

    fn end(&mut self, cause: &'static str) -> Option<()> {
        self.heard.push(Heard::End(cause));
        None
    }
}

fn reads_back(frames: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    put_message(&mut bytes, frames);
    let mut decoder = Decoder::new(Limits::default());
    let Ok(Step::Message(message)) = decoder.next(&bytes) else { panic!("{frames:?} does not read back") };
    assert_eq!(message.consumed(), bytes.len());
    assert!(message.frames().eq(frames));
}
