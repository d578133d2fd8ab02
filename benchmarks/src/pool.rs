//! The calls of `pool`: eight workers of which one is five times slower, four callers that together ask for half of
//! what the workers can do.
//!
//! Calls are due at random times (exponential gaps, the same for every contender) whether or not earlier ones have
//! been answered, and their time counts from when they were due: a policy that lets calls pile up behind the slow
//! worker shows it.

use crate::Result;
use crate::calls::{Calculator, Server, check, operands};
use crate::session::Session;
use crate::stopwatch::percentiles;
use futures_util::future::try_join_all;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How many workers there are, all in one process; the last one is slow.
pub(crate) const WORKERS: usize = 8;
/// How many callers there are, all in the other process.
pub(crate) const CALLERS: u64 = 4;
/// Each call's deadline. A call that fails counts as one that took this long, or longer if it did.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// How long a smoke run is, without warm-up.
pub(crate) const QUICK_SECONDS: f64 = 2.0;

/// How long a worker takes for a call; it works on one at a time.
const SERVICE_TIME: Duration = Duration::from_millis(10);
/// How much longer the slow one takes.
const SLOWER: u32 = 5;
/// What part of the workers' capacity the callers ask for.
const LOAD: f64 = 0.5;

/// Calls a second, all callers together.
fn rate() -> f64 {
    let fast = (WORKERS - 1) as f64 / SERVICE_TIME.as_secs_f64();
    LOAD * (fast + 1.0 / (SERVICE_TIME * SLOWER).as_secs_f64())
}

/// How many calls that is in so many seconds.
pub(crate) fn calls_in(seconds: f64) -> u64 {
    (seconds * rate()).ceil() as u64
}

/// One worker.
#[derive(Clone)]
pub(crate) struct Worker {
    server: Server,
    time: Duration,
    /// Worked on in the order of arrival.
    turn: Arc<Semaphore>,
}

impl Worker {
    /// All workers of this process.
    pub(crate) fn all(session: &Session) -> Vec<Self> {
        let server = Server::new(session);
        let worker = |index| Self {
            server: server.clone(),
            time: if index == WORKERS - 1 { SERVICE_TIME * SLOWER } else { SERVICE_TIME },
            turn: Arc::new(Semaphore::new(1)),
        };
        (0..WORKERS).map(worker).collect()
    }

    /// Waits for its turn and works.
    pub(crate) async fn add(&self, a: i64, b: i64) -> i64 {
        // Never closed, and without a permit the work would only be done earlier.
        let _turn = self.turn.acquire().await;
        sleep(self.time).await;
        self.server.add(a, b)
    }
}

/// Makes the calls, each caller with a client of its own, and reports.
pub(crate) async fn run(session: Session, clients: Vec<impl Calculator>) -> Result<Infallible> {
    let callers = clients.into_iter().enumerate().map(|(index, client)| {
        let session = session.clone();
        tokio::spawn(caller(session, index as u64, client))
    });
    let done: Result<Vec<_>> = try_join_all(callers).await?.into_iter().collect();
    let (mut times, mut failed, mut reason) = (Vec::new(), 0, None);
    for outcome in done?.into_iter().flatten() {
        match outcome {
            Ok(time) => times.push(time),
            Err((time, error)) => {
                times.push(time.max(DEADLINE));
                failed += 1;
                reason.get_or_insert(error);
            }
        }
    }
    if let Some(reason) = reason.filter(|_| failed == times.len()) {
        return Err(format!("no call was answered: {reason}").into());
    }
    let failed_percent = 100.0 * failed as f64 / times.len().max(1) as f64;
    let mut numbers = percentiles(times);
    if let Value::Object(numbers) = &mut numbers {
        numbers.insert("failed_percent".into(), failed_percent.into());
    }
    session.result(numbers).await
}

/// How long a call took and, if it failed, why.
type Outcome = std::result::Result<Duration, (Duration, crate::Error)>;

/// Makes every `CALLERS`-th call.
async fn caller(session: Session, index: u64, client: impl Calculator) -> Result<Vec<Outcome>> {
    let mut gaps = Gaps::new(index, CALLERS as f64 / rate());
    let (mut due_at, mut calls) = (Instant::now(), JoinSet::new());
    for number in (index..session.job.total()).step_by(CALLERS as usize) {
        due_at += gaps.draw();
        sleep_until(due_at).await;
        let measured = number >= session.job.warmup;
        if measured {
            session.measure();
        }
        let client = client.clone();
        calls.spawn(async move {
            let (a, b) = operands(number);
            let result = client.add(a, b).await;
            let time = due_at.elapsed();
            let outcome = match result {
                Ok(result) => {
                    check(number, result)?;
                    Ok(time)
                }
                Err(error) => Err((time, error)),
            };
            Ok(measured.then_some(outcome))
        });
    }
    let done: Result<Vec<Option<Outcome>>> = calls.join_all().await.into_iter().collect();
    Ok(done?.into_iter().flatten().collect())
}

/// Exponentially distributed times from a seed (SplitMix64), so that every run has the same ones.
struct Gaps {
    state: u64,
    mean: f64,
}

impl Gaps {
    fn new(seed: u64, mean: f64) -> Self {
        Self { state: seed, mean }
    }

    fn draw(&mut self) -> Duration {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // In (0, 1], so that the logarithm is finite.
        let share = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - share).ln() * self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_ask_for_half_of_what_seven_workers_and_a_slow_one_can_do() {
        assert!((rate() - 360.0).abs() < 1e-6, "{}", rate());
        assert_eq!(calls_in(60.0), 21_600);
    }

    #[test]
    fn gaps_have_the_mean_they_were_asked_for_and_are_the_same_for_the_same_seed() {
        let draw = |seed| {
            let mut gaps = Gaps::new(seed, 0.01);
            (0..10_000).map(|_| gaps.draw()).collect::<Vec<_>>()
        };
        let mean = draw(1).iter().sum::<Duration>().as_secs_f64() / 10_000.0;
        assert!((0.0095..0.0105).contains(&mean), "{mean}");
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
