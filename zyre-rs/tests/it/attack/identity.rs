//! T9, T10: who one claims to be, and where.

use tokio::time::{Duration, Instant};
use zyre_rs::wire::{Command, HelloFields};
use zyre_rs::{Event, ExitReason};

use super::raw::{Attacker, hello};
use super::stage::{PATIENCE, Stage};

#[tokio::test]
async fn t9_a_live_peers_uuid_cannot_be_taken_from_another_address() {
    let stage = Stage::new().await;
    let hijacker = Attacker::at(&stage, 9).await;
    let good = stage.good.id();
    for attempt in 1..=2 {
        let mut line = hijacker.connect_as(good).await;
        line.say_hello(hijacker.hello()).await;
        // What it sends meanwhile is not the good peer's.
        line.whisper("forged").await;
        line.closed().await;
        stage.counted("identity_conflicts", attempt).await;
    }
    let conflict = Event::IdentityConflict { peer: good, address: hijacker.ip.into() };
    stage.until("the conflict", |events| events.contains(&conflict)).await;
    assert_eq!(stage.counter("hello_refused"), 2);
    assert_eq!(hijacker.mailbox.connections(), 0);
    let own = stage.victim.peer(good).expect("still known");
    assert_eq!(&*own.name, "good");
    stage.finish().await;
}

#[tokio::test]
async fn t9_a_silent_peers_uuid_is_handed_over_after_a_second_of_silence() {
    let stage = Stage::new().await;
    let silent = Attacker::at(&stage, 2).await;
    let mut old = silent.enter(&stage).await;
    let heir = Attacker::at(&stage, 3).await;
    let start = Instant::now();
    let mut line = heir.connect_as(silent.id).await;
    line.say_hello(HelloFields { name: b"heir".to_vec(), ..heir.hello() }).await;
    silent.mailbox.until("a PING", |seen| seen.commands.contains(&Command::Ping)).await;
    old.closed().await;
    stage.exits(silent.id, ExitReason::Restarted).await;
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    line.whisper("here").await;
    stage.hears(silent.id, "here").await;
    assert_eq!(stage.counter("identity_conflicts"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn t9_a_peer_that_comes_anew_from_its_own_address_takes_over() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut old = peer.enter(&stage).await;
    let mut new = peer.connect().await;
    new.say_hello(peer.hello()).await;
    old.closed().await;
    new.whisper("on the new connection").await;
    stage.hears(peer.id, "on the new connection").await;
    stage.finish().await;
}

#[tokio::test]
async fn t10_a_new_uuid_that_claims_a_live_peers_endpoint_cuts_nobody_off() {
    let stage = Stage::new().await;
    let endpoint = stage.good.endpoint();
    // By beacon, which needs the same host; and by HELLO, which does not.
    let neighbour = Attacker::at(&stage, 1).await;
    neighbour.beacon(neighbour.id, endpoint.port()).await;
    stage.counted("endpoint_in_use", 1).await;
    let thief = Attacker::at(&stage, 9).await;
    let mut line = thief.connect().await;
    line.say_hello(hello(&endpoint.to_string())).await;
    line.closed().await;
    stage.counted("endpoint_in_use", 2).await;
    assert_eq!(stage.counter("hello_refused"), 1);
    // Longer than the second that the good peer has to answer.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(stage.victim.peer(thief.id).is_none() && stage.victim.peer(neighbour.id).is_none());
    stage.finish().await;
}

/// The other half of the rule: an endpoint whose holder is silent is given to its new owner.
#[tokio::test]
async fn t10_a_silent_peers_endpoint_goes_to_its_new_owner() {
    let stage = Stage::new().await;
    let silent = Attacker::at(&stage, 2).await;
    let _line = silent.enter(&stage).await;
    let heir = Attacker::at(&stage, 2).await;
    let entered = async {
        loop {
            let mut line = heir.connect().await;
            line.say_hello(hello(&silent.endpoint())).await;
            tokio::select! {
                () = line.closed() => tokio::time::sleep(Duration::from_millis(200)).await,
                () = stage.enters(heir.id) => break line,
            }
        }
    };
    let _line = tokio::time::timeout(PATIENCE, entered).await.expect("the silent peer makes room");
    stage.exits(silent.id, ExitReason::Replaced).await;
    stage.finish().await;
}
