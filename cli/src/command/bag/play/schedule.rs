//! When a recorded message is due again.

use std::time::Duration;
use tokio::time::Instant;

/// Puts the times of a recording on the clock of a replay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    begin: Instant,
    first: u64,
    rate: f64,
}

impl Schedule {
    /// What was recorded at `first` (nanoseconds since 1970) is due at `begin`, the rest `rate` times as fast as it was.
    pub(super) fn new(begin: Instant, first: u64, rate: f64) -> Self {
        Self { begin, first, rate }
    }

    /// What came before the first one is due at once.
    pub(super) fn due(&self, time: u64) -> Instant {
        let since = Duration::from_nanos(time.saturating_sub(self.first));
        let since = Duration::try_from_secs_f64(since.as_secs_f64() / self.rate).unwrap_or(Duration::MAX);
        // A time too far away for the clock is as good as never.
        self.begin.checked_add(since).unwrap_or_else(|| self.begin + Duration::from_secs(u32::MAX.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_fixed_distances_from_the_first() {
        let begin = Instant::now();
        for (rate, time, milliseconds) in
            [(1.0, 3_000_000, 3), (2.0, 3_000_000_000, 1500), (0.5, 1_000_000, 2)]
        {
            let due = Schedule::new(begin, 1_000_000_000, rate).due(1_000_000_000 + time);
            assert_eq!(due, begin + Duration::from_millis(milliseconds));
        }
        assert_eq!(Schedule::new(begin, 1000, 1.0).due(0), begin);
        assert!(Schedule::new(begin, 0, 0.001).due(u64::MAX) > begin);
    }
}
