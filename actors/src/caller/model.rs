//! A model of a pool under load, from which the constants of the policies are chosen: workers with a queue and random
//! service times, callers that share them without knowing of each other, a virtual clock.

use super::policy::{
    ConsistentHash, LeastCost, LeastInFlight, Policy, Random as RandomPolicy, RoundRobin, Sticky,
};
use super::{Call, CallId, Caller, Input, Output, PoolSettings, Random, Target, Verdict};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// What is run: by default 8 workers of which one is 5 times slower, 4 callers, half of what the workers can do.
#[derive(Clone, Copy, Debug)]
struct Setup {
    workers: usize,
    slow: usize,
    slowness: f64,
    /// For ever, or until then.
    slow_for: Option<Duration>,
    callers: usize,
    load: f64,
    calls: usize,
    /// One way.
    delay: Duration,
    mean: Duration,
    /// Workers say that they work on one request at a time.
    advertised: bool,
    seed: u64,
}

impl Setup {
    fn new() -> Self {
        Self {
            workers: 8,
            slow: 1,
            slowness: 5.0,
            slow_for: None,
            callers: 4,
            load: 0.5,
            calls: 40_000,
            delay: Duration::from_micros(100),
            mean: Duration::from_millis(1),
            advertised: true,
            seed: 1,
        }
    }
}

#[derive(Debug)]
enum Event {
    Make { caller: usize },
    Request { caller: usize, worker: usize, call: CallId },
    Done { worker: usize },
    Response { caller: usize, worker: usize, call: CallId },
}

#[derive(Debug, Default)]
struct Worker {
    busy: Option<(usize, CallId)>,
    queue: VecDeque<(usize, CallId)>,
    served: usize,
}

struct Model {
    setup: Setup,
    now: Duration,
    start: Instant,
    random: Random,
    events: BTreeMap<(Duration, u64), Event>,
    ticket: u64,
    callers: Vec<Caller<()>>,
    workers: Vec<Worker>,
    made: BTreeMap<CallId, Duration>,
    latencies: Vec<Duration>,
}

/// Percentiles in milliseconds, and the share of the calls that slow workers got.
#[derive(Clone, Copy, Debug)]
struct Figures {
    p50: f64,
    p99: f64,
    p999: f64,
    slow_share: f64,
}

fn group() -> Arc<str> {
    "pool/model".into()
}

fn worker_id(worker: usize) -> PeerId {
    PeerId::from_bytes([worker as u8; 16])
}

impl Model {
    fn new<T: Policy>(setup: Setup, policy: impl Fn() -> T) -> Self {
        let start = Instant::now();
        let mut model = Self {
            setup,
            now: Duration::ZERO,
            start,
            random: Random::new(setup.seed),
            events: BTreeMap::new(),
            ticket: 0,
            callers: (0..setup.callers).map(|n| Caller::new(setup.seed * 100 + n as u64)).collect(),
            workers: (0..setup.workers).map(|_| Worker::default()).collect(),
            made: BTreeMap::new(),
            latencies: Vec::with_capacity(setup.calls),
        };
        for caller in &mut model.callers {
            caller.configure(group(), PoolSettings::new().policy(policy()).queue(usize::MAX));
            for peer in (0..setup.workers).map(worker_id) {
                caller.handle(start, Input::Join { peer, group: group() });
                if setup.advertised {
                    caller.handle(start, Input::Capacity { peer, group: group(), concurrency: 1 });
                }
            }
        }
        (0..setup.callers).for_each(|caller| model.make_later(caller));
        model
    }

