//! Processes that stand still for a while.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Peer, Spec};

use crate::common::{DISCOVERED, figure, is_long, meet, meet_all, millis, sessions, talk};

/// Longer than any settling that is due after a pause: nothing else happens in it.
const SETTLED: Duration = Duration::from_secs(3);

/// Ten seconds and thirty-three against an expiry of thirty, or a fifth of that.
fn times() -> (Duration, Duration, fn(Spec) -> Spec) {
    if is_long() {
        (Duration::from_secs(10), Duration::from_secs(33), |spec| spec)
    } else {
        let impatient = |spec: Spec| spec.option("evasive", 1000).option("expired", 6000);
        (Duration::from_secs(2), Duration::from_millis(8000), impatient)
    }
}

fn freeze(node: &Peer, time: Duration) -> Instant {
    node.pause();
    std::thread::sleep(time);
    node.resume();
    Instant::now()
}

fn pairs<'a>(nodes: &[&'a Peer]) -> Vec<(&'a Peer, &'a Peer)> {
    let pairs = nodes.iter().flat_map(|here| nodes.iter().map(move |there| (*here, *there)));
    pairs.filter(|(here, there)| here.id() != there.id()).collect()
}

#[test]
fn a_frozen_node_is_waited_for_and_costs_each_pair_one_exit_and_one_enter_if_for_too_long() {
    let (short, long, patient) = times();
    let lan = or_return!(Lan::new(4));
    let frozen = or_return!(patient(Spec::ours("frozen").group("G")).spawn(lan.host(0)));
    let others = ["b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(name, host)| patient(Spec::ours(name).group("G")).spawn(lan.host(host)));
    let others: Vec<Peer> = or_return!(others.collect());
    let nodes: Vec<&Peer> = others.iter().chain([&frozen]).collect();
    meet_all(&nodes);

    let _ = freeze(&frozen, short);
    std::thread::sleep(SETTLED);
    for (here, there) in pairs(&nodes) {
        talk(here, there);
        assert_eq!(
            sessions(here, there.id()),
            ["ENTER"],
            "{} at {} after {short:?}",
            there.name(),
            here.name()
        );
    }

    let thawed = freeze(&frozen, long);
    let involved: Vec<_> = others.iter().flat_map(|other| [(other, &frozen), (&frozen, other)]).collect();
    let deadline = thawed + DISCOVERED;
    let entered = |here: &Peer, there: &Peer| {
        let enters =
            here.events().into_iter().filter(|event| event.is("ENTER") && event.peer() == there.id());
        enters.map(|event| event.at()).filter(|at| *at > thawed).max()
    };
    while !involved.iter().all(|(here, there)| entered(here, there).is_some()) {
        assert!(Instant::now() < deadline, "not all have come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(SETTLED);
    let last = involved.iter().filter_map(|(here, there)| entered(here, there)).max();
    let back = last.map_or(0, |last| millis(thawed, last));
    let mut most = 0;
    for (here, there) in &involved {
        let seen = sessions(here, there.id());
        most = most.max(seen.iter().filter(|kind| *kind == "EXIT").count());
        assert_eq!(seen, ["ENTER", "EXIT", "ENTER"], "{} at {}", there.name(), here.name());
    }
    figure(&format!(
        "SIGSTOP {short:?}: 0 EXIT; {long:?}: {most} EXIT + ENTER for each of {} pairs, all back {back} ms after SIGCONT",
        others.len()
    ));
    for (here, there) in pairs(&nodes) {
        talk(here, there);
    }
    for (here, there) in pairs(&others.iter().collect::<Vec<_>>()) {
        assert_eq!(sessions(here, there.id()), ["ENTER"], "{} at {}", there.name(), here.name());
    }
}

/// Nobody was heard for longer than the expiry, but by a node that did not listen.
#[test]
fn a_node_that_was_frozen_itself_blames_nobody_for_it() {
    let (_, long, patient) = times();
    let lan = or_return!(Lan::new(3));
    let frozen = or_return!(patient(Spec::ours("frozen").group("G")).spawn(lan.host(0)));
    let patience = Spec::ours("patient").group("G").option("expired", 600_000);
    let patience = or_return!(patience.spawn(lan.host(1)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(2)));
    meet(&frozen, &patience);
    meet(&frozen, &pyre);
    let _ = freeze(&frozen, long);
    std::thread::sleep(SETTLED);
    talk(&frozen, &patience);
    assert_eq!(sessions(&frozen, patience.id()), ["ENTER"]);
    assert_eq!(sessions(&patience, frozen.id()), ["ENTER"]);
    let at_pyre = sessions(&pyre, frozen.id());
    // pyre gives up after 30 s, and our session with it has to begin anew then.
    if !is_long() {
        talk(&frozen, &pyre);
        assert_eq!(sessions(&frozen, pyre.id()), ["ENTER"]);
    }
    figure(&format!(
        "frozen for {long:?} and back: EXIT of patient peers 0; pyre saw {at_pyre:?}, the frozen one of pyre {:?}",
        sessions(&frozen, pyre.id())
    ));
}
