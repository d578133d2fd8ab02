//! The simulator is tested in its turn: machines with a bug to order have to break an invariant.

use super::super::super::bug::{Bug, switch};
use super::super::Plan;
use super::{in_lanes, number};

/// Seeds after which a bug counts as missed; `SIM_BUG_SEEDS` tries more or fewer.
const SEEDS: u64 = 3_000;
/// Bugs that may be missed at most: two of thirty.
const MISSES: usize = Bug::ALL.len() * 2 / 30;

/// The first seed that a machine with this bug fails.
fn caught(bug: Bug) -> Option<(u64, String)> {
    switch(Some(bug));
    let seeds = number("SIM_BUG_SEEDS").unwrap_or(SEEDS);
    let caught = (0..seeds).find_map(|seed| Some((seed, Plan::of(seed).play().err()?.what)));
    switch(None);
    caught
}

#[test]
fn nearly_every_bug_to_order_breaks_an_invariant() {
    let results = in_lanes(0..Bug::ALL.len() as u64, |place| caught(Bug::ALL[place as usize]));
    let mut missed = Vec::new();
    for (bug, result) in Bug::ALL.iter().zip(results) {
        match result {
            Some((seed, what)) => println!("{bug:?} is caught by seed {seed}: {what}"),
            None => missed.push(bug),
        }
    }
    println!("{} of {} bugs are caught; missed: {missed:?}", Bug::ALL.len() - missed.len(), Bug::ALL.len());
    assert!(missed.len() <= MISSES, "the simulator misses {missed:?}");
}

#[test]
fn a_failing_seed_is_brought_down_to_the_faults_that_it_needs() {
    switch(Some(Bug::WallClock));
    let failing = (0..100).find_map(|seed| Some((Plan::of(seed), Plan::of(seed).play().err()?)));
    let (plan, whole) = failing.expect("a clock that is set is enough");
    let shortest = plan.shrink().expect("it breaks");
    switch(None);
    assert!(
        shortest.faults.len() <= 3 && whole.faults.len() > 5,
        "{:?} of {:?}",
        shortest.faults,
        whole.faults
    );
    assert!(shortest.faults.iter().any(|(_, fault)| fault.contains("clock")), "{:?}", shortest.faults);
}
