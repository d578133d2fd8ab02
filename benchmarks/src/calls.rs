//! The calls of `call` and `call-sequential`: their numbers, who makes them, who checks and who counts them.

use crate::Result;
use crate::session::Session;
use crate::stopwatch::{Span, percentiles, rate};
use crate::workload::{WINDOW, Workload};
use futures_util::future::try_join_all;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A contender's client.
pub(crate) trait Calculator: Clone + Send + Sync + 'static {
    /// Calls the other process.
    fn add(&self, a: i64, b: i64) -> impl Future<Output = Result<i64>> + Send;
}

/// The two numbers of a call; one to three digits each.
pub(crate) fn operands(number: u64) -> (i64, i64) {
    ((number % 1000) as i64, (number * 7 % 1000) as i64)
}

/// Verifies the result of the call with this number.
pub(crate) fn check(number: u64, result: i64) -> Result<()> {
    let (a, b) = operands(number);
    if result == a + b { Ok(()) } else { Err(format!("call {number}: {a} + {b} is not {result}").into()) }
}

/// The serving side: adds, and notices the end of the warm-up.
#[derive(Clone)]
pub(crate) struct Server {
    session: Session,
    seen: Arc<AtomicU64>,
}

impl Server {
    pub(crate) fn new(session: &Session) -> Self {
        Self { session: session.clone(), seen: Arc::default() }
    }

    pub(crate) fn add(&self, a: i64, b: i64) -> i64 {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.session.job.warmup {
            self.session.measure();
        }
        a + b
    }
}

/// Makes the calls of either workload and reports.
pub(crate) async fn run(session: Session, client: impl Calculator) -> Result<Infallible> {
    match session.job.workload {
        Workload::Call => concurrent(session, client).await,
        _ => sequential(session, client).await,
    }
}

async fn concurrent(session: Session, client: impl Calculator) -> Result<Infallible> {
    let (warmup, total) = (session.job.warmup, session.job.total());
    let next = Arc::new(AtomicU64::new(0));
    callers(&client, &next, warmup).await?;
    session.measure();
    next.store(warmup, Ordering::Relaxed);
    let started_at = Instant::now();
    callers(&client, &next, total).await?;
    let span = Span { started_at, ended_at: Instant::now() };
    session.result(rate(&[span], session.job.count)).await
}

/// One task per caller, each with one call under way, until the numbers below `end` are used up.
async fn callers(client: &impl Calculator, next: &Arc<AtomicU64>, end: u64) -> Result<()> {
    let callers = (0..WINDOW).map(|_| {
        let (client, next) = (client.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return Ok(());
                }
                let (a, b) = operands(number);
                check(number, client.add(a, b).await?)?;
            }
        })
    });
    try_join_all(callers).await?.into_iter().collect()
}

/// One call after the other, each timed.
async fn sequential(session: Session, client: impl Calculator) -> Result<Infallible> {
    let mut times = Vec::new();
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        let (a, b) = operands(number);
        let sent_at = Instant::now();
        let result = client.add(a, b).await?;
        if number >= session.job.warmup {
            times.push(sent_at.elapsed());
        }
        check(number, result)?;
    }
    session.result(percentiles(times)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_sum_is_an_error() {
        let (a, b) = operands(12_345);
        assert!(check(12_345, a + b).is_ok());
        assert!(check(12_345, a + b + 1).is_err());
    }
}
