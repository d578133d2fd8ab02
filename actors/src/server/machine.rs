//! The machine: takes requests in, and sees to it that each of them ends once.

use super::ending::Ending;
use super::results::{Results, Weigh};
use super::service::{Admission, Service};
use super::{Arrival, Counters, Input, Load, Output, ServiceId, Ticket};
use crate::wire::Id;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::time::Instant;
use zyre_rs::PeerId;

/// The requests of all services of this system.
///
/// What it holds is bounded by the services' limits. Outputs are to be polled after each call; of one call there are at
/// most a few, or one for each request of a peer or service that goes.
#[derive(Debug)]
pub(crate) struct Server<J, R> {
    services: BTreeMap<ServiceId, Service>,
    /// Every request that waits or holds a slot.
    held: BTreeMap<Ticket, Held<J>>,
    /// Those that await an answer.
    named: BTreeMap<(PeerId, Id), Ticket>,
    /// Those that wait or run and have a deadline.
    deadlines: BTreeSet<(Instant, Ticket)>,
    results: Results<R>,
    outputs: VecDeque<Output<J, R>>,
    tickets: u64,
    counters: Counters,
}

#[derive(Debug)]
struct Held<J> {
    service: ServiceId,
    peer: PeerId,
    id: Option<Id>,
    deadline: Option<Instant>,
    keep_result: bool,
    state: State<J>,
}

/// ```text
/// (arrival) -> Waiting -> Running -> (finished)
///                 |          |           ^
///              (refused)  Aborted -------+
/// ```
#[derive(Debug)]
enum State<J> {
    Waiting(J),
    Running {
        since: Instant,
    },
    /// Answered, no longer to be found by id or deadline, and still in its slot.
    Aborted {
        since: Instant,
    },
}

impl<J, R: Clone + Weigh> Server<J, R> {
    pub(crate) fn new() -> Self {
        Self {
            services: BTreeMap::new(),
            held: BTreeMap::new(),
            named: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            results: Results::new(),
            outputs: VecDeque::new(),
            tickets: 0,
            counters: Counters::default(),
        }
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input<J, R>) {
        match input {
            Input::Open { service, limits } => {
                self.services.entry(service).or_insert_with(|| Service::new(limits));
            }
            Input::Close { service } => self.on_close(service),
            Input::Request(arrival) => self.on_request(now, arrival),
            Input::Finished { ticket, answer } => self.on_finished(now, ticket, answer),
            Input::Cancel { peer, id } => self.on_cancel(now, peer, id),
            Input::PeerGone { peer } => self.on_peer_gone(now, peer),
            Input::Pause { service, until } => self.on_pause(now, service, until),
            Input::Resume { service } => {
                if let Some(service) = self.services.get_mut(&service) {
                    service.resume();
                }
            }
            Input::Drain { service } => {
                if let Some(service) = self.services.get_mut(&service) {
                    service.drain();
                }
                self.settle(now, service);
            }
        }
    }

