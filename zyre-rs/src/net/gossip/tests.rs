use super::*;
use crate::net::request::Request;
use crate::wire::gossip::Message;
use crate::wire::vectors;
use crate::zmtp::{Identities, Mechanism, Role};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

/// Nothing here takes as long unless it never happens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node that does nothing but gossip.
struct TestNode {
    id: PeerId,
    gossip: Gossip,
    own: watch::Sender<(PeerId, Endpoint)>,
    told: mpsc::Receiver<Request>,
    learned: BTreeMap<PeerId, Endpoint>,
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new((Ipv4Addr::LOCALHOST, port).into()).unwrap()
}

impl TestNode {
    fn new(number: u8) -> Self {
        let id = PeerId::from_bytes([number; 16]);
        let (own, reader) = watch::channel((id, endpoint(u16::from(number))));
        let (driver, told) = mpsc::channel(16);
        let gossip = Gossip::start(reader, Driver(driver), Arc::default(), Security::Open);
        Self { id, gossip, own, told, learned: BTreeMap::new() }
    }

    fn leaf(&self, hub: SocketAddr) -> Leaf {
        Leaf::start(&self.gossip, format!("tcp://{hub}").parse().unwrap(), None)
    }

    fn moves_to(&self, port: u16) {
        self.own.send_replace((self.id, endpoint(port)));
    }

    async fn hub(&self) -> Hub {
        Hub::start(&self.gossip, "tcp://127.0.0.1:*".parse().unwrap()).await.unwrap()
    }

    async fn next(&mut self) -> (PeerId, Endpoint) {
        match timeout(PATIENCE, self.told.recv()).await.expect("something is learned in time") {
            Some(Request::Tell(Input::Gossip { peer, endpoint, .. })) => (peer, endpoint),
            other => panic!("the driver is told {other:?}"),
        }
    }

    async fn learns(&mut self, peer: u8, port: u16) {
        let wanted = (PeerId::from_bytes([peer; 16]), endpoint(port));
        while self.learned.get(&wanted.0) != Some(&wanted.1) {
            let (peer, endpoint) = self.next().await;
            self.learned.insert(peer, endpoint);
        }
    }

    async fn counts(&self, name: &'static str) {
        until(|| self.gossip.counters.snapshot().contains_key(name), name).await;
    }

    fn knows(&self, peer: u8) -> bool {
        self.gossip.table.borrow().value(PeerId::from_bytes([peer; 16])).is_some()
    }
}

/// Looks again and again: for conditions that nobody announces.
async fn until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The other side of a connection, played by the test.
struct Scripted(Connection);

impl Scripted {
    async fn client(hub: SocketAddr) -> Self {
        let stream = TcpStream::connect(hub).await.unwrap();
        Self(Connection::open(stream, Role::Dealer { identity: Vec::new() }, Mechanism::Null).await.unwrap())
    }

    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a leaf connects").unwrap();
        Self(
            Connection::open(stream, Role::Router { accept: Identities::Any }, Mechanism::Null)
                .await
                .unwrap(),
        )
    }

    async fn say(&mut self, message: Message) {
        let mut body = Vec::new();
        message.encode(&mut body);
        self.raw(&body).await;
    }

    async fn raw(&mut self, body: &[u8]) {
        self.0.queue_frame(body).unwrap();
        while self.0.is_pending() {
            timeout(PATIENCE, self.0.turn()).await.expect("it is taken in time").unwrap();
        }
    }

    async fn publish(&mut self, peer: u8, value: &str) {
        self.say(tuple(peer, value)).await;
    }

    async fn hear(&mut self) -> Option<Message> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.next() {
                Ok(Some(message)) => return Some(message.unwrap()),
                Ok(None) => {}
                Err(_) => return None,
            }
            if timeout_at(deadline, self.0.turn()).await.expect("something is said in time").is_err() {
                return None;
            }
        }
    }

    async fn hears(&mut self, wanted: &Message) -> Vec<Message> {
        let mut before = Vec::new();
        loop {
            let heard = self.hear().await.expect("the connection stays");
            if heard == *wanted {
                return before;
            }
            before.push(heard);
        }
    }
}

fn tuple(peer: u8, value: &str) -> Message {
    Message::Publish(Publish::new(PeerId::from_bytes([peer; 16]).to_string(), value, 0).unwrap())
}

fn own_tuple(node: u8) -> Message {
    tuple(node, &endpoint(u16::from(node)).to_string())
}

