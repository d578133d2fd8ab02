//! When a peer was last heard, and what its silence calls for.
//!
//! Two clocks run: beacons and TCP both count as life (the peer does not expire), but only TCP proves
//! that its session works. Events come once per transition, not per tick.

use super::bug::{Bug, bug};
use crate::Timers;
use std::time::{Duration, Instant};

/// Time between pings of a quiet peer, and grace for the answer to the first one.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_GRACE: Duration = Duration::from_millis(500);
/// A peer that beacons is mute this long before it gets a new session. An outage that ends sooner than it
/// expires costs no session: quiet before it (evasive), the outage itself and the wait of TCP's
/// retransmission timer after it, which is as long again, are no reason to doubt the connection.
const MUTE_AFTER: Duration = Duration::from_secs(15);
/// Beacons that stay away so long and come back tell of a longer outage; TCP gets so long to come back as well.
const OUTAGE: Duration = Duration::from_secs(5);
const AFTER_OUTAGE: Duration = Duration::from_secs(8);
/// Between new sessions with a peer that beacons and does not answer.
const REGREET_FIRST: Duration = Duration::from_secs(10);
const REGREET_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fresh,
    Evasive,
    Silent,
}

/// What is due for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask it for a sign of life.
    Ping,
    /// Tell it that we live although we do not read it at present.
    KeepAlive,
    /// The application learns that it is evasive.
    Evasive,
    /// The application learns that it is silent.
    Silent,
    /// It beacons but its session is dead: greet it anew.
    Regreet,
    /// It is gone.
    Expire,
}