    /// Ends what has waited or run too long.
    pub(crate) fn on_deadline(&mut self, now: Instant) {
        while let Some(&(deadline, ticket)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            self.end_and_settle(now, ticket, Ending::Expired);
        }
        if self.results.next_sweep().is_some_and(|sweep| sweep <= now) {
            self.results.sweep(now);
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output<J, R>> {
        self.outputs.pop_front()
    }

    /// When `on_deadline` is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let request = self.deadlines.first().map(|&(deadline, _)| deadline);
        request.into_iter().chain(self.results.next_sweep()).min()
    }

    /// The figures of a service that is open.
    pub(crate) fn load(&self, service: ServiceId) -> Option<Load> {
        self.services.get(&service).map(Service::load)
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.counters;
        self.results.count_into(&mut counters);
        counters
    }

    /// Whether it holds nothing but open services.
    #[cfg(test)]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.held.is_empty()
            && self.named.is_empty()
            && self.deadlines.is_empty()
            && self.outputs.is_empty()
            && self.results.is_empty()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> impl Iterator<Item = &J> {
        self.held.values().filter_map(|held| match &held.state {
            State::Waiting(job) => Some(job),
            State::Running { .. } | State::Aborted { .. } => None,
        })
    }

    fn on_request(&mut self, now: Instant, arrival: Arrival<J>) {
        let key = arrival.id.clone().map(|id| (arrival.peer, id));
        let Some(service) = self.services.get_mut(&arrival.service) else {
            self.counters.unknown_service += 1;
            return self.refuse(arrival, Ending::Closed);
        };
        if let Some(key) = &key {
            let first = self.named.get(key).and_then(|ticket| self.held.get(ticket));
            if let Some(first) = first {
                if arrival.keep_result && first.keep_result && arrival.service == first.service {
                    return service.on_repeat();
                }
                return self.refuse(arrival, Ending::IdInUse);
            }
            if arrival.keep_result
                && let Some(answer) = self.results.get(now, key, arrival.service)
            {
                service.on_replay();
                let (peer, id) = key.clone();
                return self.outputs.push_back(Output::Replay { peer, id, answer });
            }
        }
        if arrival.deadline.is_some_and(|deadline| deadline <= now) {
            return self.refuse(arrival, Ending::Expired);
        }
        let start = match service.admit(arrival.peer) {
            Admission::Start => true,
            Admission::Wait => false,
            Admission::WaitInsteadOf(other) => {
                let refusal = service.refusal(now);
                self.end(other, refusal);
                false
            }
            Admission::Refuse => {
                let refusal = service.refusal(now);
                return self.refuse(arrival, refusal);
            }
        };
        self.take(now, arrival, key, start);
    }

    /// Gives the request a ticket, and starts it or lets it wait.
    fn take(&mut self, now: Instant, arrival: Arrival<J>, key: Option<(PeerId, Id)>, start: bool) {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        if let Some(key) = key {
            self.named.insert(key, ticket);
        }
        if let Some(deadline) = arrival.deadline {
            self.deadlines.insert((deadline, ticket));
        }
        let Arrival { service, peer, id, deadline, keep_result, job } = arrival;
        let entry = self.services.get_mut(&service);
        let state = if start {
            entry.into_iter().for_each(Service::on_start);
            self.outputs.push_back(Output::Start { ticket, service, job });
            State::Running { since: now }
        } else {
            entry.into_iter().for_each(|entry| entry.waiting.push(peer, ticket));
            State::Waiting(job)
        };
        self.held.insert(ticket, Held { service, peer, id, deadline, keep_result, state });
    }

    /// Answers a request that was not taken.
    fn refuse(&mut self, arrival: Arrival<J>, ending: Ending) {
        if let Some(service) = self.services.get_mut(&arrival.service) {
            service.on_ending(ending, arrival.id.is_none());
        }
        self.answer(arrival.peer, arrival.id, ending);
    }

    fn answer(&mut self, peer: PeerId, id: Option<Id>, ending: Ending) {
        if let Some(id) = id
            && let Some(error) = ending.error()
        {
            self.outputs.push_back(Output::Refuse { peer, id, error });
        }
    }

    fn on_finished(&mut self, now: Instant, ticket: Ticket, answer: Option<R>) {
        let Entry::Occupied(entry) = self.held.entry(ticket) else {
            self.counters.finished_late += 1;
            return;
        };
        let (since, aborted) = match entry.get().state {
            State::Running { since } => (since, false),
            State::Aborted { since } => (since, true),
            // Tickets are told with `Start` only.
            State::Waiting(_) => return,
        };
        let held = entry.remove();
        if !aborted {
            if let Some(deadline) = held.deadline {
                self.deadlines.remove(&(deadline, ticket));
            }
            if let Some(id) = held.id {
                let key = (held.peer, id);
                self.named.remove(&key);
                if held.keep_result
                    && let Some(answer) = answer
                {
                    self.results.keep(now, key, held.service, answer);
                }
            }
        }
        if let Some(service) = self.services.get_mut(&held.service) {
            service.on_finish(now.saturating_duration_since(since), aborted);
        }
        self.settle(now, held.service);
    }

    fn on_cancel(&mut self, now: Instant, peer: PeerId, id: Id) {
        let Some(&ticket) = self.named.get(&(peer, id)) else {
            self.counters.unknown_cancel += 1;
            return;
        };
        self.end_and_settle(now, ticket, Ending::Cancelled);
    }

    fn on_peer_gone(&mut self, now: Instant, peer: PeerId) {
        for ticket in self.tickets_of(|held| held.peer == peer) {
            self.end_and_settle(now, ticket, Ending::PeerGone);
        }
    }

    fn on_pause(&mut self, now: Instant, id: ServiceId, until: Instant) {
        let Some(service) = self.services.get_mut(&id) else { return };
        service.pause(until);
        let refusal = service.refusal(now);
        while let Some(ticket) = self.services.get_mut(&id).and_then(|service| service.waiting.pop()) {
            self.end(ticket, refusal);
        }
        self.settle(now, id);
    }

    fn on_close(&mut self, service: ServiceId) {
        for ticket in self.tickets_of(|held| held.service == service) {
            let running = self.held.get(&ticket).is_some_and(|held| !matches!(held.state, State::Waiting(_)));
            self.end(ticket, if running { Ending::ActorGone } else { Ending::Closed });
            self.held.remove(&ticket);
        }
        self.services.remove(&service);
    }

    /// Looks through all that is held: peers and services go seldom, and an index would cost every request.
    fn tickets_of(&self, which: impl Fn(&Held<J>) -> bool) -> Vec<Ticket> {
        self.held.iter().filter(|(_, held)| which(held)).map(|(&ticket, _)| ticket).collect()
    }

    fn end_and_settle(&mut self, now: Instant, ticket: Ticket, ending: Ending) {
        if let Some(service) = self.end(ticket, ending) {
            self.settle(now, service);
        }
    }

    /// Ends a request before its handler does: refuses it if it waits, aborts it if it runs. Says of which service.
    fn end(&mut self, ticket: Ticket, ending: Ending) -> Option<ServiceId> {
        let Entry::Occupied(mut entry) = self.held.entry(ticket) else { return None };
        let held = entry.get_mut();
        let since = match held.state {
            State::Waiting(_) => None,
            State::Running { since } => Some(since),
            State::Aborted { .. } => return None,
        };
        let (id, service) = (held.service, self.services.get_mut(&held.service)?);
        service.on_ending(ending, held.id.is_none());
        if let Some(deadline) = held.deadline {
            self.deadlines.remove(&(deadline, ticket));
        }
        if let Some(name) = &held.id {
            self.named.remove(&(held.peer, name.clone()));
        }
        if let Some(since) = since {
            service.on_abort();
            held.state = State::Aborted { since };
            let error = held.id.as_ref().and_then(|_| ending.error());
            self.outputs.push_back(Output::Abort { ticket, peer: held.peer, id: held.id.clone(), error });
        } else {
            let held = entry.remove();
            service.waiting.remove(held.peer, ticket);
            self.answer(held.peer, held.id, ending);
        }
        Some(id)
    }

    /// Fills free slots from the queue, and tells when nothing is left of a service that drains.
    fn settle(&mut self, now: Instant, id: ServiceId) {
        while let Some(ticket) = self.services.get_mut(&id).and_then(Service::next) {
            self.start(now, ticket);
        }
        if self.services.get_mut(&id).is_some_and(Service::drained) {
            self.outputs.push_back(Output::Drained { service: id });
        }
    }

    /// Starts a request that has waited, unless its deadline has passed meanwhile.
    fn start(&mut self, now: Instant, ticket: Ticket) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        if held.deadline.is_some_and(|deadline| deadline <= now) {
            self.end(ticket, Ending::Expired);
        } else if let State::Waiting(job) = std::mem::replace(&mut held.state, State::Running { since: now })
        {
            let service = held.service;
            self.services.get_mut(&service).into_iter().for_each(Service::on_start);
            self.outputs.push_back(Output::Start { ticket, service, job });
        }
    }
}
