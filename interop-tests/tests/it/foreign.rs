//! pyre and zyre.js among themselves: proves the harness, and records what the two do to each other.

use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Counted, Event, Peer, Spec, flood_in_step};

use crate::common::{DELIVERED, DISCOVERED, meet};

fn shout_of<'a>(sender: &'a Peer, group: &'a str) -> impl Fn(&Event) -> bool + 'a {
    move |event| event.is("SHOUT") && event.peer() == sender.id() && event.group() == group
}

fn whisper_of(sender: &Peer) -> impl Fn(&Event) -> bool + '_ {
    |event| event.is("WHISPER") && event.peer() == sender.id()
}

fn exit_of(peer: &str) -> impl Fn(&Event) -> bool + '_ {
    move |event| event.is("EXIT") && event.peer() == peer
}

#[test]
fn two_pyres_exchange_everything() {
    let lan = or_return!(Lan::new(2));
    let a = or_return!(Spec::pyre("a").group("G").header("X-KEY", "välue").spawn(lan.host(0)));
    let b = or_return!(Spec::pyre("b").group("G").spawn(lan.host(1)));
    meet(&a, &b);

    let enter = b.wait_enter(a.id(), DISCOVERED);
    assert_eq!((enter.name(), enter.endpoint()), ("a", a.endpoint()));
    assert!(a.endpoint().starts_with(&format!("tcp://{}:", lan.host(0).address())), "{}", a.endpoint());
    // "välue" is five characters and six bytes: pyre counts characters and cuts bytes.
    assert_eq!(enter.header("X-KEY"), Some("välu"));
    assert_eq!(a.peers(), [b.id()]);
    assert_eq!(a.peers_in("G"), [b.id()]);
    assert_eq!(a.address_of(b.id()), b.endpoint());

    a.shout("G", &[b"one", b"", b"three"]);
    let shout = b.wait_for("shout", shout_of(&a, "G"), DELIVERED);
    assert_eq!(shout.frames(), [&b"one"[..], b"", b"three"]);
    let body = vec![0xA5; 10_000_000];
    b.whisper(a.id(), &[&body]);
    assert_eq!(a.wait_for("whisper", whisper_of(&b), DELIVERED).frames(), [body]);

    a.join("H");
    b.wait_join(a.id(), "H", DELIVERED);
    a.leave("H");
    let left = |event: &Event| event.is("LEAVE") && event.peer() == a.id() && event.group() == "H";
    b.wait_for("LEAVE H", left, DELIVERED);

    a.stop();
    b.wait_for("EXIT of a", exit_of(a.id()), DELIVERED);
}

#[test]
fn pyre_and_zyrejs_exchange_what_both_can() {
    let lan = or_return!(Lan::new(2));
    let p = or_return!(Spec::pyre("p").group("G").header("X-P", "1").spawn(lan.host(0)));
    let j = or_return!(Spec::zyrejs("j").group("G").header("X-J", "2").spawn(lan.host(1)));
    meet(&p, &j);

    assert_eq!(p.wait_enter(j.id(), DISCOVERED).header("X-J"), Some("2"));
    let enter = j.wait_enter(p.id(), DISCOVERED);
    assert_eq!((enter.name(), enter.header("X-P")), ("p", Some("1")));
    assert_eq!(j.address_of(p.id()), p.endpoint());

    j.shout("G", &[b"from j"]);
    assert_eq!(p.wait_for("shout", shout_of(&j, "G"), DELIVERED).frames(), [b"from j"]);
    p.shout("G", &[b"first", b"second"]);
    let shout = j.wait_for("shout", shout_of(&p, "G"), DELIVERED);
    assert_eq!(shout.frames(), [b"first"], "zyre.js shows the first frame only");
    j.whisper(p.id(), &[b""]);
    assert_eq!(p.wait_for("whisper", whisper_of(&j), DELIVERED).frames(), [b""]);
    p.whisper(j.id(), &[b"psst"]);
    assert_eq!(j.wait_for("whisper", whisper_of(&p), DELIVERED).frames(), [b"psst"]);

    j.begin_stop();
    p.wait_for("EXIT of j", exit_of(j.id()), DELIVERED);
}

#[test]
fn zyrejs_sees_pyre_stop() {
    let lan = or_return!(Lan::new(2));
    let p = or_return!(Spec::pyre("p").group("G").spawn(lan.host(0)));
    let j = or_return!(Spec::zyrejs("j").group("G").spawn(lan.host(1)));
    meet(&p, &j);
    p.stop();
    j.wait_for("EXIT of p", exit_of(p.id()), DELIVERED);
}

#[test]
fn numbered_messages_are_counted_on_both_sides() {
    let lan = or_return!(Lan::new(2));
    let p = or_return!(Spec::pyre("p").group("G").spawn(lan.host(0)));
    let j = or_return!(Spec::zyrejs("j").group("G").spawn(lan.host(1)));
    meet(&p, &j);
    p.start_counting();
    j.start_counting();
    assert_eq!(flood_in_step(&p, &j, 5000, 16, 1000), Counted::all(5000));
    assert_eq!(flood_in_step(&j, &p, 5000, 16, 1000), Counted::all(5000));

    // A number left out is a gap, or the counts above prove nothing.
    p.flood_whispers(j.id(), 5002, 10, 8);
    let counted = j.wait_counted(p.id(), 5012, DELIVERED);
    assert_eq!((counted.missing, counted.first_gap), (2, Some(5000)));
}

#[test]
fn a_paused_pyre_goes_on_and_a_killed_one_is_silent() {
    let lan = or_return!(Lan::new(2));
    let mut a = or_return!(Spec::pyre("a").group("G").spawn(lan.host(0)));
    let b = or_return!(Spec::pyre("b").group("G").spawn(lan.host(1)));
    meet(&a, &b);
    a.pause();
    b.whisper(a.id(), &[b"later"]);
    a.resume();
    a.wait_for("whisper", whisper_of(&b), DELIVERED);
    a.kill();
    assert!(a.try_call(serde_json::json!({"cmd": "peers"})).is_err());
    assert!(!b.events().iter().any(exit_of(a.id())), "pyre takes a dead process for alive until it expires");
}

#[test]
fn zyrejs_runs_on_loopback_alone() {
    let host = or_return!(Host::alone());
    let a = or_return!(Spec::zyrejs("a").group("G").option("iface", "lo").spawn(&host));
    let b = or_return!(Spec::zyrejs("b").group("G").option("iface", "lo").spawn(&host));
    meet(&a, &b);
    assert_eq!(b.wait_enter(a.id(), DISCOVERED).endpoint(), a.endpoint());
}

#[test]
fn pyre_runs_on_loopback_alone_by_multicast() {
    let host = or_return!(Host::alone());
    let a = or_return!(Spec::pyre("a").group("G").spawn(&host));
    let b = or_return!(Spec::pyre("b").group("G").spawn(&host));
    meet(&a, &b);
}

#[test]
fn an_adapters_refusal_is_an_error_and_not_a_hang() {
    let host = or_return!(Host::alone());
    let node = or_return!(Spec::pyre("a").spawn(&host));
    let error = node.try_call(serde_json::json!({"cmd": "whisper", "peer": node.id(), "frames": []}));
    assert!(error.is_err_and(|error| error.contains("without frames")));
    assert!(node.try_call(serde_json::json!({"cmd": "dance"})).is_err());
    assert!(node.peers().is_empty());
}
