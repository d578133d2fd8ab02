//! Nanoseconds since 1970, as MCAP counts, and how they read.

use std::fmt;
use std::time::{Duration, Instant};

/// Wall-clock time that never goes back: read once, counted on from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began_at: Instant,
    began: Utc,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began_at: Instant::now(), began: Utc::now() }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.began.0.saturating_add(nanoseconds(self.began_at.elapsed()))
    }
}

/// A moment, in nanoseconds since 1970: shown as `2026-01-31T12:00:00.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Utc(pub(crate) u64);

impl Utc {
    #[expect(clippy::disallowed_types, reason = "a recording says when it was made")]
    pub(crate) fn now() -> Self {
        Self(nanoseconds(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()))
    }

    /// As it stands in the name of a recording: `20260131-120000`.
    pub(crate) fn stamp(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.clock();
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }

    fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    fn clock(self) -> (u64, u64, u64) {
        let seconds = self.seconds() % 86_400;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// The Gregorian date, counted in years that begin in March so that the leap day is the last one.
    fn date(self) -> (u64, u64, u64) {
        /// From 0000-03-01 to 1970-01-01.
        const DAYS_BEFORE_1970: u64 = 719_468;
        const DAYS_IN_400_YEARS: u64 = 146_097;
        let days = self.seconds() / 86_400 + DAYS_BEFORE_1970;
        let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day + 2) / 153;
        let day = day - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        (era * 400 + year + u64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.clock();
        let milliseconds = self.0 / 1_000_000 % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
    }
}

/// They last until the year 2554.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_dates_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(Utc(seconds * 1_000_000_000 + 7_000_000).to_string(), text);
        }
        assert_eq!(Utc(951_782_399_000_000_000).stamp(), "20000228-235959");
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first <= second);
    }
}
