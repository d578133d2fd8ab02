//! The nodes: what a shell does with the outputs of the machines, and the links between them.

use super::check::TIMERS_LATE;
use super::{CallId, Caller, Event, Reply, Request, Scenario, Server, Ticket, Verdict, World};
use crate::caller::{Input as CallerInput, Output as CallerOutput};
use crate::server::{Arrival, Input as ServerInput, Limits, Output as ServerOutput, ServiceId, Weigh};
use crate::wire::Id;
use crate::{RpcError, code};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

pub(super) const SERVICE: ServiceId = ServiceId(0);
/// A worker that has left and finished still takes what was under way to it.
const GRACE: Duration = Duration::from_millis(200);

/// What travels with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) call: CallId,
    pub(super) caller: usize,
    pub(super) retries: u32,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer;

impl Weigh for Answer {
    fn bytes(&self) -> usize {
        1
    }
}

pub(super) struct CallerNode {
    pub(super) machine: Caller<Job>,
    pub(super) id: PeerId,
    /// The last timer that was set.
    pub(super) timer: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerState {
    Off,
    Up,
    Draining,
}

pub(super) struct WorkerNode {
    pub(super) machine: Server<Job, Answer>,
    pub(super) id: PeerId,
    pub(super) state: WorkerState,
    pub(super) running: BTreeMap<Ticket, Job>,
    pub(super) mean: Duration,
    pub(super) slow_until: Duration,
    pub(super) frozen_until: Duration,
    limits: Limits,
    timer: Option<Instant>,
    lives: u8,
}

impl WorkerNode {
    pub(super) fn off(mean: Duration) -> Self {
        Self {
            machine: Server::new(),
            id: PeerId::from_bytes([0; 16]),
            state: WorkerState::Off,
            running: BTreeMap::new(),
            mean,
            slow_until: Duration::ZERO,
            frozen_until: Duration::ZERO,
            limits: Limits { concurrency: 1, queue: 0 },
            timer: None,
            lives: 0,
        }
    }
}

/// Whether a caller sees a worker, and what is on its way between them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    pub(super) up: bool,
    /// What was sent in an earlier session never arrives.
    pub(super) session: u64,
    request_at: Duration,
    reply_at: Duration,
}

impl World {
    pub(super) fn start(&mut self, slot: usize) {
        let crowded = self.scenario == Scenario::Overload || self.scenario == Scenario::Mixed;
        let queue = if crowded { self.below(3) as usize } else { 256 };
        let limits = Limits { concurrency: 1 + self.below(4) as usize, queue };
        let worker = &mut self.workers[slot];
        let lives = worker.lives + 1;
        let mut id = [slot as u8 + 1; 16];
        id[15] = lives;
        *worker = WorkerNode { state: WorkerState::Up, lives, limits, ..WorkerNode::off(worker.mean) };
        worker.id = PeerId::from_bytes(id);
        let worker = worker.id;
        self.tell_worker(worker, ServerInput::Open { service: SERVICE, limits });
        for caller in 0..self.callers.len() {
            let wait = self.some_delay();
            self.after(wait, Event::Meet { caller, worker });
        }
    }

    pub(super) fn worker(&mut self, id: PeerId) -> Option<&mut WorkerNode> {
        self.workers.iter_mut().find(|worker| worker.id == id && worker.state != WorkerState::Off)
    }

    /// A worker that stands still does nothing before this, and then everything in order.
    pub(super) fn frozen_until(&mut self, event: &Event) -> Option<Duration> {
        let id = match event {
            Event::Request { worker, .. }
            | Event::WorkerTimer { worker }
            | Event::Finish { worker, .. }
            | Event::Item { worker, .. }
            | Event::Close { worker } => *worker,
            _ => return None,
        };
        let now = self.now;
        self.worker(id).map(|worker| worker.frozen_until).filter(|until| *until > now)
    }

    // Callers.

