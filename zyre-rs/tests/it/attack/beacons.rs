//! B1–B6: what comes by UDP.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use zyre_rs::wire::Beacon;
use zyre_rs::{Event, ExitReason, Node};

use super::raw::{Attacker, beacon_socket, closed_port, random_id};
use super::stage::{PATIENCE, Stage};

#[tokio::test]
async fn b1_a_datagram_that_is_no_version_1_beacon_is_counted_and_believed_in_nothing() {
    let stage = Stage::new().await;
    let liar = Attacker::at(&stage, 2).await;
    let port = liar.mailbox.address.port();
    let plain = Beacon { id: liar.id, port, key: None }.encode();
    let versioned = |version| [b"ZRE", &[version][..], &plain[4..]].concat();
    for (datagram, counter) in [
        (b"ZRE".to_vec(), "beacon_wrong_size"),
        (plain[..21].to_vec(), "beacon_wrong_size"),
        ([&plain[..], &[0]].concat(), "beacon_wrong_size"),
        (plain.repeat(4), "beacon_wrong_size"),
        (versioned(0), "beacon_wrong_version"),
        (versioned(2), "beacon_wrong_version"),
        (versioned(3), "beacon_wrong_version"),
        (Beacon { id: liar.id, port, key: Some([9; 32]) }.encode(), "beacon_secured"),
        ([b"zre", &plain[3..]].concat(), "beacon_wrong_prefix"),
    ] {
        let before = stage.counter(counter);
        liar.datagram(&datagram).await;
        stage.counted(counter, before + 1).await;
        assert_eq!(stage.counter(counter), before + 1, "{datagram:x?}");
    }
    // The victim's answer to a true beacon comes after whatever it made of the others.
    let honest = Attacker::at(&stage, 3).await;
    honest.beacon(honest.id, honest.mailbox.address.port()).await;
    honest.mailbox.until("a link", |seen| seen.connections > 0).await;
    assert_eq!(liar.mailbox.connections(), 0);
    stage.finish().await;
}

