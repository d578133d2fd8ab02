//! The tables of `curve`, `curve-handshake` and `curve-attack`.

use super::table::Table;
use super::{Figure, Report, amount, number, p50, p99, rate, sink_cpu, source_cpu, three};
use crate::contender::Contender;
use crate::runner::Measurement;
use crate::workload::{Size, Workload};

impl Report {
    /// Rates and costs of sealed messages, with the ratios of the rates.
    pub(super) fn curve(&self) -> Table {
        let others = [Contender::ZyreOpen, Contender::LibzmqDealer, Contender::LibzmqPush];
        let curve = |workload: &Workload| matches!(workload, Workload::Curve { .. });
        let workload = self.workloads().find(curve).unwrap_or(Workload::Curve { size: 0 });
        let header = ["", "messages/s", "CPU a message, ns, sender / receiver"].map(String::from).into_iter();
        let header = header.chain(others.map(|other| format!("to {other}")));
        let title = format!(
            "One-way whispers of {} sealed by CURVE; ratios in the same round",
            Size(workload.size())
        );
        let mut table = Table::new(&title, header);
        for contender in Contender::ALL {
            let of = |figure: Figure| self.median(workload, contender, figure);
            let (Some(rate), Some(source), Some(sink)) = (of(rate), of(source_cpu), of(sink_cpu)) else {
                continue;
            };
            let mut row = vec![contender.to_string(), amount(rate)];
            row.push(format!("{} / {}", amount(source), amount(sink)));
            row.extend(others.map(|other| self.ratio(workload, contender, other)));
            table.rows.push(row);
        }
        table
    }

    /// Handshakes a second on one core.
    pub(super) fn handshakes(&self) -> Table {
        let header = ["", "client", "server", "both, one after the other"].map(String::from);
        let mut table = Table::new("CURVE handshakes a second, one core, no sockets", header);
        let figures: [Figure; 3] = [
            |_, one| share(one, "client_rate"),
            |_, one| share(one, "server_rate"),
            |_, one| share(one, "rate"),
        ];
        let rates = figures.map(|figure| self.median(Workload::CurveHandshake, Contender::Zyre, figure));
        if let [Some(client), Some(server), Some(both)] = rates {
            table.rows.push(vec![Contender::Zyre.to_string(), amount(client), amount(server), amount(both)]);
        }
        table
    }

    /// Round trips of a secured pair, quiet and attacked in one run.
    pub(super) fn attacks(&self) -> Table {
        let header = ["", "p50 / p99 quiet, µs", "p50 / p99 attacked, µs", "p99 attacked to quiet", "aim"];
        let title = "Secured whisper ping-pong under attack: 1,000 half-open handshakes, 10,000 beacons/s, 10 forged goodbyes/s";
        let mut table = Table::new(title, header.map(String::from));
        let figures: [Figure; 5] = [
            |_, one| number(one, "quiet_p50_us"),
            |_, one| number(one, "quiet_p99_us"),
            p50,
            p99,
            |_, one| Some(number(one, "p99_us")? / number(one, "quiet_p99_us")?),
        ];
        let attack = |workload: &Workload| matches!(workload, Workload::CurveAttack { .. });
        for workload in self.workloads().filter(attack) {
            let medians = figures.map(|figure| self.median(workload, Contender::Zyre, figure));
            if let [Some(quiet_p50), Some(quiet_p99), Some(p50), Some(p99), Some(ratio)] = medians {
                let pair = |one, other| format!("{} / {}", three(one), three(other));
                let cells = [pair(quiet_p50, quiet_p99), pair(p50, p99), three(ratio), "≤ 2".into()];
                table.rows.push([Contender::Zyre.to_string()].into_iter().chain(cells).collect());
            }
        }
        table
    }
}

/// A rate by the clock as one of CPU time: what else runs on the machine does not count.
fn share(one: &Measurement, name: &str) -> Option<f64> {
    let both = one.count as f64 / one.sink.cpu_seconds.max(0.01);
    Some(both * number(one, name)? / number(one, "rate")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Usage;
    use std::collections::BTreeMap;

    #[test]
    fn handshakes_are_counted_by_cpu_time_and_divided_by_the_clock() {
        let numbers = [("rate", 1000.0), ("client_rate", 4000.0), ("server_rate", 4000.0 / 3.0)];
        let numbers = numbers.map(|(name, number)| (name.to_owned(), number)).into();
        let sink = Usage { cpu_seconds: 0.5, peak_rss_kib: 0.0 };
        let one = Measurement { count: 1000, numbers, source: None, sink };
        let results =
            BTreeMap::from([((Workload::CurveHandshake, Contender::Zyre), BTreeMap::from([(0, one)]))]);
        let table = Report { rounds: 1, results, ..Report::default() }.handshakes();
        assert_eq!(table.rows, [["zyre-rs", "8000", "2667", "2000"]]);
    }
}
