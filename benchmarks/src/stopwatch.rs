//! Turns counts and instants into the numbers of a result.

use crate::Result;
use crate::session::Session;
use crate::workload::Checker;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Checks the messages of one receiver and times those after the warm-up.
pub(crate) struct Stopwatch {
    checker: Checker,
    lap: Lap,
}

impl Stopwatch {
    pub(crate) fn new(session: &Session) -> Self {
        Self { checker: Checker::new(session.job.workload.size()), lap: Lap::new(session) }
    }

    /// Takes the next message; returns when the watch started and stopped once it is the last.
    pub(crate) fn take(&mut self, message: &[u8]) -> Result<Option<Span>> {
        self.checker.check(message)?;
        Ok(self.lap.count())
    }
}

/// Times what comes after the warm-up.
pub(crate) struct Lap {
    session: Session,
    seen: u64,
    started_at: Option<Instant>,
}

impl Lap {
    pub(crate) fn new(session: &Session) -> Self {
        Self { session: session.clone(), seen: 0, started_at: None }
    }

    /// Counts one; returns when the watch started and stopped once it is the last.
    pub(crate) fn count(&mut self) -> Option<Span> {
        self.seen += 1;
        if self.seen == self.session.job.warmup {
            self.session.measure();
            self.started_at = Some(Instant::now());
        }
        let started_at = self.started_at.filter(|_| self.seen == self.session.job.total());
        started_at.map(|started_at| Span { started_at, ended_at: Instant::now() })
    }
}

/// The time the measured messages took.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) started_at: Instant,
    pub(crate) ended_at: Instant,
}

/// Messages per second over several receivers: from the first start to the last end.
pub(crate) fn rate(spans: &[Span], count_each: u64) -> Value {
    let started_at = spans.iter().map(|span| span.started_at).min();
    let ended_at = spans.iter().map(|span| span.ended_at).max();
    let seconds = started_at.zip(ended_at).map_or(0.0, |(start, end)| (end - start).as_secs_f64());
    let count = count_each as f64 * spans.len() as f64;
    json!({ "seconds": seconds, "rate": count / seconds.max(1e-9) })
}

/// Median, upper percentiles and sum of some times.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len().saturating_sub(1)) as f64 * share;
        times.get(index.round() as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let seconds = times.iter().sum::<Duration>().as_secs_f64();
    json!({
        "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": at(1.0), "seconds": seconds,
    })
}
