//! Handshakes that never end, and frames that claim what never comes.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::Spec;
use zyre_rs::zmtp::Greeting;

use super::raw::{Line, mailbox_of, more_addresses, on, random_id};
use crate::common::{DISCOVERED, figure, meet, millis, sessions, talk};

const SLOW: usize = 1_000;
const CLAIMS: u16 = 500;
/// At once, which leaves the node's 256 places for newcomers alone.
const CLAIMS_AT_ONCE: u16 = 25;

/// A thousand connections need as many descriptors on this side.
fn many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Where the hard limit is too low the connections fail and the test with them.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

#[test]
fn a_thousand_slow_handshakes_are_closed_and_keep_no_joiner_out() {
    many_descriptors();
    let lan = or_return!(Lan::new(3));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let good = or_return!(Spec::ours("good").group("G").spawn(lan.host(1)));
    meet(&ours, &good);
    let before = ours.usage().memory_kib();
    let (from, to) = (more_addresses(lan.host(2), 12), mailbox_of(&ours));
    let (closed, entered, grown) = std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            on(lan.host(2), async || {
                let greeting = Greeting::new("NULL", false).encode();
                let mut lines = JoinSet::new();
                for number in 0..SLOW {
                    let from = from[number % from.len()];
                    let mut line = Line::open(from, to).await.expect("a connection");
                    let opened = Instant::now();
                    lines.spawn(async move {
                        // A byte now and then: never done, never quiet.
                        line.closed_while_saying(&greeting, Duration::from_millis(250)).await;
                        opened.elapsed()
                    });
                }
                lines.join_all().await.into_iter().max().unwrap_or_default()
            })
        });
        ours_has(&ours, "handshake_evicted");
        let joiner = Spec::ours("joiner").group("G").spawn(lan.host(1)).expect("as the other");
        let ready = Instant::now();
        let entered = millis(ready, ours.wait_enter(joiner.id(), DISCOVERED).at());
        meet(&ours, &joiner);
        let grown = ours.usage().memory_kib().saturating_sub(before);
        (attack.join().expect("all are closed"), entered, grown)
    });
    let counters = ours.counters();
    figure(&format!(
        "{SLOW} slow handshakes: the last closed after {closed:.1?} ({} evicted, {} timed out), a joiner enters after \
         {entered} ms, memory + {grown} KiB",
        counters["handshake_evicted"], counters["handshake_timeout"]
    ));
    // The aims are 6 s and 2 s; a loaded machine gets more.
    assert!(closed < Duration::from_secs(9), "{closed:?}");
    assert!(entered < 5000, "{entered} ms");
    assert!(grown <= 64 << 10, "memory + {grown} KiB");
    talk(&ours, &good);
    assert_eq!(sessions(&ours, good.id()), ["ENTER"]);
    assert_eq!(sessions(&good, ours.id()), ["ENTER"]);
}

/// Waits until our node has counted something.
fn ours_has(ours: &zyre_interop_tests::peer::Peer, counter: &str) {
    let deadline = Instant::now() + DISCOVERED;
    while ours.counters()[counter].as_u64().is_none() {
        assert!(Instant::now() < deadline, "no {counter}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn five_hundred_claims_of_eight_gibibytes_cost_no_memory() {
    let lan = or_return!(Lan::new(3));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let good = or_return!(Spec::ours("good").group("G").spawn(lan.host(1)));
    meet(&ours, &good);
    let before = ours.usage().memory_kib();
    let (host, to) = (lan.host(2), mailbox_of(&ours));
    let (slowest, peak) = on(host, async || {
        let (mut slowest, mut peak) = (Duration::ZERO, 0);
        for begin in (0..CLAIMS).step_by(usize::from(CLAIMS_AT_ONCE)) {
            let claims: JoinSet<Duration> = (begin..begin + CLAIMS_AT_ONCE)
                .map(|number| {
                    let from = host.address();
                    async move {
                        let mut line = Line::open(from, to).await.expect("a connection");
                        assert!(line.greet(random_id()).await);
                        // Every other one is a peer by then.
                        if number % 2 == 0 {
                            line.say_hello(&format!("tcp://{from}:{}", 10_000 + number), "claimer").await;
                        }
                        let claimed = Instant::now();
                        line.write(&[&[2, 0, 0, 0, 2, 0, 0, 0, 0][..], &[0; 1000]].concat()).await;
                        line.closed().await;
                        claimed.elapsed()
                    }
                })
                .collect();
            slowest = claims.join_all().await.into_iter().fold(slowest, Duration::max);
            peak = peak.max(ours.usage().memory_kib());
        }
        (slowest, peak)
    });
    let grown = peak.saturating_sub(before);
    let refused = ours.counters()["frame_message_too_large"].as_u64().unwrap_or_default();
    figure(&format!(
        "{CLAIMS} claims of 8 GiB: {refused} refused, closed after {slowest:.1?}, memory + {grown} KiB"
    ));
    assert_eq!(refused, u64::from(CLAIMS));
    assert!(slowest < Duration::from_secs(6), "{slowest:?}");
    assert!(grown <= 64 << 10, "memory + {grown} KiB");
    talk(&ours, &good);
    assert_eq!(sessions(&ours, good.id()), ["ENTER"]);
}