    pub(super) fn tell_caller(&mut self, index: usize, input: CallerInput<Job>) {
        let now = self.start + self.now;
        self.callers[index].machine.handle(now, input);
        self.after_caller(index);
    }

    pub(super) fn on_caller_timer(&mut self, index: usize) {
        let now = self.start + self.now;
        let caller = &mut self.callers[index];
        if caller.machine.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        caller.machine.on_deadline(now);
        if caller.machine.next_deadline().is_some_and(|at| at <= now) {
            self.check.broken(format!("caller {index} asks for a timer that has just been due"));
        }
        self.after_caller(index);
    }

    fn after_caller(&mut self, index: usize) {
        let mut refused = VecDeque::new();
        loop {
            self.carry_out(index, &mut refused);
            // One at a time: what the machine decides next it decides without knowledge of the others.
            let Some((call, peer, permanent)) = refused.pop_front() else { break };
            self.check.returned(self.now, index, call, Duration::from_millis(20), permanent);
            let input = CallerInput::SendFailed { call, peer, reason: "full".to_owned(), permanent };
            self.callers[index].machine.handle(self.start + self.now, input);
        }
        let now = self.start + self.now;
        for provider in self.callers[index].machine.providers(now, super::GROUP) {
            self.check.window(index, &provider);
        }
        let at = self.callers[index].machine.next_deadline();
        if at != self.callers[index].timer {
            self.callers[index].timer = at;
            if let Some(at) = at {
                let late = TIMERS_LATE.mul_f64(self.below(100) as f64 / 100.0);
                self.at(at - self.start + late, Event::CallerTimer { caller: index });
            }
        }
    }

    /// Sends, and notes what the node does not accept.
    fn carry_out(&mut self, index: usize, refused: &mut VecDeque<(CallId, PeerId, bool)>) {
        while let Some(output) = self.callers[index].machine.poll_output() {
            match output {
                CallerOutput::Send { call, peer, attempt, remaining, payload } => {
                    self.check.sent(self.now, index, call, peer, attempt, remaining);
                    let is_seen = self.links.get(&(index, peer)).is_some_and(|link| link.up);
                    if is_seen && !self.is_link_full() {
                        self.request(index, peer, Request::Call { call, remaining, job: payload });
                    } else {
                        refused.push_back((call, peer, is_seen && self.chance(5)));
                    }
                }
                CallerOutput::SendCancel { call, peer } => {
                    self.check.landed(index, call);
                    self.request(index, peer, Request::Cancel { call });
                }
                CallerOutput::Answered { call } => self.check.answered(self.now, call),
                CallerOutput::Failed { call, failure } => {
                    let over_budget = self.callers[index].machine.stats().retries_over_budget > 0;
                    self.check.failed(self.now, self.scenario, call, &failure, over_budget);
                }
            }
        }
    }

    fn is_link_full(&mut self) -> bool {
        let percent = match self.scenario {
            Scenario::FullLinks => 20,
            Scenario::Mixed => 3,
            _ => 0,
        };
        self.chance(percent)
    }

    pub(super) fn on_reply(&mut self, caller: usize, worker: PeerId, session: u64, reply: Reply) {
        if self.links.get(&(caller, worker)).is_none_or(|link| link.session != session) {
            return;
        }
        let (peer, group) = (worker, Self::group());
        match reply {
            Reply::Response { call, verdict } => {
                match verdict {
                    Verdict::Done => self.check.landed_at(caller, call, worker),
                    Verdict::Refused { retry_after } => {
                        let closed_for = retry_after.unwrap_or(Duration::from_millis(20));
                        self.check.refused(self.now, caller, call, worker, closed_for);
                    }
                }
                self.tell_caller(caller, CallerInput::Response { call, peer, verdict });
            }
            Reply::Item { call } => self.tell_caller(caller, CallerInput::Item { call, peer }),
            Reply::Join => {
                self.check.joined(caller, worker);
                self.tell_caller(caller, CallerInput::Join { peer, group: group.clone() });
                let limits = self.worker(worker).map(|worker| worker.limits);
                if let Some(limits) = limits.filter(|_| self.chance(70)) {
                    let concurrency = limits.concurrency as u32;
                    self.tell_caller(caller, CallerInput::Capacity { peer, group, concurrency });
                }
            }
            Reply::Leave => {
                self.check.left(caller, worker);
                self.tell_caller(caller, CallerInput::Leave { peer, group });
            }
            Reply::Bye => self.on_exit(caller, worker),
        }
    }

