//! Peers that join, drain, are lost, fail and recover, and what becomes of their calls.

use super::Caller;
use crate::caller::pool::Pool;
use crate::caller::{CallId, Failure, Target};
use std::sync::Arc;
use tokio::time::Instant;
use zyre_rs::PeerId;

impl<P: Clone> Caller<P> {
    pub(super) fn on_join(&mut self, now: Instant, peer: PeerId, group: Arc<str>) {
        let ejected_until = self.health.ejected_until(peer);
        self.pools.entry(group.clone()).or_insert_with(Pool::new).join(now, peer, ejected_until);
        self.peers.entry(peer).or_default().groups.insert(group.clone());
        self.drain(now, &group);
    }

    pub(super) fn on_leave(&mut self, now: Instant, peer: PeerId, group: &Arc<str>) {
        if self.pools.get_mut(group).is_some_and(|pool| pool.leave(peer)) {
            self.forget_member(peer, group);
        }
        // Those that are left may be asked now although they are ejected.
        self.drain(now, group);
    }

    pub(super) fn on_exit(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for group in &peer.groups {
            if let Some(pool) = self.pools.get_mut(group) {
                pool.exit(id);
            }
        }
        if !peer.calls.is_empty() {
            self.on_failure(now, id);
        }
        for call in peer.calls {
            self.on_lost(now, call, id);
        }
        for group in &peer.groups {
            self.drain(now, group);
        }
    }

    /// The peer is gone that had the call: sends it to another if that is allowed, or fails it.
    fn on_lost(&mut self, now: Instant, id: CallId, peer: PeerId) {
        self.stats.lost += 1;
        let Some(entry) = self.calls.get_mut(&id) else { return };
        entry.flight = None;
        entry.lost = Some(peer);
        if entry.retried < entry.call.retries
            && entry.call.deadline > now
            && let Target::Group(group) = &entry.call.target
            && let Some(pool) = self.pools.get_mut(group)
        {
            if pool.budget.take(now) {
                self.stats.retries += 1;
                entry.retried += 1;
                pool.queue.insert(id);
                return;
            }
            self.stats.retries_over_budget += 1;
        }
        self.end(id, Failure::PeerLost { peer, maybe_executed: true });
    }

    /// The peer is left alone for a while.
    pub(super) fn on_evasive(&mut self, now: Instant, peer: PeerId) {
        let until = self.health.evasive(now, peer, &mut self.random);
        self.eject(now, peer, until);
    }

    pub(super) fn on_capacity(&mut self, now: Instant, peer: PeerId, group: &Arc<str>, concurrency: u32) {
        if let Some(pool) = self.pools.get_mut(group) {
            pool.set_capacity(peer, concurrency);
        }
        self.drain(now, group);
    }

    /// A send failed, a call timed out or was lost with the peer.
    pub(super) fn on_failure(&mut self, now: Instant, peer: PeerId) {
        let until = self.health.failed(now, peer, &mut self.random);
        self.eject(now, peer, until);
    }

    /// The peer has sent something that only a provider sends.
    pub(super) fn on_life(&mut self, now: Instant, peer: PeerId) {
        if self.health.alive(peer) {
            self.set_ejected(now, peer, None);
        }
    }

    fn eject(&mut self, now: Instant, peer: PeerId, until: Option<Instant>) {
        if until.is_some() {
            self.stats.ejections += 1;
            self.set_ejected(now, peer, until);
        }
    }

    fn set_ejected(&mut self, now: Instant, peer: PeerId, until: Option<Instant>) {
        let Some(groups) = self.peers.get(&peer).map(|peer| peer.groups.clone()) else { return };
        for group in &groups {
            if let Some(pool) = self.pools.get_mut(group) {
                pool.set_ejected(peer, until);
            }
            // Either may let calls go: this one may be asked again, or all are ejected and are asked all the same.
            self.drain(now, group);
        }
    }

    /// The peer has left the group and finished what it had.
    pub(super) fn forget_member(&mut self, id: PeerId, group: &str) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.groups.remove(group);
            self.forget_idle(id);
        }
    }

    /// Forgets a peer that is in no group and has no calls.
    pub(super) fn forget_idle(&mut self, id: PeerId) {
        if self.peers.get(&id).is_some_and(|peer| peer.groups.is_empty() && peer.calls.is_empty()) {
            self.peers.remove(&id);
        }
    }
}
