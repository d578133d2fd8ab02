//! How often and how much is said in a group: what `zyre hz` and `zyre bw` print.

use super::list::table;
use super::size::sized;
use serde::Serialize;
use std::fmt;
use zyre_rs::printable;

/// Mean, least, most and standard deviation of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) deviation: f64,
}

impl Spread {
    /// `None` of no values.
    #[expect(clippy::cast_precision_loss, reason = "a window has at most a million values")]
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let number = values.clone().count();
        if number == 0 {
            return None;
        }
        let mean = values.clone().sum::<f64>() / number as f64;
        let variance = values.clone().map(|value| (value - mean).powi(2)).sum::<f64>() / number as f64;
        let (min, max) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(value), max.max(value)));
        Some(Self { mean, min, max, deviation: variance.sqrt() })
    }
}

/// How often: the gaps between the messages of a group. Keys in the order JSON shows them.
#[derive(Debug, Serialize)]
pub(crate) struct HzRow {
    pub(crate) group: String,
    pub(crate) messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation_ms: Option<f64>,
    window: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_seconds: Option<f64>,
}

/// How much: the sizes of the messages of a group, and what they come to in a second.
#[derive(Debug, Serialize)]
pub(crate) struct BwRow {
    pub(crate) group: String,
    pub(crate) messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_bytes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_bytes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation_bytes: Option<f64>,
    window: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_seconds: Option<f64>,
}

/// A row of one of the two tables.
pub(crate) trait RateRow: Serialize + fmt::Display {
    const TITLES: [&'static str; 7];
    fn cells(&self) -> [String; 7];
}

/// The rows as a table.
pub(crate) fn rate_table<R: RateRow>(rows: &[R]) -> String {
    table(R::TITLES, rows.iter().map(R::cells))
}

impl HzRow {
    /// Of the gaps, in seconds.
    pub(crate) fn new(
        group: String,
        messages: u64,
        gaps: Option<Spread>,
        window: usize,
        quiet: Option<f64>,
    ) -> Self {
        Self {
            group,
            messages,
            // Messages that were read at once have no gap, and no rate.
            per_second: gaps.filter(|gaps| gaps.mean > 0.0).map(|gaps| rounded(1.0 / gaps.mean)),
            min_ms: gaps.map(|gaps| rounded(gaps.min * 1e3)),
            max_ms: gaps.map(|gaps| rounded(gaps.max * 1e3)),
            deviation_ms: gaps.map(|gaps| rounded(gaps.deviation * 1e3)),
            window,
            quiet_seconds: quiet.map(rounded),
        }
    }
}

impl BwRow {
    pub(crate) fn new(
        group: String,
        messages: u64,
        per_second: Option<f64>,
        sizes: Option<Spread>,
        window: usize,
        quiet: Option<f64>,
    ) -> Self {
        Self {
            group,
            messages,
            bytes_per_second: per_second.map(rounded),
            mean_bytes: sizes.map(|sizes| rounded(sizes.mean)),
            min_bytes: sizes.map(|sizes| sizes.min),
            max_bytes: sizes.map(|sizes| sizes.max),
            deviation_bytes: sizes.map(|sizes| rounded(sizes.deviation)),
            window,
            quiet_seconds: quiet.map(rounded),
        }
    }
}

/// To the thousandth: what is behind that no clock of a network tells.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn shown(value: Option<f64>, show: impl FnOnce(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and sizes are above 0; `as` saturates"
)]
fn bytes(value: f64) -> String {
    sized(value.round() as u64)
}