    pub(super) fn on_exit(&mut self, caller: usize, worker: PeerId) {
        let Some(link) = self.links.get_mut(&(caller, worker)).filter(|link| link.up) else { return };
        link.up = false;
        link.session += 1;
        self.check.exited(caller, worker);
        self.tell_caller(caller, CallerInput::Exit { peer: worker });
    }

    pub(super) fn on_meet(&mut self, caller: usize, worker: PeerId) {
        let Some(state) = self.worker(worker).map(|worker| worker.state) else { return };
        let link = self.links.entry((caller, worker)).or_default();
        link.up = true;
        if state == WorkerState::Up {
            self.reply(caller, worker, Reply::Join);
        }
    }

    // Workers.

    pub(super) fn tell_worker(&mut self, id: PeerId, input: ServerInput<Job, Answer>) {
        let now = self.start + self.now;
        let Some(worker) = self.worker(id) else { return };
        worker.machine.handle(now, input);
        self.after_worker(id);
    }

    pub(super) fn on_worker_timer(&mut self, id: PeerId) {
        let now = self.start + self.now;
        let Some(worker) = self.worker(id) else { return };
        worker.machine.on_deadline(now);
        self.after_worker(id);
    }

    fn after_worker(&mut self, id: PeerId) {
        while let Some(output) = self.worker(id).and_then(|worker| worker.machine.poll_output()) {
            match output {
                ServerOutput::Start { ticket, job, .. } => self.run_job(id, ticket, job),
                ServerOutput::Abort { ticket, peer, id: request, error } => {
                    if let (Some(request), Some(error)) = (request, error) {
                        self.answer_error(id, peer, &request, &error);
                    }
                    // A handler that looks ends now, one that does not later.
                    let (now, looks) = (self.start + self.now, self.chance(70));
                    if let Some(worker) = self.worker(id).filter(|_| looks) {
                        worker.running.remove(&ticket);
                        worker.machine.handle(now, ServerInput::Finished { ticket, answer: None });
                    }
                }
                ServerOutput::Refuse { peer, id: request, error } => {
                    self.answer_error(id, peer, &request, &error);
                }
                ServerOutput::Replay { peer, id: request, .. } => {
                    self.report.replayed += 1;
                    let caller = self.caller_of(peer);
                    let call = call_of(&request);
                    self.reply(caller, id, Reply::Response { call, verdict: Verdict::Done });
                }
                ServerOutput::Drained { .. } => self.after(GRACE, Event::Close { worker: id }),
            }
        }
        let start = self.start;
        let Some(worker) = self.worker(id) else { return };
        let at = worker.machine.next_deadline();
        if at != worker.timer {
            worker.timer = at;
            if let Some(at) = at {
                self.at(at - start, Event::WorkerTimer { worker: id });
            }
        }
    }

    fn run_job(&mut self, id: PeerId, ticket: Ticket, job: Job) {
        self.check.ran(job.call, id);
        let (now, share) = (self.now, self.below(1_000) as f64 / 500.0);
        let Some(worker) = self.worker(id) else { return };
        worker.running.insert(ticket, job);
        let slowness = if worker.slow_until > now { 20.0 } else { 1.0 };
        let service = worker.mean.mul_f64(share * slowness);
        if self.chance(10) {
            self.after(service / 2, Event::Item { worker: id, ticket });
        }
        self.after(service, Event::Finish { worker: id, ticket });
    }

