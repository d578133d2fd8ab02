//! One service: its slots, its queue, its pace, its figures.

use super::ending::Ending;
use super::waiting::{Room, Waiting};
use super::{Limits, Load, RETRY_AFTER, Ticket};
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// The shortest wait worth suggesting: less is the time of a round trip.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(5);

/// The longest: by then slots may be free for reasons no estimate knows.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A new time of one request counts this fraction of the mean.
const PACE_WEIGHT: u32 = 8;

#[derive(Debug)]
pub(super) struct Service {
    /// Requests worked on at once; at least 1.
    concurrency: usize,
    pub(super) waiting: Waiting,
    /// While it is set everything is refused.
    paused_until: Option<Instant>,
    drain: Drain,
    /// How long a request holds its slot, as a moving mean.
    pace: Option<Duration>,
    /// The figures; `waiting` is taken from the queue.
    load: Load,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    NotAsked,
    Asked,
    Told,
}

/// What becomes of a request on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Start,
    Wait,
    /// Wait, once this one has been put out.
    WaitInsteadOf(Ticket),
    Refuse,
}

impl Service {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            concurrency: limits.concurrency.max(1),
            waiting: Waiting::new(limits.queue),
            paused_until: None,
            drain: Drain::NotAsked,
            pace: None,
            load: Load::default(),
        }
    }

    pub(super) fn load(&self) -> Load {
        Load { waiting: self.waiting.len(), ..self.load }
    }

    pub(super) fn admit(&self, peer: PeerId) -> Admission {
        if self.paused_until.is_some() {
            return Admission::Refuse;
        }
        if self.load.running < self.concurrency {
            return Admission::Start;
        }
        match self.waiting.room(peer) {
            Room::Free => Admission::Wait,
            Room::InsteadOf(other) => Admission::WaitInsteadOf(other),
            Room::None => Admission::Refuse,
        }
    }

    /// Why nothing more is taken now.
    pub(super) fn refusal(&self, now: Instant) -> Ending {
        match self.paused_until {
            Some(until) => Ending::Restarting { retry_after: until.saturating_duration_since(now) },
            None => Ending::Overloaded { queue: self.waiting.limit(), retry_after: self.retry_after() },
        }
    }

    /// How long it takes to work off the queue at the pace of late.
    fn retry_after(&self) -> Duration {
        let Some(pace) = self.pace else { return RETRY_AFTER };
        let rounds = self.waiting.len() / self.concurrency + 1;
        pace.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX)).clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER)
    }

    /// The request to start now, if one waits and a slot is free.
    pub(super) fn next(&mut self) -> Option<Ticket> {
        (self.load.running < self.concurrency).then(|| self.waiting.pop()).flatten()
    }

    pub(super) fn on_start(&mut self) {
        self.load.running += 1;
        self.load.started += 1;
    }

    pub(super) fn on_abort(&mut self) {
        self.load.aborted += 1;
    }

    /// A slot is free again that was held for this time.
    pub(super) fn on_finish(&mut self, held_for: Duration, aborted: bool) {
        self.load.running -= 1;
        self.load.finished += 1;
        if aborted {
            self.load.aborted -= 1;
        }
        self.pace = Some(match self.pace {
            None => held_for,
            Some(mean) => mean - mean / PACE_WEIGHT + held_for / PACE_WEIGHT,
        });
    }

    pub(super) fn on_repeat(&mut self) {
        self.load.repeated += 1;
    }

    pub(super) fn on_replay(&mut self) {
        self.load.replayed += 1;
    }

    pub(super) fn on_ending(&mut self, ending: Ending, notification: bool) {
        match ending {
            Ending::Expired => self.load.expired += 1,
            Ending::Cancelled => self.load.cancelled += 1,
            Ending::PeerGone => self.load.lost += 1,
            // The service goes, and its figures with it.
            Ending::ActorGone => {}
            Ending::Overloaded { .. } | Ending::Restarting { .. } | Ending::Closed | Ending::IdInUse => {
                let count = if notification { &mut self.load.dropped } else { &mut self.load.refused };
                *count += 1;
            }
        }
    }

    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    pub(super) fn resume(&mut self) {
        self.paused_until = None;
    }

    pub(super) fn drain(&mut self) {
        if self.drain == Drain::NotAsked {
            self.drain = Drain::Asked;
        }
    }

    /// Whether it is to be told now that nothing is left.
    pub(super) fn drained(&mut self) -> bool {
        let drained = self.drain == Drain::Asked && self.load.running == 0 && self.waiting.is_empty();
        if drained {
            self.drain = Drain::Told;
        }
        drained
    }
}
