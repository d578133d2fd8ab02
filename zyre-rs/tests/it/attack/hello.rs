//! T6, T7, T8, T11: what a HELLO says, and how often.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use zyre_rs::wire::{Command, HelloFields, MAX_GROUPS, MAX_HEADER_VALUE, MAX_HEADERS};
use zyre_rs::{EndpointPolicy, ExitReason};

use super::raw::{Attacker, hello};
use super::stage::Stage;

/// A HELLO's frame with any counts and bytes.
fn raw_hello(group_count: u32, groups: &[u8], header_count: u32, headers: &[u8]) -> Vec<u8> {
    let head = b"\xaa\xa1\x01\x02\x00\x01\x11tcp://127.0.0.2:9".as_slice();
    [head, &group_count.to_be_bytes(), groups, b"\x00\x01x", &header_count.to_be_bytes(), headers].concat()
}

#[tokio::test]
async fn t6_a_hello_beyond_a_limit_or_with_a_count_of_four_billion_is_no_hello() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let long_group = [&256_u32.to_be_bytes()[..], &[b'g'; 256]].concat();
    let value =
        [&[1, b'k'][..], &(MAX_HEADER_VALUE as u32 + 1).to_be_bytes(), &vec![0; MAX_HEADER_VALUE + 1]];
    let mut line = attacker.connect().await;
    for (frame, counter) in [
        (raw_hello(u32::MAX, b"", 0, b""), "message_over_limit"),
        (raw_hello(0, b"", u32::MAX, b""), "message_over_limit"),
        (raw_hello(MAX_GROUPS as u32 + 1, &[0; 4 * (MAX_GROUPS + 1)], 0, b""), "message_over_limit"),
        (raw_hello(0, b"", MAX_HEADERS as u32 + 1, &[0; 5 * (MAX_HEADERS + 1)]), "message_over_limit"),
        (raw_hello(1, &long_group, 0, b""), "message_over_limit"),
        (raw_hello(0, b"", 1, &value.concat()), "message_over_limit"),
        (raw_hello(1, b"\xff\xff\xff\xff", 0, b""), "message_truncated"),
        (raw_hello(0, b"", 1, b"\x01k\xff\xff\xff\xff"), "message_truncated"),
        (b"\xaa\xa1\x01\x02\x00\x01\xfftcp".to_vec(), "message_truncated"),
    ] {
        let before = stage.counter(counter);
        line.message(&[&frame]).await;
        stage.counted(counter, before + 1).await;
        assert_eq!(stage.counter(counter), before + 1);
    }
    assert!(stage.victim.peer(attacker.id).is_none());
    // A proper HELLO on the same connection shows that they did no harm.
    line.say_hello(attacker.hello()).await;
    stage.enters(attacker.id).await;
    stage.finish().await;
}

#[tokio::test]
async fn t7_of_a_flood_of_hellos_on_one_link_one_counts() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    let mut line = attacker.enter(&stage).await;
    let start = Instant::now();
    for n in 0..100 {
        let name = n.to_string().into_bytes();
        line.say_hello(HelloFields { name, ..attacker.hello() }).await;
    }
    line.whisper("after the flood").await;
    stage.hears(attacker.id, "after the flood").await;
    let allowed = 1 + start.elapsed().as_secs() as usize / 2;
    let exits = stage.events(attacker.id, "EXIT");
    assert!((1..=allowed).contains(&exits), "{exits} exits in {:?}", start.elapsed());
    assert_eq!(stage.events(attacker.id, "ENTER"), exits + 1);
    assert_eq!(stage.counter("hello_over_limit"), 100 - exits as u64);
    stage.finish().await;
}

/// The other side answers each HELLO with one, as zyre C and pyre do.
#[tokio::test]
async fn t8_a_hello_that_answers_ours_is_not_answered() {
    let stage = Stage::new().await;
    let echo = Attacker::at(&stage, 2).await;
    let mut line = echo.enter(&stage).await;
    let hellos = || echo.mailbox.count(|command| matches!(command, Command::Hello(_)));
    let answer = async {
        let mut answered = 0;
        loop {
            echo.mailbox
                .until("HELLO", |seen| {
                    seen.commands.iter().filter(|command| matches!(command, Command::Hello(_))).count()
                        > answered
                })
                .await;
            answered += 1;
            line.say_hello(echo.hello()).await;
        }
    };
    // A storm is a thousand a second. The node never gets its PING-OK and may ask for it by another HELLO.
    assert!(timeout(Duration::from_secs(3), answer).await.is_err());
    assert!(hellos() <= 3, "{} HELLOs in 3 s", hellos());
    stage.counted("hello_answers", 1).await;
    assert_eq!((stage.events(echo.id, "ENTER"), stage.events(echo.id, "EXIT")), (1, 0));
    stage.finish().await;
}

#[tokio::test]
async fn t11_an_endpoint_that_is_no_address_or_not_on_a_subnet_of_ours_is_refused() {
    let stage = Stage::new().await;
    let attacker = Attacker::at(&stage, 2).await;
    for (endpoint, counter) in [
        ("", "hello_bad_endpoint"),
        ("ipc:///tmp/x", "hello_bad_endpoint"),
        ("inproc://x", "hello_bad_endpoint"),
        ("tcp://localhost:80", "hello_bad_endpoint"),
        ("tcp://127.0.0.2:0", "hello_bad_endpoint"),
        ("tcp://127.0.0.2:99999", "hello_bad_endpoint"),
        ("tcp://[::1]:80", "hello_foreign_endpoint"),
        ("tcp://203.0.113.1:80", "hello_foreign_endpoint"),
    ] {
        let (before, refused) = (stage.counter(counter), stage.counter("hello_refused"));
        let mut line = attacker.connect().await;
        line.say_hello(hello(endpoint)).await;
        line.closed().await;
        stage.counted("hello_refused", refused + 1).await;
        assert_eq!(stage.counter(counter), before + 1, "{endpoint}");
        assert!(stage.victim.peer(attacker.id).is_none(), "{endpoint}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn t11_the_strict_policy_takes_the_source_address_only_and_the_lax_one_any() {
    let stage = Stage::with(|builder| builder.endpoint_policy(EndpointPolicy::SameIp)).await;
    let (attacker, other) = (Attacker::at(&stage, 2).await, Attacker::at(&stage, 3).await);
    let mut line = attacker.connect().await;
    line.say_hello(hello(&other.endpoint())).await;
    line.closed().await;
    assert_eq!(stage.counter("hello_foreign_endpoint"), 1);
    assert_eq!(other.mailbox.connections(), 0);
    attacker.enter(&stage).await;
    stage.finish().await;

    let stage = Stage::with(|builder| builder.endpoint_policy(EndpointPolicy::Any)).await;
    let (peer, elsewhere) = (Attacker::at(&stage, 2).await, Attacker::at(&stage, 3).await);
    let mut line = peer.connect().await;
    line.say_hello(hello(&elsewhere.endpoint())).await;
    stage.enters(peer.id).await;
    elsewhere.mailbox.until("a link", |seen| seen.connections > 0).await;
    stage.finish().await;
}

/// Not a row of its own: a HELLO inside a session that differs is a restart, and says so.
#[tokio::test]
async fn t7_a_single_changed_hello_is_a_restart() {
    let stage = Stage::new().await;
    let peer = Attacker::at(&stage, 2).await;
    let mut line = peer.enter(&stage).await;
    line.say_hello(HelloFields { name: b"renamed".to_vec(), ..peer.hello() }).await;
    stage.exits(peer.id, ExitReason::Restarted).await;
    stage.enters(peer.id).await;
    stage.finish().await;
}
