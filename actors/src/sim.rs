//! A deterministic simulator of calls: callers and workers with their real machines, a virtual clock, and a seed from
//! which everything follows that happens to them. It stands for the shell, the node and the network.
//!
//! Links keep order and lose what is under way when they are cut. A worker that crashes is noticed about a second
//! later. [`run`] plays one seed and says the first invariant that broke (`sim/check.rs`, I8 of the hardening plan).

mod check;
mod faults;
mod nodes;
mod tests;

use crate::caller::{self, Call, CallId, Caller, PoolSettings, Random, Target, Verdict, policy};
use crate::server::{self, Server, Ticket};
use check::Check;
use nodes::{CallerNode, Job, Link, WorkerNode, WorkerState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// What a seed may do to its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scenario {
    /// Nothing: every call is answered.
    Calm,
    /// Workers leave, finish and stop, one after the other: every call is answered all the same.
    Drains,
    /// Workers die, all but the first.
    Crashes,
    /// Callers lose sight of workers that live, all but the first, and see them again.
    Cuts,
    /// Workers get slow, stand still or become quiet.
    Slow,
    /// More calls than the workers can take, short queues, actors that are restarted.
    Overload,
    /// Nodes do not accept what is to be sent.
    FullLinks,
    /// Everything at once.
    Mixed,
}

impl Scenario {
    const ALL: [Self; 8] = [
        Self::Calm,
        Self::Drains,
        Self::Crashes,
        Self::Cuts,
        Self::Slow,
        Self::Overload,
        Self::FullLinks,
        Self::Mixed,
    ];

    fn of(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
    }

    /// Nobody dies and nobody refuses for long.
    fn loses_nothing(self) -> bool {
        matches!(self, Self::Calm | Self::Drains)
    }

    /// One worker stays well, and it alone could serve everybody.
    fn spares_one(self) -> bool {
        matches!(self, Self::Calm | Self::Drains | Self::Crashes | Self::Cuts)
    }
}

/// What happened in runs that broke no invariant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Report {
    events: u64,
    calls: u64,
    answered: u64,
    failed: u64,
    cancelled: u64,
    runs: u64,
    /// Calls that were answered after a peer had been lost with them.
    survived: u64,
    retries: u64,
    over_budget: u64,
    refused: u64,
    ejections: u64,
    late: u64,
    replayed: u64,
    /// Equal for equal runs.
    digest: u64,
}

/// The first invariant that a seed broke, and the last events before.
#[derive(Debug)]
struct Violation {
    what: String,
    trace: Vec<String>,
}

/// How long calls are made and faults happen.
const FAULTS_LAST: Duration = Duration::from_secs(4);
/// Everything is to be at rest long before: the longest deadline is 10 s, results are kept for a minute.
const REST_BY: Duration = Duration::from_secs(200);
const GROUP: &str = "pool/sim";

#[derive(Clone, Debug)]
enum Request {
    Call { call: CallId, remaining: Duration, job: Job },
    Cancel { call: CallId },
}

#[derive(Clone, Debug)]
enum Reply {
    Response { call: CallId, verdict: Verdict },
    Item { call: CallId },
    Join,
    Leave,
    Bye,
}

#[derive(Clone, Debug)]
enum Event {
    MakeCall {
        caller: usize,
    },
    Cancel {
        caller: usize,
        call: CallId,
    },
    CallerTimer {
        caller: usize,
    },
    WorkerTimer {
        worker: PeerId,
    },
    Request {
        caller: usize,
        worker: PeerId,
        session: u64,
        request: Request,
    },
    Reply {
        caller: usize,
        worker: PeerId,
        session: u64,
        reply: Reply,
    },
    /// A handler sends an item.
    Item {
        worker: PeerId,
        ticket: Ticket,
    },
    /// A handler ends.
    Finish {
        worker: PeerId,
        ticket: Ticket,
    },
    /// The caller's node has given the worker up.
    Exit {
        caller: usize,
        worker: PeerId,
    },
    /// They have found each other (again).
    Meet {
        caller: usize,
        worker: PeerId,
    },
    /// The worker's node has given the caller up.
    CallerGone {
        caller: usize,
        worker: PeerId,
    },
    Fault,
    Start {
        slot: usize,
    },
    Close {
        worker: PeerId,
    },
    Resume {
        worker: PeerId,
    },
}

