use super::{Report, Scenario, run, run_scenario};

/// Seeds played by default; `SIM_SEEDS` plays more, `SIM_SEED` one with its trace.
const SEEDS: u64 = 1_000;
/// Threads that play them.
const LANES: u64 = 2;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn no_seed_breaks_an_invariant() {
    if let Some(seed) = number("SIM_SEED") {
        match run(seed) {
            Ok(report) => println!("seed {seed} ({:?}) holds: {report:?}", Scenario::of(seed)),
            Err(violation) => {
                violation.trace.iter().for_each(|line| println!("{line}"));
                panic!("seed {seed} ({:?}): {}", Scenario::of(seed), violation.what);
            }
        }
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let last = first + number("SIM_SEEDS").unwrap_or(SEEDS);
    let play = |lane: u64| {
        let seeds = (first..last).filter(|seed| seed / 10 % LANES == lane);
        seeds.map(|seed| (seed, run(seed))).collect::<Vec<_>>()
    };
    let mut results = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|lane| scope.spawn(move || play(lane))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("I1: no panic")).collect::<Vec<_>>()
    });
    results.sort_by_key(|(seed, _)| *seed);
    let mut total = Report::default();
    let mut broken = Vec::new();
    for (seed, result) in results {
        match result {
            Ok(report) => {
                total.happenings += report.happenings;
                total.delivered += report.delivered;
                total.strayed += report.strayed;
                total.exits += report.exits;
                total.enters += report.enters;
            }
            Err(violation) => {
                broken.push(format!("seed {seed} ({:?}): {}", Scenario::of(seed), violation.what));
            }
        }
    }
    println!("{total:?}");
    assert!(
        broken.is_empty(),
        "{} seeds broke an invariant; replay one with SIM_SEED=<seed> cargo test -p zyre-rs --lib sim -- --nocapture\n{}",
        broken.len(),
        broken.iter().take(25).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(
        total.delivered > 0 && total.enters > 0 && total.exits > 0,
        "the simulator does nothing: {total:?}"
    );
}

#[test]
fn a_seed_plays_the_same_run_every_time() {
    for seed in 0..20 {
        let digest = |report: Result<Report, _>| report.map(|report| report.digest).ok();
        assert_eq!(digest(run(seed)), digest(run(seed)), "seed {seed}");
    }
    let lossy = |seed| run_scenario(seed, Scenario::Lossy).ok();
    assert_ne!(lossy(1), lossy(2));
}
