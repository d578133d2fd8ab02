//! A node that stops while everybody talks to it and it to everybody.

use std::time::Duration;

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Mark, Peer, Spec};

use crate::common::{DELIVERED, figure, meet_all, millis};

const LOAD: Duration = Duration::from_secs(30);

/// One of the peers does not read, so that what is queued for it cannot be delivered by the deadline (1 s).
#[test]
fn a_stop_under_load_keeps_its_deadline_and_leaves_nothing_behind() {
    let lan = or_return!(Lan::new(4));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let peers = ["b", "c", "stalled"].iter().zip(1..);
    let peers = peers.map(|(name, host)| Spec::ours(name).group("G").spawn(lan.host(host)));
    let peers: Vec<Peer> = or_return!(peers.collect());
    meet_all(&peers.iter().chain([&ours]).collect::<Vec<_>>());
    let (stalled, reading) = peers.split_last().expect("three");
    stalled.read_events(false);
    for peer in &peers {
        peer.start_counting();
        ours.press(peer.id(), 1024, LOAD);
        peer.press(ours.id(), 1024, LOAD);
    }
    ours.start_counting();
    for peer in reading {
        ours.wait_counted(peer.id(), 10_000, DELIVERED * 2);
        peer.wait_counted(ours.id(), 10_000, DELIVERED * 2);
    }

    let said = std::time::Instant::now();
    let told = ours.stop_and_tell();
    let number = |key: &str| told[key].as_u64().expect("a number");
    let (ms, tasks, descriptors) = (number("ms"), number("tasks"), number("descriptors"));
    let stopped = said + Duration::from_millis(ms);
    let exits = reading.iter().map(|peer| {
        let exit = peer.wait_exit(Mark::START, ours.id(), DELIVERED);
        (millis(stopped, exit.at()), exit.reason().to_owned())
    });
    let exits: Vec<(u128, String)> = exits.collect();
    figure(&format!(
        "stop under load returns after {ms} ms (deadline 1000), peers EXIT {exits:?} ms after that, {tasks} tasks and \
         {descriptors} descriptors left"
    ));
    assert_eq!((tasks, descriptors), (0, 0));
    // The aims are 1.1 s and 0.2 s.
    assert!(ms < 2500, "{ms} ms");
    assert!(exits.iter().all(|(ms, reason)| *ms < 2000 && reason == "goodbye"), "{exits:?}");
}
