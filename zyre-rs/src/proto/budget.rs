//! Token buckets: how often something may happen, so that a flood costs the flooder only.

use super::bug::{Bug, bug};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Refills at `rate` per second up to `burst`.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn full(now: Instant, burst: f64) -> Self {
        Self { tokens: burst, filled_at: now }
    }

    fn refill(&mut self, now: Instant, rate: f64, burst: f64) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(burst);
        self.filled_at = now;
    }
}

/// How many unknown UUIDs may become peers (attack row B2): 50/s with a burst of 200 per source address, 200/s in
/// all. Refusing is safe, since beacons repeat.
#[derive(Debug)]
pub(super) struct NewcomerBudget {
    all: Bucket,
    per_source: BTreeMap<IpAddr, Bucket>,
}

impl NewcomerBudget {
    const RATE_ALL: f64 = 200.0;
    const RATE_SOURCE: f64 = 50.0;
    const BURST: f64 = 200.0;
    /// A source whose bucket is full again is forgotten when the table has this many.
    const MAX_SOURCES: usize = 1_024;

    pub(super) fn new(now: Instant) -> Self {
        Self { all: Bucket::full(now, Self::BURST), per_source: BTreeMap::new() }
    }

    /// Whether one more newcomer from this address is welcome now.
    pub(super) fn take(&mut self, now: Instant, source: IpAddr) -> bool {
        self.all.refill(now, Self::RATE_ALL, Self::BURST);
        if self.all.tokens < 1.0 {
            return false;
        }
        if !self.per_source.contains_key(&source) && self.per_source.len() >= Self::MAX_SOURCES {
            let refill_time = Duration::from_secs_f64(Self::BURST / Self::RATE_SOURCE);
            self.per_source.retain(|_, bucket| now.saturating_duration_since(bucket.filled_at) < refill_time);
            if self.per_source.len() >= Self::MAX_SOURCES {
                return false;
            }
        }
        let bucket = self.per_source.entry(source).or_insert_with(|| Bucket::full(now, Self::BURST));
        bucket.refill(now, Self::RATE_SOURCE, Self::BURST);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        self.all.tokens -= 1.0;
        true
    }
}

/// A wait that doubles with each use up to a limit, spread by up to a quarter so that peers do not march in step.
///
/// Kept in milliseconds: every peer has three.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: u32,
    max: u32,
    next: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        let millis = |wait: Duration| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Self { first: millis(first), max: millis(max), next: millis(first) }
    }

    /// The next wait. `spread` is any number; its low bits choose the place inside the spread.
    pub(super) fn step(&mut self, spread: u64) -> Duration {
        let wait = Duration::from_millis(if bug(Bug::NoBackoff) { 0 } else { self.next.into() });
        self.next = self.next.saturating_mul(2).min(self.max);
        let quarter = wait / 4;
        wait - quarter + quarter.mul_f64((spread & 0xff) as f64 / 255.0)
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may begin at the present")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_source_is_held_to_its_share_and_another_still_gets_in() {
        let start = Instant::now();
        let mut budget = NewcomerBudget::new(start);
        let flooder = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
        let taken = (0..1_000).filter(|_| budget.take(start, flooder)).count();
        assert_eq!(taken, 200);
        let later = start + Duration::from_secs(1);
        let taken = (0..1_000).filter(|_| budget.take(later, flooder)).count();
        assert_eq!(taken, 50);
        assert!(budget.take(later, IpAddr::from(Ipv4Addr::new(10, 0, 0, 2))));
    }

    #[test]
    fn many_sources_together_are_held_to_the_whole_rate() {
        let start = Instant::now();
        let mut budget = NewcomerBudget::new(start);
        let sources = (0..5_000_u32).map(|n| IpAddr::from(Ipv4Addr::from(n)));
        assert_eq!(sources.filter(|source| budget.take(start, *source)).count(), 200);
    }

    #[test]
    fn a_backoff_doubles_to_its_limit_within_its_spread() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.step(0xff).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        backoff.reset();
        assert_eq!(backoff.step(0).as_millis(), 75);
    }
}
