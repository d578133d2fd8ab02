//! What a measurement has come to so far, added to by all its clients.

use crate::output::MeasuredResult;
use hdrhistogram::Histogram;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest latency told apart: no answer is awaited longer in earnest, and what took longer counts as that.
const LONGEST: Duration = Duration::from_secs(3600);
/// Decimal places of a latency that are right.
const DIGITS: u8 = 3;

/// Answers that have not come, and why.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) answers: u64,
    pub(super) why: String,
}

/// Of all answers to one message, those that came; the time is that of the last one.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answers: u64,
    pub(super) at: Instant,
}

pub(super) struct Tally(Mutex<Inner>);

struct Inner {
    latencies: Histogram<u64>,
    began: Option<Instant>,
    ended: Option<Instant>,
    sent: u64,
    answered: u64,
    lost: u64,
    missed: u64,
    why: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        #[expect(clippy::expect_used, reason = "the bounds are constants, and right ones")]
        let latencies = Histogram::new_with_bounds(1, longest, DIGITS).expect("bounds that make a histogram");
        let (began, ended, why) = (None, None, None);
        Self(Mutex::new(Inner { latencies, began, ended, sent: 0, answered: 0, lost: 0, missed: 0, why }))
    }
}

impl Tally {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, now: Instant) {
        self.inner().began = Some(now);
    }

    /// Counts what became of a message that was due then.
    pub(super) fn add(&self, due: Instant, outcome: Result<Answered, Lost>, now: Instant) {
        let mut inner = self.inner();
        inner.sent += 1;
        inner.ended = Some(now);
        match outcome {
            Ok(Answered { answers, at }) => {
                let latency = at.saturating_duration_since(due).as_nanos();
                inner.latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
                inner.answered += answers;
            }
            Err(Lost { answers, why }) => {
                inner.lost += answers;
                inner.why = Some(why);
            }
        }
    }

    /// Counts answers that came to a message of which others are lost.
    pub(super) fn add_partly(&self, answers: u64) {
        self.inner().answered += answers;
    }

    /// Counts messages that were due and never began.
    pub(super) fn miss(&self, missed: u64) {
        self.inner().missed += missed;
    }

    /// In a few words, for the bar.
    pub(super) fn in_short(&self) -> String {
        let result = self.result().0;
        format!("{:.0}/s, p50 {:.3} ms, {} lost", result.per_second(), result.p50_us / 1e3, result.lost)
    }

    /// The figures so far, and why the last answer that was lost was.
    pub(super) fn result(&self) -> (MeasuredResult, Option<String>) {
        let inner = self.inner();
        let span = inner.began.zip(inner.ended).map(|(began, ended)| ended - began).unwrap_or_default();
        let at = |share: f64| micros(inner.latencies.value_at_quantile(share));
        let complete = !inner.latencies.is_empty();
        let result = MeasuredResult {
            seconds: span.as_secs_f64(),
            sent: inner.sent,
            answered: inner.answered,
            lost: inner.lost,
            missed: inner.missed,
            complete,
            min_us: if complete { micros(inner.latencies.min()) } else { 0.0 },
            mean_us: inner.latencies.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: if complete { micros(inner.latencies.max()) } else { 0.0 },
        };
        (result, inner.why.clone())
    }
}

#[expect(clippy::cast_precision_loss, reason = "an hour in nanoseconds is below 2^53")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_counts_from_when_a_message_was_due() {
        let (tally, due) = (Tally::default(), Instant::now());
        tally.begin(due);
        for n in 1..=1000 {
            let at = due + Duration::from_micros(n);
            tally.add(due, Ok(Answered { answers: 1, at }), at);
        }
        tally.add(due, Err(Lost { answers: 2, why: "gone".to_owned() }), due + Duration::from_secs(2));
        tally.miss(5);
        let (result, why) = tally.result();
        assert_eq!((result.sent, result.answered, result.lost, result.missed), (1001, 1000, 2, 5));
        assert_eq!(why.as_deref(), Some("gone"));
        for (figure, us) in [
            (result.min_us, 1.0),
            (result.p50_us, 500.0),
            (result.p90_us, 900.0),
            (result.p99_us, 990.0),
            (result.p999_us, 999.0),
            (result.max_us, 1000.0),
            (result.per_second(), 500.0),
        ] {
            assert!((figure / us - 1.0).abs() < 0.002, "{figure} is not {us}");
        }
    }

    #[test]
    fn a_latency_beyond_all_bounds_counts_as_the_longest() {
        let (tally, now) = (Tally::default(), Instant::now());
        tally.begin(now);
        tally.add(now, Ok(Answered { answers: 1, at: now + 2 * LONGEST }), now);
        assert!(tally.result().0.max_us >= 3.6e9);
    }
}
