//! Calls on their way: out of the queue, into flight, back, elsewhere, to their end.

use super::{Caller, Entry, Flight};
use crate::caller::pool::Pool;
use crate::caller::{Call, CallId, Failure, Output, Target};
use std::ops::Bound;
use std::sync::Arc;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// How often a call is sent that comes back not executed.
const MAX_TRIES: u32 = 8;
/// Waiting calls that may be passed over since they are not to go back where they were lost.
const MAX_PASSED: usize = 16;

impl<P: Clone> Caller<P> {
    /// A new call: it is now to be sent or queued.
    pub(super) fn admit(&mut self, call: Call<P>) {
        self.deadlines.insert((call.deadline, call.id));
        let entry = Entry { attempt: 0, returned: 0, retried: 0, lost: None, flight: None, call };
        self.calls.insert(entry.call.id, entry);
    }

    pub(super) fn send(&mut self, now: Instant, id: CallId, peer: PeerId) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        entry.attempt += 1;
        entry.flight = Some(Flight { peer, sent_at: now, measured: false });
        self.outputs.push_back(Output::Send {
            call: id,
            peer,
            attempt: entry.attempt,
            remaining: entry.call.deadline.saturating_duration_since(now),
            payload: entry.call.payload.clone(),
        });
        self.peers.entry(peer).or_default().calls.insert(id);
        if let Target::Group(group) = &entry.call.target
            && let Some(pool) = self.pools.get_mut(group)
        {
            pool.take_off(peer);
        }
    }

    /// The flight of a call, if it is in flight at that peer.
    pub(super) fn flight(&mut self, id: CallId, peer: PeerId) -> Option<&mut Flight> {
        self.calls.get_mut(&id)?.flight.as_mut().filter(|flight| flight.peer == peer)
    }

    /// Takes a call out of flight. It is to be queued or ended next.
    pub(super) fn land(&mut self, id: CallId) -> Option<Flight> {
        let entry = self.calls.get_mut(&id)?;
        let flight = entry.flight.take()?;
        if let Some(peer) = self.peers.get_mut(&flight.peer) {
            peer.calls.remove(&id);
        }
        if let Target::Group(group) = &entry.call.target {
            let group = group.clone();
            if self.pools.get_mut(&group).is_some_and(|pool| pool.land(flight.peer)) {
                self.forget_member(flight.peer, &group);
            }
        }
        self.forget_idle(flight.peer);
        Some(flight)
    }

    /// A call has come back not executed from a peer, which is left alone until `closed_until`: sends it elsewhere, or
    /// fails it as said where that is of no use.
    pub(super) fn move_on(
        &mut self,
        now: Instant,
        id: CallId,
        from: PeerId,
        closed_until: Instant,
        failure: Failure,
    ) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        entry.returned += 1;
        let (returned, deadline) = (entry.returned, entry.call.deadline);
        let Target::Group(group) = entry.call.target.clone() else { return self.fail(now, id, failure) };
        // Its last member may just have drained; then it waits for another, as every call that was sent once.
        let pool = self.pools.entry(group.clone()).or_insert_with(Pool::new);
        pool.close(from, closed_until);
        let opens_at = pool.all_closed_until(now);
        if returned >= MAX_TRIES || opens_at.is_some_and(|opens_at| opens_at >= deadline) {
            let failure = match (failure, opens_at) {
                (Failure::Rejected { .. }, Some(at)) => Failure::Rejected { retry_after: Some(at - now) },
                (failure, _) => failure,
            };
            return self.fail(now, id, failure);
        }
        pool.queue.insert(id);
        self.drain(now, &group);
    }

    /// Sends what waits for a group as far as its members have credit, the oldest first.
    pub(super) fn drain(&mut self, now: Instant, group: &Arc<str>) {
        let (mut passed, mut after) = (0, None);
        while let Some(pool) = self.pools.get_mut(group) {
            let next = match after {
                None => pool.queue.first(),
                Some(after) => pool.queue.range((Bound::Excluded(after), Bound::Unbounded)).next(),
            };
            let Some(&id) = next else { break };
            let Some(entry) = self.calls.get(&id) else { break };
            if entry.call.deadline <= now {
                self.stats.expired_unsent += 1;
                self.end(id, Failure::TimedOut { maybe_executed: false });
            } else if let Some(peer) = pool.pick(now, entry.lost, entry.call.key, &mut self.random) {
                pool.queue.remove(&id);
                self.send(now, id, peer);
            } else if entry.lost.is_some() && passed < MAX_PASSED {
                passed += 1;
                after = Some(id);
            } else {
                break;
            }
        }
        self.settle(now, group);
    }

    pub(super) fn drain_target(&mut self, now: Instant, target: &Target) {
        if let Target::Group(group) = target {
            self.drain(now, group);
        }
    }

    /// Sees to it that calls which still wait are looked at when a provider may be asked again, and forgets a group
    /// without members.
    fn settle(&mut self, now: Instant, group: &Arc<str>) {
        let Some(pool) = self.pools.get_mut(group) else { return };
        let wake_at = if pool.queue.is_empty() { None } else { pool.opens_at(now) };
        if wake_at != pool.wake_at {
            if let Some(at) = pool.wake_at.take() {
                self.wakes.remove(&(at, group.clone()));
            }
            if let Some(at) = wake_at {
                self.wakes.insert((at, group.clone()));
            }
            pool.wake_at = wake_at;
        }
        if pool.is_forgettable() {
            self.pools.remove(group);
        }
    }

    /// Ends a call whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant, id: CallId) {
        let failed = self.abandon(now, id);
        if let Some(peer) = failed {
            self.stats.timed_out += 1;
            self.on_failure(now, peer);
        } else {
            self.stats.expired_unsent += 1;
        }
        self.fail(now, id, Failure::TimedOut { maybe_executed: failed.is_some() });
    }

    /// Tells the provider, if one has the call, that nobody waits for it any more. Says which one it was.
    pub(super) fn abandon(&mut self, now: Instant, id: CallId) -> Option<PeerId> {
        let flight = self.land(id)?;
        self.outputs.push_back(Output::SendCancel { call: id, peer: flight.peer });
        let target = self.calls.get(&id).map(|entry| entry.call.target.clone())?;
        if let Some(pool) = self.pool_of(&target)
            && !flight.measured
        {
            pool.at_least(now, flight.peer, now.saturating_duration_since(flight.sent_at));
        }
        Some(flight.peer)
    }

    pub(super) fn pool_of(&mut self, target: &Target) -> Option<&mut Pool> {
        match target {
            Target::Group(group) => self.pools.get_mut(group),
            Target::Peer(_) => None,
        }
    }

    /// Forgets a call that is not in flight.
    pub(super) fn remove(&mut self, id: CallId) -> Option<Entry<P>> {
        let entry = self.calls.remove(&id)?;
        self.deadlines.remove(&(entry.call.deadline, id));
        if let Some(pool) = self.pool_of(&entry.call.target) {
            pool.queue.remove(&id);
        }
        Some(entry)
    }

    /// Fails a call that is not in flight, and sends what may go in its place.
    pub(super) fn fail(&mut self, now: Instant, id: CallId, failure: Failure) {
        if let Some(target) = self.end(id, failure) {
            self.drain_target(now, &target);
        }
    }

    /// Fails a call that is not in flight. One that was lost with a peer before may have been executed there, whatever
    /// became of it afterwards.
    pub(super) fn end(&mut self, id: CallId, failure: Failure) -> Option<Target> {
        let entry = self.remove(id)?;
        let failure = match (failure, entry.lost) {
            (Failure::TimedOut { .. }, Some(_)) => Failure::TimedOut { maybe_executed: true },
            (failure @ (Failure::TimedOut { .. } | Failure::PeerLost { .. }), _) | (failure, None) => failure,
            (_, Some(peer)) => Failure::PeerLost { peer, maybe_executed: true },
        };
        self.refuse(id, failure);
        Some(entry.call.target)
    }

    /// Fails a call that was never admitted.
    pub(super) fn refuse(&mut self, call: CallId, failure: Failure) {
        self.outputs.push_back(Output::Failed { call, failure });
    }
}
