//! A trusted member that lies: about its UUID, about its key, and in beacons.

use super::*;
use bytes::{Buf, BytesMut};
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use zyre_rs::wire::{Beacon, Command, Hello, HelloFields};
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair, Traffic};
use zyre_rs::zmtp::{Handshake, Mechanism, Role, Status, put_message};

/// Keys of the mesh: the node, its good peer, and the member that lies.
const NODE: u8 = 1;
const GOOD: u8 = 2;
const LIAR: u8 = 3;
/// A trusted member that is not there.
const AWAY: u8 = 4;

struct Stage {
    node: Node,
    events: Events,
    good: Node,
    to_good: Events,
    port: u16,
    /// Where the liar pretends to have a mailbox.
    door: TcpListener,
}

impl Stage {
    async fn new() -> Self {
        let port = beacon_port();
        let place = Place::Loopback(port);
        let (node, events) = start(&place, NODE, &[GOOD, LIAR, AWAY]).await;
        let (good, to_good) = start(&place, GOOD, &[NODE]).await;
        meet(&node, &good).await;
        let door = TcpListener::bind("0.0.0.0:0").await.unwrap();
        Self { node, events, good, to_good, port, door }
    }

    /// A connection of the liar from 127.0.0.`from`, under this UUID, with key `n`.
    async fn connect(&self, from: u8, id: PeerId, n: u8) -> Line {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        let stream = socket.connect(self.node.endpoint().address()).await.unwrap();
        Line::open(stream, id, n).await
    }

    /// A HELLO that shows key `n`, or none.
    fn hello(&self, shown: Option<u8>) -> HelloFields {
        let key = |n| (b"X-PUBLICKEY".to_vec(), node_key(n).public_key().to_string().into_bytes());
        HelloFields {
            endpoint: format!("tcp://127.0.0.1:{}", self.door.local_addr().unwrap().port()).into_bytes(),
            name: b"liar".to_vec(),
            headers: shown.map(key).into_iter().collect(),
            ..HelloFields::default()
        }
    }

    async fn beacon(&self, from: u8, id: PeerId, n: u8) {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, from), 0)).await.unwrap();
        socket.set_broadcast(true).unwrap();
        let port = self.door.local_addr().unwrap().port();
        let beacon = Beacon { id, port, key: Some(*node_key(n).public_key().as_bytes()) };
        socket.send_to(&beacon.encode(), ("127.255.255.255", self.port)).await.unwrap();
    }

    async fn enters(&self, id: PeerId) {
        let entered = timeout(PATIENCE, self.node.wait_until(|members| members.peer(id).is_some())).await;
        assert!(entered.unwrap_or_else(|_| panic!("{:?}", self.node.stats().counters)));
    }

    /// The good pair has noticed nothing, and nobody else is there but `members`.
    async fn finish(mut self, members: &[PeerId]) {
        self.node.whisper(self.good.id(), "still here").await.unwrap();
        assert_eq!(hear(&mut self.to_good).await.text(), Some("still here"));
        let mut expected = [members, &[self.good.id()]].concat();
        expected.sort_unstable();
        assert_eq!(self.node.peers(), expected);
        self.node.stop().await;
        while let Some(event) = self.events.next().await {
            let exit = matches!(&event, Event::Exit { peer, reason, .. } if *peer == self.good.id() && *reason != ExitReason::Goodbye);
            assert!(!exit, "{event:?}");
        }
    }
}

/// A sealed connection to the node.
struct Line {
    stream: TcpStream,
    traffic: Box<Traffic>,
    sequence: u16,
}

impl Line {
    async fn open(mut stream: TcpStream, id: PeerId, n: u8) -> Self {
        let random: Vec<u8> = (0..6).flat_map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
        let fresh = Fresh::new(random.try_into().unwrap());
        let client = Client::new(KeyPair::from_secret([n; 32]), node_key(NODE).public_key(), &fresh);
        let mut handshake = Handshake::new(Role::dealer(id), Mechanism::client(client));
        let mut buffer = BytesMut::new();
        loop {
            let (consumed, status) = handshake.receive(&buffer).unwrap();
            buffer.advance(consumed);
            stream.write_all(&handshake.take_output()).await.unwrap();
            if let Status::Done(_) = status {
                let traffic = handshake.into_mechanism().into_traffic().unwrap();
                return Self { stream, traffic, sequence: 0 };
            }
            assert!(timeout(PATIENCE, stream.read_buf(&mut buffer)).await.unwrap().unwrap() > 0);
        }
    }

    async fn say(&mut self, command: &Command, content: &[&[u8]]) {
        self.sequence += 1;
        let (mut head, mut plain, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        command.encode(self.sequence, &mut head);
        put_message(&mut plain, &[&[head.as_slice()], content].concat());
        self.traffic.sealer.seal_frames(&mut sealed, &plain).unwrap();
        let _ = self.stream.write_all(&sealed).await;
    }

    async fn say_hello(&mut self, hello: HelloFields) {
        self.say(&Command::Hello(Hello::new(hello).unwrap()), &[]).await;
    }

    async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("the node closes");
    }
}

