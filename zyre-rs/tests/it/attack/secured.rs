//! What a stranger may try on a secured pair: it knows the network's public key, which stands in every beacon.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use zyre_rs::wire::Beacon;
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair};
use zyre_rs::zmtp::{Greeting, Handshake, Mechanism, Role};
use zyre_rs::{NetworkKey, PeerId};

use super::raw::{Attacker, Line, beacon_socket, ip, random_id};
use super::stage::{PATIENCE, Stage};

const GOODBYES: u64 = 10;
const BEACONS: u64 = 10_000;
const HALF_OPEN: usize = 1_000;
/// The half-open handshakes come from so many addresses, since one alone has fewer places.
const ADDRESSES: u8 = 32;

fn key() -> NetworkKey {
    NetworkKey::from_bytes([7; 32])
}

fn shown(id: PeerId, port: u16) -> Vec<u8> {
    Beacon { id, port, key: Some(*key().public_key().as_bytes()) }.encode()
}

/// The good node's goodbye, from its own address: the victim believes none.
async fn forge_goodbyes(stage: &Stage) {
    let liar = Attacker::at(stage, 1).await;
    let unproven = timeout(PATIENCE * 3, async {
        // The system has few places for datagrams, and the flood takes most of them.
        while stage.counter("goodbye_unproven") < GOODBYES {
            liar.datagram(&shown(stage.good.id(), 0)).await;
            sleep(Duration::from_millis(1)).await;
        }
    });
    unproven.await.unwrap_or_else(|_| panic!("{:?}", stage.victim.stats().counters));
}

/// New UUIDs all the time, half of them with the network's key; those name ports on which nobody listens.
async fn flood(stage: &Stage) {
    let socket = beacon_socket(ip(2)).await;
    let to = (Ipv4Addr::new(127, 255, 255, 255), stage.port);
    for n in 0..BEACONS {
        let (id, port) = (random_id(), (n % 9_000) as u16 + 1);
        let open = Beacon { id, port, key: None }.encode();
        let datagram = if n % 2 == 0 { open } else { shown(id, port) };
        socket.send_to(&datagram, to).await.unwrap();
        // In small bursts: all run on one thread here, and the good pair is to go on meanwhile.
        if n % 10 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Handshakes that stop after HELLO, for which the victim has made its keys by then.
async fn half_open(stage: &Stage) -> Vec<Line> {
    let mut waiting = Vec::new();
    for n in 0..HALF_OPEN {
        let mut line = Line::open(ip(100 + n as u8 % ADDRESSES), stage.mailbox()).await;
        let fresh: Vec<u8> = (0..6).flat_map(|_| *random_id().as_bytes()).collect();
        let (own, fresh) = (KeyPair::from_secret([3; 32]), Fresh::new(fresh.try_into().unwrap()));
        let client = Mechanism::client(Client::new(own, key().public_key(), &fresh));
        let mut handshake = Handshake::new(Role::dealer(random_id()), client);
        handshake.receive(&Greeting::new("CURVE", true).encode()).unwrap();
        let _ = timeout(PATIENCE, line.stream.write_all(&handshake.take_output())).await.expect("bounded");
        waiting.push(line);
    }
    waiting
}

#[tokio::test]
async fn forged_goodbyes_a_beacon_flood_and_a_thousand_half_open_handshakes_together_end_no_session() {
    let stage = Stage::alike(|node| node.network_key(key())).await;
    let ((), (), waiting) = tokio::join!(forge_goodbyes(&stage), flood(&stage), half_open(&stage));
    // There are places for 256 handshakes, the oldest goes first, and the rest is too slow.
    let ended = || stage.counter("handshake_evicted") + stage.counter("handshake_timeout");
    let all_ended = timeout(PATIENCE * 3, async {
        while ended() < HALF_OPEN as u64 {
            sleep(Duration::from_millis(5)).await;
        }
    });
    all_ended.await.unwrap_or_else(|_| panic!("{:?}", stage.victim.stats().counters));
    assert_eq!(ended(), HALF_OPEN as u64);
    stage.counted("beacon_unsecured", 1).await;
    let newcomers = ["newcomer_over_budget", "newcomer_no_room"].map(|name| stage.counter(name));
    assert!(newcomers.iter().sum::<u64>() > 0, "the flood is held to its share: {newcomers:?}");
    assert_eq!(stage.victim.peers(), [stage.good.id()]);
    drop(waiting);
    // No echo is lost and no EXIT is seen on either side: `finish` sees to it.
    stage.finish().await;
}