#[tokio::test]
async fn three_leaves_and_a_hub_learn_of_each_other_and_a_late_one_of_all() {
    let mut hub = TestNode::new(1);
    let listening = hub.hub().await;
    // Every node may be given the same list of hubs, so one of them connects to itself.
    let _own = hub.leaf(listening.local());
    let mut leaves: Vec<TestNode> = (2..=4).map(TestNode::new).collect();
    let mut running: Vec<Leaf> = leaves.iter().map(|node| node.leaf(listening.local())).collect();
    for peer in 2..=4 {
        hub.learns(peer, peer.into()).await;
    }
    let mut late = TestNode::new(5);
    running.push(late.leaf(listening.local()));
    for peer in 1..=4 {
        late.learns(peer, peer.into()).await;
    }
    for (node, own) in leaves.iter_mut().zip(2..) {
        for peer in (1..=5).filter(|peer| *peer != own) {
            node.learns(peer, peer.into()).await;
        }
    }
    leaves[0].moves_to(1_002);
    late.learns(2, 1_002).await;
    assert!(!late.learned.contains_key(&late.id), "nobody is told of itself");
}

#[tokio::test]
async fn leaves_publish_again_to_a_hub_that_was_started_anew() {
    let first = TestNode::new(1);
    let listening = first.hub().await;
    let address = listening.local();
    let (mut one, two) = (TestNode::new(2), TestNode::new(3));
    let _leaves = [one.leaf(address), two.leaf(address)];
    one.learns(3, 3).await;
    drop((listening, first));

    let mut second = TestNode::new(4);
    let deadline = Instant::now() + PATIENCE;
    let bind = Bind(address);
    let _listening = loop {
        match Hub::start(&second.gossip, bind).await {
            Ok(hub) => break hub,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    second.learns(2, 2).await;
    second.learns(3, 3).await;
    one.learns(4, 4).await;
}

#[tokio::test]
async fn an_idle_client_is_kept_and_hears_of_a_new_tuple() {
    let hub = TestNode::new(1);
    let listening = hub.hub().await;
    let mut idle = Scripted::client(listening.local()).await;
    idle.say(Message::Hello).await;
    idle.hears(&own_tuple(1)).await;
    // Longer than czmq's hub would keep it; the silence is what is tested.
    assert!(timeout(Duration::from_millis(1_600), idle.hear()).await.is_err(), "nothing is said meanwhile");
    let mut other = Scripted::client(listening.local()).await;
    other.publish(2, "tcp://127.0.0.1:2").await;
    idle.hears(&own_tuple(2)).await;
    other.hears(&own_tuple(1)).await;
    other.hears(&own_tuple(2)).await;
}

#[tokio::test]
async fn a_node_whose_client_has_gone_is_not_handed_to_newcomers() {
    let mut hub = TestNode::new(1);
    let listening = hub.hub().await;
    let mut client = Scripted::client(listening.local()).await;
    for peer in [2, 3] {
        client.publish(peer, &endpoint(peer.into()).to_string()).await;
        hub.learns(peer, peer.into()).await;
    }
    hub.gossip.alive(PeerId::from_bytes([3; 16]));
    drop(client);
    until(|| !hub.knows(2), "the tuple of a closed connection is forgotten").await;

    let list = async || {
        let mut newcomer = Scripted::client(listening.local()).await;
        newcomer.say(Message::Hello).await;
        newcomer.say(Message::Ping).await;
        let before = newcomer.hears(&Message::Pong).await;
        if before.is_empty() {
            return vec![newcomer.hear().await.unwrap(), newcomer.hear().await.unwrap()];
        }
        before
    };
    assert!(hub.knows(3), "it has a session");
    assert_eq!(list().await, [own_tuple(1), own_tuple(3)]);
    hub.gossip.forget(PeerId::from_bytes([3; 16]));
    until(|| !hub.knows(3), "a node without a session is forgotten").await;
}

#[tokio::test]
async fn what_one_hub_says_is_passed_on_to_another() {
    let (far, mut near) = (TestNode::new(1), TestNode::new(2));
    let (far_hub, near_hub) = (far.hub().await, near.hub().await);
    let _bridge = near.leaf(far_hub.local());
    let (mut left, mut right) = (TestNode::new(3), TestNode::new(4));
    let _leaves = [left.leaf(far_hub.local()), right.leaf(near_hub.local())];
    left.learns(4, 4).await;
    right.learns(3, 3).await;
    near.learns(1, 1).await;
    right.learns(1, 1).await;
}

/// A hub as czmq's: it forgets who is silent for a second, and answers INVALID to who is not registered.
async fn strict_hub(mut leaf: Scripted, mut refuse_next: bool, until: Instant) -> (u32, Vec<Message>) {
    let (mut registered, mut refused, mut tuples) = (false, 0, Vec::new());
    while Instant::now() < until {
        let heard = timeout(Duration::from_secs(1), leaf.hear()).await;
        let Ok(message) = heard else {
            registered = false;
            continue;
        };
        let answer = match message.expect("the leaf stays") {
            Message::Hello if !registered => {
                registered = true;
                continue;
            }
            Message::Publish(tuple) if registered => {
                tuples.push(Message::Publish(tuple));
                continue;
            }
            // To begin with, the hub has lost its clients and says so twice at once.
            Message::Ping if refuse_next => {
                (refuse_next, registered) = (false, false);
                leaf.say(Message::Invalid).await;
                Message::Invalid
            }
            Message::Ping => Message::Pong,
            _ => {
                (registered, refused) = (false, refused + 1);
                Message::Invalid
            }
        };
        leaf.say(answer).await;
    }
    assert!(registered, "the leaf is registered in the end");
    (refused, tuples)
}

#[tokio::test]
async fn a_strict_hub_keeps_an_idle_leaf_registered() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let node = TestNode::new(1);
    let _leaf = node.leaf(listener.local_addr().unwrap());
    let hub = Scripted::accept(&listener).await;
    let (refused, tuples) = strict_hub(hub, false, Instant::now() + Duration::from_millis(2_500)).await;
    assert_eq!((refused, tuples), (0, vec![own_tuple(1)]));
}

#[tokio::test]
async fn a_hub_that_has_forgotten_us_hears_our_tuple_again_and_is_not_quarrelled_with() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let node = TestNode::new(1);
    let _leaf = node.leaf(listener.local_addr().unwrap());
    let hub = Scripted::accept(&listener).await;
    let (refused, tuples) = strict_hub(hub, true, Instant::now() + Duration::from_millis(2_000)).await;
    assert_eq!(refused, 0);
    let own = own_tuple(1);
    assert_eq!(tuples, [own.clone(), own.clone(), own], "greeting, greeting again, and the check after it");
}