    pub(super) fn on_item(&mut self, id: PeerId, ticket: Ticket) {
        let job = self.worker(id).and_then(|worker| worker.running.get(&ticket).copied());
        if let Some(job) = job {
            self.reply(job.caller, id, Reply::Item { call: job.call });
        }
    }

    pub(super) fn on_finish(&mut self, id: PeerId, ticket: Ticket) {
        let Some(job) = self.worker(id).and_then(|worker| worker.running.remove(&ticket)) else { return };
        self.reply(job.caller, id, Reply::Response { call: job.call, verdict: Verdict::Done });
        self.tell_worker(id, ServerInput::Finished { ticket, answer: Some(Answer) });
    }

    pub(super) fn on_request(&mut self, caller: usize, worker: PeerId, session: u64, request: Request) {
        if self.links.get(&(caller, worker)).is_none_or(|link| link.session != session) {
            return;
        }
        let peer = self.callers[caller].id;
        let input = match request {
            Request::Call { call, remaining, job } => ServerInput::Request(Arrival {
                service: SERVICE,
                peer,
                id: Some(id_of(call)),
                deadline: Some(self.start + self.now + remaining),
                keep_result: job.retries > 0,
                job,
            }),
            Request::Cancel { call } => ServerInput::Cancel { peer, id: id_of(call) },
        };
        self.tell_worker(worker, input);
    }

    /// The worker has left and finished: it stops.
    pub(super) fn close(&mut self, id: PeerId) {
        self.tell_worker(id, ServerInput::Close { service: SERVICE });
        for caller in 0..self.callers.len() {
            self.reply(caller, id, Reply::Bye);
        }
        if let Some(slot) = self.workers.iter().position(|worker| worker.id == id) {
            self.workers[slot].state = WorkerState::Off;
            let wait = Duration::from_millis(self.below(1_000));
            self.after(wait, Event::Start { slot });
        }
    }

    fn answer_error(&mut self, worker: PeerId, peer: PeerId, request: &Id, error: &RpcError) {
        let verdict = match error.code {
            code::OVERLOADED | code::RESTARTING => Verdict::Refused { retry_after: error.retry_after() },
            code::INVALID_REQUEST => {
                return self.check.broken(format!("{worker} got an id twice: {request:?}"));
            }
            _ => Verdict::Done,
        };
        let caller = self.caller_of(peer);
        self.reply(caller, worker, Reply::Response { call: call_of(request), verdict });
    }

    fn caller_of(&self, peer: PeerId) -> usize {
        self.callers.iter().position(|caller| caller.id == peer).expect("workers know callers only")
    }

    // Links.

    fn request(&mut self, caller: usize, worker: PeerId, request: Request) {
        let at = self.now + self.some_delay();
        let Some(link) = self.links.get_mut(&(caller, worker)).filter(|link| link.up) else { return };
        link.request_at = link.request_at.max(at);
        let (at, session) = (link.request_at, link.session);
        self.at(at, Event::Request { caller, worker, session, request });
    }

    pub(super) fn reply(&mut self, caller: usize, worker: PeerId, reply: Reply) {
        let at = self.now + self.some_delay();
        let Some(link) = self.links.get_mut(&(caller, worker)).filter(|link| link.up) else { return };
        link.reply_at = link.reply_at.max(at);
        let (at, session) = (link.reply_at, link.session);
        self.at(at, Event::Reply { caller, worker, session, reply });
    }

    fn some_delay(&mut self) -> Duration {
        self.delay.mul_f64(self.below(1_000) as f64 / 1_000.0)
    }
}

fn id_of(call: CallId) -> Id {
    Id(call.0.to_string().into())
}

fn call_of(id: &Id) -> CallId {
    let text = std::str::from_utf8(&id.0).expect("made by id_of");
    CallId(text.parse().expect("made by id_of"))
}