/// What the node says about a liar.
async fn mismatch(stage: &mut Stage, id: PeerId, key: u8) {
    let told = event(&mut stage.events, "KEY-MISMATCH").await;
    let Event::KeyMismatch { peer, key: shown, .. } = told else { unreachable!("{told:?}") };
    assert_eq!((peer, shown), (id, node_key(key).public_key()));
}

#[tokio::test]
async fn a_member_cannot_take_the_uuid_of_another_present_or_not() {
    let mut stage = Stage::new().await;
    for (stolen, n) in [(GOOD, 1), (AWAY, 2), (NODE, 3)] {
        for from in [1, 2] {
            let mut line = stage.connect(from, node_key(stolen).peer_id(), LIAR).await;
            line.say_hello(stage.hello(Some(LIAR))).await;
            line.say(&Command::Whisper, &[b"I am somebody else"]).await;
            line.closed().await;
        }
        counted(&stage.node, "key_mismatch", 2 * n).await;
    }
    mismatch(&mut stage, node_key(GOOD).peer_id(), LIAR).await;
    stage.finish(&[]).await;
}

#[tokio::test]
async fn a_connection_does_not_go_on_where_that_of_another_ended() {
    let stage = Stage::new().await;
    let mut line = stage.connect(1, node_key(GOOD).peer_id(), LIAR).await;
    line.sequence = 40;
    line.say(&Command::Whisper, &[b"as I was saying"]).await;
    counted(&stage.node, "key_mismatch", 1).await;
    drop(line);
    stage.finish(&[]).await;
}

#[tokio::test]
async fn a_random_uuid_belongs_to_the_key_that_proved_it_first() {
    let mut stage = Stage::new().await;
    let id = PeerId::from_bytes([0x5a; 16]);
    let mut owner = stage.connect(2, id, AWAY).await;
    owner.say_hello(stage.hello(Some(AWAY))).await;
    stage.enters(id).await;
    for (n, from) in (1..).zip([2, 3]) {
        let mut thief = stage.connect(from, id, LIAR).await;
        thief.say_hello(stage.hello(Some(LIAR))).await;
        thief.closed().await;
        counted(&stage.node, "key_mismatch", n).await;
    }
    mismatch(&mut stage, id, LIAR).await;
    owner.say(&Command::Whisper, &[b"still me"]).await;
    let Event::Whisper { peer, message, .. } = event(&mut stage.events, "WHISPER").await else {
        unreachable!()
    };
    assert_eq!((peer, message.text()), (id, Some("still me")));
    stage.finish(&[id]).await;
}

#[tokio::test]
async fn a_header_that_shows_another_key_than_the_proven_one_closes_the_connection() {
    let mut stage = Stage::new().await;
    let id = node_key(LIAR).peer_id();
    let mut line = stage.connect(1, id, LIAR).await;
    line.say_hello(stage.hello(Some(GOOD))).await;
    line.closed().await;
    mismatch(&mut stage, id, LIAR).await;
    let mut line = stage.connect(1, id, LIAR).await;
    let mut nonsense = stage.hello(None);
    nonsense.headers.push((b"X-PUBLICKEY".to_vec(), vec![0xff; 40]));
    line.say_hello(nonsense).await;
    line.closed().await;
    counted(&stage.node, "key_mismatch", 2).await;
    for shown in [None, Some(LIAR)] {
        let mut line = stage.connect(1, id, LIAR).await;
        line.say_hello(stage.hello(shown)).await;
        stage.enters(id).await;
    }
    stage.finish(&[id]).await;
}

#[tokio::test]
async fn a_forged_beacon_leads_to_nothing() {
    let mut stage = Stage::new().await;
    let (good, away) = (node_key(GOOD).peer_id(), node_key(AWAY).peer_id());
    for (n, id) in (1..).zip([good, away, stage.node.id()]) {
        stage.beacon(1, id, LIAR).await;
        counted(&stage.node, "key_mismatch", n).await;
    }
    mismatch(&mut stage, good, LIAR).await;
    stage.beacon(1, good, 9).await;
    counted(&stage.node, "beacon_untrusted_key", 1).await;
    let nobody = timeout(Duration::from_millis(50), stage.door.accept()).await;
    assert!(nobody.is_err(), "no beacon was worth a connection");
    stage.finish(&[]).await;
}

#[tokio::test]
async fn a_peer_whose_beacon_shows_another_key_than_it_proves_is_closed_and_a_slandered_one_is_not() {
    let mut stage = Stage::new().await;
    let id = PeerId::from_bytes([0x5a; 16]);
    stage.beacon(2, id, LIAR).await;
    let called = timeout(PATIENCE, stage.door.accept()).await.expect("the beacon is followed");
    let mut line = stage.connect(2, id, AWAY).await;
    line.say_hello(stage.hello(Some(AWAY))).await;
    line.closed().await;
    mismatch(&mut stage, id, AWAY).await;
    drop(called);

    stage.beacon(2, id, LIAR).await;
    let called = timeout(PATIENCE, stage.door.accept()).await.expect("the beacon is followed");
    let mut line = stage.connect(3, id, AWAY).await;
    line.say_hello(stage.hello(Some(AWAY))).await;
    stage.enters(id).await;
    counted(&stage.node, "key_mismatch", 2).await;
    drop(called);
    stage.finish(&[id]).await;
}
