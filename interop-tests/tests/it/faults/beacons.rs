//! Floods and lies by UDP.

use std::time::{Duration, Instant};

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Peer, Spec};
use zyre_interop_tests::usage::connects_tried;

use super::raw::{Beacons, random_id};
use crate::common::{DISCOVERED, figure, is_long, meet, meet_all, millis, sessions, talk};

const FLOOD: u32 = 100_000;

/// Three in four are new nodes; the others are no beacons at all.
fn flood(beacons: &Beacons) {
    let mut noise = [0_u8; 64];
    for number in 0..FLOOD {
        let id = random_id();
        if number % 4 == 0 {
            noise[..16].copy_from_slice(id.as_bytes());
            noise[16..32].copy_from_slice(random_id().as_bytes());
            beacons.send(&noise[..usize::from(noise[0] % 65)]);
        } else {
            let [high, low, ..] = *id.as_bytes();
            beacons.beacon(id, u16::from_be_bytes([high, low]).max(1));
        }
        // The kernel keeps few datagrams for a reader that has no time.
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_hundred_thousand_random_beacons_exit_nobody_and_a_newcomer_enters() {
    let lan = or_return!(Lan::new(4));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let good = or_return!(Spec::ours("good").group("G").spawn(lan.host(1)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(2)));
    meet_all(&[&ours, &good, &pyre]);
    talk(&ours, &good);
    let before = ours.usage().memory_kib();
    let beacons = Beacons::from(lan.host(3), &ours);
    let begin = Instant::now();
    let (took, late) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            flood(&beacons);
            begin.elapsed()
        });
        talk(&ours, &pyre);
        let late = newcomer(&lan, &ours, "in the flood");
        (flooding.join().expect("the flood ends"), late)
    });
    let late = or_return!(late);
    let after_it = or_return!(newcomer(&lan, &ours, "after the flood"));
    let grown = ours.usage().memory_kib().saturating_sub(before);
    let counters = ours.counters();
    let counter = |name: &str| counters[name].as_u64().unwrap_or_default();
    let refused = counter("newcomer_over_budget") + counter("newcomer_no_room");
    let broken: u64 =
        ["size", "version", "prefix"].map(|what| counter(&format!("beacon_wrong_{what}"))).iter().sum();
    figure(&format!(
        "{FLOOD} random beacons in {took:.1?}: {refused} refused, {broken} broken, memory + {grown} KiB"
    ));
    assert!(refused + broken > u64::from(FLOOD) / 10, "they do arrive: {counters}");
    assert!(grown <= 16 << 10, "memory + {grown} KiB");
    for there in [&good, &pyre, &late, &after_it] {
        talk(&ours, there);
        assert_eq!(sessions(&ours, there.id()), ["ENTER"], "{}", there.name());
        assert_eq!(sessions(there, ours.id()), ["ENTER"], "at {}", there.name());
    }
}

/// Starts another node and tells how long it took to enter.
fn newcomer(lan: &Lan, ours: &Peer, when: &str) -> Result<Peer, zyre_interop_tests::Missing> {
    let late = Spec::ours(when).group("G").spawn(lan.host(1))?;
    let ready = Instant::now();
    let entered = ours.wait_enter(late.id(), DISCOVERED).at();
    figure(&format!("a newcomer {when} enters after {} ms", millis(ready, entered)));
    meet(ours, &late);
    Ok(late)
}

#[test]
fn a_beacon_that_names_a_closed_port_buys_three_connects() {
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    // Tries are up to 5 s apart.
    let watched = Duration::from_secs(if is_long() { 30 } else { 8 });
    let before = lan.host(0).enter(connects_tried);
    Beacons::from(lan.host(1), &ours).beacon(random_id(), 9);
    std::thread::sleep(watched);
    let tried = lan.host(0).enter(connects_tried) - before;
    figure(&format!("one beacon that names a closed port: {tried} connects in {watched:?}"));
    assert!((1..=3).contains(&tried), "{tried} connects");
}
