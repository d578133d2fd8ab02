//! What happens to calls: made, answered, returned, cancelled; what happens to peers is in `membership`, what follows
//! from both for the calls that wait or are in flight in `flow`.

mod flow;
mod membership;

use super::health::Health;
use super::policy::Provider;
use super::pool::{Pool, PoolSettings};
use super::{Call, CallId, Failure, Input, Output, Random, Stats, Target, Verdict};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// How long a provider is left alone that refused without saying for how long, or that could not be sent to.
const CLOSED_FOR: Duration = Duration::from_millis(20);
/// However long a provider asks to be left alone.
const MAX_CLOSED_FOR: Duration = Duration::from_secs(30);
/// Calls in flight at one peer beyond which nothing is sent to it by name: a third of what makes pyre cut a peer off.
const MAX_IN_FLIGHT: usize = 1_024;

/// The machine of the calling side. Memory: one entry per call, bounded by the windows and queues of the pools.
///
/// `poll_output` is to be drained after each `handle` and `on_deadline`.
#[derive(Debug)]
pub(crate) struct Caller<P> {
    calls: BTreeMap<CallId, Entry<P>>,
    deadlines: BTreeSet<(Instant, CallId)>,
    pub(super) pools: BTreeMap<Arc<str>, Pool>,
    wakes: BTreeSet<(Instant, Arc<str>)>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    health: Health,
    random: Random,
    outputs: VecDeque<Output<P>>,
    stats: Stats,
}

/// A call that has not ended.
#[derive(Debug)]
struct Entry<P> {
    call: Call<P>,
    /// How often it was sent.
    attempt: u32,
    /// How often it came back not executed.
    returned: u32,
    /// How often it was sent again although it may have been executed.
    retried: u32,
    /// The last peer that was lost while it may have been working on it.
    lost: Option<PeerId>,
    /// `None` while it waits in its pool's queue.
    flight: Option<Flight>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    peer: PeerId,
    sent_at: Instant,
    /// Its round trip is known from its first item: how long a stream lasts says nothing about its provider.
    measured: bool,
}

/// A peer that is a member of a pool or has calls in flight.
#[derive(Debug, Default)]
pub(super) struct Peer {
    groups: BTreeSet<Arc<str>>,
    calls: BTreeSet<CallId>,
}

