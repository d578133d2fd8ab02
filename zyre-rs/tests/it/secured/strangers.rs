//! Strangers of each kind at the door of a secured node that has a good peer: each tries a thousand times and enters never,
//! and each is counted under its own name, once for every try, with nothing else counted beside it.

mod overheard;

use super::*;
use bytes::{Buf, BytesMut};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::sleep;
use zyre_rs::PeerId;
use zyre_rs::wire::{Beacon, Command, Hello, HelloFields};
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair, PublicKey};
use zyre_rs::zmtp::{Greeting, Handshake, Mechanism, Role, Status, put_message};

/// How often a stranger of each kind tries.
const TRIES: u16 = 1_000;
/// How many do at a time: fewer than the handshakes that one address may have under way.
const AT_A_TIME: usize = 16;

/// A secured pair.
struct Stage {
    port: u16,
    node: Node,
    to_node: Events,
    good: Node,
    to_good: Events,
    /// Who may have been there.
    members: Vec<PeerId>,
    /// What was counted before the strangers came.
    before: BTreeMap<&'static str, u64>,
}

impl Stage {
    async fn new() -> Self {
        let port = beacon_port();
        let place = Place::Loopback(port);
        let (node, to_node) = place.start("node", Some(key(1))).await;
        let (good, to_good) = place.start("good", Some(key(1))).await;
        meet(&node, &good).await;
        let before = node.stats().counters;
        let members = vec![good.id()];
        Self { port, node, to_node, good, to_good, members, before }
    }

    fn address(&self) -> SocketAddr {
        self.node.endpoint().address()
    }

    /// What has been counted since the pair met, by name.
    fn counted(&self) -> BTreeMap<&'static str, u64> {
        let since = |(name, n)| (name, n - self.before.get(name).copied().unwrap_or(0));
        self.node.stats().counters.into_iter().map(since).filter(|(_, n)| *n > 0).collect()
    }

    /// Waits until so many refusals have been counted, under whatever name.
    async fn refused(&self, at_least: u64) {
        let reached = timeout(PATIENCE, async {
            while self.counted().values().sum::<u64>() < at_least {
                sleep(Duration::from_millis(1)).await;
            }
        });
        reached.await.unwrap_or_else(|_| panic!("{at_least} refusals, not {:?}", self.counted()));
    }

    /// Waits for the counters, and insists that they say exactly this.
    async fn counts(&self, expected: &[(&'static str, u16)]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, n)| (*name, u64::from(*n))).collect();
        self.refused(expected.values().sum()).await;
        assert_eq!(self.counted(), expected);
    }

    async fn touch(&self) -> TcpStream {
        touch(self.address()).await
    }

    /// The good pair has noticed nothing, and nobody has entered.
    async fn finish(mut self) {
        figure(&format!("strangers let in: 0; refused: {:?}", self.counted()));
        self.node.whisper(self.good.id(), "still here").await.unwrap();
        assert_eq!(hear(&mut self.to_good).await.text(), Some("still here"));
        self.good.whisper(self.node.id(), "here too").await.unwrap();
        loop {
            let event =
                timeout(PATIENCE, self.to_node.next()).await.expect("an event").expect("a living node");
            assert!(self.members.contains(&event.peer()), "{event:?}");
            assert!(event.peer() != self.good.id() || event.kind() != "EXIT", "{event:?}");
            if event.message().and_then(|message| message.text()) == Some("here too") {
                break;
            }
        }
        assert_eq!(self.node.peers(), [self.good.id()]);
        self.node.stop().await;
        self.good.stop().await;
    }
}

/// Tells a figure past the test runner, which swallows what a passing test prints.
fn figure(text: &str) {
    let _ = writeln!(std::io::stderr(), "FIGURE: {text}");
}

/// Runs every try, some at a time.
async fn each_try<F: Future<Output = ()> + Send + 'static>(attempt: impl Fn(u16) -> F) {
    let mut under_way = JoinSet::new();
    for n in 0..TRIES {
        if under_way.len() == AT_A_TIME {
            under_way.join_next().await.unwrap().unwrap();
        }
        under_way.spawn(attempt(n));
    }
    while let Some(tried) = under_way.join_next().await {
        tried.unwrap();
    }
}

async fn touch(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

fn fresh() -> Fresh {
    let bytes: Vec<u8> = (0..6).flat_map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
    Fresh::new(bytes.try_into().unwrap())
}

const SOMEBODY: PeerId = PeerId::from_bytes([3; 16]);

/// A ZRE HELLO in a frame that is not sealed.
fn hello() -> Vec<u8> {
    let (endpoint, name) = (b"tcp://127.0.0.1:9".to_vec(), b"stranger".to_vec());
    let hello = Hello::new(HelloFields { endpoint, name, ..HelloFields::default() }).unwrap();
    let (mut body, mut frame) = (Vec::new(), Vec::new());
    Command::Hello(hello).encode(1, &mut body);
    put_message(&mut frame, &[body]);
    frame
}

/// All that the node says until it closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the node closes");
    said
}

/// Greets as a client with this pair that knows the server by this key; says whether it was let in.
async fn greets(stream: &mut TcpStream, pair: KeyPair, server: PublicKey) -> bool {
    let client = Mechanism::client(Client::new(pair, server, &fresh()));
    let mut handshake = Handshake::new(Role::dealer(SOMEBODY), client);
    let mut buffer = BytesMut::new();
    loop {
        match handshake.receive(&buffer) {
            Ok((_, Status::Done(_))) => return true,
            Ok((consumed, Status::Pending)) => buffer.advance(consumed),
            Err(_) => return false,
        }
        let _ = stream.write_all(&handshake.take_output()).await;
        if timeout(PATIENCE, stream.read_buf(&mut buffer)).await.expect("bounded").unwrap_or(0) == 0 {
            return false;
        }
    }
}

