//! Who finds whom, however they start, restart and leave.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::{Host, Lan, Traffic};
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Event, Mark, Peer, Spec};

use crate::common::{ALL, DELIVERED, DISCOVERED, FOREIGN, each, figure, meet, millis, sessions, talk};

/// When the later of two nodes was ready, and when both had ENTER and JOIN of the other.
fn met(a: &Peer, b: &Peer) -> (Instant, Instant) {
    meet(a, b);
    let ready = [a, b].map(|node| node.wait_for("READY", |event| event.is("READY"), DELIVERED).at());
    let joined = [(a, b), (b, a)].map(|(here, there)| here.wait_join(there.id(), "G", DELIVERED).at());
    (ready[0].max(ready[1]), joined[0].max(joined[1]))
}

#[test]
fn whoever_starts_first_both_enter_and_join_within_a_second_and_a_half() {
    for (kind, theirs) in FOREIGN {
        for we_are_first in [true, false] {
            let lan = or_return!(Lan::new(2));
            let we = || Spec::ours("rüst").group("G").header("X-ROLE", "ä-camera").spawn(lan.host(0));
            let they = || theirs("they").group("G").header("X-THEY", "yes").spawn(lan.host(1));
            let (ours, them) = if we_are_first {
                let ours = or_return!(we());
                (ours, or_return!(they()))
            } else {
                let them = or_return!(they());
                (or_return!(we()), them)
            };
            let (ready, joined) = met(&ours, &them);
            let took = millis(ready, joined);
            figure(&format!("discovery with {kind}, ours first: {we_are_first}: {took} ms"));
            assert!(took < 1500, "{kind}: {took} ms");

            let enter = them.wait_enter(ours.id(), DELIVERED);
            assert_eq!((enter.name(), enter.header("X-ROLE")), ("rüst", Some("ä-camera")), "{kind}");
            assert_eq!(enter.endpoint(), ours.endpoint(), "{kind}");
            assert_eq!(them.address_of(ours.id()), ours.endpoint(), "{kind}");
            let enter = ours.wait_enter(them.id(), DELIVERED);
            assert_eq!((enter.name(), enter.header("X-THEY")), ("they", Some("yes")), "{kind}");
            assert_eq!(enter.endpoint(), them.endpoint(), "{kind}");
            assert_eq!(ours.peers(), [them.id()]);
            assert_eq!(ours.peers_in("G"), [them.id()]);
            assert_eq!(them.peers_in("G"), [ours.id()]);
            assert_eq!(sessions(&ours, them.id()), ["ENTER"]);
            assert_eq!(sessions(&them, ours.id()), ["ENTER"]);
        }
    }
}

#[test]
fn beacons_in_one_direction_are_enough() {
    each(&FOREIGN, |(kind, theirs)| {
        for deaf in [0, 1] {
            let lan = or_return!(Lan::new(2));
            lan.lose(Traffic::Udp, Some(1 - deaf), Some(deaf), 1000);
            let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
            let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
            meet(&ours, &them);
            talk(&ours, &them);
            assert_eq!(sessions(&ours, them.id()), ["ENTER"], "{kind}, host {deaf} deaf");
        }
    });
}

#[test]
fn a_hello_without_any_beacon_is_taken() {
    for (_, theirs) in FOREIGN {
        let lan = or_return!(Lan::new(2));
        lan.lose(Traffic::Udp, None, None, 1000);
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        let ours = Spec::ours("ours").group("G").option("beacon", false).option("connect", them.endpoint());
        let ours = or_return!(ours.spawn(lan.host(0)));
        meet(&ours, &them);
        talk(&ours, &them);
    }
}

#[test]
fn joins_and_leaves_are_seen_on_both_sides() {
    for (kind, theirs) in FOREIGN {
        let lan = or_return!(Lan::new(2));
        let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        meet(&ours, &them);
        for (here, there) in [(&ours, &them), (&them, &ours)] {
            here.join("H");
            there.wait_join(here.id(), "H", DELIVERED);
            assert_eq!(there.peers_in("H"), [here.id()], "{kind}");
            here.leave("H");
            let left = |event: &Event| event.is("LEAVE") && event.peer() == here.id() && event.group() == "H";
            there.wait_for("LEAVE H", left, DELIVERED);
            assert!(there.peers_in("H").is_empty(), "{kind}");
        }
    }
}

