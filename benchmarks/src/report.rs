//! Medians and ratios as tables, for people or as Markdown, and everything as JSON.

mod calls;
mod curve;
mod table;

use crate::contender::Contender;
use crate::runner::Measurement;
use crate::workload::{SHOUT_PEERS, Size, Workload};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use table::Table;

/// All measurements of a run, by round.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) machine: Vec<(&'static str, String)>,
    pub(crate) rounds: usize,
    pub(crate) results: BTreeMap<(Workload, Contender), BTreeMap<usize, Measurement>>,
    /// Contender and reason.
    pub(crate) skipped: Vec<(Contender, String)>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

/// A table column's figure from one measurement.
type Figure = fn(Workload, &Measurement) -> Option<f64>;

impl Report {
    /// All tables; for a document when `markdown` is set.
    pub(crate) fn render(&self, markdown: bool) -> String {
        let mut text = String::new();
        for (name, value) in &self.machine {
            text += &if markdown { format!("- {name}: {value}\n") } else { format!("{name:10} {value}\n") };
        }
        let rounds = self.rounds;
        let line = format!("Medians of {rounds} round(s).");
        text += &if markdown { format!("- {line}\n") } else { format!("{line}\n") };
        for (contender, reason) in &self.skipped {
            text += &format!("\nSKIPPED {contender}: {reason}\n");
        }
        for table in self.tables() {
            text += &table.render(markdown);
        }
        for failure in &self.failures {
            text += &format!("\nFAILED {failure}\n");
        }
        text
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![
            self.by_size("one-way", "One-way whispers, messages/s", &[rate], throughput),
            self.by_size("echo", "Pipelined whisper echo, 64 under way, round trips/s", &[rate], throughput),
            self.by_size("shout", "Shout to 8 peers, deliveries/s in total", &[rate], throughput),
            self.by_size("ping-pong", "Whisper ping-pong, µs, p50 / p99", &[p50, p99], pair),
            self.discovery(),
            self.mesh(),
            self.ratios(),
            self.calls(),
            self.sequential_calls(),
            self.pools(),
            self.curve(),
            self.handshakes(),
            self.attacks(),
        ];
        for (name, what) in [("one-way", "One-way whispers"), ("echo", "Echo"), ("shout", "Shout")] {
            let title = format!("{what}: CPU time per message, ns, sender / receiver");
            tables.push(self.by_size(name, &title, &[source_cpu, sink_cpu], pair));
        }
        for (name, what) in [("one-way", "One-way whispers"), ("shout", "Shout")] {
            let title = format!("{what}: peak resident memory, MB, sender / receiver");
            tables.push(self.by_size(name, &title, &[source_rss, sink_rss], pair));
        }
        tables.retain(|table| !table.rows.is_empty());
        tables
    }

    /// One row a contender, one column a size.
    fn by_size(
        &self,
        name: &str,
        title: &str,
        figures: &[Figure],
        show: fn(Workload, &[f64]) -> String,
    ) -> Table {
        let workloads: Vec<_> = self.workloads().filter(|workload| workload.name() == name).collect();
        let sizes = workloads.iter().map(|workload| Size(workload.size()).to_string());
        let mut table = Table::new(title, [String::new()].into_iter().chain(sizes));
        for contender in Contender::ALL {
            let cells: Vec<_> = workloads
                .iter()
                .map(|workload| {
                    let medians = figures.iter().map(|figure| self.median(*workload, contender, *figure));
                    let medians: Option<Vec<_>> = medians.collect();
                    medians.map_or_else(|| "-".into(), |medians| show(*workload, &medians))
                })
                .collect();
            if cells.iter().any(|cell| cell != "-") {
                table.rows.push([contender.to_string()].into_iter().chain(cells).collect());
            }
        }
        table
    }

    fn discovery(&self) -> Table {
        let header = ["", "p50", "slowest"].map(String::from);
        let mut table = Table::new("Discovery: newcomer's start to ENTER at an existing node, ms", header);
        for contender in Contender::ALL {
            let of = |figure| self.median(Workload::Discovery, contender, figure);
            if let (Some(p50), Some(max)) = (of(p50), of(slowest)) {
                table.rows.push(vec![contender.to_string(), three(p50 / 1e3), three(max / 1e3)]);
            }
        }
        table
    }