#[tokio::test]
async fn a_stranger_with_keys_of_its_own_is_not_let_in() {
    let stage = Stage::new().await;
    let address = stage.address();
    let pair =
        |n: u16| KeyPair::from_secret(std::array::from_fn(|at| (usize::from(n) >> (at % 2 * 8)) as u8));
    each_try(move |n| async move {
        let shown = key(1).public_key();
        assert!(!greets(&mut touch(address).await, pair(n), shown).await, "it knows the node's key");
        let own = pair(n).public();
        assert!(!greets(&mut touch(address).await, pair(n), own).await, "it does not even know that");
    })
    .await;
    stage.counts(&[("curve_client_denied", TRIES), ("curve_wrong_server_key", TRIES)]).await;
    stage.finish().await;
}

#[tokio::test]
async fn greetings_of_other_mechanisms_and_versions_are_refused_by_name_and_get_no_answer() {
    let mut stage = Stage::new().await;
    let address = stage.address();
    let greeting = |mechanism: &str| Greeting::new(mechanism, false).encode().to_vec();
    // All that an open node says to another one, without waiting for an answer.
    let mut open = Handshake::new(Role::dealer(SOMEBODY), Mechanism::Null);
    open.receive(&greeting("NULL")).unwrap();
    let open = [open.take_output(), hello()].concat();
    let mut version_2 = greeting("NULL");
    version_2[10] = 1;
    for (opening, counter) in [
        (open, "handshake_null_refused"),
        (greeting("PLAIN"), "handshake_plain_refused"),
        (greeting("GSSAPI"), "handshake_mechanism_mismatch"),
        (version_2, "greeting_old_version"),
        (b"\x01\x00".to_vec(), "greeting_zmtp_1"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "greeting_not_zmtp"),
    ] {
        stage.before = stage.node.stats().counters;
        each_try(|_| {
            let opening = opening.clone();
            async move {
                let mut stream = touch(address).await;
                let _ = stream.write_all(&opening).await;
                assert!(rest(&mut stream).await.len() <= Greeting::SIZE, "no more than a greeting");
            }
        })
        .await;
        stage.counts(&[(counter, TRIES)]).await;
        figure(&format!("refused as {counter}: {TRIES} of {TRIES}"));
    }
    stage.finish().await;
}

#[tokio::test]
async fn beacons_of_open_nodes_and_of_other_networks_are_refused() {
    let stage = Stage::new().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.set_broadcast(true).unwrap();
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = door.local_addr().unwrap().port();
    let ours = *key(1).public_key().as_bytes();
    let beacon = |n: u16, key| {
        let id = PeerId::from_bytes(std::array::from_fn(|at| (usize::from(n) >> (at % 2 * 8)) as u8));
        Beacon { id, port, key }.encode()
    };
    let edit = |mut beacon: Vec<u8>, at: usize, byte| {
        beacon[at] = byte;
        beacon
    };
    type Kind<'a> = (&'static str, &'a dyn Fn(u16) -> Vec<u8>);
    let kinds: [Kind; 5] = [
        ("beacon_unsecured", &|n| beacon(n, None)),
        ("beacon_wrong_key", &|n| beacon(n, Some([9; 32]))),
        ("beacon_wrong_size", &|n| beacon(n, Some(ours))[..53].to_vec()),
        ("beacon_wrong_version", &|n| edit(beacon(n, Some(ours)), 3, 1)),
        ("beacon_wrong_prefix", &|n| edit(beacon(n, Some(ours)), 0, b'z')),
    ];
    let mut said = 0;
    for (_, make) in kinds {
        for n in 0..TRIES {
            socket.send_to(&make(n), ("127.255.255.255", stage.port)).await.unwrap();
            said += 1;
            // The system keeps few datagrams for a reader that has no time.
            if said % 50 == 0 {
                stage.refused(said).await;
            }
        }
    }
    stage.counts(&kinds.map(|(name, _)| (name, TRIES))).await;
    assert!(timeout(Duration::from_millis(50), door.accept()).await.is_err(), "nobody comes");
    stage.finish().await;
}

#[tokio::test]
async fn a_thousand_handshakes_that_stop_after_hello_keep_no_joiner_out() {
    let mut stage = Stage::new().await;
    let mut waiting = Vec::new();
    for _ in 0..TRIES {
        let mut stream = stage.touch().await;
        let client = Client::new(KeyPair::from_secret([3; 32]), key(1).public_key(), &fresh());
        let mut handshake = Handshake::new(Role::dealer(SOMEBODY), Mechanism::client(client));
        handshake.receive(&Greeting::new("CURVE", true).encode()).unwrap();
        let _ = stream.write_all(&handshake.take_output()).await;
        waiting.push(stream);
    }
    // One address has 32 places, and the oldest goes first.
    stage.refused(900).await;
    let (joiner, _events) = Place::Loopback(stage.port).start("joiner", Some(key(1))).await;
    meet(&joiner, &stage.node).await;
    stage.members.push(joiner.id());
    timeout(PATIENCE, joiner.stop()).await.unwrap();
    let gone = stage.node.wait_until(|members| members.peers().count() == 1);
    timeout(PATIENCE, gone).await.unwrap();
    drop(waiting);
    stage.finish().await;
}
