//! A pool at 500 calls per second whose workers are drained or killed one after the other.
//!
//! 10 s with a worker gone every 2 s; with `LONG=1` in the environment 60 s, every 5 s.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use zyre_actors::{CallError, SystemStats};
use zyre_interop_tests::job::Job;
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Event, Peer, Spec};
use zyre_interop_tests::{Missing, or_return};

use super::with_system;
use crate::common::{DELIVERED, DISCOVERED, figure, is_long};

const WORKERS: usize = 3;
const RATE: u32 = 500;
/// What a job takes: with this many calls each worker is in the middle of some at any time.
const JOB_MS: u64 = 20;

/// How long the load lasts, and how often a worker goes.
fn plan() -> (Duration, Duration) {
    let (load, every) = if is_long() { (60, 5) } else { (10, 2) };
    (Duration::from_secs(load), Duration::from_secs(every))
}

/// What became of a call.
struct Ended {
    n: u64,
    outcome: Result<u64, CallError>,
    took: Duration,
    at: Instant,
}

/// Calls at a steady rate, whatever becomes of the calls before.
fn load(host: &Host, retries: u32, length: Duration, begun: mpsc::Sender<()>) -> (Vec<Ended>, SystemStats) {
    with_system(host, async |system| {
        let pool = system.pool("job").ready_with(WORKERS, DISCOVERED).await.expect("all workers");
        begun.send(()).expect("the test waits");
        let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut calls = JoinSet::new();
        for n in 0..length.as_secs() * u64::from(RATE) {
            tick.tick().await;
            let called = Instant::now();
            let call = pool.call(Job { n, ms: JOB_MS }).retry(retries).into_future();
            calls.spawn(async move {
                let outcome = call.await;
                let at = Instant::now();
                Ended { n, outcome, took: at - called, at }
            });
        }
        (calls.join_all().await, system.stats().await)
    })
}

/// The workers of a run: those that work, and those that did.
struct Workers<'a> {
    lan: &'a Lan,
    working: Vec<Peer>,
    gone: Vec<Peer>,
    killed_at: BTreeMap<String, Instant>,
}

impl<'a> Workers<'a> {
    fn start(lan: &'a Lan) -> Result<Self, Missing> {
        let working = (0..WORKERS).map(|index| Self::worker(lan, index)).collect::<Result<_, _>>()?;
        Ok(Self { lan, working, gone: Vec::new(), killed_at: BTreeMap::new() })
    }

    fn worker(lan: &Lan, index: usize) -> Result<Peer, Missing> {
        Spec::actors(&format!("worker-{index}")).group("job").spawn(lan.host(index))
    }

    /// Starts another in place of the one that `end` has ended.
    fn replace(&mut self, index: usize, end: impl FnOnce(&mut Peer)) {
        end(&mut self.working[index]);
        let fresh = Self::worker(self.lan, index).expect("it started before");
        self.gone.push(std::mem::replace(&mut self.working[index], fresh));
    }

    fn drain(&mut self, index: usize) {
        self.replace(index, |worker| worker.terminate(DISCOVERED));
    }

    fn kill(&mut self, index: usize) {
        let killed_at = Instant::now();
        self.replace(index, |worker| {
            worker.kill();
            // Whatever it has printed is in the log.
            worker.wait_for("the end", |event| event.is("ENDED"), DELIVERED);
        });
        let id = self.gone.last().expect("just replaced").id().to_owned();
        self.killed_at.insert(id, killed_at);
    }

    /// How often each job was begun.
    fn ran(&self) -> BTreeMap<u64, usize> {
        let events = self.gone.iter().chain(&self.working).flat_map(|worker| worker.events());
        let mut ran = BTreeMap::new();
        for event in events.filter(|event: &Event| event.is("RAN")) {
            *ran.entry(event.json().get("n").and_then(Value::as_u64).expect("a number")).or_default() += 1;
        }
        ran
    }
}

