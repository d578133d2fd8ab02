//! When messages are due.

use crate::command::send::due_after;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// Messages that may be due and not begun before the clock waits too; when they were due is known of all.
const AHEAD: usize = 1024;

/// Hands out messages to clients until the time is over.
pub(super) struct Schedule {
    end: Instant,
    begun: AtomicU64,
    /// With a rate: what is due, as it becomes so.
    due: Option<Mutex<mpsc::Receiver<Instant>>>,
    /// With a rate: how many become due in all.
    all: u64,
}

impl Schedule {
    pub(super) fn new(begin: Instant, duration: Duration, rate: Option<f64>) -> Self {
        let all = rate.map_or(0, |rate| due_in_all(duration, rate));
        let due = rate.map(|rate| Mutex::new(clock(begin, rate, all)));
        Self { end: begin + duration, begun: AtomicU64::new(0), due, all }
    }

    /// The number of the next message and when it is due; `None` when the time is over.
    pub(super) async fn next(&self) -> Option<(u64, Instant)> {
        let due = match &self.due {
            None => Instant::now(),
            Some(due) => due.lock().await.recv().await?,
        };
        (Instant::now() < self.end).then(|| (self.begun.fetch_add(1, Ordering::Relaxed), due))
    }

    /// How many were due and have not begun.
    pub(super) fn missed(&self) -> u64 {
        self.all.saturating_sub(self.begun.load(Ordering::Relaxed))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both factors are positive, and a float's cast saturates"
)]
fn due_in_all(duration: Duration, rate: f64) -> u64 {
    // The first is due at once; what is due at the very end is not sent any more.
    (duration.as_secs_f64() * rate).ceil() as u64
}

/// Tells what is due. A thread: tokio's timers are a millisecond coarse.
fn clock(begin: Instant, rate: f64, all: u64) -> mpsc::Receiver<Instant> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for number in 0..all {
            let due = begin + due_after(number, rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.blocking_send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_due_as_the_rate_makes_of_the_time() {
        assert_eq!(due_in_all(Duration::from_secs(10), 500.0), 5000);
        assert_eq!(due_in_all(Duration::from_millis(1), 1.0), 1);
    }

    #[tokio::test]
    async fn what_begins_late_was_due_in_time() {
        let begin = Instant::now();
        let schedule = Schedule::new(begin, Duration::from_secs(60), Some(1000.0));
        // Whoever takes them late is told when each was due all the same.
        for number in 0..20 {
            assert_eq!(schedule.next().await, Some((number, begin + Duration::from_millis(number))));
        }
        assert_eq!(schedule.missed(), 60_000 - 20);
    }

    #[tokio::test]
    async fn the_time_ends_both_kinds() {
        let long_ago = Instant::now() - Duration::from_secs(2);
        for rate in [None, Some(1.0)] {
            let schedule = Schedule::new(long_ago, Duration::from_secs(1), rate);
            assert_eq!(schedule.next().await, None);
        }
    }
}
