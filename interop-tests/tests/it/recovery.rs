//! What breaks comes back by itself: frozen and mute peers, cables pulled, traffic lost.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::{Lan, Traffic};
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Event, Mark, Peer, Spec};

use crate::common::{
    ALL, DELIVERED, DISCOVERED, FOREIGN, each, figure, is_long, meet, millis, sessions, talk,
};

/// Waits until whispers go both ways again, whatever happens to single ones.
#[track_caller]
fn talk_again(a: &Peer, b: &Peer, timeout: Duration) -> Duration {
    let begin = Instant::now();
    let deadline = begin + timeout;
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let heard = |here: &Peer, mark, there: &Peer| {
        here.events_since(mark).iter().any(|event| event.is("WHISPER") && event.peer() == there.id())
    };
    while !(heard(a, mark_a, b) && heard(b, mark_b, a)) {
        if Instant::now() > deadline {
            a.fail(&format!("no whispers both ways with {} within {timeout:?}", b.name()));
        }
        for (from, to) in [(a, b), (b, a)] {
            let _ = from.try_call(serde_json::json!({"cmd": "whisper", "peer": to.id(), "frames": ["31"]}));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    begin.elapsed()
}

#[test]
fn a_gap_ends_the_session_and_a_hello_begins_the_next() {
    each(&FOREIGN, |(kind, theirs)| {
        for at_us in [true, false] {
            let lan = or_return!(Lan::new(2));
            let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
            let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
            meet(&ours, &them);
            talk(&ours, &them);
            // In a younger session a HELLO may be the answer to ours, and recovery waits for that.
            std::thread::sleep(Duration::from_millis(2100));
            let (here, there) = if at_us { (&ours, &them) } else { (&them, &ours) };
            if at_us {
                them.lose_sent(ours.id());
            } else {
                them.lose_received(ours.id());
            }
            let (mark, lost) = (here.mark(), Instant::now());
            there.whisper(here.id(), &[b"one too many"]);
            let exit = here.wait_exit(mark, there.id(), DELIVERED);
            if at_us {
                assert_eq!(exit.reason(), "messages-lost", "{kind}");
            }
            let enters = |event: &Event| event.is("ENTER") && event.peer() == there.id();
            let enter = here.wait_since(mark, "ENTER after the gap", enters, DISCOVERED);
            let joins =
                |event: &Event| event.is("JOIN") && event.peer() == there.id() && event.group() == "G";
            here.wait_since(mark, "JOIN after the gap", joins, DISCOVERED);
            let healed = talk_again(&ours, &them, DISCOVERED);
            let took = millis(lost, enter.at());
            figure(&format!(
                "gap at {} with {kind}: ENTER again after {took} ms, talk {healed:.1?} later",
                here.name()
            ));
            assert!(took < 3500, "{kind}: {took} ms");
            let whispers = |event: &Event| event.is("WHISPER") && event.frames() == [b"one too many"];
            assert!(!here.events().iter().any(whispers), "{kind}: what comes after a gap is not delivered");
        }
    });
}

/// Both sides have restarted the session; neither goes on doing so.
#[test]
fn a_repeated_hello_starts_no_storm() {
    each(&FOREIGN, |(kind, theirs)| {
        let lan = or_return!(Lan::new(2));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        let spec = Spec::ours("ours").group("G").option("uuid", "00AA0000000000000000000000000018");
        let mut first = or_return!(spec.spawn(lan.host(0)));
        meet(&first, &them);
        // A second HELLO with the same identity, and a third from the restart.
        first.kill();
        let second = or_return!(spec.spawn(lan.host(0)));
        talk_again(&second, &them, Duration::from_secs(15));
        let (at_them, at_us) = (them.mark(), second.mark());
        std::thread::sleep(Duration::from_secs(if kind == "pyre" { 10 } else { 3 }));
        let more = them.count_since(at_them, "ENTER", second.id());
        let ours = second.count_since(at_us, "ENTER", them.id());
        figure(&format!("{kind}: {more} more ENTER at them, {ours} at ours after a repeated HELLO"));
        assert!(more <= 1 && ours <= 1, "{kind}: {more} at them, {ours} at ours");
        talk(&second, &them);
    });
}

#[test]
fn a_frozen_peer_exits_when_expired_and_comes_back() {
    each(&ALL, |(kind, theirs)| {
        let lan = or_return!(Lan::new(2));
        let spec = Spec::ours("ours").group("G").option("evasive", 500).option("expired", 2500);
        let ours = or_return!(spec.spawn(lan.host(0)));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        meet(&ours, &them);
        let frozen = Instant::now();
        them.pause();
        let exit = ours.wait_exit(Mark::START, them.id(), DISCOVERED);
        let took = millis(frozen, exit.at());
        assert_eq!(exit.reason(), "expired", "{kind}");
        // Heard last up to a beacon interval before it froze.
        assert!((1400..4000).contains(&took), "{kind}: exit after {took} ms");
        let of_them = |kind: &'static str| move |event: &Event| event.is(kind);
        ours.wait_for("EVASIVE", of_them("EVASIVE"), DELIVERED);
        let mark = ours.mark();
        them.resume();
        let thawed = Instant::now();
        let enters = |event: &Event| event.is("ENTER") && event.peer() == them.id();
        let enter = ours.wait_since(mark, "ENTER after the thaw", enters, DISCOVERED);
        let healed = talk_again(&ours, &them, DISCOVERED);
        let back = millis(thawed, enter.at());
        figure(&format!(
            "{kind} frozen: EXIT after {took} ms; thawed: ENTER after {back} ms, talk after {healed:.1?}"
        ));
        assert!(back < 4000, "{kind}: ENTER {back} ms after the thaw");
    });
}

/// Ours is frozen for longer than the others' patience, which zyre.js lets us shorten.
#[test]
fn ours_frozen_and_expired_at_zyrejs_is_taken_back() {
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let spec = Spec::zyrejs("js").group("G").option("evasive", 500).option("expired", 1500);
    let js = or_return!(spec.spawn(lan.host(1)));
    meet(&ours, &js);
    ours.pause();
    js.wait_exit(Mark::START, ours.id(), DISCOVERED);
    ours.resume();
    talk_again(&ours, &js, DISCOVERED);
    let enters = |event: &&Event| event.is("ENTER") && event.peer() == ours.id();
    assert_eq!(js.events().iter().filter(enters).count(), 2);
}

/// pyre closes the connection to a receiver that is 3000 messages behind, keeps the peer and says nothing more.
#[test]
fn a_pyre_that_fell_mute_is_healed() {
    let lan = or_return!(Lan::new(2));
    let spec = Spec::ours("ours").group("G").option("evasive", 1000);
    let ours = or_return!(spec.spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(1)));
    meet(&ours, &pyre);
    ours.start_counting();
    ours.pause();
    pyre.flood_whispers(ours.id(), 0, 8000, 20_000);
    pyre.wait_for("end of the flood", |event| event.is("FLOODED"), Duration::from_secs(30));
    ours.resume();
    let begin = Instant::now();
    // Until whispers go both ways again.
    let deadline = begin + Duration::from_secs(30);
    let mark = pyre.mark();
    let mut number = 100_000;
    loop {
        assert!(Instant::now() < deadline, "not healed");
        pyre.flood_whispers(ours.id(), number, 1, 8);
        number += 1;
        let _ = ours.try_call(serde_json::json!({"cmd": "whisper", "peer": pyre.id(), "frames": ["31"]}));
        std::thread::sleep(Duration::from_millis(200));
        let heard = pyre.events_since(mark).iter().any(|event| event.is("WHISPER"));
        if heard && ours.counted(pyre.id()).next > 100_000 {
            break;
        }
    }
    let counted = ours.counted(pyre.id());
    figure(&format!(
        "mute pyre heard again after {:.1?}, {} messages arrived before, sessions at ours {:?}",
        begin.elapsed(),
        counted.first_gap.unwrap_or_default(),
        sessions(&ours, pyre.id())
    ));
    assert!(counted.first_gap.is_some_and(|gap| gap < 8000), "pyre never fell mute: {counted:?}");
    assert!(sessions(&ours, pyre.id()).len() <= 5, "healed without a storm");
}

#[test]
fn a_link_down_for_a_while_exits_nobody() {
    each(&ALL, |(kind, theirs)| {
        let down = if kind == "ours" || is_long() { 10 } else { 3 };
        let lan = or_return!(Lan::new(2));
        let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        meet(&ours, &them);
        talk(&ours, &them);
        lan.unplug(0);
        // Said while the cable is out; TCP keeps it.
        let mark = them.mark();
        ours.whisper(them.id(), &[b"patience"]);
        std::thread::sleep(Duration::from_secs(down));
        lan.plug(0);
        let up = Instant::now();
        let heard = them.wait_whisper(mark, ours.id(), Duration::from_secs(20));
        figure(&format!("link to {kind} down for {down} s: heard again after {} ms", millis(up, heard.at())));
        talk_again(&ours, &them, Duration::from_secs(20));
        assert_eq!(sessions(&ours, them.id()), ["ENTER"], "{kind}");
        assert_eq!(sessions(&them, ours.id()), ["ENTER"], "{kind}");
    });
}

/// The interface itself goes down, and its routes with it; pyre's beacons may end for good then, so ours does it.
#[test]
fn an_interface_down_for_a_while_exits_nobody() {
    each(&ALL, |(kind, theirs)| {
        let lan = or_return!(Lan::new(2));
        let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
        meet(&ours, &them);
        lan.host(0).interface_down();
        std::thread::sleep(Duration::from_secs(3));
        lan.host(0).interface_up();
        talk_again(&ours, &them, Duration::from_secs(20));
        // A newcomer finds us: beacons go out again.
        let late = or_return!(Spec::ours("late").group("G").spawn(lan.host(1)));
        meet(&ours, &late);
        assert_eq!(sessions(&ours, them.id()), ["ENTER"], "{kind}");
        assert_eq!(sessions(&them, ours.id()), ["ENTER"], "{kind}");
    });
}

#[test]
fn lost_beacons_and_segments_exit_nobody() {
    let lan = or_return!(Lan::new(3));
    let ours = or_return!(
        Spec::ours("ours").group("G").option("evasive", 1000).option("expired", 5000).spawn(lan.host(0))
    );
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(1)));
    let js = or_return!(Spec::zyrejs("js").group("G").spawn(lan.host(2)));
    crate::common::meet_all(&[&ours, &pyre, &js]);
    lan.lose(Traffic::Udp, None, None, 200);
    // Much more, and TCP stalls for so long that a living peer looks mute.
    lan.lose(Traffic::Tcp, None, None, 20);
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        for them in [&pyre, &js] {
            for (from, to) in [(&ours, them), (them, &ours)] {
                let mark = to.mark();
                from.whisper(to.id(), &[b"through the noise"]);
                to.wait_whisper(mark, from.id(), Duration::from_secs(30));
            }
        }
        std::thread::sleep(Duration::from_millis(1500));
    }
    lan.heal();
    for them in [&pyre, &js] {
        assert_eq!(sessions(&ours, them.id()), ["ENTER"], "{}", them.name());
        assert_eq!(sessions(them, ours.id()), ["ENTER"], "{}", them.name());
    }
}