    fn run(mut self) -> Figures {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.play(event);
        }
        let warm_up = self.latencies.len() / 20;
        let mut latencies = self.latencies.split_off(warm_up);
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let served = |workers: &[Worker]| workers.iter().map(|worker| worker.served).sum::<usize>() as f64;
        Figures {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            slow_share: served(&self.workers[..self.setup.slow]) / served(&self.workers),
        }
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Make { caller } => {
                if self.made.len() >= self.setup.calls {
                    return;
                }
                let id = CallId(self.made.len() as u64);
                self.made.insert(id, self.now);
                let deadline = self.start + self.now + Duration::from_secs(1_000);
                let (target, key) = (Target::Group(group()), Some(self.random.next() % 256));
                self.tell(caller, Input::Call(Call { id, target, deadline, retries: 0, key, payload: () }));
                self.make_later(caller);
            }
            Event::Request { caller, worker, call } => {
                self.workers[worker].queue.push_back((caller, call));
                self.work(worker);
            }
            Event::Done { worker } => {
                if let Some((caller, call)) = self.workers[worker].busy.take() {
                    self.after(self.setup.delay, Event::Response { caller, worker, call });
                }
                self.work(worker);
            }
            Event::Response { caller, worker, call } => {
                let (peer, verdict) = (worker_id(worker), Verdict::Done);
                self.tell(caller, Input::Response { call, peer, verdict });
            }
        }
    }

    fn tell(&mut self, caller: usize, input: Input<()>) {
        self.callers[caller].handle(self.start + self.now, input);
        while let Some(output) = self.callers[caller].poll_output() {
            match output {
                Output::Send { call, peer, .. } => {
                    let worker = usize::from(peer.as_bytes()[0]);
                    self.after(self.setup.delay, Event::Request { caller, worker, call });
                }
                Output::Answered { call } => self.latencies.push(self.now - self.made[&call]),
                Output::Failed { .. } | Output::SendCancel { .. } => panic!("nothing fails here: {output:?}"),
            }
        }
    }

    fn work(&mut self, worker: usize) {
        if self.workers[worker].busy.is_none()
            && let Some(next) = self.workers[worker].queue.pop_front()
        {
            self.workers[worker].busy = Some(next);
            self.workers[worker].served += 1;
            let is_slow =
                worker < self.setup.slow && self.setup.slow_for.is_none_or(|until| self.now < until);
            let slowness = if is_slow { self.setup.slowness } else { 1.0 };
            let service = self.exponential(self.setup.mean.mul_f64(slowness));
            self.after(service, Event::Done { worker });
        }
    }

    fn make_later(&mut self, caller: usize) {
        let workers = self.setup.workers - self.setup.slow;
        let capacity = workers as f64 + self.setup.slow as f64 / self.setup.slowness;
        let gap = self.setup.mean.mul_f64(self.setup.callers as f64 / (capacity * self.setup.load));
        let wait = self.exponential(gap);
        self.after(wait, Event::Make { caller });
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        let uniform = (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-(1.0 - uniform).ln())
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.ticket += 1;
        self.events.insert((self.now + wait, self.ticket), event);
    }
}

/// Plays a setup and shows its figures (`cargo test -p zyre-actors --release model -- --nocapture`).
fn figures<T: Policy>(name: &str, setup: Setup, policy: impl Fn() -> T) -> Figures {
    let figures = Model::new(setup, policy).run();
    let Figures { p50, p99, p999, slow_share } = figures;
    let slow = slow_share * 100.0;
    println!(
        "{setup:?}\n{name:>14}: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, to slow workers {slow:.2} %"
    );
    figures
}

#[test]
fn least_cost_has_at_most_half_the_p99_of_policies_that_know_no_latency() {
    for advertised in [true, false] {
        for seed in 1..=2 {
            let setup = Setup { advertised, seed, ..Setup::new() };
            let least_cost = figures("LeastCost", setup, || LeastCost);
            let others = [
                figures("LeastInFlight", setup, || LeastInFlight),
                figures("RoundRobin", setup, RoundRobin::default),
                figures("Random", setup, || RandomPolicy),
            ];
            let best = |figure: fn(&Figures) -> f64| others.iter().map(figure).fold(f64::INFINITY, f64::min);
            assert!(least_cost.p99 <= best(|other| other.p99) / 2.0, "{least_cost:?} {others:?}");
            assert!(least_cost.p999 <= best(|other| other.p999) / 2.0, "{least_cost:?} {others:?}");
            assert!(least_cost.p99 < 10.0, "{least_cost:?}");
        }
    }
}

#[test]
fn policies_by_key_place_and_spill_by_cost_or_by_hash() {
    let setup = Setup::new();
    let sticky = figures("Sticky", setup, Sticky::default);
    let hash = figures("ConsistentHash", setup, || ConsistentHash);
    assert!(sticky.p99 < hash.p99, "keys are not placed at the slow worker: {sticky:?} {hash:?}");
    assert!(sticky.slow_share < 0.05, "{sticky:?}");
}

#[test]
fn two_choices_of_many_keep_away_from_slow_workers_too() {
    let setup = Setup { workers: 100, slow: 10, ..Setup::new() };
    let two_choices = figures("LeastCost", setup, || LeastCost);
    let least_in_flight = figures("LeastInFlight", setup, || LeastInFlight);
    assert!(two_choices.p99 <= least_in_flight.p99 / 2.0, "{two_choices:?} {least_in_flight:?}");
}

#[test]
fn a_worker_that_was_slow_is_asked_again() {
    // It is slow for the first three of sixteen seconds.
    let setup = Setup { slow_for: Some(Duration::from_secs(3)), calls: 60_000, ..Setup::new() };
    let figures = figures("LeastCost", setup, || LeastCost);
    assert!(figures.slow_share > 0.04, "an eighth of the calls after it recovered: {figures:?}");
}
