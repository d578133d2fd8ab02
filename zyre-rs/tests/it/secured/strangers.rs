//! Strangers of each kind at the door of a secured node that has a good peer. Each is counted under its own name.

use super::*;
use bytes::{Buf, BytesMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::sleep;
use zyre_rs::PeerId;
use zyre_rs::wire::Beacon;
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair, PublicKey};
use zyre_rs::zmtp::{Greeting, Handshake, Mechanism, Role, Status};

/// A secured pair, and how often a stranger of each kind tries.
struct Stage {
    port: u16,
    node: Node,
    good: Node,
    to_good: Events,
}

impl Stage {
    async fn new() -> Self {
        let port = beacon_port();
        let place = Place::Loopback(port);
        let (node, _) = place.start("node", Some(key(1))).await;
        let (good, to_good) = place.start("good", Some(key(1))).await;
        meet(&node, &good).await;
        Self { port, node, good, to_good }
    }

    fn count(&self, name: &str) -> u64 {
        self.node.stats().counter(name)
    }

    async fn counted(&self, name: &str, at_least: u64) {
        let reached = timeout(PATIENCE, async {
            while self.count(name) < at_least {
                sleep(Duration::from_millis(5)).await;
            }
        });
        reached.await.unwrap_or_else(|_| panic!("{name}: {:?}", self.node.stats().counters));
    }

    async fn touch(&self) -> TcpStream {
        TcpStream::connect(self.node.endpoint().address()).await.unwrap()
    }

    /// The good pair has noticed nothing.
    async fn finish(mut self) {
        self.node.whisper(self.good.id(), "still here").await.unwrap();
        assert_eq!(hear(&mut self.to_good).await.text(), Some("still here"));
        assert_eq!(self.node.peers().len(), 1, "nobody has got in");
        self.node.stop().await;
        self.good.stop().await;
    }
}

fn fresh() -> Fresh {
    let bytes: Vec<u8> = (0..6).flat_map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
    Fresh::new(bytes.try_into().unwrap())
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
    let mut handshake = Handshake::new(Role::dealer(PeerId::from_bytes([3; 16])), client);
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
    for n in 1..=100 {
        let pair = || KeyPair::from_secret([n; 32]);
        assert!(
            !greets(&mut stage.touch().await, pair(), key(1).public_key()).await,
            "it knows the node's key"
        );
        assert!(
            !greets(&mut stage.touch().await, pair(), pair().public()).await,
            "it does not even know that"
        );
    }
    stage.counted("curve_client_denied", 100).await;
    stage.counted("curve_wrong_server_key", 100).await;
    assert_eq!((stage.count("curve_client_denied"), stage.count("curve_wrong_server_key")), (100, 100));
    stage.finish().await;
}