    fn mesh(&self) -> Table {
        let nodes = self.of(Workload::Mesh, Contender::Zyre).next().map_or(0, |one| one.count);
        let header = ["", "full mesh after, ms", "idle CPU, % of one core", "memory per directed link, KiB"];
        let mut table =
            Table::new(&format!("Idle mesh of {nodes} nodes in one process"), header.map(String::from));
        let figures: [Figure; 3] = [
            |_, one| number(one, "full_mesh_ms"),
            |_, one| number(one, "idle_cpu_percent"),
            |_, one| number(one, "kib_per_link"),
        ];
        let medians = figures.map(|figure| self.median(Workload::Mesh, Contender::Zyre, figure));
        if let [Some(full), Some(cpu), Some(memory)] = medians {
            table.rows.push(vec![Contender::Zyre.to_string(), three(full), three(cpu), three(memory)]);
        }
        table
    }

    /// zyre-rs against the others.
    fn ratios(&self) -> Table {
        let others = [Contender::Tcp, Contender::Zeromq, Contender::Pyre];
        let header = others.map(|other| format!("to {other}"));
        let header = ["zyre-rs".to_owned()].into_iter().chain(header).chain(["aim".into()]);
        let mut table = Table::new("Ratios in the same round, median (least to greatest)", header);
        // Calls have tables of their own: there zyre-rs only echoes.
        let is_call = |workload: &_| matches!(workload, Workload::Call | Workload::CallSequential);
        for workload in self.workloads().filter(|workload| !is_call(workload)) {
            let mut cells = others.map(|other| self.ratio(workload, Contender::Zyre, other)).to_vec();
            if cells.iter().any(|cell| cell != "-") {
                cells.insert(0, workload.to_string() + if is_time(workload) { ", time" } else { "" });
                cells.push(aim(workload).into());
                table.rows.push(cells);
            }
        }
        table
    }

    /// The median of the rounds' ratios, with the least and the greatest.
    fn ratio(&self, workload: Workload, contender: Contender, other: Contender) -> String {
        let figure: Figure = if is_time(workload) { p50 } else { rate };
        let of = |contender, round| {
            let measurement = self.results.get(&(workload, contender))?.get(&round)?;
            figure(workload, measurement)
        };
        let ratios = (0..self.rounds).filter_map(|round| Some(of(contender, round)? / of(other, round)?));
        let mut ratios: Vec<_> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        match (median(&ratios), ratios.first(), ratios.last()) {
            (Some(middle), Some(least), Some(greatest)) => {
                format!("{} ({} to {})", three(middle), three(*least), three(*greatest))
            }
            _ => "-".into(),
        }
    }

    fn workloads(&self) -> impl Iterator<Item = Workload> {
        Workload::all()
            .into_iter()
            .filter(|workload| self.results.keys().any(|(measured, _)| measured == workload))
    }

    fn of(&self, workload: Workload, contender: Contender) -> impl Iterator<Item = &Measurement> {
        self.results.get(&(workload, contender)).into_iter().flat_map(BTreeMap::values)
    }

    fn median(&self, workload: Workload, contender: Contender, figure: Figure) -> Option<f64> {
        let figures = self.of(workload, contender).filter_map(|one| figure(workload, one));
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        median(&figures)
    }

    /// Every measurement of every round.
    pub(crate) fn json(&self) -> Value {
        let machine: serde_json::Map<_, _> =
            self.machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let results = self.results.iter().flat_map(|((workload, contender), rounds)| {
            rounds.iter().map(move |(round, one)| {
                json!({
                    "workload": workload.name(), "size": workload.size(), "contender": contender.name(),
                    "round": round, "count": one.count, "numbers": one.numbers,
                    "sender": one.source.map(usage), "receiver": usage(one.sink),
                })
            })
        });
        let skipped = self.skipped.iter().map(|(who, why)| json!({ "contender": who.name(), "reason": why }));
        json!({
            "machine": machine, "results": results.collect::<Vec<_>>(),
            "skipped": skipped.collect::<Vec<_>>(), "failures": self.failures,
        })
    }
}

fn usage(usage: crate::runner::Usage) -> Value {
    json!({ "cpu_seconds": usage.cpu_seconds, "peak_rss_kib": usage.peak_rss_kib })
}

/// The ratio this project wants to reach on any machine.
fn aim(workload: Workload) -> &'static str {
    match workload {
        Workload::OneWay { size } if size <= 100 => "zeromq ≥ 4",
        Workload::OneWay { size } if size <= 1 << 10 => "zeromq ≥ 2",
        Workload::OneWay { size } if size <= 64 << 10 => "zeromq ≥ 1.2",
        Workload::OneWay { .. } => "zeromq ≥ 0.9",
        Workload::Echo { .. } => "pyre ≥ 30",
        Workload::PingPong { .. } => "tcp ≤ 1.2",
        Workload::Shout { .. } => "zeromq ≥ 4",
        Workload::Discovery
        | Workload::Mesh
        | Workload::Call
        | Workload::CallSequential
        | Workload::Pool { .. }
        | Workload::Curve { .. }
        | Workload::CurveHandshake
        | Workload::CurveAttack { .. } => "",
    }
}

