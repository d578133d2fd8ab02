//! Cables that are out for longer than a peer is waited for, and beacons that get lost.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::{Lan, Traffic};
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Event, Peer, Spec};

use crate::common::{DISCOVERED, each, figure, is_long, meet, meet_all, millis, sessions, talk};

/// Shorter outages are in `recovery.rs`.
#[test]
fn a_link_that_is_down_for_longer_than_peers_are_waited_for_costs_one_exit_and_one_enter() {
    let (down, patient): (_, fn(Spec) -> Spec) = if is_long() {
        (Duration::from_secs(40), |spec| spec)
    } else {
        (Duration::from_secs(9), |spec| spec.option("evasive", 1000).option("expired", 6000))
    };
    let lan = or_return!(Lan::new(2));
    let a = or_return!(patient(Spec::ours("a").group("G")).spawn(lan.host(0)));
    let b = or_return!(patient(Spec::ours("b").group("G")).spawn(lan.host(1)));
    meet(&a, &b);
    talk(&a, &b);
    let marks = [a.mark(), b.mark()];
    lan.unplug(0);
    std::thread::sleep(down);
    lan.plug(0);
    let up = Instant::now();
    let both = [(&a, &b), (&b, &a)];
    let back = both.iter().zip(marks).map(|((here, there), mark)| {
        let enters = |event: &Event| event.is("ENTER") && event.peer() == there.id();
        millis(up, here.wait_since(mark, "ENTER after the outage", enters, DISCOVERED).at())
    });
    let back: Vec<u128> = back.collect();
    meet(&a, &b);
    talk(&a, &b);
    let seen = both.map(|(here, there)| sessions(here, there.id()));
    figure(&format!("link down for {down:?}: back after {back:?} ms, sessions {seen:?}"));
    for sessions in seen {
        assert_eq!(sessions, ["ENTER", "EXIT", "ENTER"]);
    }
    // The aim is 3 s.
    assert!(back.iter().all(|ms| *ms < 6000), "{back:?}");
}

#[test]
fn lost_beacons_exit_nobody() {
    let shares = [("20 %", 200), ("50 %", 500), ("90 %", 900)];
    std::thread::scope(|scope| {
        for (share, permille) in shares {
            scope.spawn(move || lose_beacons(share, permille));
        }
    });
}

/// Nobody says anything meanwhile, so that beacons and PINGs are all there is.
fn lose_beacons(share: &str, permille: u16) {
    let (lossy, impatient): (_, fn(Spec) -> Spec) = if is_long() {
        (Duration::from_secs(70), |spec| spec)
    } else {
        (Duration::from_secs(10), |spec| spec.option("evasive", 1000).option("expired", 4000))
    };
    let lan = or_return!(Lan::new(4));
    let ours = or_return!(impatient(Spec::ours("ours").group("G")).spawn(lan.host(0)));
    let second = or_return!(impatient(Spec::ours("second").group("G")).spawn(lan.host(1)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(2)));
    let js = or_return!(impatient(Spec::zyrejs("js").group("G")).spawn(lan.host(3)));
    let nodes = [&ours, &second, &pyre, &js];
    meet_all(&nodes);
    lan.lose(Traffic::Udp, None, None, permille);
    let begin = Instant::now();
    let late = or_return!(Spec::ours("late").group("G").spawn(lan.host(0)));
    std::thread::sleep(lossy.saturating_sub(begin.elapsed()));
    let exits = |here: &Peer| here.events().iter().filter(|event| event.is("EXIT")).count();
    let seen = nodes.map(exits);
    let found = late.events().iter().filter(|event| event.is("ENTER")).count();
    figure(&format!(
        "{share} of all datagrams lost for {lossy:?}: EXIT at ours {}, {}, pyre {}, zyre.js {}; a newcomer has met {found} of 4",
        seen[0], seen[1], seen[2], seen[3]
    ));
    // What zyre.js gives up for want of beacons is its own affair.
    assert_eq!(seen[..3], [0, 0, 0], "{share}");
    lan.heal();
    for here in [&ours, &second] {
        for there in [&ours, &second, &pyre] {
            if here.id() != there.id() {
                talk(here, there);
            }
        }
    }
}

/// The answer to whoever cannot be seen anywhere else: all kinds of nodes, with everything lost but TCP.
#[test]
fn without_any_beacon_sessions_live_on_their_connections() {
    each(&crate::common::ALL, |(kind, theirs)| {
        let (lossy, spec) = if is_long() {
            (Duration::from_secs(70), Spec::ours("ours"))
        } else {
            (Duration::from_secs(8), Spec::ours("ours").option("evasive", 1000).option("expired", 4000))
        };
        let lan = or_return!(Lan::new(2));
        let ours = or_return!(spec.group("G").spawn(lan.host(0)));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        meet(&ours, &them);
        lan.lose(Traffic::Udp, None, None, 1000);
        std::thread::sleep(lossy);
        talk(&ours, &them);
        assert_eq!(sessions(&ours, them.id()), ["ENTER"], "{kind}");
    });
}
