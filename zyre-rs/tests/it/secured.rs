//! A network with a key: its nodes talk, and nobody else gets anything.

mod node_keys;
mod strangers;

use crate::attack::stage::beacon_port;
use std::time::Duration;
use tokio::time::timeout;
use zyre_rs::{Event, Events, ExitReason, MemoryNetwork, Message, NetworkKey, Node, NodeBuilder};

const PATIENCE: Duration = Duration::from_secs(20);

fn key(n: u8) -> NetworkKey {
    NetworkKey::from_bytes([n; 32])
}

/// Where nodes meet.
enum Place {
    Memory(MemoryNetwork),
    Loopback(u16),
}

impl Place {
    fn all() -> [Self; 2] {
        [Self::Memory(MemoryNetwork::new()), Self::loopback()]
    }

    fn loopback() -> Self {
        Self::Loopback(beacon_port())
    }

    fn builder(&self, name: &str) -> NodeBuilder {
        let builder = Node::builder(name);
        match self {
            Self::Memory(network) => builder.network(network).beacon_port(1),
            Self::Loopback(port) => builder.interface("127.0.0.1").beacon_port(*port),
        }
    }

    async fn start(&self, name: &str, key: Option<NetworkKey>) -> (Node, Events) {
        let builder = self.builder(name).join("all");
        let builder = if let Some(key) = key { builder.network_key(key) } else { builder };
        builder.start().await.unwrap()
    }
}

async fn meet(one: &Node, other: &Node) {
    for (one, other) in [(one, other), (other, one)] {
        let met =
            one.wait_until(|members| members.peer(other.id()).is_some_and(|peer| !peer.groups.is_empty()));
        let met = timeout(PATIENCE, met).await;
        assert!(met.unwrap_or_else(|_| panic!("they do not meet: {:?}", one.stats().counters)));
    }
}

