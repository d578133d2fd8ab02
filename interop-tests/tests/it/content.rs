//! What is said arrives as it was said, as far as the receiver can take it.

use std::time::Duration;

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Counted, Mark, Peer, Spec};

use crate::common::{ALL, DELIVERED, DISCOVERED, FOREIGN, Kind, meet, sessions, talk};

/// zyre.js sends one frame per message and shows the first one.
fn is_single((kind, _): Kind) -> bool {
    kind == "zyre.js"
}

fn pair(theirs: fn(&str) -> Spec) -> Result<(Lan, Peer, Peer), zyre_interop_tests::Missing> {
    let lan = Lan::new(2)?;
    let ours = Spec::ours("ours").group("G").spawn(lan.host(0))?;
    let them = theirs("they").group("G").spawn(lan.host(1))?;
    meet(&ours, &them);
    Ok((lan, ours, them))
}

#[test]
fn frames_arrive_in_number_order_and_content_empty_ones_included() {
    for kind in ALL {
        let (_lan, ours, them) = or_return!(pair(kind.1));
        let messages: [&[&[u8]]; 5] =
            [&[b"one"], &[b"f1", b"", b"f3"], &[b""], &[b"", b""], &[&[0, 255, 0xC3, 0x28]]];
        for message in messages {
            for (from, to) in [(&ours, &them), (&them, &ours)] {
                let from_zyrejs = is_single(kind) && from.id() == them.id();
                if from_zyrejs && message.len() != 1 {
                    continue;
                }
                let shown = if is_single(kind) && !from_zyrejs { &message[..1] } else { message };
                let mark = to.mark();
                from.shout("G", message);
                from.whisper(to.id(), message);
                assert_eq!(to.wait_shout(mark, from.id(), "G", DELIVERED).frames(), shown, "{}", kind.0);
                assert_eq!(to.wait_whisper(mark, from.id(), DELIVERED).frames(), shown, "{}", kind.0);
            }
        }
        assert_eq!(sessions(&ours, them.id()), ["ENTER"]);
        assert_eq!(sessions(&them, ours.id()), ["ENTER"]);
    }
}

#[test]
fn ten_megabytes_arrive_whole_both_ways() {
    let body: Vec<u8> = (0..10_000_000u32).map(|index| (index % 251) as u8).collect();
    for (kind, theirs) in FOREIGN {
        let (_lan, ours, them) = or_return!(pair(theirs));
        for (from, to) in [(&ours, &them), (&them, &ours)] {
            from.whisper(to.id(), &[&body]);
            from.shout("G", &[&body]);
            // Hex in JSON both ways is slow in an adapter of a debug build.
            let patience = Duration::from_secs(20);
            assert!(to.wait_whisper(Mark::START, from.id(), patience).frames() == [&body[..]], "{kind}");
            assert!(to.wait_shout(Mark::START, from.id(), "G", patience).frames() == [&body[..]], "{kind}");
        }
    }
}

#[test]
fn shouts_need_no_membership_to_send_and_one_to_receive() {
    for (kind, theirs) in FOREIGN {
        let (_lan, ours, them) = or_return!(pair(theirs));
        for (from, to) in [(&ours, &them), (&them, &ours)] {
            to.join("H");
            from.wait_join(to.id(), "H", DELIVERED);
            from.shout("H", &[b"from outside"]);
            to.wait_shout(Mark::START, from.id(), "H", DELIVERED);
            to.leave("H");
            let left = |event: &zyre_interop_tests::peer::Event| event.is("LEAVE") && event.peer() == to.id();
            from.wait_for("LEAVE", left, DELIVERED);
            let mark = to.mark();
            from.shout("H", &[b"nobody there"]);
            from.whisper(to.id(), &[b"after"]);
            to.wait_whisper(mark, from.id(), DELIVERED);
            assert!(!to.events_since(mark).iter().any(|event| event.is("SHOUT")), "{kind}");
        }
    }
}