#[derive(Clone, Debug)]
pub(super) struct Liveness {
    heard_at: Instant,
    seen_at: Instant,
    /// When beacons came back after an outage.
    back_at: Option<Instant>,
    pinged_at: Option<Instant>,
    regreet_at: Instant,
    regreet_after: Duration,
    mood: Mood,
    stalled: bool,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard_at: now,
            seen_at: now,
            back_at: None,
            pinged_at: None,
            regreet_at: now,
            regreet_after: REGREET_FIRST,
            mood: Mood::Fresh,
            stalled: false,
        }
    }

    /// A message came over TCP.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.seen_at = now;
        self.back_at = None;
        self.pinged_at = None;
        self.mood = Mood::Fresh;
        self.regreet_after = REGREET_FIRST;
    }

    /// A beacon came.
    pub(super) fn seen(&mut self, now: Instant) {
        if now >= self.seen_at + OUTAGE {
            self.back_at = Some(now);
        }
        self.seen_at = now;
    }

    /// Whether it gave a sign of life; one that we do not read might have.
    pub(super) fn heard_since(&self, at: Instant) -> bool {
        self.stalled || self.heard_at > at
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Silence that our own slowness causes is not absence.
    pub(super) fn set_stalled(&mut self, now: Instant, stalled: bool) {
        if self.stalled != stalled && !bug(Bug::BlamesStall) {
            self.heard(now);
            self.stalled = stalled;
        }
    }

    /// This node itself was not running for so long: nobody is to blame for that time.
    pub(super) fn forgive(&mut self, lateness: Duration, now: Instant) {
        self.heard_at = (self.heard_at + lateness).min(now);
        self.seen_at = (self.seen_at + lateness).min(now);
    }

    /// A quiet peer is asked a little before it is evasive: zyre calls *us* evasive after as long a silence, and would
    /// as often as not do so just before our PING.
    fn ping_after(timers: &Timers) -> Duration {
        timers.evasive * 4 / 5
    }

    fn expires_at(&self, timers: &Timers) -> Instant {
        self.seen_at + if bug(Bug::NeverExpires) { timers.expired * 100 } else { timers.expired }
    }

    fn grace(timers: &Timers) -> Duration {
        PING_GRACE.min(timers.evasive / 2)
    }

    /// The next thing that is due at `now`, if any; ask until there is none. `ready`: has the peer said HELLO?
    pub(super) fn due(&mut self, now: Instant, timers: &Timers, ready: bool) -> Option<Due> {
        if now < self.next_deadline(timers, ready) {
            return None;
        }
        if self.stalled {
            self.pinged_at = Some(now);
            return Some(Due::KeepAlive);
        }
        if now >= self.expires_at(timers) {
            return Some(Due::Expire);
        }
        let quiet = now.saturating_duration_since(self.heard_at);
        let grace = Self::grace(timers);
        if ready && self.mood == Mood::Fresh && quiet >= timers.evasive + grace {
            self.mood = Mood::Evasive;
            return Some(Due::Evasive);
        }
        if ready && self.mood == Mood::Evasive && quiet >= timers.silent + grace {
            self.mood = Mood::Silent;
            return Some(Due::Silent);
        }
        if self.may_regreet(timers, ready) && now >= self.regreet_at(timers, ready) {
            self.regreet_at = now + self.regreet_after;
            self.regreet_after = (self.regreet_after * 2).min(REGREET_MAX);
            return Some(Due::Regreet);
        }
        if ready && quiet >= Self::ping_after(timers) {
            self.pinged_at = Some(now);
            return Some(Due::Ping);
        }
        None
    }

    /// A peer that beacons but is mute gets a new session; one that does neither is left to expire.
    fn may_regreet(&self, timers: &Timers, ready: bool) -> bool {
        let beacons = self.seen_at > self.heard_at + timers.evasive;
        beacons && (self.mood == Mood::Silent || !ready)
    }

    fn regreet_at(&self, timers: &Timers, ready: bool) -> Instant {
        let mute_at = self.heard_at
            + if ready { timers.silent.max(MUTE_AFTER.min(timers.expired / 2)) } else { timers.evasive };
        let back_at = self.back_at.filter(|_| ready).map_or(mute_at, |at| at + AFTER_OUTAGE);
        self.regreet_at.max(mute_at).max(back_at)
    }

    /// When to ask [`due`](Self::due) again.
    pub(super) fn next_deadline(&self, timers: &Timers, ready: bool) -> Instant {
        let ping_interval = PING_INTERVAL.min(timers.evasive.max(Duration::from_millis(50)));
        if self.stalled {
            return self.pinged_at.map_or(self.heard_at, |at| at) + ping_interval;
        }
        let mut next = self.expires_at(timers);
        if self.may_regreet(timers, ready) {
            next = next.min(self.regreet_at(timers, ready));
        }
        if ready {
            let first_at = self.heard_at + Self::ping_after(timers);
            let ping_at = self.pinged_at.map_or(first_at, |at| (at + ping_interval).max(first_at));
            let mood_at = match self.mood {
                Mood::Fresh => self.heard_at + timers.evasive + Self::grace(timers),
                Mood::Evasive => self.heard_at + timers.silent + Self::grace(timers),
                Mood::Silent => next,
            };
            next = next.min(ping_at).min(mood_at);
        }
        next
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may begin at the present")]
mod tests {
    use super::*;

    /// Walks from deadline to deadline and says what was due at which second.
    fn history(liveness: &mut Liveness, start: Instant, seconds: f64, beacons: bool) -> Vec<(f64, Due)> {
        let timers = Timers::default();
        let end = start + Duration::from_secs_f64(seconds);
        let mut seen = Vec::new();
        let mut beacon_at = start;
        loop {
            let mut next = liveness.next_deadline(&timers, true);
            if beacons {
                beacon_at += Duration::from_secs(1);
                while beacon_at <= next.min(end) {
                    liveness.seen(beacon_at);
                    beacon_at += Duration::from_secs(1);
                    next = liveness.next_deadline(&timers, true);
                }
                beacon_at -= Duration::from_secs(1);
            }
            if next > end {
                return seen;
            }
            while let Some(due) = liveness.due(next, &timers, true) {
                seen.push(((next - start).as_secs_f64(), due));
                if due == Due::Expire {
                    return seen;
                }
            }
        }
    }

    #[test]
    fn a_silent_peer_is_pinged_each_second_evasive_and_silent_once_and_expires_at_30_s() {
        let start = Instant::now();
        let history = history(&mut Liveness::new(start), start, 60.0, false);
        assert_eq!(history.first(), Some(&(4.0, Due::Ping)));
        assert_eq!(history.last(), Some(&(30.0, Due::Expire)));
        let count = |due| history.iter().filter(|(_, seen)| *seen == due).count();
        assert_eq!((count(Due::Evasive), count(Due::Silent), count(Due::Regreet)), (1, 1, 0));
        assert!(count(Due::Ping) >= 20, "{history:?}");
    }

    #[test]
    fn a_peer_that_beacons_but_is_mute_never_expires_and_is_greeted_anew() {
        let start = Instant::now();
        let history = history(&mut Liveness::new(start), start, 100.0, true);
        let count = |due| history.iter().filter(|(_, seen)| *seen == due).count();
        assert_eq!((count(Due::Evasive), count(Due::Silent), count(Due::Expire)), (1, 1, 0));
        assert!((3..=6).contains(&count(Due::Regreet)), "{history:?}");
    }

    #[test]
    fn a_stalled_peer_gets_signs_of_life_and_never_expires() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        liveness.set_stalled(start, true);
        let history = history(&mut liveness, start, 50.0, false);
        assert!(history.iter().all(|(_, due)| *due == Due::KeepAlive));
        assert!(history.len() >= 45);
    }

    #[test]
    fn any_message_ends_the_evasive_state_so_that_it_can_be_told_again() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        assert_eq!(history(&mut liveness, start, 5.9, false).last(), Some(&(5.5, Due::Evasive)));
        let later = start + Duration::from_secs(6);
        liveness.heard(later);
        assert_eq!(history(&mut liveness, later, 5.9, false).last(), Some(&(5.5, Due::Evasive)));
    }
}
