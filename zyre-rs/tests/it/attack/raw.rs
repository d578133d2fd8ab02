//! The attacker's kit: beacons from any loopback address, connections with any identity, messages with any number,
//! and a mailbox of its own that notes what the node says to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use zyre_rs::wire::{Beacon, Command, Hello, HelloFields, decode};
use zyre_rs::zmtp::{Decoder, Handshake, Identities, Limits, Mechanism, Role, Status, Step, put_message};
use zyre_rs::{GroupName, PeerId};

use super::stage::{PATIENCE, Stage};

/// 127.0.0.`last`.
pub(super) fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

pub(super) fn random_id() -> PeerId {
    PeerId::from_bytes(*uuid::Uuid::new_v4().as_bytes())
}

/// A node that is none.
pub(super) struct Attacker {
    pub(super) id: PeerId,
    pub(super) ip: Ipv4Addr,
    pub(super) mailbox: Mailbox,
    beacons: UdpSocket,
    beacons_to: SocketAddr,
    target: SocketAddr,
}

impl Attacker {
    /// Attacks from 127.0.0.`last`.
    pub(super) async fn at(stage: &Stage, last: u8) -> Self {
        Self {
            id: random_id(),
            ip: ip(last),
            mailbox: Mailbox::open(ip(last)).await,
            beacons: beacon_socket(ip(last)).await,
            beacons_to: (Ipv4Addr::new(127, 255, 255, 255), stage.port).into(),
            target: stage.mailbox(),
        }
    }

    pub(super) async fn datagram(&self, bytes: &[u8]) {
        self.beacons.send_to(bytes, self.beacons_to).await.unwrap();
    }

    pub(super) async fn beacon(&self, id: PeerId, port: u16) {
        self.datagram(&Beacon { id, port, key: None }.encode()).await;
    }

    pub(super) fn endpoint(&self) -> String {
        format!("tcp://{}", self.mailbox.address)
    }

    pub(super) fn hello(&self) -> HelloFields {
        hello(&self.endpoint())
    }

    /// A connection whose handshake is done, under this attacker's UUID.
    pub(super) async fn connect(&self) -> Line {
        self.connect_as(self.id).await
    }

    pub(super) async fn connect_as(&self, id: PeerId) -> Line {
        let mut line = self.touch().await;
        assert!(line.greet(&Role::dealer(id)).await, "the handshake is done");
        line
    }

    /// A connection on which nothing has been said.
    pub(super) async fn touch(&self) -> Line {
        Line::open(self.ip, self.target).await
    }

    /// A connection with an accepted HELLO.
    pub(super) async fn enter(&self, stage: &Stage) -> Line {
        let mut line = self.connect().await;
        line.say_hello(self.hello()).await;
        stage.enters(self.id).await;
        line
    }
}

pub(super) async fn beacon_socket(from: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.set_broadcast(true).unwrap();
    socket
}

/// A port on which nobody listens.
pub(super) async fn closed_port(ip: Ipv4Addr) -> u16 {
    TcpListener::bind((ip, 0)).await.unwrap().local_addr().unwrap().port()
}

/// A plain HELLO.
pub(super) fn hello(endpoint: &str) -> HelloFields {
    HelloFields { endpoint: endpoint.into(), name: b"attacker".to_vec(), ..HelloFields::default() }
}

pub(super) fn group(name: &[u8]) -> GroupName {
    GroupName::from_bytes(name).unwrap()
}

/// One connection to the victim.
pub(super) struct Line {
    pub(super) stream: TcpStream,
    /// Number of the last message.
    pub(super) sequence: u16,
}