#[test]
fn unicode_is_shown_as_it_was_written() {
    let lan = or_return!(Lan::new(3));
    let spec = Spec::ours("Grüße 世界").group("G").group("grüppe/世界").header("X-Ü", "wörld 🦀");
    let ours = or_return!(spec.spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").group("grüppe/世界").spawn(lan.host(1)));
    let js = Spec::zyrejs("jś").group("G").group("grüppe/世界").header("X-Ü", "wörld 🦀");
    let js = or_return!(js.spawn(lan.host(2)));
    crate::common::meet_all(&[&ours, &pyre, &js]);
    for them in [&pyre, &js] {
        let enter = them.wait_enter(ours.id(), DISCOVERED);
        assert_eq!((enter.name(), enter.header("X-Ü")), ("Grüße 世界", Some("wörld 🦀")));
        them.wait_join(ours.id(), "grüppe/世界", DISCOVERED);
    }
    let enter = ours.wait_enter(js.id(), DISCOVERED);
    assert_eq!((enter.name(), enter.header("X-Ü")), ("jś", Some("wörld 🦀")));
    ours.wait_join(js.id(), "grüppe/世界", DISCOVERED);
    js.shout("grüppe/世界", &["schön".as_bytes()]);
    assert_eq!(
        ours.wait_shout(Mark::START, js.id(), "grüppe/世界", DELIVERED).frames(),
        ["schön".as_bytes()]
    );
    ours.shout("grüppe/世界", &["schön".as_bytes()]);
    assert_eq!(
        js.wait_shout(Mark::START, ours.id(), "grüppe/世界", DELIVERED).frames(),
        ["schön".as_bytes()]
    );
    talk(&ours, &pyre);
}

/// pyre counts characters and cuts bytes: "grü" goes out as `67 72 C3`. That is another group, and no reason to fall.
#[test]
fn the_half_character_that_pyre_sends_hurts_nobody() {
    let (_lan, ours, pyre) = or_return!(pair(Spec::pyre));
    ours.join("grü");
    pyre.wait_join(ours.id(), "grü", DELIVERED);
    pyre.join("grü");
    ours.wait_join(pyre.id(), "gr\u{FFFD}", DELIVERED);
    pyre.shout("grü", &[b"cut"]);
    talk(&ours, &pyre);
    assert_eq!(sessions(&ours, pyre.id()), ["ENTER"]);
    ours.shout("grü", &[b"nobody is in it"]);
    talk(&ours, &pyre);
}

#[test]
fn names_groups_and_headers_may_have_their_full_length() {
    for (kind, theirs) in FOREIGN {
        let lan = or_return!(Lan::new(2));
        let (name, group, key, value) =
            ("n".repeat(255), "g".repeat(255), "k".repeat(255), "v".repeat(70_000));
        let spec = |make: fn(&str) -> Spec| make(&name).group("G").group(&group).header(&key, &value);
        let ours = or_return!(spec(Spec::ours).spawn(lan.host(0)));
        let them = or_return!(spec(theirs).spawn(lan.host(1)));
        for (here, there) in [(&ours, &them), (&them, &ours)] {
            let enter = here.wait_enter(there.id(), DISCOVERED);
            assert_eq!((enter.name(), enter.header(&key)), (&*name, Some(&*value)), "{kind}");
            here.wait_join(there.id(), &group, DISCOVERED);
            here.wait_join(there.id(), "G", DISCOVERED);
            there.shout(&group, &[b"long"]);
            here.wait_shout(Mark::START, there.id(), &group, DELIVERED);
        }
        let refusal = ours.try_call(serde_json::json!({"cmd": "join", "group": "g".repeat(256)}));
        assert!(refusal.is_err_and(|error| error.contains("255")), "{kind}");
    }
}

#[test]
fn three_hundred_groups_at_the_start_and_more_afterwards() {
    for (kind, theirs) in FOREIGN {
        let lan = or_return!(Lan::new(2));
        let with_groups = |spec: Spec| (0..300).fold(spec, |spec, index| spec.group(&format!("g{index}")));
        let ours = or_return!(with_groups(Spec::ours("ours").group("G")).spawn(lan.host(0)));
        let them = or_return!(theirs("they").group("G").group("").spawn(lan.host(1)));
        meet(&ours, &them);
        ours.wait_join(them.id(), "", DISCOVERED);
        for index in 0..300 {
            them.wait_join(ours.id(), &format!("g{index}"), DISCOVERED);
        }
        // The status byte has wrapped; pyre dies if it is not counted to its liking.
        ours.join("one more");
        them.wait_join(ours.id(), "one more", DELIVERED);
        them.shout("g299", &[b"last"]);
        ours.wait_shout(Mark::START, them.id(), "g299", DELIVERED);
        talk(&ours, &them);
        assert_eq!(sessions(&them, ours.id()), ["ENTER"], "{kind}");
    }
}

/// zyre.js counts its status modulo 255, pyre checks ours modulo 256: both ways past the wrap.
#[test]
fn three_hundred_joins_and_leaves_one_by_one() {
    for (kind, theirs) in FOREIGN {
        let (_lan, ours, them) = or_return!(pair(theirs));
        for index in 0..150 {
            ours.join(&format!("h{index}"));
            ours.leave(&format!("h{index}"));
        }
        them.wait_join(ours.id(), "h149", DELIVERED);
        // pyre itself dies at its own 256th, so it stops before.
        for index in 0..if kind == "pyre" { 120 } else { 150 } {
            them.join(&format!("h{index}"));
            them.leave(&format!("h{index}"));
        }
        ours.wait_join(them.id(), "h119", DELIVERED);
        talk(&ours, &them);
        // Joined twice, and left without having been in it.
        ours.join("G");
        ours.leave("nowhere");
        talk(&ours, &them);
        assert_eq!(
            (sessions(&ours, them.id()), sessions(&them, ours.id())),
            (vec!["ENTER".to_owned()], vec!["ENTER".to_owned()]),
            "{kind}"
        );
    }
}

#[test]
fn shouts_reach_all_kinds_in_order() {
    let lan = or_return!(Lan::new(4));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let others = [
        or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(1))),
        or_return!(Spec::zyrejs("js").group("G").spawn(lan.host(2))),
        or_return!(Spec::ours("second").group("G").spawn(lan.host(3))),
    ];
    for other in &others {
        meet(&ours, other);
        other.start_counting();
    }
    ours.flood_shouts("G", 0, 10_000, 100);
    for other in &others {
        let counted = other.wait_counted(ours.id(), 10_000, Duration::from_secs(30));
        assert_eq!(counted, Counted::all(10_000), "{}", other.name());
    }
}
