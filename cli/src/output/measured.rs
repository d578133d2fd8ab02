//! What `zyre bench` has measured: a paragraph for people, one object, or two lines of a table.

use serde::Serialize;
use serde_json::Value;
use std::fmt;

use super::counted;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) bench: &'static str,
    /// Those that serve, at least.
    pub(crate) peers: u32,
    /// Bytes of payload; discovery has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u32>,
    pub(crate) clients: u32,
    /// Messages a second in an open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<f64>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeasuredResult {
    /// From the beginning to the last answer.
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    /// Answers; of a shout there are several.
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) missed: u64,
    /// Whether any message was answered completely: without one there are no latencies.
    pub(crate) complete: bool,
    pub(crate) min_us: f64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl MeasuredResult {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "2^53 answers are out of reach")]
    pub(crate) fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.answered as f64 / self.seconds } else { 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 answers are out of reach")]
    fn loss_percent(&self) -> f64 {
        let wanted = self.answered + self.lost;
        if wanted == 0 { 0.0 } else { self.lost as f64 / wanted as f64 * 100.0 }
    }
}

/// One measurement.
#[derive(Serialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    setting: Setting,
    seconds: f64,
    sent: u64,
    answered: u64,
    lost: u64,
    loss_percent: f64,
    missed: u64,
    per_second: f64,
    #[serde(flatten)]
    latencies: Option<Latencies>,
}

/// In microseconds.
#[derive(Serialize)]
struct Latencies {
    min_us: f64,
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

impl Measured {
    pub(crate) fn new(setting: Setting, result: MeasuredResult) -> Self {
        let latencies = result.complete.then(|| Latencies {
            min_us: rounded(result.min_us, 1),
            mean_us: rounded(result.mean_us, 1),
            p50_us: rounded(result.p50_us, 1),
            p90_us: rounded(result.p90_us, 1),
            p99_us: rounded(result.p99_us, 1),
            p999_us: rounded(result.p999_us, 1),
            max_us: rounded(result.max_us, 1),
        });
        Self {
            setting,
            seconds: rounded(result.seconds, 3),
            sent: result.sent,
            answered: result.answered,
            lost: result.lost,
            loss_percent: rounded(result.loss_percent(), 3),
            missed: result.missed,
            per_second: rounded(result.per_second(), 1),
            latencies,
        }
    }

    /// A line of names and a line of values, the same columns for all; those that do not apply are empty.
    pub(crate) fn csv(&self) -> String {
        const COLUMNS: [&str; 19] = [
            "bench",
            "peers",
            "size",
            "clients",
            "rate",
            "seconds",
            "sent",
            "answered",
            "lost",
            "loss_percent",
            "missed",
            "per_second",
            "min_us",
            "mean_us",
            "p50_us",
            "p90_us",
            "p99_us",
            "p999_us",
            "max_us",
        ];
        let values = serde_json::to_value(self).unwrap_or_default();
        let value = |column: &&str| match values.get(*column) {
            Some(Value::String(text)) => text.clone(),
            Some(number) => number.to_string(),
            None => String::new(),
        };
        format!("{}\n{}\n", COLUMNS.join(","), COLUMNS.iter().map(value).collect::<Vec<_>>().join(","))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { bench, peers, size, clients, rate } = &self.setting;
        write!(f, "{bench}: {}", counted((*peers).into(), "peer"))?;
        if let Some(size) = size {
            write!(f, ", {size} B")?;
        }
        write!(f, ", {}", counted((*clients).into(), "client"))?;
        match rate {
            Some(rate) => write!(f, ", {rate} a second (open loop)")?,
            None => f.write_str(", as fast as answers come (closed loop)")?,
        }
        let Self { seconds, sent, answered, lost, loss_percent, missed, per_second, .. } = self;
        write!(
            f,
            "\n{sent} sent in {seconds} s, {answered} answers ({per_second}/s), {lost} lost ({loss_percent}%)"
        )?;
        if *missed > 0 {
            write!(
                f,
                "\n{missed} were due and could not begin: this rate is too high, or --clients too few"
            )?;
        }
        let Some(times) = &self.latencies else { return Ok(()) };
        let Latencies { min_us, mean_us, p50_us, p90_us, p99_us, p999_us, max_us } = times;
        write!(
            f,
            "\nlatency in µs: min {min_us}, p50 {p50_us}, p90 {p90_us}, p99 {p99_us}, p99.9 {p999_us}, max {max_us}; mean {mean_us}"
        )
    }
}

fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(missed: u64, complete: bool) -> Measured {
        let setting = Setting { bench: "shout", peers: 2, size: Some(100), clients: 1, rate: Some(50.0) };
        let result = MeasuredResult {
            seconds: 2.0,
            sent: 100,
            answered: 199,
            lost: 1,
            missed,
            complete,
            min_us: 10.04,
            mean_us: 20.0,
            p50_us: 21.0,
            p90_us: 22.0,
            p99_us: 23.0,
            p999_us: 24.0,
            max_us: 25.0,
        };
        Measured::new(setting, result)
    }

    #[test]
    fn people_read_how_it_was_measured_what_was_lost_and_how_long_it_took() {
        assert_eq!(
            measured(3, true).to_string(),
            "shout: 2 peers, 100 B, 1 client, 50 a second (open loop)\n\
             100 sent in 2 s, 199 answers (99.5/s), 1 lost (0.5%)\n\
             3 were due and could not begin: this rate is too high, or --clients too few\n\
             latency in µs: min 10, p50 21, p90 22, p99 23, p99.9 24, max 25; mean 20"
        );
        assert!(!measured(0, false).to_string().contains("latency"));
    }

    #[test]
    fn programs_read_the_same_as_an_object_and_as_a_table() {
        assert_eq!(
            serde_json::to_string(&measured(0, true)).expect("text keys"),
            r#"{"bench":"shout","peers":2,"size":100,"clients":1,"rate":50.0,"seconds":2.0,"sent":100,"answered":199,"lost":1,"loss_percent":0.5,"missed":0,"per_second":99.5,"min_us":10.0,"mean_us":20.0,"p50_us":21.0,"p90_us":22.0,"p99_us":23.0,"p999_us":24.0,"max_us":25.0}"#
        );
        assert_eq!(
            measured(0, false).csv(),
            "bench,peers,size,clients,rate,seconds,sent,answered,lost,loss_percent,missed,per_second,min_us,mean_us,p50_us,p90_us,p99_us,p999_us,max_us\n\
             shout,2,100,1,50.0,2.0,100,199,1,0.5,0,99.5,,,,,,,\n"
        );
    }
}
