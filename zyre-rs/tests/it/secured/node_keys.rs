//! Nodes with keys of their own: who is let in, whose UUID is whose, and what the application has to say.

mod imposter;

use super::*;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::time::sleep;
use zyre_rs::{Applicant, NodeKey, PeerId, PublicKey, StartError, TrustError, TrustedKeys};

pub(super) fn node_key(n: u8) -> NodeKey {
    NodeKey::from_secret([n; 32])
}

pub(super) fn trusting(keys: impl IntoIterator<Item = u8>) -> TrustedKeys {
    keys.into_iter().map(|n| node_key(n).public_key()).collect()
}

/// A node with key `n` that trusts keys `trusted`.
async fn start(place: &Place, n: u8, trusted: &[u8]) -> (Node, Events) {
    let builder = place.builder(&format!("node-{n}")).join("all");
    builder.node_key(node_key(n), trusting(trusted.iter().copied())).start().await.unwrap()
}

pub(super) async fn counted(node: &Node, name: &str, at_least: u64) {
    let reached = timeout(PATIENCE, async {
        while node.stats().counter(name) < at_least {
            sleep(Duration::from_millis(5)).await;
        }
    });
    reached.await.unwrap_or_else(|_| panic!("{name}: {:?}", node.stats().counters));
}

async fn left(node: &Node, peers: usize) {
    let gone = node.wait_until(|members| members.peers().count() == peers);
    assert!(timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("{:?}", node.stats().counters)));
}

/// The next event of this kind.
async fn event(events: &mut Events, kind: &str) -> Event {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("an event").expect("a living node");
        if event.kind() == kind {
            return event;
        }
    }
}

#[tokio::test]
async fn three_nodes_that_trust_each_other_meet_shout_and_whisper() {
    for place in Place::all() {
        let (ann, mut to_ann) = start(&place, 1, &[1, 2, 3]).await;
        let (bob, mut to_bob) = start(&place, 2, &[1, 2, 3]).await;
        let (cat, mut to_cat) = start(&place, 3, &[1, 2]).await;
        for (one, other) in [(&ann, &bob), (&bob, &cat), (&cat, &ann)] {
            meet(one, other).await;
        }
        assert_eq!(ann.shout("all", "hello").await, Ok(2));
        for events in [&mut to_bob, &mut to_cat] {
            assert_eq!(hear(events).await.text(), Some("hello"));
        }
        cat.whisper(ann.id(), bytes(300_000)).await.unwrap();
        assert!(hear(&mut to_ann).await.frames()[0] == bytes(300_000));
        for node in [ann, bob, cat] {
            assert_eq!(node.stats().counter("key_mismatch"), 0);
            node.stop().await;
        }
    }
}