/// zyre.js takes the same port again; the dead node is not waited for.
#[test]
fn a_new_node_at_the_endpoint_of_a_dead_one_replaces_it_at_once() {
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let spec = Spec::zyrejs("js").group("G").option("mailbox", 49_200);
    let mut first = or_return!(spec.spawn(lan.host(1)));
    meet(&ours, &first);
    first.kill();
    let second = or_return!(spec.spawn(lan.host(1)));
    assert_eq!(first.endpoint(), second.endpoint());
    meet(&ours, &second);
    ours.wait_exit(Mark::START, first.id(), DELIVERED);
    talk(&ours, &second);
    assert_eq!(sessions(&ours, second.id()), ["ENTER"]);
}

/// zyre.js keeps a DEALER to the dead node that has the identity of the new one; it must not win.
#[test]
fn ours_restarted_with_a_new_uuid_at_its_old_endpoint_is_entered_and_not_muted() {
    each(&ALL, |(kind, theirs)| {
        let lan = or_return!(Lan::new(2));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        let spec = Spec::ours("ours").group("G").option("mailbox", 40_000);
        let mut first = or_return!(spec.spawn(lan.host(0)));
        meet(&first, &them);
        first.kill();
        let second = or_return!(spec.spawn(lan.host(0)));
        meet(&second, &them);
        talk(&second, &them);
        if kind != "zyre.js" {
            them.wait_exit(Mark::START, first.id(), DELIVERED);
        }
        // Long enough for zyre.js's stale connection to come back, which takes it 0.1 s.
        std::thread::sleep(Duration::from_millis(500));
        talk(&second, &them);
    });
}

#[test]
fn ours_restarted_with_its_uuid_exits_and_enters_once() {
    const UUID: &str = "3F2A9C0000000000000000000000BEEF";
    each(&ALL, |(kind, theirs)| {
        for new_port in [40_000, 40_001] {
            let lan = or_return!(Lan::new(2));
            let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
            let spec = |port| Spec::ours("ours").group("G").option("uuid", UUID).option("mailbox", port);
            let mut first = or_return!(spec(40_000).spawn(lan.host(0)));
            meet(&first, &them);
            first.kill();
            let since = them.mark();
            let second = or_return!(spec(new_port).spawn(lan.host(0)));
            second.wait_join(them.id(), "G", DISCOVERED);
            let enters = |event: &Event| event.is("ENTER") && event.peer() == UUID;
            them.wait_since(since, "ENTER of the second", enters, DISCOVERED);
            talk(&second, &them);
            // zyre.js drops the HELLO and comes back by itself, with an EXIT for each attempt in between.
            if kind != "zyre.js" {
                assert_eq!(sessions(&them, UUID), ["ENTER", "EXIT", "ENTER"], "port {new_port}");
            }
        }
    });
}

#[test]
fn names_need_not_be_unique() {
    let lan = or_return!(Lan::new(3));
    let ours = or_return!(Spec::ours("twin").group("G").spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("twin").group("G").spawn(lan.host(1)));
    let js = or_return!(Spec::zyrejs("twin").group("G").spawn(lan.host(2)));
    crate::common::meet_all(&[&ours, &pyre, &js]);
    ours.whisper(js.id(), &[b"for you alone"]);
    js.wait_whisper(Mark::START, ours.id(), DELIVERED);
    talk(&ours, &pyre);
    let whispers = |event: &&Event| event.is("WHISPER");
    assert_eq!(pyre.events().iter().filter(whispers).count(), 1);
    assert_eq!(js.events().iter().filter(whispers).count(), 1);
}

#[test]
fn ours_and_zyrejs_meet_where_there_is_only_loopback() {
    let host = or_return!(Host::alone());
    let a = or_return!(Spec::ours("a").group("G").spawn(&host));
    let js = or_return!(Spec::zyrejs("js").group("G").option("iface", "lo").spawn(&host));
    let b = or_return!(Spec::ours("b").group("G").spawn(&host));
    crate::common::meet_all(&[&a, &js, &b]);
    talk(&a, &js);
    talk(&a, &b);
}
