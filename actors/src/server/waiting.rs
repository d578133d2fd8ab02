//! The queue of one service: bounded, first come first served per caller, callers by turns.

use super::Ticket;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use zyre_rs::PeerId;

/// Requests that wait for a slot, at most `limit`.
///
/// Overflow: a caller that has less than an equal share of the queue takes the place of the newest request of the
/// caller that has the longest line; everyone else is refused. So no caller can keep the others out, and a caller
/// that is alone may use all of it.
#[derive(Debug)]
pub(super) struct Waiting {
    limit: usize,
    len: usize,
    /// Tickets grow, so each line is in order of arrival. No line is empty.
    lines: BTreeMap<PeerId, BTreeSet<Ticket>>,
    /// Who had the last turn; the next one is the peer after it.
    last: Option<PeerId>,
}

/// What becomes of a request that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// After this request has been put out.
    InsteadOf(Ticket),
    None,
}

impl Waiting {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, len: 0, lines: BTreeMap::new(), last: None }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one more request of this peer may wait.
    pub(super) fn room(&self, peer: PeerId) -> Room {
        if self.len < self.limit {
            return Room::Free;
        }
        let line = self.lines.get(&peer).map_or(0, BTreeSet::len);
        let callers = self.lines.len() + usize::from(line == 0);
        // Below the share of all, somebody else is above it by more than the one place that changes hands, so that
        // two callers never push each other out by turns.
        if line >= self.limit / callers {
            return Room::None;
        }
        let longest = self.lines.values().max_by_key(|line| line.len());
        longest.and_then(BTreeSet::last).map_or(Room::None, |&newest| Room::InsteadOf(newest))
    }

    pub(super) fn push(&mut self, peer: PeerId, ticket: Ticket) {
        if self.lines.entry(peer).or_default().insert(ticket) {
            self.len += 1;
        }
    }

    /// Takes out the oldest request of the caller whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Ticket> {
        let after = self.last.map_or(Unbounded, Excluded);
        let next = self.lines.range((after, Unbounded)).next().or_else(|| self.lines.first_key_value());
        let (&peer, line) = next?;
        let ticket = *line.first()?;
        self.last = Some(peer);
        self.remove(peer, ticket);
        Some(ticket)
    }

    pub(super) fn remove(&mut self, peer: PeerId, ticket: Ticket) {
        let Some(line) = self.lines.get_mut(&peer) else { return };
        if line.remove(&ticket) {
            self.len -= 1;
        }
        if line.is_empty() {
            self.lines.remove(&peer);
        }
    }
}
