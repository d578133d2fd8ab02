//! How many calls may be sent a second time, so that a failing pool is not also flooded by retries.

use tokio::time::Instant;

/// One retry for every ten calls. A program that makes few calls may retry all the same: up to ten come back by time,
/// within a second.
#[derive(Clone, Debug)]
pub(super) struct RetryBudget {
    /// Tenths of a retry: each call earns one.
    tenths: u32,
    filled_at: Option<Instant>,
}

impl RetryBudget {
    const RETRY: u32 = 10;
    /// As in Finagle's retry budget: ten a second whatever the traffic.
    const FLOOR: u32 = 10 * Self::RETRY;
    /// A long calm does not pay for a storm: 1,000 retries, the calls of some workers with full windows.
    const MAX_SAVED: u32 = 1_000 * Self::RETRY;

    pub(super) fn new() -> Self {
        Self { tenths: Self::FLOOR, filled_at: None }
    }

    /// A call was made.
    pub(super) fn earn(&mut self) {
        self.tenths = (self.tenths + 1).min(Self::MAX_SAVED);
    }

    /// Whether one more call may be sent again.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let left = self.tenths.checked_sub(Self::RETRY);
        self.tenths = left.unwrap_or(self.tenths);
        left.is_some()
    }

    fn refill(&mut self, now: Instant) {
        let filled_at = *self.filled_at.get_or_insert(now);
        // The floor fills within a second; what is longer ago adds nothing.
        let idle = now.saturating_duration_since(filled_at).as_millis().min(1_000) as u32;
        let gained = Self::FLOOR * idle / 1_000;
        if self.tenths >= Self::FLOOR {
            self.filled_at = Some(now);
        } else if gained > 0 {
            self.tenths = (self.tenths + gained).min(Self::FLOOR);
            self.filled_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ten_retries_are_free_and_come_back_within_a_second() {
        let now = Instant::now();
        let mut budget = RetryBudget::new();
        assert_eq!((0..100).filter(|_| budget.take(now)).count(), 10);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 10);
    }

    #[test]
    fn asking_often_does_not_keep_the_floor_from_coming_back() {
        let now = Instant::now();
        let mut budget = RetryBudget::new();
        let taken = (0..1_000).filter(|millis| budget.take(now + Duration::from_millis(*millis))).count();
        assert!((19..=20).contains(&taken), "{taken}");
    }

    #[test]
    fn a_tenth_of_the_calls_may_be_retried() {
        let now = Instant::now();
        let mut budget = RetryBudget::new();
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!((0..1_000).filter(|_| budget.take(now)).count(), 110);
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let now = Instant::now();
        let mut budget = RetryBudget::new();
        (0..1_000_000).for_each(|_| budget.earn());
        assert_eq!((0..5_000).filter(|_| budget.take(now)).count(), 1_000);
    }
}