/// Runs the load while a worker goes, in turn, again and again.
fn run<'a>(
    workers: &mut Workers<'a>,
    caller: &Host,
    retries: u32,
    mut go: impl FnMut(&mut Workers<'a>, usize),
) -> (Vec<Ended>, SystemStats) {
    let (length, every) = plan();
    let (begun, has_begun) = mpsc::channel();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load(caller, retries, length, begun));
        has_begun.recv().expect("the pool is ready");
        let begin = Instant::now();
        // Not in the last moment, so that the last one's calls come back within the load.
        let times = (length.as_secs() - 1) / every.as_secs();
        for turn in 0..u32::try_from(times).expect("few") {
            std::thread::sleep((begin + every * (turn + 1)).saturating_duration_since(Instant::now()));
            go(workers, turn as usize % WORKERS);
        }
        load.join().expect("the load ran")
    })
}

fn percentile(ended: &[Ended], permille: usize) -> Duration {
    let mut times: Vec<Duration> = ended.iter().map(|call| call.took).collect();
    times.sort();
    times[(times.len() - 1) * permille / 1000]
}

fn tell(what: &str, ended: &[Ended], ran: &BTreeMap<u64, usize>, stats: &SystemStats, gone: usize) {
    let lost = ended.iter().filter(|call| call.outcome.is_err()).count();
    let twice = ran.values().filter(|times| **times > 1).count();
    figure(&format!(
        "{what}: {} calls, {gone} workers gone, {lost} calls lost, {twice} run twice; p50 {:.1?}, p99 {:.1?}, max {:.1?}; {:?}",
        ended.len(),
        percentile(ended, 500),
        percentile(ended, 990),
        percentile(ended, 1000),
        stats.counters
    ));
}

fn assert_answered(call: &Ended) {
    assert_eq!(call.outcome, Ok(call.n), "call {} after {:?}", call.n, call.took);
}

#[test]
fn a_rolling_drain_loses_no_call_and_runs_none_twice() {
    let lan = or_return!(Lan::new(4));
    let mut workers = or_return!(Workers::start(&lan));
    let (ended, stats) = run(&mut workers, lan.host(3), 0, Workers::drain);
    let ran = workers.ran();
    tell("rolling drain", &ended, &ran, &stats, workers.gone.len());
    ended.iter().for_each(assert_answered);
    assert!(ran.len() == ended.len() && ran.values().all(|times| *times == 1), "each ran once");
}

#[test]
fn killed_workers_lose_no_call_that_may_be_run_again() {
    let lan = or_return!(Lan::new(4));
    let mut workers = or_return!(Workers::start(&lan));
    let (ended, stats) = run(&mut workers, lan.host(3), 3, Workers::kill);
    let ran = workers.ran();
    tell("kill -9, at least once", &ended, &ran, &stats, workers.gone.len());
    ended.iter().for_each(assert_answered);
    assert!(ran.len() == ended.len(), "each ran");
    assert!(
        stats.counters.get("calls_retried").is_some_and(|retried| *retried > 0),
        "none was in a killed worker's hands"
    );
}

#[test]
fn killed_workers_calls_fail_within_two_seconds_and_none_runs_twice() {
    let lan = or_return!(Lan::new(4));
    let mut workers = or_return!(Workers::start(&lan));
    let (ended, stats) = run(&mut workers, lan.host(3), 0, Workers::kill);
    let ran = workers.ran();
    tell("kill -9, at most once", &ended, &ran, &stats, workers.gone.len());
    let (mut casualties, mut slowest) = (0, Duration::ZERO);
    for call in &ended {
        match &call.outcome {
            Err(CallError::PeerLost { peer, maybe_executed: true }) => {
                let killed_at =
                    workers.killed_at.get(&peer.to_string()).expect("only those that were killed are lost");
                casualties += 1;
                slowest = slowest.max(call.at.saturating_duration_since(*killed_at));
            }
            _ => assert_answered(call),
        }
    }
    figure(&format!("{casualties} calls got PeerLost, the last {slowest:.1?} after its kill"));
    assert!(casualties > 0, "none was in a killed worker's hands");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(ran.values().all(|times| *times == 1), "none ran twice");
}