#[tokio::test]
async fn a_stranger_with_a_key_of_its_own_is_not_let_in_whatever_it_trusts() {
    let place = Place::loopback();
    let (ann, _a) = start(&place, 1, &[2]).await;
    let (bob, _b) = start(&place, 2, &[1]).await;
    let (stranger, _s) = start(&place, 9, &[1, 2]).await;
    meet(&ann, &bob).await;
    counted(&ann, "beacon_untrusted_key", 3).await;
    counted(&ann, "curve_untrusted_key", 1).await;
    counted(&bob, "curve_untrusted_key", 1).await;
    assert_eq!((ann.peers(), bob.peers(), stranger.peers()), (vec![bob.id()], vec![ann.id()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn trust_on_one_side_only_is_not_enough() {
    let place = Place::Memory(MemoryNetwork::new());
    let (ann, _a) = start(&place, 1, &[2]).await;
    let (bob, _b) = start(&place, 2, &[]).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!((ann.peers().len(), bob.peers().len()), (0, 0));
    assert!(bob.stats().counter("curve_untrusted_key") > 0, "{:?}", bob.stats());
}

#[tokio::test(start_paused = true)]
async fn open_nodes_networks_with_one_key_and_nodes_with_their_own_are_three_worlds() {
    let place = Place::Memory(MemoryNetwork::new());
    let (own, _a) = start(&place, 1, &[2]).await;
    let (network, _b) = place.start("network", Some(key(1))).await;
    let (open, _c) = place.start("open", None).await;
    sleep(Duration::from_secs(60)).await;
    for node in [&own, &network, &open] {
        assert_eq!(node.peers().len(), 0);
    }
    let counted = |node: &Node, name: &str| node.stats().counter(name) > 30;
    assert!(counted(&own, "beacon_unsecured") && counted(&own, "beacon_untrusted_key"), "{:?}", own.stats());
    assert!(counted(&network, "beacon_wrong_key") && counted(&open, "beacon_secured"));
}

#[tokio::test]
async fn the_uuid_comes_from_the_key_and_is_the_same_after_a_restart() {
    let place = Place::loopback();
    let (ann, _a) = start(&place, 1, &[2]).await;
    for _ in 0..2 {
        let (bob, _b) = start(&place, 2, &[1]).await;
        assert_eq!(bob.id(), node_key(2).peer_id());
        meet(&ann, &bob).await;
        bob.stop().await;
        left(&ann, 0).await;
    }
    assert_eq!(ann.stats().counter("key_mismatch"), 0);
}

#[tokio::test]
async fn settings_that_contradict_each_other_fail_the_start_and_say_what_to_do() {
    let builder = || Place::Memory(MemoryNetwork::new()).builder("ann").node_key(node_key(1), trusting([2]));
    let zero =
        (1..).map(|n: u32| NodeKey::from_secret(std::array::from_fn(|at| (n >> (8 * (at % 4))) as u8)));
    let zero = zero.into_iter().find(|key| key.public_key().as_bytes()[0] == 0).unwrap();
    for (builder, expected) in [
        (builder().network_key(key(1)), "leave one of them out"),
        (builder().id(PeerId::from_bytes([7; 16])), "leave `id` out"),
        (builder().node_key(zero, trusting([2])), "make another"),
        (builder().connect("tcp://127.0.0.1:9"), "|KEY"),
        (builder().connect(format!("tcp://127.0.0.1:9|{}", node_key(3).public_key())), "add it"),
        (builder().connect("tcp://127.0.0.1:9|key"), "40 characters"),
        (builder().header("X-PUBLICKEY", "x"), "another key"),
    ] {
        let error = builder.start().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let quoted = error.to_string().contains(&node_key(3).public_key().to_string());
        assert!(!quoted, "it may be a secret one by mistake: {error}");
    }
    let (node, _events) = builder().id(node_key(1).peer_id()).start().await.unwrap();
    let error = node.connect("tcp://127.0.0.1:9").await.unwrap_err();
    assert!(error.to_string().contains("|KEY"), "{error}");
    let open = Node::builder("open").connect(format!("tcp://127.0.0.1:9|{}", node_key(3).public_key()));
    assert!(matches!(open.start().await.unwrap_err(), StartError::InvalidEndpoint { .. }));
}

#[tokio::test]
async fn a_node_that_is_dialled_has_to_prove_the_key_given() {
    let start = |n: u8, to: Option<(SocketAddr, u8)>| {
        let builder = Node::builder(format!("node-{n}")).interface("127.0.0.1").beacon(false).join("all");
        let builder = builder.node_key(node_key(n), trusting([1, 2, 3]));
        match to {
            Some((to, key)) => builder.connect(format!("tcp://{to}|{}", node_key(key).public_key())),
            None => builder,
        }
    };
    let (ann, _a) = start(1, None).start().await.unwrap();
    let at = ann.endpoint().address();
    let (wrong, _w) = start(3, Some((at, 2))).start().await.unwrap();
    counted(&ann, "curve_wrong_server_key", 1).await;
    assert_eq!((ann.peers().len(), wrong.peers().len()), (0, 0));
    let (bob, _b) = start(2, Some((at, 1))).start().await.unwrap();
    meet(&ann, &bob).await;
}

#[tokio::test]
async fn gossip_carries_keys_and_only_the_trusted_hear_it() {
    let start = |n: u8| {
        let builder = Node::builder(format!("node-{n}")).interface("127.0.0.1").beacon(false).join("all");
        builder.node_key(node_key(n), trusting([1, 2, 3]))
    };
    let (hub, _h) = start(1).gossip_bind("tcp://127.0.0.1:*").start().await.unwrap();
    let at = |n: u8| format!("tcp://{}|{}", hub.gossip_addresses()[0], node_key(n).public_key());
    let (ann, _a) = start(2).gossip_connect(at(1)).start().await.unwrap();
    let (bob, _b) = start(3).gossip_connect(at(1)).start().await.unwrap();
    meet(&ann, &bob).await;
    meet(&ann, &hub).await;
    let stranger = Node::builder("stranger").interface("127.0.0.1").beacon(false);
    let stranger = stranger.node_key(node_key(9), trusting([1, 2, 3])).gossip_connect(at(1)).start();
    let (stranger, _s) = stranger.await.unwrap();
    counted(&hub, "curve_untrusted_key", 1).await;
    assert_eq!((stranger.peers().len(), hub.peers().len()), (0, 2));

    ann.set_trusted(trusting([1])).await.unwrap();
    assert_eq!(ann.peers(), [hub.id()]);
    hub.set_trusted(trusting([2])).await.unwrap();
    counted(&hub, "gossip_revoked_key", 1).await;
    assert_eq!(hub.peers(), [ann.id()]);
    hub.set_trusted(trusting([2, 3])).await.unwrap();
    ann.set_trusted(trusting([1, 3])).await.unwrap();
    meet(&hub, &bob).await;
    meet(&ann, &bob).await;
}

#[tokio::test]
async fn who_is_no_longer_trusted_is_cut_off_and_who_is_newly_trusted_enters() {
    for place in Place::all() {
        let (ann, mut to_ann) = start(&place, 1, &[2]).await;
        let (bob, _b) = start(&place, 2, &[1]).await;
        let (cat, _c) = start(&place, 3, &[1]).await;
        meet(&ann, &bob).await;
        ann.set_trusted(trusting([3])).await.unwrap();
        assert!(!ann.peers().contains(&bob.id()), "at once");
        let exit = event(&mut to_ann, "EXIT").await;
        assert!(matches!(exit, Event::Exit { peer, reason: ExitReason::Untrusted, .. } if peer == bob.id()));
        meet(&ann, &cat).await;
        assert_eq!(ann.whisper(bob.id(), "secret").await, Err(zyre_rs::SendError::UnknownPeer(bob.id())));
        counted(&ann, "beacon_untrusted_key", 2).await;
        assert_eq!(ann.peers(), [cat.id()]);
        ann.set_trusted(trusting([2, 3])).await.unwrap();
        meet(&ann, &bob).await;
        ann.stop().await;
        assert_eq!(ann.set_trusted(trusting([2])).await, Err(TrustError::Stopped));
    }
    let (open, _o) = Place::Memory(MemoryNetwork::new()).start("open", None).await;
    assert_eq!(open.set_trusted(trusting([2])).await, Err(TrustError::NoNodeKey));
}

/// What an application was asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Applicant>>>);

impl Asked {
    /// Refuses cameras.
    fn decide(&self) -> impl Fn(&Applicant) -> Result<(), String> + Send + Sync + 'static {
        let asked = self.0.clone();
        move |applicant| {
            asked.lock().unwrap().push(applicant.clone());
            let camera = applicant.headers.get("X-ROLE") == Some("camera");
            if camera { Err("no cameras".to_owned()) } else { Ok(()) }
        }
    }

    fn about(&self, peer: PeerId) -> Vec<Applicant> {
        self.0.lock().unwrap().iter().filter(|applicant| applicant.peer == peer).cloned().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_application_refuses_a_peer_before_it_enters_and_is_not_asked_again_and_again() {
    for mode in ["open", "network", "node"] {
        let place = Place::Memory(MemoryNetwork::new());
        let builder = |n: u8| {
            let builder = place.builder(&format!("node-{n}")).join("all");
            match mode {
                "open" => builder,
                "network" => builder.network_key(key(1)),
                _ => builder.node_key(node_key(n), trusting([1, 2, 3])),
            }
        };
        let asked = Asked::default();
        let (ann, mut to_ann) = builder(1).authorize(asked.decide()).start().await.unwrap();
        let (bob, _b) = builder(2).header("X-ROLE", "viewer").start().await.unwrap();
        let (cam, _c) = builder(3).header("X-ROLE", "camera").start().await.unwrap();
        meet(&ann, &bob).await;
        meet(&bob, &cam).await;
        sleep(Duration::from_secs(120)).await;
        assert_eq!(ann.peers(), [bob.id()], "{mode}");
        assert!(ann.stats().counter("authorization_refused") > 0, "{mode}");
        let (about_bob, about_cam) = (asked.about(bob.id()), asked.about(cam.id()));
        assert_eq!(about_bob.len(), 1, "{mode}: once per session");
        assert!((1..15).contains(&about_cam.len()), "{mode}: {}", about_cam.len());
        let proven: Option<PublicKey> = match mode {
            "open" => None,
            "network" => Some(key(1).public_key()),
            _ => Some(node_key(3).public_key()),
        };
        let Applicant { name, endpoint, source, public_key, .. } = &about_cam[0];
        assert_eq!((&**name, *public_key, endpoint.ip()), ("node-3", proven, source.ip()), "{mode}");
        ann.stop().await;
        while let Some(event) = to_ann.next().await {
            assert_ne!(event.peer(), cam.id(), "{mode}: {event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_changes_its_mind_lets_the_peer_in_later() {
    let place = Place::Memory(MemoryNetwork::new());
    let (opened, gate) = tokio::sync::watch::channel(false);
    let decide = move |_: &Applicant| if *gate.borrow() { Ok(()) } else { Err("closed".to_owned()) };
    let (ann, _a) = place.builder("ann").join("all").authorize(decide).start().await.unwrap();
    let (bob, _b) = place.builder("bob").join("all").start().await.unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(ann.peers().len(), 0);
    opened.send_replace(true);
    let met = ann.wait_until(|members| members.peer(bob.id()).is_some());
    assert!(timeout(Duration::from_secs(120), met).await.unwrap());
}