#[tokio::test]
async fn b2_a_flood_of_new_uuids_is_held_to_its_share_and_a_newcomer_still_enters() {
    let stage = Stage::new().await;
    // Two, since the places of one address are fewer than the budget.
    let flooders = [Attacker::at(&stage, 2).await, Attacker::at(&stage, 3).await];
    let mut port = 0;
    let flood = async {
        // More at once than the burst that is allowed: what came slowly, on a busy machine, would all be taken.
        while stage.counter("newcomer_over_budget") < 10 {
            for flooder in flooders.iter().cycle().take(300) {
                port = port % 9_000 + 1;
                flooder.beacon(random_id(), port).await;
            }
            // The kernel keeps few datagrams for a reader that has no time.
            sleep(Duration::from_millis(2)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE / 4, flood).await;
    refused.unwrap_or_else(|_| panic!("all are taken: {:?}", stage.victim.stats().counters));
    // What is refused costs nothing: of each of those taken there are three tries.
    assert!(stage.counter("link_refused") <= 3 * 256);
    let late = Node::builder("late").interface("127.0.0.1").beacon_port(stage.port).start();
    let (late, _events) = late.await.unwrap();
    let met = stage.victim.wait_until(|members| members.peer(late.id()).is_some());
    tokio::time::timeout(Duration::from_secs(5), met).await.expect("a newcomer enters in spite of it");
    late.stop().await;
    stage.finish().await;
}

#[tokio::test]
async fn b2_at_most_256_peers_wait_for_their_hello() {
    let stage = Stage::new().await;
    let mut port = 1;
    let full = async {
        // Three sources, so that the share of none is what stops them.
        let flooders =
            [Attacker::at(&stage, 2).await, Attacker::at(&stage, 3).await, Attacker::at(&stage, 4).await];
        while stage.counter("newcomer_no_room") == 0 {
            for flooder in &flooders {
                flooder.beacon(random_id(), port).await;
            }
            port = port % 9_000 + 1;
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.expect("there is no room for more at some point");
    // Each of those taken had at least one of its three tries by now, or will have.
    let tries = stage.counter("link_refused");
    assert!((1..=3 * 256).contains(&tries), "{tries} tries");
    stage.finish().await;
}

#[tokio::test]
async fn b3_a_beacon_that_names_a_closed_port_buys_three_tries() {
    let stage = Stage::new().await;
    let liar = Attacker::at(&stage, 2).await;
    liar.beacon(random_id(), closed_port(liar.ip).await).await;
    stage.counted("link_refused", 3).await;
    // A fourth try would come 200–400 ms after the third.
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stage.counter("link_refused"), 3);
    stage.finish().await;
}

#[tokio::test]
async fn b4_a_beacon_from_another_subnet_is_not_believed() {
    let stage = Stage::new().await;
    let Some(foreign) = address_off_loopback() else {
        eprintln!("SKIPPED: this machine has no address but loopback's to send from");
        return stage.finish().await;
    };
    let socket = beacon_socket(foreign).await;
    let bait = tokio::net::TcpListener::bind((foreign, 0)).await.unwrap();
    let port = bait.local_addr().unwrap().port();
    let beacon = Beacon { id: random_id(), port, key: None }.encode();
    socket.send_to(&beacon, (Ipv4Addr::new(127, 255, 255, 255), stage.port)).await.unwrap();
    stage.counted("beacon_foreign_subnet", 1).await;
    // What the victim does about a later beacon comes after what it did about this one.
    let honest = Attacker::at(&stage, 3).await;
    honest.beacon(honest.id, honest.mailbox.address.port()).await;
    honest.mailbox.until("a link", |seen| seen.connections > 0).await;
    let connected = tokio::time::timeout(Duration::from_millis(100), bait.accept()).await;
    assert!(connected.is_err(), "it connected to another subnet");
    stage.finish().await;
}

/// An IPv4 address of this machine outside 127/8; datagrams between the two stay on the machine.
fn address_off_loopback() -> Option<Ipv4Addr> {
    let listed = if_addrs::get_if_addrs().unwrap().into_iter().map(|interface| interface.ip());
    listed.filter(|ip| !ip.is_loopback()).find_map(|ip| match ip {
        std::net::IpAddr::V4(ip) => Some(ip),
        std::net::IpAddr::V6(_) => None,
    })
}

#[tokio::test]
async fn b5_a_forged_goodbye_from_another_address_is_ignored() {
    let stage = Stage::new().await;
    let liar = Attacker::at(&stage, 9).await;
    for _ in 0..100 {
        liar.beacon(stage.good.id(), 0).await;
    }
    // The good node hears them too, and about the victim none.
    stage.counted("goodbye_foreign_address", 100).await;
    assert_eq!(stage.counter("goodbyes_denied"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn b5_a_forged_goodbye_from_the_peers_own_address_is_denied_by_its_ping_ok() {
    let stage = Stage::new().await;
    let liar = Attacker::at(&stage, 1).await;
    for round in 1..=10 {
        for _ in 0..10 {
            liar.beacon(stage.good.id(), 0).await;
        }
        stage.counted("goodbyes_denied", round).await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn b5_a_goodbye_that_nobody_denies_is_believed_after_half_a_second() {
    let stage = Stage::new().await;
    let leaver = Attacker::at(&stage, 2).await;
    let _line = leaver.enter(&stage).await;
    let start = Instant::now();
    leaver.beacon(leaver.id, 0).await;
    leaver.mailbox.until("a PING", |seen| seen.commands.contains(&zyre_rs::wire::Command::Ping)).await;
    assert_eq!(stage.events(leaver.id, "EXIT"), 0, "believed before it could be denied");
    stage.exits(leaver.id, ExitReason::Goodbye).await;
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    stage.finish().await;
}

#[tokio::test]
async fn b6_our_own_uuid_from_elsewhere_is_a_conflict_and_no_peer() {
    let stage = Stage::new().await;
    let twin = Attacker::at(&stage, 2).await;
    let me = stage.victim.id();
    twin.beacon(me, twin.mailbox.address.port()).await;
    let address = twin.ip.into();
    let conflict = Event::IdentityConflict { peer: me, address };
    stage.until("the conflict", |events| events.contains(&conflict)).await;
    assert_eq!(stage.counter("identity_conflicts"), 1);
    // The same by HELLO; the event is not repeated for each.
    let mut line = twin.connect_as(me).await;
    line.say_hello(twin.hello()).await;
    line.closed().await;
    assert_eq!(stage.counter("identity_conflicts"), 2);
    assert_eq!((stage.events(me, "IDENTITY-CONFLICT"), stage.events(me, "ENTER")), (1, 0));
    assert!(stage.victim.peer(me).is_none());
    stage.finish().await;
}
