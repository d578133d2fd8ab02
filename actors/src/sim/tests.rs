use super::{Report, Scenario, run};

/// Seeds played by default; `SIM_SEEDS` plays more, `SIM_FIRST` others, `SIM_SEED` one with its trace.
const SEEDS: u64 = 1_000;
/// Threads that play them.
const LANES: usize = 2;

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
                panic!("{:?}, {}", Scenario::of(seed), violation.what);
            }
        }
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let last = first + number("SIM_SEEDS").unwrap_or(SEEDS);
    let play =
        |lane| (first..last).skip(lane).step_by(LANES).map(|seed| (seed, run(seed))).collect::<Vec<_>>();
    let results = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|lane| scope.spawn(move || play(lane))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("no panic")).collect::<Vec<_>>()
    });
    let (mut total, mut broken) = (Report::default(), Vec::new());
    for (seed, result) in results {
        match result {
            Ok(report) => total.add(&report),
            Err(violation) => broken.push(format!("{:?}, {}", Scenario::of(seed), violation.what)),
        }
    }
    println!("{total:?}");
    assert!(
        broken.is_empty(),
        "{} seeds broke an invariant; replay one with SIM_SEED=<seed> cargo test -p zyre-actors --lib sim -- --nocapture\n{}",
        broken.len(),
        broken.iter().take(25).cloned().collect::<Vec<_>>().join("\n")
    );
    let Report { answered, failed, cancelled, survived, refused, ejections, late, .. } = total;
    let happened = [answered, failed, cancelled, survived, refused, ejections, late];
    assert!(happened.iter().all(|times| *times > 0), "some of it never happens: {total:?}");
}

#[test]
fn a_seed_plays_the_same_run_again() {
    for seed in 0..16 {
        let play = || run(seed).map_err(|violation| violation.what);
        assert_eq!(play(), play());
    }
}

impl Report {
    fn add(&mut self, run: &Self) {
        let pairs = [
            (&mut self.events, run.events),
            (&mut self.calls, run.calls),
            (&mut self.answered, run.answered),
            (&mut self.failed, run.failed),
            (&mut self.cancelled, run.cancelled),
            (&mut self.runs, run.runs),
            (&mut self.survived, run.survived),
            (&mut self.retries, run.retries),
            (&mut self.over_budget, run.over_budget),
            (&mut self.refused, run.refused),
            (&mut self.ejections, run.ejections),
            (&mut self.late, run.late),
            (&mut self.replayed, run.replayed),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }
}