#[tokio::test]
async fn captured_frames_are_understood_by_a_hub() {
    let mut hub = TestNode::new(1);
    let listening = hub.hub().await;
    let mut client = Scripted::client(listening.local()).await;
    for (_, hex) in vectors::GOSSIP {
        client.raw(&vectors::bytes(hex)).await;
    }
    let (peer, endpoint) = hub.next().await;
    assert_eq!(peer.to_string(), "E740BA983F34359D58D4E2D10C3910D3");
    assert_eq!(endpoint.to_string(), "tcp://10.77.0.2:6002");
    hub.counts("gossip_unexpected").await;
    let before = client.hears(&Message::Pong).await;
    assert!(!before.contains(&Message::Invalid));
}

#[tokio::test]
async fn garbage_is_counted_and_changes_nothing() {
    let mut hub = TestNode::new(1);
    let listening = hub.hub().await;
    let mut client = Scripted::client(listening.local()).await;
    for length in 0..64 {
        client.raw(&vec![0xAA; length]).await;
        client.hears(&Message::Invalid).await;
    }
    client.publish(2, "ipc:///run/zyre").await;
    client.publish(3, "garbage").await;
    client.say(Message::Publish(Publish::new("me", "tcp://127.0.0.1:2", 0).unwrap())).await;
    for name in ["gossip_garbage", "gossip_endpoint_unusable", "gossip_value_refused", "gossip_key_refused"] {
        hub.counts(name).await;
    }
    client.publish(4, "tcp://127.0.0.1:4").await;
    hub.learns(4, 4).await;
    assert_eq!(hub.learned.len(), 1);
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_their_connection_and_no_other() {
    let hub = TestNode::new(1);
    let listening = hub.hub().await;
    let mut witness = Scripted::client(listening.local()).await;
    let mut noise = 0x9E37_79B9_u32;
    for flags in 0..=u8::MAX {
        let mut client = Scripted::client(listening.local()).await;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            noise.to_be_bytes()[0]
        })
        .take(300)
        .collect();
        client.0.append(&[flags]).unwrap();
        client.0.append(&bytes).unwrap();
        // The hub may close before it has read all of it.
        let _ = timeout(PATIENCE, client.0.turn()).await.expect("it is taken or refused in time");
    }
    hub.counts("frame_reserved_flags").await;
    witness.say(Message::Hello).await;
    witness.hears(&own_tuple(1)).await;
}

#[tokio::test]
async fn another_protocol_is_refused_and_counted() {
    let hub = TestNode::new(1);
    let listening = hub.hub().await;
    let stream = TcpStream::connect(listening.local()).await.unwrap();
    stream.writable().await.unwrap();
    stream.try_write(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    hub.counts("greeting_not_zmtp").await;
}

#[tokio::test]
async fn handshakes_that_go_on_for_ever_do_not_keep_others_out() {
    let hub = TestNode::new(1);
    let listening = hub.hub().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(listening.local()).await.unwrap());
    }
    let mut client = Scripted::client(listening.local()).await;
    client.say(Message::Hello).await;
    client.hears(&own_tuple(1)).await;
    hub.counts("gossip_handshakes_full").await;
}