impl Line {
    pub(super) async fn open(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = timeout(PATIENCE, socket.connect(to)).await.expect("bounded").unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, sequence: 0 }
    }

    /// Shakes hands; false if the other side closed instead.
    pub(super) async fn greet(&mut self, role: &Role) -> bool {
        let mut handshake = Handshake::new(role.clone(), Mechanism::Null);
        let mut buffer = BytesMut::new();
        timeout(PATIENCE, async {
            loop {
                if self.stream.write_all(&handshake.take_output()).await.is_err() {
                    return false;
                }
                let (consumed, status) = handshake.receive(&buffer).unwrap();
                buffer.advance(consumed);
                if let Status::Done(_) = status {
                    return true;
                }
                if self.stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    return false;
                }
            }
        })
        .await
        .expect("bounded")
    }

    /// Writes as much as the other side takes before it closes.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the victim reads or closes");
    }

    pub(super) async fn message(&mut self, frames: &[&[u8]]) {
        let mut bytes = Vec::new();
        put_message(&mut bytes, frames);
        self.write(&bytes).await;
    }

    /// Sends a message with the next number.
    pub(super) async fn say(&mut self, command: &Command, content: &[&[u8]]) {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = encode(command, self.sequence, content);
        self.write(&bytes).await;
    }

    /// Says HELLO and counts anew.
    pub(super) async fn say_hello(&mut self, fields: HelloFields) {
        self.sequence = 0;
        self.say(&Command::Hello(Hello::new(fields).unwrap()), &[]).await;
    }

    pub(super) async fn whisper(&mut self, text: &str) {
        self.say(&Command::Whisper, &[text.as_bytes()]).await;
    }

    /// Waits until the victim has closed the connection.
    pub(super) async fn closed(&mut self) {
        let mut buffer = [0; 4096];
        let closed = async { while self.stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
        timeout(PATIENCE, closed).await.expect("the victim closes the connection");
    }
}

/// A message on the wire.
pub(super) fn encode(command: &Command, sequence: u16, content: &[&[u8]]) -> Vec<u8> {
    let mut head = Vec::new();
    command.encode(sequence, &mut head);
    let mut bytes = Vec::new();
    put_message(&mut bytes, &[&[head.as_slice()], content].concat());
    bytes
}

/// What came into a mailbox.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) commands: Vec<Command>,
}

/// Where the attacker receives the node's links. Closes when dropped.
pub(super) struct Mailbox {
    pub(super) address: SocketAddr,
    seen: watch::Receiver<Seen>,
    task: AbortHandle,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mailbox {
    async fn open(ip: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (note, seen) = watch::channel(Seen::default());
        let task = tokio::spawn(receive(listener, Arc::new(note))).abort_handle();
        Self { address, seen, task }
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.borrow().connections
    }

    pub(super) fn count(&self, wanted: fn(&Command) -> bool) -> usize {
        self.seen.borrow().commands.iter().filter(|command| wanted(command)).count()
    }

    pub(super) async fn until(&self, what: &str, mut seen: impl FnMut(&Seen) -> bool) {
        let mut watched = self.seen.clone();
        let done = timeout(PATIENCE, watched.wait_for(|all| seen(all))).await.is_ok_and(|seen| seen.is_ok());
        assert!(done, "{what} does not come: {:?}", self.seen.borrow());
    }
}

async fn receive(listener: TcpListener, note: Arc<watch::Sender<Seen>>) {
    let mut links = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        note.send_modify(|seen| seen.connections += 1);
        links.spawn(take(stream, Arc::clone(&note)));
    }
}

async fn take(stream: TcpStream, note: Arc<watch::Sender<Seen>>) {
    let mut line = Line { stream, sequence: 0 };
    let mut handshake = Handshake::new(Role::Router { accept: Identities::Nodes }, Mechanism::Null);
    let mut buffer = BytesMut::new();
    let mut decoder = Decoder::new(Limits::default());
    let mut greeted = false;
    loop {
        if greeted {
            let consumed = match decoder.next(&buffer).unwrap() {
                Step::Message(message) => {
                    let command = decode(message.frame(0).unwrap()).unwrap().command;
                    note.send_modify(|seen| seen.commands.push(command));
                    message.consumed()
                }
                Step::Command { consumed, .. } => consumed,
                Step::NeedMore { .. } => 0,
            };
            buffer.advance(consumed);
            if consumed == 0 && line.stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        }
        if line.stream.write_all(&handshake.take_output()).await.is_err() {
            return;
        }
        let (consumed, status) = handshake.receive(&buffer).unwrap();
        buffer.advance(consumed);
        greeted = matches!(status, Status::Done(_));
        if greeted {
            let _ = line.stream.write_all(&handshake.take_output()).await;
        } else if line.stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
    }
}