impl<P: Clone> Caller<P> {
    /// `own_seed` makes the choices of two callers differ; the same seed and inputs give the same outputs.
    pub(crate) fn new(own_seed: u64) -> Self {
        Self {
            calls: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            pools: BTreeMap::new(),
            wakes: BTreeSet::new(),
            peers: BTreeMap::new(),
            health: Health::default(),
            random: Random::new(own_seed),
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Sets how calls to a group are spread. What a policy remembered is forgotten with it.
    pub(crate) fn configure(&mut self, group: Arc<str>, settings: PoolSettings) {
        self.pools.entry(group).or_insert_with(Pool::new).configure(settings);
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input<P>) {
        match input {
            Input::Call(call) => self.on_call(now, call),
            Input::Cancel(call) => self.on_cancel(now, call),
            Input::SendFailed { call, peer, reason, permanent } => {
                self.on_send_failed(now, call, peer, reason, permanent);
            }
            Input::Response { call, peer, verdict } => self.on_response(now, call, peer, verdict),
            Input::Item { call, peer } => self.on_item(now, call, peer),
            Input::Join { peer, group } => self.on_join(now, peer, group),
            Input::Leave { peer, group } => self.on_leave(now, peer, &group),
            Input::Exit { peer } => self.on_exit(now, peer),
            Input::Evasive { peer } => self.on_evasive(now, peer),
            Input::Capacity { peer, group, concurrency } => self.on_capacity(now, peer, &group, concurrency),
        }
    }

    /// Ends the calls whose deadline has passed and sends those that a provider may be asked for again.
    pub(crate) fn on_deadline(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            self.expire(now, id);
        }
        while let Some((at, group)) = self.wakes.pop_first() {
            if at > now {
                self.wakes.insert((at, group));
                break;
            }
            if let Some(pool) = self.pools.get_mut(&group) {
                pool.wake_at = None;
            }
            self.drain(now, &group);
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        let wake = self.wakes.first().map(|(wake, _)| *wake);
        deadline.into_iter().chain(wake).min()
    }

    /// The members of a group, those that drain among them.
    pub(crate) fn providers(&self, now: Instant, group: &str) -> impl Iterator<Item = Provider> {
        self.pools.get(group).into_iter().flat_map(move |pool| pool.providers(now))
    }

    /// Picks a member for a message that nobody answers: by the policy, or any if none has credit.
    pub(crate) fn pick(&mut self, now: Instant, group: &str, key: Option<u64>) -> Option<PeerId> {
        let pool = self.pools.get_mut(group)?;
        let picked = pool.pick(now, None, key, &mut self.random);
        picked
            .or_else(|| pool.providers(now).find(|provider| !provider.draining).map(|provider| provider.peer))
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }

    /// Nothing is kept of any call.
    #[cfg(test)]
    pub(crate) fn is_at_rest(&self) -> bool {
        let no_calls = self.calls.is_empty() && self.deadlines.is_empty() && self.wakes.is_empty();
        let is_idle = |pool: &Pool| pool.queue.is_empty() && pool.is_idle();
        no_calls && self.pools.values().all(is_idle) && self.peers.values().all(|peer| peer.calls.is_empty())
    }

    fn on_call(&mut self, now: Instant, call: Call<P>) {
        self.stats.calls += 1;
        let (id, target) = (call.id, call.target.clone());
        if call.deadline <= now {
            self.stats.expired_unsent += 1;
            return self.refuse(id, Failure::TimedOut { maybe_executed: false });
        }
        match target {
            Target::Peer(peer) => {
                if self.peers.get(&peer).is_some_and(|peer| peer.calls.len() >= MAX_IN_FLIGHT) {
                    self.stats.full += 1;
                    let reason = format!("{MAX_IN_FLIGHT} calls are in flight at {peer}; make fewer at once");
                    return self.refuse(id, Failure::NotSent { reason });
                }
                self.admit(call);
                self.send(now, id, peer);
            }
            Target::Group(group) => {
                let Some(pool) = self.pools.get_mut(&group).filter(|pool| pool.has_providers()) else {
                    self.stats.no_provider += 1;
                    return self.refuse(id, Failure::NoProvider);
                };
                pool.budget.earn();
                if pool.queue.is_empty()
                    && let Some(peer) = pool.pick(now, None, call.key, &mut self.random)
                {
                    self.admit(call);
                    return self.send(now, id, peer);
                }
                if pool.is_full() {
                    self.stats.full += 1;
                    let limit = pool.queue_limit();
                    let reason = format!(
                        "{limit} calls wait for a provider of {group} with room; add providers, call less often, \
                         or allow a longer queue"
                    );
                    return self.refuse(id, Failure::NotSent { reason });
                }
                pool.queue.insert(id);
                self.admit(call);
                self.drain(now, &group);
            }
        }
    }

    fn on_cancel(&mut self, now: Instant, id: CallId) {
        // It may have ended a moment ago.
        if !self.calls.contains_key(&id) {
            return;
        }
        self.stats.cancelled += 1;
        self.abandon(now, id);
        if let Some(entry) = self.remove(id) {
            self.drain_target(now, &entry.call.target);
        }
    }

    fn on_send_failed(&mut self, now: Instant, id: CallId, peer: PeerId, reason: String, permanent: bool) {
        if self.flight(id, peer).is_none() {
            return;
        }
        self.stats.send_failed += 1;
        self.land(id);
        if permanent {
            return self.fail(now, id, Failure::NotSent { reason });
        }
        self.on_failure(now, peer);
        self.move_on(now, id, peer, now + CLOSED_FOR, Failure::NotSent { reason });
    }

    fn on_response(&mut self, now: Instant, id: CallId, peer: PeerId, verdict: Verdict) {
        self.on_life(now, peer);
        let Some(flight) = self.flight(id, peer).copied() else {
            self.stats.late += 1;
            return;
        };
        self.land(id);
        match verdict {
            Verdict::Done => {
                self.stats.answered += 1;
                self.outputs.push_back(Output::Answered { call: id });
                let Some(entry) = self.remove(id) else { return };
                if let Some(pool) = self.pool_of(&entry.call.target)
                    && !flight.measured
                {
                    pool.sample(now, peer, now.saturating_duration_since(flight.sent_at));
                }
                self.drain_target(now, &entry.call.target);
            }
            Verdict::Refused { retry_after } => {
                self.stats.refused += 1;
                let closed_for = retry_after.unwrap_or(CLOSED_FOR).min(MAX_CLOSED_FOR);
                self.move_on(now, id, peer, now + closed_for, Failure::Rejected { retry_after });
            }
        }
    }

    fn on_item(&mut self, now: Instant, id: CallId, peer: PeerId) {
        self.on_life(now, peer);
        let entry = self.calls.get_mut(&id);
        let Some((entry, flight)) = entry.and_then(|entry| Some((&entry.call, entry.flight.as_mut()?)))
        else {
            self.stats.late += 1;
            return;
        };
        if flight.peer != peer {
            self.stats.late += 1;
        } else if !flight.measured {
            flight.measured = true;
            let round_trip = now.saturating_duration_since(flight.sent_at);
            let target = entry.target.clone();
            if let Some(pool) = self.pool_of(&target) {
                pool.sample(now, peer, round_trip);
            }
        }
    }
}
