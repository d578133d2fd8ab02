//! A TCP connection of the attacker, and the mailbox where it is called.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket2::{Domain, Socket, Type};
use zyre_rs::PeerId;
use zyre_rs::wire::{Command, Decoded, decode};
use zyre_rs::zmtp::curve::Traffic;
use zyre_rs::zmtp::{
    Decoder, Greeting, Handshake, Identities, Limits, Mechanism, Role, Status, Step, put_command,
};

/// Whether something has gone wrong; what is wrong is then found sooner, and nothing is right again anyway.
pub(super) static FAILED: AtomicBool = AtomicBool::new(false);

/// Bound of every wait; far above what a step takes on a busy machine.
pub(super) fn patience() -> Duration {
    Duration::from_secs(if FAILED.load(Ordering::Relaxed) { 2 } else { 20 })
}

/// What nobody else would say.
const CONTEXT: &[u8] = b"corpus";

pub(super) struct Line {
    stream: TcpStream,
    /// What the other side has said and nobody has looked at.
    heard: BytesMut,
    pub(super) traffic: Option<Box<Traffic>>,
}

impl Line {
    pub(super) fn open(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of ours");
        socket.connect_timeout(&to.into(), patience()).expect("the victim listens");
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(patience())).expect("a socket");
        stream.set_write_timeout(Some(patience())).expect("a socket");
        Self { stream, heard: BytesMut::new(), traffic: None }
    }

    /// Writes as much as the other side takes before it closes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(!is_timeout(&error), "the victim neither reads nor closes");
        }
    }

    pub(super) fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads once; false at the end.
    fn read(&mut self) -> Result<bool, ErrorKind> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.heard.extend_from_slice(&piece[..count]);
                Ok(true)
            }
            Err(error) if is_timeout(&error) => Err(ErrorKind::TimedOut),
            Err(_) => Ok(false),
        }
    }

    /// Takes so many bytes of what the other side says.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<u8>, String> {
        while self.heard.len() < count {
            if !self.read().map_err(|kind| kind.to_string())? {
                return Err("the victim closed".into());
            }
        }
        Ok(self.heard.split_to(count).to_vec())
    }

    /// Takes a frame and gives its body.
    pub(super) fn take_frame(&mut self) -> Result<Vec<u8>, String> {
        let flags = self.take(1)?[0];
        let size = self.take(if flags & 2 == 0 { 1 } else { 8 })?;
        self.take(size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)))
    }

    /// Exchanges greetings.
    pub(super) fn greet(&mut self, mechanism: &str, as_server: bool) -> Result<(), String> {
        self.write(&Greeting::new(mechanism, as_server).encode());
        self.take(Greeting::SIZE).map(drop)
    }

    /// Shakes hands in open mode.
    pub(super) fn shake(&mut self, role: Role) -> Result<(), String> {
        self.shake_with(Handshake::new(role, Mechanism::Null))
    }

    pub(super) fn shake_with(&mut self, mut handshake: Handshake) -> Result<(), String> {
        loop {
            let output = handshake.take_output();
            self.write(&output);
            let (consumed, status) = handshake.receive(&self.heard).map_err(|error| error.to_string())?;
            let _ = self.heard.split_to(consumed);
            let output = handshake.take_output();
            self.write(&output);
            if let Status::Done(_) = status {
                self.traffic = handshake.into_mechanism().into_traffic();
                return Ok(());
            }
            if !self.read().map_err(|kind| kind.to_string())? {
                return Err("the victim closed".into());
            }
        }
    }

    /// Writes frames, sealed where the connection is.
    pub(super) fn say(&mut self, frames: &[u8]) {
        let sealed = self.seal(frames);
        self.write(&sealed);
    }

    pub(super) fn seal(&mut self, frames: &[u8]) -> Vec<u8> {
        let Some(traffic) = &mut self.traffic else { return frames.to_vec() };
        let mut sealed = Vec::new();
        traffic.sealer.seal_frames(&mut sealed, frames).expect("counters are left");
        sealed
    }

    /// Whether the other side is still there: it answers a PING, and so has read everything before.
    pub(super) fn is_served(&mut self) -> Result<(), String> {
        let mut ping = Vec::new();
        put_command(&mut ping, b"PING", &[&[0, 0], CONTEXT].concat());
        self.say(&ping);
        let pong = [b"\x04PONG", CONTEXT].concat();
        let mut plain = BytesMut::new();
        loop {
            let said = match &mut self.traffic {
                None => &self.heard,
                Some(traffic) => {
                    let opened = traffic.opener.open_frames(&self.heard, &mut plain, 1 << 20);
                    let opened = opened.map_err(|error| error.to_string())?;
                    let _ = self.heard.split_to(opened.consumed);
                    &plain
                }
            };
            if let Some(at) = said.windows(pong.len()).position(|part| part == pong) {
                if self.traffic.is_none() {
                    let _ = self.heard.split_to(at + pong.len());
                }
                return Ok(());
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Err("the connection was closed".into()),
                Err(kind) => return Err(format!("no PONG: {kind}")),
            }
        }
    }

    /// Whether the other side closes.
    pub(super) fn is_closed(&mut self) -> Result<(), String> {
        loop {
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) => return Err("the connection was not closed".into()),
            }
        }
    }

    /// Reads ZRE messages until one is what is wanted.
    pub(super) fn hear(&mut self, wanted: impl Fn(&Decoded, &[u8]) -> bool) -> Result<(), String> {
        let mut decoder = Decoder::new(Limits::default());
        let mut plain = BytesMut::new();
        loop {
            if let Some(traffic) = &mut self.traffic {
                let opened = traffic.opener.open_frames(&self.heard, &mut plain, 1 << 20);
                let opened = opened.map_err(|error| error.to_string())?;
                let _ = self.heard.split_to(opened.consumed);
            }
            let said = if self.traffic.is_some() { &mut plain } else { &mut self.heard };
            let (consumed, found) = match decoder.next(said).map_err(|error| error.to_string())? {
                Step::NeedMore { .. } => (0, false),
                Step::Command { consumed, .. } => (consumed, false),
                Step::Message(message) => {
                    let head =
                        decode(message.frame(0).unwrap_or_default()).map_err(|error| error.to_string())?;
                    (message.consumed(), wanted(&head, message.frame(1).unwrap_or_default()))
                }
            };
            let _ = said.split_to(consumed);
            if found {
                return Ok(());
            }
            if consumed == 0 && !self.read().map_err(|kind| kind.to_string())? {
                return Err("the victim closed".into());
            }
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Where a case is called.
pub(super) struct Mailbox {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Mailbox {
    pub(super) fn open(ip: Ipv4Addr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((ip, 0)).into()).expect("an address of ours");
        socket.listen(8).expect("it listens");
        let listener: TcpListener = socket.into();
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("it is bound");
        Self { listener, address }
    }

    /// Waits for a call.
    pub(super) fn accept(&self, patience: Duration) -> Result<Line, String> {
        let begin = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a socket");
                    return Ok(Line::new(stream));
                }
                Err(error) if is_timeout(&error) && begin.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(format!("the victim does not call: {error}")),
            }
        }
    }

    /// Waits for a call and its HELLO.
    pub(super) fn greeted(&self) -> Result<Line, String> {
        let mut line = self.accept(patience())?;
        line.shake(Role::Router { accept: Identities::Nodes })?;
        line.hear(|head, _| matches!(head.command, Command::Hello(_)))?;
        Ok(line)
    }
}

/// The role of a node's DEALER.
pub(super) fn dealer(id: PeerId) -> Role {
    Role::dealer(id)
}
