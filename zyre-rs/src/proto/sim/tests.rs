mod bugs;

use super::{Plan, Report, Scenario, Violation, run};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds played by default; `SIM_SEEDS` plays more, `SIM_FIRST` begins elsewhere, `SIM_SEED` plays one with its trace.
const SEEDS: u64 = 10_000;
/// Threads that play them.
const LANES: usize = 2;
/// Failing seeds that are brought down to the faults they need; the others are named.
const SHRUNK: usize = 3;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Does something for each number below `end`, in two threads, and collects what comes of it in order.
fn in_lanes<T: Send>(range: std::ops::Range<u64>, each: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(range.start);
    let lane = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        numbers
            .take_while(|number| *number < range.end)
            .map(|number| (number, each(number)))
            .collect::<Vec<_>>()
    };
    let mut results = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("I1: no panic")).collect::<Vec<_>>()
    });
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What a violation is made of: what went wrong before, in as few faults as were found.
fn story(seed: u64, violation: &Violation) -> String {
    let faults: Vec<_> =
        violation.faults.iter().map(|(number, fault)| format!("    {number}: {fault}")).collect();
    format!("seed {seed} ({:?}): {}\n{}", Scenario::of(seed), violation.what, faults.join("\n"))
}

#[test]
fn no_seed_breaks_an_invariant() {
    if let Some(seed) = number("SIM_SEED") {
        let Some(shortest) = Plan::of(seed).shrink() else {
            return println!("seed {seed} ({:?}) holds: {:?}", Scenario::of(seed), run(seed));
        };
        shortest.trace.iter().for_each(|line| println!("{line}"));
        panic!("with the fewest faults that break it, {}", story(seed, &shortest));
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let last = first + number("SIM_SEEDS").unwrap_or(SEEDS);
    let mut total = Report::default();
    let mut broken = Vec::new();
    for (seed, result) in (first..last).zip(in_lanes(first..last, run)) {
        match result {
            Ok(report) => total.add(&report),
            Err(violation) => broken.push((seed, violation)),
        }
    }
    println!("{total:?}");
    let stories = broken.iter().enumerate().take(25).map(|(place, (seed, violation))| {
        let shortest = (place < SHRUNK).then(|| Plan::of(*seed).shrink()).flatten();
        match shortest {
            Some(shortest) => story(*seed, &shortest),
            None => format!("seed {seed} ({:?}): {}", Scenario::of(*seed), violation.what),
        }
    });
    assert!(
        broken.is_empty(),
        "{} seeds broke an invariant; replay one with SIM_SEED=<seed> cargo test -p zyre-rs --lib sim -- --nocapture\n{}",
        broken.len(),
        stories.collect::<Vec<_>>().join("\n")
    );
    let Report { delivered, enters, exits, faults, .. } = total;
    assert!(
        [delivered, enters, exits, faults].iter().all(|times| *times > 0),
        "the simulator does nothing: {total:?}"
    );
}

#[test]
fn a_seed_plays_the_same_run_every_time() {
    for seed in 0..20 {
        let digest = |report: Result<Report, _>| report.map(|report| report.digest).ok();
        assert_eq!(digest(run(seed)), digest(run(seed)), "seed {seed}");
    }
    let lossy = |seed| Plan { scenario: Scenario::Lossy, ..Plan::of(seed) }.play().ok();
    assert_ne!(lossy(1), lossy(2));
}

impl Report {
    fn add(&mut self, run: &Self) {
        self.happenings += run.happenings;
        self.faults += run.faults;
        self.delivered += run.delivered;
        self.strayed += run.strayed;
        self.exits += run.exits;
        self.enters += run.enters;
    }
}
