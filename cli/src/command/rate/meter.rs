//! The latest messages of a group: when each came and how large it was.

use crate::output::{BwRow, HzRow, Spread};
use std::collections::VecDeque;
use tokio::time::Instant;

/// The messages of one group.
pub(crate) struct Meter {
    latest: VecDeque<(Instant, usize)>,
    window: usize,
    messages: u64,
}

/// What is made of them.
pub(crate) trait Measure {
    fn measure(group: &str, meter: &Meter, now: Instant) -> Self;
}

impl Meter {
    /// Keeps this many messages.
    pub(super) fn new(window: usize) -> Self {
        Self { latest: VecDeque::new(), window, messages: 0 }
    }

    pub(super) fn add(&mut self, at: Instant, size: usize) {
        if self.latest.len() == self.window {
            self.latest.pop_front();
        }
        self.latest.push_back((at, size));
        self.messages += 1;
    }

    /// Seconds between each message and the one before it.
    fn gaps(&self) -> Option<Spread> {
        let later = self.latest.iter().skip(1);
        Spread::of(self.latest.iter().zip(later).map(|((before, _), (at, _))| (*at - *before).as_secs_f64()))
    }

    #[expect(clippy::cast_precision_loss, reason = "a message is far smaller than 2^52 bytes")]
    fn sizes(&self) -> Option<Spread> {
        Spread::of(self.latest.iter().map(|(_, size)| *size as f64))
    }

    /// Bytes a second from the first message on; the first one's own came before that.
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    fn bytes_per_second(&self) -> Option<f64> {
        let ((first, _), (last, _)) = (self.latest.front()?, self.latest.back()?);
        let bytes: usize = self.latest.iter().skip(1).map(|(_, size)| size).sum();
        let seconds = (*last - *first).as_secs_f64();
        (seconds > 0.0).then(|| bytes as f64 / seconds)
    }

    fn quiet(&self, now: Instant) -> Option<f64> {
        self.latest.back().map(|(last, _)| (now - *last).as_secs_f64())
    }
}

impl Measure for HzRow {
    fn measure(group: &str, meter: &Meter, now: Instant) -> Self {
        Self::new(group.to_owned(), meter.messages, meter.gaps(), meter.latest.len(), meter.quiet(now))
    }
}

impl Measure for BwRow {
    fn measure(group: &str, meter: &Meter, now: Instant) -> Self {
        let (rate, sizes) = (meter.bytes_per_second(), meter.sizes());
        Self::new(group.to_owned(), meter.messages, rate, sizes, meter.latest.len(), meter.quiet(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A message of 100 B each tenth of a second, the last one of 300 B.
    fn meter(window: usize) -> (Meter, Instant) {
        let (mut meter, start) = (Meter::new(window), Instant::now());
        for tenth in 0..=10u32 {
            meter.add(start + Duration::from_millis(100) * tenth, if tenth == 10 { 300 } else { 100 });
        }
        (meter, start + Duration::from_millis(1500))
    }

    #[test]
    fn the_rate_is_that_of_the_gaps_and_not_of_the_messages() {
        let (meter, now) = meter(100);
        assert_eq!(
            HzRow::measure("g", &meter, now).to_string(),
            "g: 10.0/s, gaps 100.000 to 100.000 ms (deviation 0.000), window 11, quiet 0.5 s"
        );
        assert_eq!(
            BwRow::measure("g", &meter, now).to_string(),
            "g: 1.2 kB/s, messages of 100 B to 300 B (mean 118 B), window 11, quiet 0.5 s"
        );
    }

    #[test]
    fn only_the_window_counts() {
        let (meter, now) = meter(2);
        assert_eq!(
            BwRow::measure("g", &meter, now).to_string(),
            "g: 3.0 kB/s, messages of 100 B to 300 B (mean 200 B), window 2, quiet 0.5 s"
        );
    }

    #[test]
    fn a_single_message_has_a_size_and_no_rate() {
        let mut meter = Meter::new(2);
        let now = Instant::now();
        assert_eq!(HzRow::measure("g", &meter, now).to_string(), "g: no message yet");
        meter.add(now, 5);
        assert_eq!(
            BwRow::measure("g", &meter, now).to_string(),
            "g: -/s, messages of 5 B to 5 B (mean 5 B), window 1, quiet 0.0 s"
        );
    }
}
