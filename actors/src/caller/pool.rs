//! The members of one service or pool: who has credit, who is left alone for now, who drains, and which calls wait.

use super::budget::RetryBudget;
use super::latency::Latency;
use super::policy::{LeastCost, Policy, Provider};
use super::{CallId, Random};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// How calls to one service or pool are spread.
pub struct PoolSettings {
    policy: Box<dyn Policy>,
    queue: usize,
    window: u32,
}

impl PoolSettings {
    /// The calls that wait by default.
    pub const QUEUE: usize = 1_024;
    /// The credit window by default of a provider that does not say its concurrency, as plain pyre programs.
    ///
    /// Enough to keep one busy over a LAN; far below the 3,000 messages at which pyre cuts a peer off, also with a
    /// hundred callers.
    pub const WINDOW: u32 = 16;

    /// The defaults: [`LeastCost`], 1,024 waiting calls.
    pub fn new() -> Self {
        Self { policy: Box::new(LeastCost), queue: Self::QUEUE, window: Self::WINDOW }
    }

    /// Picks providers by this policy.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Lets at most this many calls wait for a provider with credit; one more fails with
    /// [`NotSent`](crate::CallError::NotSent). Calls that are sent again wait beside them.
    #[must_use]
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }

    /// Has at most this many calls (at least 1) in flight at a provider that does not say its concurrency; one that
    /// does gets twice that, and at least 2.
    #[must_use]
    pub fn window(mut self, calls: u32) -> Self {
        self.window = calls.clamp(1, MAX_WINDOW);
        self
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PoolSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolSettings")
            .field("queue", &self.queue)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Whatever a provider claims: a third of the messages at which pyre cuts a peer off.
pub(super) const MAX_WINDOW: u32 = 1_024;

/// A peer as a member of one group.
#[derive(Debug)]
struct Member {
    in_flight: u32,
    window: u32,
    /// The window follows from its own concurrency and not from the settings.
    advertised: bool,
    /// `None` until any member of the pool has answered.
    latency: Option<Latency>,
    draining: bool,
    /// It refused a call or a send to it failed: nothing is sent to it before.
    closed_until: Option<Instant>,
    /// As its peer's health says.
    ejected_until: Option<Instant>,
}

impl Member {
    fn is_closed(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| until > now)
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| until > now)
    }

    fn provider(&self, now: Instant, peer: PeerId) -> Provider {
        let estimate = |latency: Latency| latency.estimate(now, self.in_flight == 0);
        Provider {
            peer,
            in_flight: self.in_flight,
            window: self.window,
            latency: self.latency.map_or(Duration::ZERO, estimate),
            ejected: self.is_ejected(now),
            draining: self.draining,
        }
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    settings: PoolSettings,
    /// The user chose the settings, so they outlive the members.
    configured: bool,
    members: BTreeMap<PeerId, Member>,
    /// Calls that wait, in the order they were made in.
    pub(super) queue: BTreeSet<CallId>,
    pub(super) budget: RetryBudget,
    /// When a member may be asked again that is left alone now, if calls wait for it.
    pub(super) wake_at: Option<Instant>,
    /// Kept between picks for its memory.
    candidates: Vec<Provider>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            settings: PoolSettings::new(),
            configured: false,
            members: BTreeMap::new(),
            queue: BTreeSet::new(),
            budget: RetryBudget::new(),
            wake_at: None,
            candidates: Vec::new(),
        }
    }

    pub(super) fn configure(&mut self, settings: PoolSettings) {
        for member in self.members.values_mut().filter(|member| !member.advertised) {
            member.window = settings.window;
        }
        self.settings = settings;
        self.configured = true;
    }

    /// Nothing would be lost with it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.members.is_empty() && self.queue.is_empty() && !self.configured
    }

    /// Somebody serves it, although perhaps not now.
    pub(super) fn has_providers(&self) -> bool {
        self.members.values().any(|member| !member.draining)
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= self.settings.queue
    }

    pub(super) fn queue_limit(&self) -> usize {
        self.settings.queue
    }

    /// A newcomer starts at the pool's median: neither flooded nor left out.
    pub(super) fn join(&mut self, now: Instant, peer: PeerId, ejected_until: Option<Instant>) {
        let latency = self.median(now);
        let window = self.settings.window;
        let newcomer = Member {
            in_flight: 0,
            window,
            advertised: false,
            latency,
            draining: false,
            closed_until: None,
            ejected_until,
        };
        self.members.entry(peer).or_insert(newcomer).draining = false;
    }

    /// Gives the peer no more calls. Whether it has none and is out.
    pub(super) fn leave(&mut self, peer: PeerId) -> bool {
        self.settings.policy.forget(peer);
        let Some(member) = self.members.get_mut(&peer) else { return true };
        member.draining = true;
        self.dismiss(peer)
    }

    /// The peer is gone, and what it had in flight with it.
    pub(super) fn exit(&mut self, peer: PeerId) {
        self.settings.policy.forget(peer);
        self.members.remove(&peer);
    }

    pub(super) fn set_capacity(&mut self, peer: PeerId, concurrency: u32) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.window = concurrency.saturating_mul(2).clamp(2, MAX_WINDOW);
            member.advertised = true;
        }
    }

    pub(super) fn set_ejected(&mut self, peer: PeerId, until: Option<Instant>) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.ejected_until = until;
        }
    }

    /// Leaves the peer alone until then.
    pub(super) fn close(&mut self, peer: PeerId, until: Instant) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.closed_until = Some(until);
        }
    }

    /// One more call is in flight there.
    pub(super) fn take_off(&mut self, peer: PeerId) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.in_flight += 1;
        }
    }

    /// One call less is in flight there. Whether the peer has drained with it and is out.
    pub(super) fn land(&mut self, peer: PeerId) -> bool {
        let Some(member) = self.members.get_mut(&peer) else { return false };
        member.in_flight = member.in_flight.saturating_sub(1);
        self.dismiss(peer)
    }

    fn dismiss(&mut self, peer: PeerId) -> bool {
        let drained = self.members.get(&peer).is_some_and(|member| member.draining && member.in_flight == 0);
        if drained {
            self.members.remove(&peer);
        }
        drained
    }

    /// A round trip has ended. The first in a pool stands for all its members.
    pub(super) fn sample(&mut self, now: Instant, peer: PeerId, round_trip: Duration) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        match &mut member.latency {
            Some(latency) => latency.sample(now, round_trip),
            None => {
                for member in self.members.values_mut() {
                    member.latency.get_or_insert(Latency::new(now, round_trip));
                }
            }
        }
    }

    /// A call has ended there without an answer.
    pub(super) fn at_least(&mut self, now: Instant, peer: PeerId, waited: Duration) {
        match self.members.get_mut(&peer).map(|member| &mut member.latency) {
            Some(Some(latency)) => latency.at_least(now, waited),
            // Only for this one: how long the others take is still anybody's guess.
            Some(unknown) => *unknown = Some(Latency::new(now, waited)),
            None => {}
        }
    }

    /// The provider for a call, if one may be given it now. A call that was lost with a peer goes there again only if
    /// nobody else serves it. Peers that are ejected are asked if there are no others.
    pub(super) fn pick(
        &mut self,
        now: Instant,
        lost: Option<PeerId>,
        key: Option<u64>,
        random: &mut Random,
    ) -> Option<PeerId> {
        let (mut others, mut well) = (lost.is_none(), false);
        for (peer, member) in self.members.iter().filter(|(_, member)| !member.draining) {
            others |= lost != Some(*peer);
            well |= !member.is_ejected(now);
        }
        self.candidates.clear();
        for (&peer, member) in &self.members {
            let has_credit = !member.draining && member.in_flight < member.window && !member.is_closed(now);
            let is_wanted = (!others || lost != Some(peer)) && (!well || !member.is_ejected(now));
            if has_credit && is_wanted {
                self.candidates.push(member.provider(now, peer));
            }
        }
        let last = self.candidates.len().checked_sub(1)?;
        let Self { settings, candidates, .. } = self;
        // A policy may be the user's own: its panic must not take every call with it.
        let picked = catch_unwind(AssertUnwindSafe(|| settings.policy.pick(candidates, key, random.next())));
        let index = picked.unwrap_or_else(|_| LeastCost.pick(candidates, key, random.next()));
        self.candidates.get(index.min(last)).map(|candidate| candidate.peer)
    }

    /// If every provider is closed: when the first opens.
    pub(super) fn all_closed_until(&self, now: Instant) -> Option<Instant> {
        let mut first: Option<Instant> = None;
        for member in self.members.values().filter(|member| !member.draining) {
            let until = member.closed_until.filter(|until| *until > now)?;
            first = Some(first.map_or(until, |first| first.min(until)));
        }
        first
    }

    /// When the next provider opens or has been ejected for long enough.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        let providers = self.members.values().filter(|member| !member.draining);
        let times = providers.flat_map(|member| [member.closed_until, member.ejected_until]);
        times.flatten().filter(|until| *until > now).min()
    }

    pub(super) fn providers(&self, now: Instant) -> impl Iterator<Item = Provider> {
        self.members.iter().map(move |(peer, member)| member.provider(now, *peer))
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.members.values().all(|member| member.in_flight == 0 && !member.draining)
    }

    fn median(&self, now: Instant) -> Option<Latency> {
        let known = self.members.values().filter_map(|member| member.latency);
        let mut estimates: Vec<_> = known.map(|latency| latency.estimate(now, false)).collect();
        estimates.sort_unstable();
        estimates.get(estimates.len() / 2).map(|median| Latency::new(now, *median))
    }
}
