//! How long a provider takes to answer: a peak-sensitive, exponentially weighted moving average of round trips.

use std::time::Duration;
use tokio::time::Instant;

/// Goes up at once to a longer round trip and comes down slowly with shorter ones: a provider that was slow just now
/// has to show that it no longer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    nanos: f64,
    updated_at: Instant,
}

impl Latency {
    /// The time after which a peak counts for a third. Chosen by the model (`caller/model.rs`).
    const DECAY: Duration = Duration::from_secs(5);

    pub(super) fn new(now: Instant, estimate: Duration) -> Self {
        Self { nanos: nanos(estimate), updated_at: now }
    }

    /// A round trip has ended.
    pub(super) fn sample(&mut self, now: Instant, round_trip: Duration) {
        let sample = nanos(round_trip);
        if sample >= self.nanos {
            self.nanos = sample;
        } else {
            self.nanos = sample + (self.nanos - sample) * self.kept(now);
        }
        self.updated_at = now;
    }

    /// Nobody knows how long it would have taken, only that it took longer than this.
    pub(super) fn at_least(&mut self, now: Instant, waited: Duration) {
        if nanos(waited) > self.nanos {
            self.sample(now, waited);
        }
    }

    /// What a call would take there now. An estimate fades while nothing is in flight, so that a provider that was
    /// slow once is asked again.
    pub(super) fn estimate(&self, now: Instant, idle: bool) -> Duration {
        let nanos = if idle { self.nanos * self.kept(now) } else { self.nanos };
        Duration::from_nanos(nanos as u64)
    }

    fn kept(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.updated_at);
        (-elapsed.as_secs_f64() / Self::DECAY.as_secs_f64()).exp()
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_longer_round_trip_counts_at_once_and_a_shorter_one_by_and_by() {
        let now = Instant::now();
        let mut latency = Latency::new(now, MS);
        latency.sample(now, 10 * MS);
        assert_eq!(latency.estimate(now, false), 10 * MS);
        latency.sample(now, MS);
        assert_eq!(latency.estimate(now, false), 10 * MS);
        let later = now + Latency::DECAY;
        latency.sample(later, MS);
        let estimate = latency.estimate(later, false);
        assert!(estimate > 4 * MS && estimate < 5 * MS, "{estimate:?}");
    }

    #[test]
    fn an_estimate_fades_only_while_nothing_is_in_flight() {
        let now = Instant::now();
        let latency = Latency::new(now, 10 * MS);
        let later = now + 2 * Latency::DECAY;
        assert_eq!(latency.estimate(later, false), 10 * MS);
        assert!(latency.estimate(later, true) < 2 * MS);
    }

    #[test]
    fn waiting_in_vain_only_raises_the_estimate() {
        let now = Instant::now();
        let mut latency = Latency::new(now, 10 * MS);
        latency.at_least(now, MS);
        assert_eq!(latency.estimate(now, false), 10 * MS);
        latency.at_least(now, 20 * MS);
        assert_eq!(latency.estimate(now, false), 20 * MS);
    }
}
