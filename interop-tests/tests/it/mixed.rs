//! Two of ours, two pyre, one zyre.js: one group for everybody.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Mark, Peer, Spec};
use zyre_interop_tests::{Missing, or_return};

use crate::common::{ALL, DELIVERED, Kind, figure, meet, meet_all, millis, sessions};

/// Unicode names where they survive: pyre cuts its own, and the stump kills the next pyre.
const ORDER: [Kind; 5] = [
    ("rust-1", Spec::ours),
    ("pyre-1", Spec::pyre),
    ("js-ü", Spec::zyrejs),
    ("rust-2 世界", Spec::ours),
    ("pyre-2", Spec::pyre),
];

fn is_zyrejs(node: &Peer) -> bool {
    node.name().starts_with("js")
}

/// Everybody on the host that `place` says, in this order.
fn start<'a>(backwards: bool, place: impl Fn(usize) -> &'a Host) -> Result<Vec<Peer>, Missing> {
    let order: Vec<usize> = if backwards { (0..5).rev().collect() } else { (0..5).collect() };
    let start = |index: usize| {
        let (name, make) = ORDER[index];
        make(name).group("G").header("X-NUMBER", &index.to_string()).spawn(place(index))
    };
    order.into_iter().map(start).collect()
}

/// Everyone's shouts reach everyone, everyone's whispers the one they are for.
fn talk_all(nodes: &[Peer], message: &[&[u8]]) {
    let marks: Vec<Mark> = nodes.iter().map(|node| node.mark()).collect();
    let sent = |from: &Peer| if is_zyrejs(from) { message[..1].to_vec() } else { message.to_vec() };
    for from in nodes {
        from.shout("G", &sent(from));
        for to in nodes.iter().filter(|to| to.id() != from.id()) {
            from.whisper(to.id(), &sent(from));
        }
    }
    for (to, mark) in nodes.iter().zip(marks) {
        for from in nodes.iter().filter(|from| from.id() != to.id()) {
            let mut whole = sent(from);
            if is_zyrejs(to) {
                whole.truncate(1);
            }
            let patience = Duration::from_secs(30);
            assert!(
                to.wait_shout(mark, from.id(), "G", patience).frames() == whole,
                "shout of {}",
                from.name()
            );
            assert!(
                to.wait_whisper(mark, from.id(), patience).frames() == whole,
                "whisper of {}",
                from.name()
            );
        }
    }
}

fn everyone_understands_everyone<'a>(backwards: bool, place: impl Fn(usize) -> &'a Host) {
    let nodes = or_return!(start(backwards, place));
    meet_all(&nodes.iter().collect::<Vec<_>>());
    for here in &nodes {
        for there in nodes.iter().filter(|there| there.id() != here.id()) {
            let enter = here.wait_enter(there.id(), DELIVERED);
            assert_eq!(enter.name(), there.name(), "at {}", here.name());
            assert!(enter.header("X-NUMBER").is_some());
        }
    }
    talk_all(&nodes, &["grüße 🦀".as_bytes(), b"", b"third"]);
    talk_all(&nodes, &[b""]);
    for here in &nodes {
        for there in nodes.iter().filter(|there| there.id() != here.id()) {
            assert_eq!(sessions(here, there.id()), ["ENTER"], "{} at {}", there.name(), here.name());
        }
    }
}

#[test]
fn a_mixed_group_understands_everyone() {
    for backwards in [false, true] {
        let lan = or_return!(Lan::new(5));
        everyone_understands_everyone(backwards, |index| lan.host(index));
    }
}

#[test]
fn a_mixed_group_on_one_host_shares_the_beacon_port() {
    for backwards in [false, true] {
        let lan = or_return!(Lan::new(1));
        everyone_understands_everyone(backwards, |_| lan.host(0));
    }
}

#[test]
fn ten_megabytes_reach_everyone_in_a_mixed_group() {
    let lan = or_return!(Lan::new(5));
    let nodes = or_return!(start(false, |index| lan.host(index)));
    meet_all(&nodes.iter().collect::<Vec<_>>());
    let body: Vec<u8> = (0..10_000_000u32).map(|index| (index % 253) as u8).collect();
    for from in &nodes[..3] {
        let marks: Vec<Mark> = nodes.iter().map(|node| node.mark()).collect();
        from.shout("G", &[&body]);
        for (to, mark) in nodes.iter().zip(marks).filter(|(to, _)| to.id() != from.id()) {
            let shout = to.wait_shout(mark, from.id(), "G", Duration::from_secs(30));
            assert!(shout.frames() == [&body[..]], "{} to {}", from.name(), to.name());
        }
    }
}

/// 0.2 s is the aim; a loaded machine gets a second.
#[test]
fn a_clean_stop_is_seen_at_once_both_ways() {
    for (kind, theirs) in ALL {
        for we_stop in [true, false] {
            let lan = or_return!(Lan::new(2));
            let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
            let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
            meet(&ours, &them);
            let (leaver, other) = if we_stop { (&ours, &them) } else { (&them, &ours) };
            // Something said just before is not lost by us.
            leaver.whisper(other.id(), &[b"last words"]);
            let (mark, said) = (other.mark(), Instant::now());
            leaver.begin_stop();
            let exit = other.wait_exit(mark, leaver.id(), DELIVERED);
            let took = millis(said, exit.at());
            let (gone, seen_by) = if we_stop { ("ours", kind) } else { (kind, "ours") };
            figure(&format!("clean stop of {gone} is seen by {seen_by} after {took} ms"));
            assert!(took < 1000, "{kind}: {took} ms");
            if we_stop {
                other.wait_whisper(Mark::START, leaver.id(), DELIVERED);
            } else {
                assert_eq!(exit.reason(), "goodbye");
            }
        }
    }
}

#[test]
fn a_killed_process_exits_within_two_seconds_at_our_side() {
    for (kind, theirs) in ALL {
        let lan = or_return!(Lan::new(2));
        let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
        let mut them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        meet(&ours, &them);
        let (mark, killed) = (ours.mark(), Instant::now());
        them.kill();
        let exit = ours.wait_exit(mark, them.id(), DELIVERED);
        let took = millis(killed, exit.at());
        figure(&format!("killed {kind} exits at ours after {took} ms ({})", exit.reason()));
        assert!(took < 2000 + 1000, "{kind}: {took} ms");
        assert_eq!(exit.reason(), "gone", "{kind}");
    }
}

/// What a member does not see of the others' troubles.
#[test]
fn a_member_killed_in_a_mixed_group_troubles_nobody_else() {
    let lan = or_return!(Lan::new(5));
    let mut nodes = or_return!(start(false, |index| lan.host(index)));
    meet_all(&nodes.iter().collect::<Vec<_>>());
    let mut victim = nodes.remove(1);
    victim.kill();
    for ours in nodes.iter().filter(|node| node.name().starts_with("rust")) {
        ours.wait_exit(Mark::START, victim.id(), DELIVERED);
    }
    talk_all(&nodes, &[b"we go on"]);
    for here in &nodes {
        for there in nodes.iter().filter(|there| there.id() != here.id()) {
            assert_eq!(sessions(here, there.id()), ["ENTER"], "{} at {}", there.name(), here.name());
        }
    }
}