#[tokio::test]
async fn greetings_of_other_mechanisms_and_versions_are_refused_by_name_and_get_no_answer() {
    let stage = Stage::new().await;
    let greeting = |mechanism: &str| Greeting::new(mechanism, false).encode().to_vec();
    let mut version_2 = greeting("NULL");
    version_2[10] = 1;
    for (greeting, counter) in [
        (greeting("NULL"), "handshake_null_refused"),
        (greeting("PLAIN"), "handshake_plain_refused"),
        (greeting("GSSAPI"), "handshake_mechanism_mismatch"),
        (version_2, "greeting_old_version"),
        (b"\x01\x00".to_vec(), "greeting_not_zmtp"),
    ] {
        for n in 1..=100 {
            let mut stream = stage.touch().await;
            let _ = stream.write_all(&greeting).await;
            assert!(rest(&mut stream).await.len() <= Greeting::SIZE, "{counter}: no more than a greeting");
            stage.counted(counter, n).await;
        }
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
    for (key, counter) in [(None, "beacon_unsecured"), (Some([9; 32]), "beacon_wrong_key")] {
        for n in 0..100 {
            let beacon = Beacon { id: PeerId::from_bytes([n; 16]), port, key };
            socket.send_to(&beacon.encode(), ("127.255.255.255", stage.port)).await.unwrap();
            stage.counted(counter, u64::from(n) + 1).await;
        }
    }
    assert!(timeout(Duration::from_millis(50), door.accept()).await.is_err(), "nobody comes");
    stage.finish().await;
}

#[tokio::test]
async fn a_thousand_handshakes_that_stop_after_hello_keep_no_joiner_out() {
    let stage = Stage::new().await;
    let mut waiting = Vec::new();
    for _ in 0..1_000 {
        let mut stream = stage.touch().await;
        let client = Client::new(KeyPair::from_secret([3; 32]), key(1).public_key(), &fresh());
        let mut handshake =
            Handshake::new(Role::dealer(PeerId::from_bytes([3; 16])), Mechanism::client(client));
        handshake.receive(&Greeting::new("CURVE", true).encode()).unwrap();
        let _ = stream.write_all(&handshake.take_output()).await;
        waiting.push(stream);
    }
    // One address has 32 places, and the oldest goes first.
    stage.counted("handshake_evicted", 900).await;
    let (joiner, _events) = Place::Loopback(stage.port).start("joiner", Some(key(1))).await;
    meet(&joiner, &stage.node).await;
    timeout(PATIENCE, joiner.stop()).await.unwrap();
    let gone = stage.node.wait_until(|members| members.peers().count() == 1);
    timeout(PATIENCE, gone).await.unwrap();
    drop(waiting);
    stage.finish().await;
}

/// Lies between two nodes: passes everything on and notes what the caller says, or changes one bit of it.
async fn wire_tap(to: SocketAddr, flip: Option<usize>) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (door.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let tape = heard.clone();
    tokio::spawn(async move {
        while let Ok((caller, _)) = door.accept().await {
            let Ok(called) = TcpStream::connect(to).await else { return };
            let (mut from_caller, mut to_caller) = caller.into_split();
            let (mut from_called, mut to_called) = called.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_called, &mut to_caller).await });
            let (mut passed, mut piece) = (0, vec![0; 64 * 1024]);
            while let Ok(count @ 1..) = from_caller.read(&mut piece).await {
                if let Some(at) = flip.filter(|at| (passed..passed + count).contains(at)) {
                    piece[at - passed] ^= 0x10;
                }
                passed += count;
                tape.lock().unwrap().extend_from_slice(&piece[..count]);
                if to_called.write_all(&piece[..count]).await.is_err() {
                    break;
                }
            }
        }
    });
    (address, heard)
}

#[tokio::test]
async fn a_connection_that_was_overheard_opens_nothing_when_it_is_said_again() {
    let stage = Stage::new().await;
    let (tap, heard) = wire_tap(stage.node.endpoint().address(), None).await;
    let caller = Node::builder("caller").interface("127.0.0.1").beacon(false).join("all");
    let caller = caller.network_key(key(1)).connect(format!("tcp://{tap}")).start();
    let (caller, _events) = caller.await.unwrap();
    meet(&caller, &stage.node).await;
    caller.whisper(stage.node.id(), "pay 10").await.unwrap();
    timeout(PATIENCE, caller.stop()).await.unwrap();
    let gone = stage.node.wait_until(|members| members.peers().count() == 1);
    timeout(PATIENCE, gone).await.unwrap();

    let tape = heard.lock().unwrap().clone();
    assert!(tape.len() > 64 + 202 + 318, "a whole handshake and more");
    for n in 1..=100 {
        let mut stream = stage.touch().await;
        let _ = stream.write_all(&tape).await;
        let said = rest(&mut stream).await;
        assert!(said.len() <= 64 + 170, "no more than WELCOME: {}", said.len());
        stage.counted("curve_wrong_cookie", n).await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_bit_that_flips_anywhere_on_the_way_ends_the_connection() {
    let stage = Stage::new().await;
    let names = || {
        let counters = stage.node.stats().counters;
        counters.into_iter().filter(|(name, _)| name.starts_with("curve_")).map(|(_, n)| n).sum::<u64>()
    };
    // In HELLO's box, in INITIATE's cookie and box, in the MESSAGE with the ZRE HELLO: its name, counter, tag, content.
    for at in [64 + 130, 64 + 202 + 30, 64 + 202 + 200, 584 + 4, 584 + 16, 584 + 25, 584 + 60] {
        let before = names();
        let (tap, _) = wire_tap(stage.node.endpoint().address(), Some(at)).await;
        let caller = Node::builder("caller").interface("127.0.0.1").beacon(false).network_key(key(1));
        let (caller, _events) = caller.connect(format!("tcp://{tap}")).start().await.unwrap();
        let refused = timeout(PATIENCE, async {
            while names() == before {
                sleep(Duration::from_millis(5)).await;
            }
        });
        refused.await.unwrap_or_else(|_| panic!("byte {at}: {:?}", stage.node.stats().counters));
        assert_eq!(stage.node.peers().len(), 1, "byte {at}");
        caller.stop().await;
    }
    stage.finish().await;
}
