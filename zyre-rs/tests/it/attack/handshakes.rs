//! T1, T3, X1: before READY.

use std::time::Duration;

use tokio::time::{Instant, interval};
use zyre_rs::Node;
use zyre_rs::zmtp::{Greeting, Metadata, Role, put_command};

use super::raw::{Attacker, Line, ip};
use super::stage::{PATIENCE, Stage};

/// What a node lets wait; the constants themselves are private.
const MAX_PENDING: usize = 256;
const MAX_PER_ADDRESS: usize = 32;

#[tokio::test]
async fn t1_a_handshake_has_five_seconds_in_all_however_slowly_it_drips() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let (mut silent, mut slow) = (attacker.touch().await, attacker.touch().await);
    let start = Instant::now();
    let greeting = Greeting::new("NULL", false).encode();
    let drip = async {
        let mut every = interval(Duration::from_millis(200));
        for byte in greeting {
            every.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut slow.stream, &[byte]).await.is_err() {
                break;
            }
        }
        start.elapsed()
    };
    let (dripped, ()) = tokio::join!(drip, silent.closed());
    assert!((4..=8).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(dripped.as_secs() <= 8, "the slow one got {dripped:?}");
    stage.counted("handshake_timeout", 2).await;
    stage.finish().await;
}

#[tokio::test]
async fn t1_an_address_has_32_handshakes_and_the_oldest_goes_first() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let mut waiting = Vec::new();
    for _ in 0..MAX_PER_ADDRESS + 8 {
        waiting.push(attacker.touch().await);
    }
    stage.counted("handshake_evicted", 8).await;
    for first in &mut waiting[..8] {
        first.closed().await;
    }
    assert_eq!(stage.counter("handshake_evicted"), 8);
    assert_eq!(stage.counter("handshake_timeout"), 0);
    // The latest has its place.
    let last = waiting.last_mut().unwrap();
    assert!(last.greet(&Role::dealer(attacker.id)).await);
    stage.finish().await;
}

#[tokio::test]
async fn t1_there_are_256_handshakes_in_all_and_a_good_joiner_is_not_kept_out() {
    let stage = Stage::new().await;
    let mut waiting = Vec::new();
    for n in 0..MAX_PENDING + 40 {
        // 20 for each of 15 addresses.
        waiting.push(Line::open(ip(2 + (n / 20) as u8), stage.mailbox()).await);
    }
    stage.counted("handshake_evicted", 40).await;
    let joiner = Node::builder("joiner").interface("127.0.0.1").beacon_port(stage.port).start();
    let (joiner, _events) = joiner.await.unwrap();
    let met = stage.victim.wait_until(|members| members.peer(joiner.id()).is_some());
    tokio::time::timeout(Duration::from_secs(2), met).await.expect("the joiner enters within 2 s");
    joiner.stop().await;
    drop(waiting);
    stage.finish().await;
}

#[tokio::test]
async fn t3_a_handshake_command_is_small_has_few_properties_and_a_nodes_identity() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let ready = |metadata: Metadata| {
        let mut bytes = Greeting::new("NULL", false).encode().to_vec();
        put_command(&mut bytes, b"READY", &metadata.encode());
        bytes
    };
    let dealer = || Metadata::default().with("Socket-Type", b"DEALER");
    let many = (0..33).fold(Metadata::default(), |all, n| all.with(&format!("X-{n}"), b""));
    let mut giant = Greeting::new("NULL", false).encode().to_vec();
    // A command that claims 2 GiB, none of which comes.
    giant.extend([6, 0, 0, 0, 0, 0x80, 0, 0, 0]);
    for (bytes, counter) in [
        (ready(dealer().with("X", &[0; 4_096])), "frame_command_too_large"),
        (giant, "frame_command_too_large"),
        (ready(many), "ready_too_many_properties"),
        (ready(dealer().with("Identity", &[1; 16])), "handshake_not_a_node"),
        (ready(dealer().with("Identity", &[1; 18])), "handshake_not_a_node"),
        (ready(dealer()), "handshake_not_a_node"),
    ] {
        let before = stage.counter(counter);
        let mut line = attacker.touch().await;
        line.write(&bytes).await;
        line.closed().await;
        assert_eq!(stage.counter(counter), before + 1, "{counter}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn t3_an_identity_with_another_first_byte_is_accepted_and_counted() {
    let stage = Stage::new().await;
    let odd = Attacker::at(&stage, 2).await;
    let mut line = odd.touch().await;
    assert!(line.greet(&Role::Dealer { identity: [&[2], &odd.id.as_bytes()[..]].concat() }).await);
    line.say_hello(odd.hello()).await;
    stage.enters(odd.id).await;
    assert_eq!(stage.counter("identity_prefix"), 1);
    stage.finish().await;
}

#[tokio::test]
async fn x1_another_protocol_is_told_by_its_first_bytes_and_closed_at_once() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let first_bytes: [&[u8]; 4] = [b"GE", b"SSH-2.0-x\r\n", &[0x16, 3, 1, 2, 0], b"\xff\0\0\0\0\0\0\0\x01\0"];
    for (bytes, expected) in first_bytes.into_iter().zip(1..) {
        let start = Instant::now();
        let mut line = attacker.touch().await;
        line.write(bytes).await;
        line.closed().await;
        assert!(start.elapsed() < Duration::from_secs(3), "closed by a timeout");
        assert_eq!(stage.counter("greeting_not_zmtp"), expected);
    }
    let mut old = attacker.touch().await;
    old.write(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01").await;
    tokio::time::timeout(PATIENCE, old.closed()).await.unwrap();
    assert_eq!(stage.counter("greeting_old_version"), 1);
    stage.finish().await;
}
