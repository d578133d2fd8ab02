//! Round trips, one per line, and what they come to.

use serde::Serialize;
use std::fmt;
use std::time::Duration;
use zyre_rs::{PeerId, printable};

/// Round trips kept for the percentiles; of more, the latest count.
const MAX_KEPT: usize = 1_000_000;

/// One ping.
#[derive(Serialize)]
pub(crate) struct RoundTrip<'a> {
    seq: u64,
    peer: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> RoundTrip<'a> {
    pub(crate) fn new(seq: u64, peer: PeerId, name: &'a str, outcome: &Result<Duration, String>) -> Self {
        let (ms, error) = match outcome {
            Ok(took) => (Some(millis(*took)), None),
            Err(error) => (None, Some(error.clone())),
        };
        Self { seq, peer: peer.to_string(), name, ms, error }
    }
}

impl fmt::Display for RoundTrip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, name, ms, error, .. } = self;
        let name = printable(name);
        match (ms, error) {
            (Some(ms), _) => write!(f, "answer from {name}: seq={seq} time={ms:.3} ms"),
            (None, error) => {
                let error = error.as_deref().unwrap_or_default();
                write!(f, "no answer from {name}: seq={seq} {}", printable(error))
            }
        }
    }
}

/// What the pings came to.
#[derive(Default)]
pub(crate) struct Summary {
    sent: u64,
    answered: u64,
    kept: Vec<Duration>,
}

impl Summary {
    pub(crate) fn add(&mut self, outcome: &Result<Duration, String>) {
        self.sent += 1;
        let Ok(took) = outcome else { return };
        if self.kept.len() < MAX_KEPT {
            self.kept.push(*took);
        } else if let Some(oldest) = self.kept.get_mut((self.answered % MAX_KEPT as u64) as usize) {
            *oldest = *took;
        }
        self.answered += 1;
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// The figures so far.
    pub(crate) fn figures(&self) -> Figures {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let at = |share: f64| percentile(&sorted, share).map(millis);
        Figures {
            sent: self.sent,
            answered: self.answered,
            loss_percent: percent(self.sent - self.answered, self.sent),
            min_ms: at(0.0),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

/// The last line of `zyre ping`.
#[derive(Serialize)]
pub(crate) struct Figures {
    sent: u64,
    answered: u64,
    loss_percent: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ms: Option<f64>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} answered, {}% lost", self.sent, self.answered, self.loss_percent)?;
        let figures = [
            ("min", self.min_ms),
            ("p50", self.p50_ms),
            ("p95", self.p95_ms),
            ("p99", self.p99_ms),
            ("max", self.max_ms),
        ];
        let mut separator = "; ";
        for (name, ms) in figures.into_iter().filter_map(|(name, ms)| Some((name, ms?))) {
            write!(f, "{separator}{name} {ms:.3}")?;
            separator = ", ";
        }
        if self.answered > 0 { f.write_str(" ms") } else { Ok(()) }
    }
}

/// The smallest value that at least this share of all does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "at most MAX_KEPT"
)]
fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[expect(clippy::cast_precision_loss, reason = "2^53 pings are out of reach")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1000.0).round() / 10.0 }
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId =
        PeerId::from_bytes(*b"\x3F\x2A\x9C\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D");

    fn check(outcome: Result<Duration, String>, json: &str, text: &str) {
        let line = RoundTrip::new(7, PEER, "cam\n1", &outcome);
        assert_eq!(serde_json::to_string(&line).expect("text keys"), json);
        assert_eq!(line.to_string(), text);
    }

    #[test]
    fn each_ping_is_a_line() {
        check(
            Ok(Duration::from_nanos(412_400)),
            r#"{"seq":7,"peer":"3F2A9C0102030405060708090A0B0C0D","name":"cam\n1","ms":0.412}"#,
            r"answer from cam\n1: seq=7 time=0.412 ms",
        );
        check(
            Err("gone".to_owned()),
            r#"{"seq":7,"peer":"3F2A9C0102030405060708090A0B0C0D","name":"cam\n1","error":"gone"}"#,
            r"no answer from cam\n1: seq=7 gone",
        );
    }

    #[test]
    fn the_summary_has_percentiles_and_loss() {
        let mut summary = Summary::default();
        (1..=100).rev().for_each(|n| summary.add(&Ok(Duration::from_millis(n))));
        (0..100).for_each(|_| summary.add(&Err(String::new())));
        assert_eq!(
            summary.figures().to_string(),
            "200 sent, 100 answered, 50% lost; min 1.000, p50 50.000, p95 95.000, p99 99.000, max 100.000 ms"
        );
        let json = serde_json::to_string(&summary.figures()).expect("text keys");
        assert_eq!(
            json,
            r#"{"sent":200,"answered":100,"loss_percent":50.0,"min_ms":1.0,"p50_ms":50.0,"p95_ms":95.0,"p99_ms":99.0,"max_ms":100.0}"#
        );
    }

    #[test]
    fn without_an_answer_there_are_no_times() {
        let mut summary = Summary::default();
        (0..3).for_each(|_| summary.add(&Err(String::new())));
        assert_eq!(summary.figures().to_string(), "3 sent, 0 answered, 100% lost");
    }

    #[test]
    fn of_one_round_trip_all_percentiles_are_the_same() {
        let one = [Duration::from_millis(4)];
        for share in [0.0, 0.5, 0.99, 1.0] {
            assert_eq!(percentile(&one, share), Some(one[0]));
        }
        assert_eq!(percentile(&[], 0.5), None);
    }
}