fn is_time(workload: Workload) -> bool {
    matches!(
        workload,
        Workload::PingPong { .. }
            | Workload::Discovery
            | Workload::CallSequential
            | Workload::Pool { .. }
            | Workload::CurveAttack { .. }
    )
}

fn number(one: &Measurement, name: &str) -> Option<f64> {
    one.numbers.get(name).copied()
}

fn rate(_: Workload, one: &Measurement) -> Option<f64> {
    number(one, "rate")
}

fn p50(_: Workload, one: &Measurement) -> Option<f64> {
    number(one, "p50_us")
}

fn p99(_: Workload, one: &Measurement) -> Option<f64> {
    number(one, "p99_us")
}

fn slowest(_: Workload, one: &Measurement) -> Option<f64> {
    number(one, "max_us")
}

fn source_cpu(workload: Workload, one: &Measurement) -> Option<f64> {
    one.source.map(|source| source.cpu_seconds * 1e9 / messages(workload, one))
}

fn sink_cpu(workload: Workload, one: &Measurement) -> Option<f64> {
    Some(one.sink.cpu_seconds * 1e9 / messages(workload, one))
}

fn messages(workload: Workload, one: &Measurement) -> f64 {
    let each = one.count as f64;
    if matches!(workload, Workload::Shout { .. }) { each * SHOUT_PEERS as f64 } else { each }
}

fn source_rss(_: Workload, one: &Measurement) -> Option<f64> {
    one.source.map(|source| source.peak_rss_kib / 1024.0)
}

fn sink_rss(_: Workload, one: &Measurement) -> Option<f64> {
    Some(one.sink.peak_rss_kib / 1024.0)
}

/// The middle of sorted figures.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Messages a second, and megabytes where those say more.
fn throughput(workload: Workload, figures: &[f64]) -> String {
    let rate = figures.first().copied().unwrap_or_default();
    if workload.size() < 64 << 10 {
        return amount(rate);
    }
    format!("{} ({} MB/s)", amount(rate), amount(rate * workload.size() as f64 / 1e6))
}

fn pair(_: Workload, figures: &[f64]) -> String {
    figures.iter().map(|figure| amount(*figure)).collect::<Vec<_>>().join(" / ")
}

fn amount(figure: f64) -> String {
    match figure {
        figure if figure >= 1e6 => format!("{} M", three(figure / 1e6)),
        figure if figure >= 1e4 => format!("{} k", three(figure / 1e3)),
        figure => three(figure),
    }
}

/// About three significant digits, more before the point when there are more.
fn three(figure: f64) -> String {
    let digits = if figure >= 100.0 {
        0
    } else if figure >= 10.0 {
        1
    } else if figure >= 0.1 {
        2
    } else {
        3
    };
    format!("{figure:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
    }

    fn measured(rate: f64) -> Measurement {
        let sink = crate::runner::Usage { cpu_seconds: 0.0, peak_rss_kib: 0.0 };
        Measurement { count: 1, numbers: BTreeMap::from([("rate".into(), rate)]), source: None, sink }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_a_failed_round_is_left_out() {
        let workload = Workload::OneWay { size: 10 };
        let rounds =
            |rates: &[(usize, f64)]| rates.iter().map(|(round, rate)| (*round, measured(*rate))).collect();
        let results = BTreeMap::from([
            ((workload, Contender::Zyre), rounds(&[(0, 10.0), (1, 40.0), (2, 90.0)])),
            ((workload, Contender::Zeromq), rounds(&[(0, 10.0), (2, 30.0)])),
        ]);
        let report = Report { rounds: 3, results, ..Report::default() };
        assert_eq!(report.ratio(workload, Contender::Zyre, Contender::Zeromq), "2.00 (1.00 to 3.00)");
        assert_eq!(report.ratio(workload, Contender::Zyre, Contender::Pyre), "-");
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(amount(12_345_678.0), "12.3 M");
        assert_eq!(amount(2_345.0), "2345");
        assert_eq!(amount(0.456), "0.46");
        assert_eq!(amount(0.0123), "0.012");
    }
}