/// The next message that is said to this node.
async fn hear(events: &mut Events) -> Message {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("a message").expect("a living node");
        let is_lost = matches!(&event, Event::Exit { reason, .. } if *reason != ExitReason::Goodbye);
        assert!(!is_lost, "{event:?}");
        if let Event::Whisper { message, .. } | Event::Shout { message, .. } = event {
            return message;
        }
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn two_nodes_with_one_key_exchange_messages_of_every_size() {
    for place in Place::all() {
        let (ann, mut to_ann) = place.start("ann", Some(key(1))).await;
        let (bob, mut to_bob) = place.start("bob", Some(key(1))).await;
        meet(&ann, &bob).await;
        for length in [0, 1, 255, 256, 4_096, 4_097, 70_000, 5_000_000] {
            let message: Message = [bytes(length), b"second".to_vec()].into_iter().collect();
            ann.whisper(bob.id(), message.clone()).await.unwrap();
            assert!(hear(&mut to_bob).await == message, "{length}");
            bob.shout("all", message.clone()).await.unwrap();
            assert!(hear(&mut to_ann).await == message, "{length}");
        }
        assert_eq!((ann.stop().await, bob.stop().await), (ann.stop().await, bob.stop().await));
    }
}

#[tokio::test]
async fn a_burst_past_the_wrap_of_the_numbers_arrives_whole_and_in_order() {
    const COUNT: u32 = 150_000;
    for place in Place::all() {
        let (ann, _to_ann) = place.start("ann", Some(key(1))).await;
        let (bob, mut to_bob) = place.start("bob", Some(key(1))).await;
        meet(&ann, &bob).await;
        let (sender, to) = (ann.clone(), bob.id());
        let sending = tokio::spawn(async move {
            for n in 0..COUNT {
                let frame = if n % 1_000 == 0 { bytes(6_000) } else { n.to_be_bytes().to_vec() };
                sender.whisper(to, frame).await.unwrap();
            }
        });
        for n in 0..COUNT {
            let message = hear(&mut to_bob).await;
            let expected = if n % 1_000 == 0 { bytes(6_000) } else { n.to_be_bytes().to_vec() };
            assert!(message.frames()[0] == expected, "{n}");
        }
        sending.await.unwrap();
        ann.stop().await;
        bob.stop().await;
    }
}

#[tokio::test]
async fn a_key_is_changed_node_by_node_and_all_that_overlap_meet() {
    let place = Place::loopback();
    let (old, both, turned, new) = (key(1), key(1).accepting(key(2)), key(2).accepting(key(1)), key(2));
    for (one, other) in
        [(old, both.clone()), (both.clone(), turned.clone()), (turned, new), (both.clone(), both)]
    {
        let (ann, _a) = place.start("ann", Some(one)).await;
        let (bob, _b) = place.start("bob", Some(other)).await;
        meet(&ann, &bob).await;
        ann.stop().await;
        bob.stop().await;
    }
}

#[tokio::test]
async fn secured_nodes_show_their_key_in_a_header_as_zyre_does() {
    let place = Place::Memory(MemoryNetwork::new());
    let (ann, _a) = place.start("ann", Some(key(1))).await;
    let (bob, _b) = place.start("bob", Some(key(1))).await;
    meet(&ann, &bob).await;
    let shown = bob.peer(ann.id()).unwrap().headers.get("X-PUBLICKEY").map(str::to_owned);
    assert_eq!(shown, Some(key(1).public_key().to_string()));
}

#[tokio::test(start_paused = true)]
async fn nodes_of_another_key_or_none_see_nothing_even_on_the_same_port() {
    let place = Place::Memory(MemoryNetwork::new());
    let (ann, mut to_ann) = place.start("ann", Some(key(1))).await;
    let (stranger, mut to_stranger) = place.start("stranger", Some(key(2))).await;
    let (open, mut to_open) = place.start("open", None).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for (node, events) in [(&ann, &mut to_ann), (&stranger, &mut to_stranger), (&open, &mut to_open)] {
        assert!(timeout(Duration::from_millis(1), events.next()).await.is_err(), "nothing has happened");
        assert_eq!(node.peers().len(), 0);
    }
    let counted = |node: &Node, name: &str| node.stats().counter(name) > 30;
    assert!(counted(&ann, "beacon_wrong_key") && counted(&ann, "beacon_unsecured"), "{:?}", ann.stats());
    assert!(counted(&open, "beacon_secured"), "{:?}", open.stats());
}

#[tokio::test]
async fn gossip_is_secured_too_and_a_stranger_learns_nothing_from_a_hub() {
    let start = |name: &'static str, key: Option<NetworkKey>| {
        let builder = Node::builder(name).interface("127.0.0.1").beacon(false).join("all");
        if let Some(key) = key { builder.network_key(key) } else { builder }
    };
    let (hub, _h) = start("hub", Some(key(1))).gossip_bind("tcp://127.0.0.1:*").start().await.unwrap();
    let at = format!("tcp://{}", hub.gossip_addresses()[0]);
    let (ann, _a) = start("ann", Some(key(1))).gossip_connect(at.as_str()).start().await.unwrap();
    let (bob, _b) = start("bob", Some(key(1))).gossip_connect(at.as_str()).start().await.unwrap();
    meet(&ann, &bob).await;
    meet(&ann, &hub).await;
    let (open, _o) = start("open", None).gossip_connect(at.as_str()).start().await.unwrap();
    let (other, _o) = start("other", Some(key(2))).gossip_connect(at.as_str()).start().await.unwrap();
    let refused = timeout(PATIENCE, async {
        while hub.stats().counter("handshake_null_refused") == 0
            || hub.stats().counter("curve_wrong_server_key") == 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    refused.await.unwrap_or_else(|_| panic!("{:?}", hub.stats().counters));
    assert_eq!((open.peers().len(), other.peers().len(), hub.peers().len()), (0, 0, 2));
}