impl RateRow for HzRow {
    const TITLES: [&'static str; 7] =
        ["GROUP", "PER SECOND", "MIN MS", "MAX MS", "DEVIATION MS", "WINDOW", "QUIET S"];

    fn cells(&self) -> [String; 7] {
        let ms = |value| shown(value, |ms| format!("{ms:.3}"));
        [
            printable(&self.group).into_owned(),
            shown(self.per_second, |rate| format!("{rate:.1}")),
            ms(self.min_ms),
            ms(self.max_ms),
            ms(self.deviation_ms),
            self.window.to_string(),
            shown(self.quiet_seconds, |quiet| format!("{quiet:.1}")),
        ]
    }
}

impl RateRow for BwRow {
    const TITLES: [&'static str; 7] = ["GROUP", "PER SECOND", "MEAN", "MIN", "MAX", "WINDOW", "QUIET S"];

    fn cells(&self) -> [String; 7] {
        [
            printable(&self.group).into_owned(),
            shown(self.bytes_per_second, bytes),
            shown(self.mean_bytes, bytes),
            shown(self.min_bytes, bytes),
            shown(self.max_bytes, bytes),
            self.window.to_string(),
            shown(self.quiet_seconds, |quiet| format!("{quiet:.1}")),
        ]
    }
}

/// `CHAT: 10.0/s, gaps 99.012 to 101.200 ms (deviation 0.310), window 50, quiet 0.1 s`
impl fmt::Display for HzRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [group, rate, min, max, deviation, window, quiet] = self.cells();
        if self.messages == 0 {
            return write!(f, "{group}: no message yet");
        }
        write!(
            f,
            "{group}: {rate}/s, gaps {min} to {max} ms (deviation {deviation}), window {window}, quiet {quiet} s"
        )
    }
}

/// `CHAT: 1.2 kB/s, messages of 100 B to 140 B (mean 120 B), window 50, quiet 0.1 s`
impl fmt::Display for BwRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [group, rate, mean, min, max, window, quiet] = self.cells();
        if self.messages == 0 {
            return write!(f, "{group}: no message yet");
        }
        write!(
            f,
            "{group}: {rate}/s, messages of {min} to {max} (mean {mean}), window {window}, quiet {quiet} s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_tells_mean_extremes_and_deviation() {
        let spread = Spread::of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter());
        assert_eq!(spread, Some(Spread { mean: 5.0, min: 2.0, max: 9.0, deviation: 2.0 }));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }

    #[test]
    fn rates_are_a_line_a_row_and_an_object() {
        let gaps = Spread { mean: 0.1, min: 0.0991, max: 0.1015, deviation: 0.0004 };
        let rows = [
            HzRow::new("CHAT\n".to_owned(), 51, Some(gaps), 51, Some(0.05)),
            HzRow::new("LOGS".to_owned(), 0, None, 0, None),
        ];
        assert_eq!(
            rows.each_ref().map(ToString::to_string),
            [
                r"CHAT\n: 10.0/s, gaps 99.100 to 101.500 ms (deviation 0.400), window 51, quiet 0.1 s",
                "LOGS: no message yet"
            ]
        );
        assert_eq!(
            rate_table(&rows),
            "GROUP   PER SECOND  MIN MS  MAX MS   DEVIATION MS  WINDOW  QUIET S\n\
             CHAT\\n  10.0        99.100  101.500  0.400         51      0.1\n\
             LOGS    -           -       -        -             0       -\n"
        );
        assert_eq!(
            serde_json::to_string(&rows).expect("text keys"),
            concat!(
                r#"[{"group":"CHAT\n","messages":51,"per_second":10.0,"min_ms":99.1,"max_ms":101.5,"deviation_ms":0.4,"window":51,"quiet_seconds":0.05},"#,
                r#"{"group":"LOGS","messages":0,"window":0}]"#
            )
        );
    }

    #[test]
    fn bandwidth_is_shown_in_units_and_told_in_bytes() {
        let sizes = Spread { mean: 1200.0, min: 1000.0, max: 1400.0, deviation: 200.0 };
        let row = BwRow::new("CHAT".to_owned(), 2, Some(12_000.0), Some(sizes), 2, Some(0.25));
        assert_eq!(
            row.to_string(),
            "CHAT: 12.0 kB/s, messages of 1.0 kB to 1.4 kB (mean 1.2 kB), window 2, quiet 0.2 s"
        );
        assert_eq!(
            serde_json::to_string(&row).expect("text keys"),
            r#"{"group":"CHAT","messages":2,"bytes_per_second":12000.0,"mean_bytes":1200.0,"min_bytes":1000.0,"max_bytes":1400.0,"deviation_bytes":200.0,"window":2,"quiet_seconds":0.25}"#
        );
    }
}