struct World {
    scenario: Scenario,
    start: Instant,
    now: Duration,
    random: Random,
    queue: BTreeMap<(Duration, u64), Event>,
    ticket: u64,
    next_call: u64,
    callers: Vec<CallerNode>,
    /// By slot; a worker that starts again has another id.
    workers: Vec<WorkerNode>,
    links: BTreeMap<(usize, PeerId), Link>,
    /// The mean time between two calls of a caller.
    gap: Duration,
    /// One way, at most.
    delay: Duration,
    check: Check,
    report: Report,
}

/// Plays one seed.
fn run(seed: u64) -> Result<Report, Violation> {
    let mut world = World::new(seed);
    while let Some(((at, _), event)) = world.queue.pop_first() {
        world.now = at;
        world.report.events += 1;
        world.check.trace(at, &event);
        world.play(event);
        if at > REST_BY {
            world.check.broken("it does not come to rest".to_owned());
        }
        if let Some(violation) = world.check.violation() {
            return Err(violation);
        }
    }
    world.finish()
}

impl World {
    fn new(seed: u64) -> Self {
        let scenario = Scenario::of(seed);
        let mut random = Random::new(seed);
        let (callers, workers) = (1 + random.next() % 4, 2 + random.next() % 5);
        // Load is what the workers could do with one request at a time, which is the least they do.
        let all = workers as f64;
        let (mean, load) = match scenario {
            // More than they can.
            Scenario::Overload => (50 + random.next() % 100, 4.0 * all),
            // Enough that calls wait at times.
            Scenario::Calm => (20 + random.next() % 60, 0.8 * all),
            Scenario::Mixed | Scenario::Slow | Scenario::FullLinks => (20 + random.next() % 60, 0.6 * all),
            // A third of what the first could do alone.
            Scenario::Drains | Scenario::Crashes | Scenario::Cuts => (5 + random.next() % 20, 0.33),
        };
        let mean = Duration::from_millis(mean);
        let gap = mean.mul_f64(callers as f64 / load);
        let mut world = Self {
            scenario,
            start: Instant::now(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            ticket: 0,
            next_call: 1,
            callers: Vec::new(),
            workers: Vec::new(),
            links: BTreeMap::new(),
            gap,
            delay: Duration::from_millis(1 + random.next() % 30),
            check: Check::new(seed),
            report: Report::default(),
            random,
        };
        for caller in 0..callers as usize {
            let machine = world.new_caller();
            world.callers.push(CallerNode {
                machine,
                id: PeerId::from_bytes([0xc0 + caller as u8; 16]),
                timer: None,
            });
            world.after(Duration::from_millis(100), Event::MakeCall { caller });
        }
        for slot in 0..workers as usize {
            world.workers.push(WorkerNode::off(mean));
            world.start(slot);
        }
        world.after(Duration::from_millis(200), Event::Fault);
        world
    }

    fn new_caller(&mut self) -> Caller<Job> {
        let mut machine = Caller::new(self.random.next());
        let settings = PoolSettings::new();
        let settings = match self.below(6) {
            0 => settings.policy(policy::RoundRobin::default()),
            1 => settings.policy(policy::LeastInFlight),
            2 => settings.policy(policy::Random),
            3 => settings.policy(policy::ConsistentHash),
            4 => settings.policy(policy::Sticky::default()),
            _ => settings,
        };
        let settings = if self.chance(50) { settings.window(1 + self.below(3) as u32) } else { settings };
        let short = self.scenario == Scenario::Overload && self.chance(50);
        machine.configure(GROUP.into(), if short { settings.queue(5) } else { settings });
        machine
    }

    fn play(&mut self, event: Event) {
        if let Some(until) = self.frozen_until(&event) {
            return self.at(until, event);
        }
        match event {
            Event::MakeCall { caller } => self.make_call(caller),
            Event::Cancel { caller, call } => {
                self.check.cancelled(call);
                self.tell_caller(caller, caller::Input::Cancel(call));
            }
            Event::CallerTimer { caller } => self.on_caller_timer(caller),
            Event::WorkerTimer { worker } => self.on_worker_timer(worker),
            Event::Request { caller, worker, session, request } => {
                self.on_request(caller, worker, session, request);
            }
            Event::Reply { caller, worker, session, reply } => self.on_reply(caller, worker, session, reply),
            Event::Item { worker, ticket } => self.on_item(worker, ticket),
            Event::Finish { worker, ticket } => self.on_finish(worker, ticket),
            Event::Exit { caller, worker } => self.on_exit(caller, worker),
            Event::Meet { caller, worker } => self.on_meet(caller, worker),
            Event::CallerGone { caller, worker } => {
                let peer = self.callers[caller].id;
                self.tell_worker(worker, server::Input::PeerGone { peer });
            }
            Event::Fault => self.fault(),
            Event::Start { slot } => self.start(slot),
            Event::Close { worker } => self.close(worker),
            Event::Resume { worker } => {
                self.tell_worker(worker, server::Input::Resume { service: nodes::SERVICE });
            }
        }
    }

    fn make_call(&mut self, caller: usize) {
        if self.now > FAULTS_LAST {
            return;
        }
        let call = CallId(self.next_call);
        self.next_call += 1;
        let by_id = !self.scenario.loses_nothing() && self.chance(5);
        let slot = self.below(self.workers.len() as u64) as usize;
        let target = if by_id { Target::Peer(self.workers[slot].id) } else { Target::Group(GROUP.into()) };
        let patient = self.scenario.loses_nothing() || self.chance(60);
        let timeout = if patient { 10_000 } else { 5 + self.below(1_000) };
        let retries = if self.chance(50) { 1 + self.below(5) as u32 } else { 0 };
        let deadline = self.start + self.now + Duration::from_millis(timeout);
        let job = Job { call, caller, retries };
        self.check.made(call, deadline - self.start, retries, by_id, patient);
        let key = Some(self.below(16));
        self.tell_caller(
            caller,
            caller::Input::Call(Call { id: call, target, deadline, retries, key, payload: job }),
        );
        if !self.scenario.loses_nothing() && self.chance(5) {
            let wait = Duration::from_millis(self.below(60));
            self.after(wait, Event::Cancel { caller, call });
        }
        let wait = self.gap.mul_f64(2.0 * self.below(1_000) as f64 / 1_000.0);
        self.after(wait, Event::MakeCall { caller });
    }

    /// After the last event nothing is left of any call, on either side.
    fn finish(mut self) -> Result<Report, Violation> {
        for (index, caller) in self.callers.iter().enumerate() {
            if !caller.machine.is_at_rest() || caller.machine.next_deadline().is_some() {
                self.check.broken(format!("caller {index} keeps something of calls that have ended"));
            }
            let stats = caller.machine.stats();
            self.report.retries += stats.retries;
            self.report.over_budget += stats.retries_over_budget;
            self.report.refused += stats.refused;
            self.report.ejections += stats.ejections;
            self.report.late += stats.late;
        }
        for worker in self.workers.iter().filter(|worker| worker.state != WorkerState::Off) {
            if !worker.machine.is_at_rest() {
                self.check.broken(format!("{} keeps something of requests that have ended", worker.id));
            }
        }
        self.check.finish(self.scenario, &mut self.report);
        self.check.violation().map_or(Ok(self.report), Err)
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.ticket += 1;
        self.queue.insert((at.max(self.now), self.ticket), event);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn group() -> Arc<str> {
        GROUP.into()
    }
}
