//! The tables of `call`, `call-sequential` and `pool`.

use super::table::Table;
use super::{Figure, Report, amount, number, p50, p99, rate, slowest, three};
use crate::contender::Contender;
use crate::runner::Measurement;
use crate::workload::Workload;

impl Report {
    /// Rates and costs of pipelined calls, with the ratios of the rates.
    pub(super) fn calls(&self) -> Table {
        let others = [Contender::TarpcJson, Contender::TarpcBincode, Contender::Ractor, Contender::Pyre];
        let header = ["", "calls/s", "CPU a call, µs, client + server"].map(String::from).into_iter();
        let header = header.chain(others.map(|other| format!("to {other}")));
        let mut table = Table::new("Calls of add(a, b), 64 under way; ratios in the same round", header);
        for contender in Contender::ALL {
            let Some(rate) = self.median(Workload::Call, contender, rate) else { continue };
            let mut row = vec![title(contender), amount(rate), self.cost(Workload::Call, contender)];
            row.extend(others.map(|other| self.ratio(Workload::Call, contender, other)));
            table.rows.push(row);
        }
        table
    }

    /// Times of calls one at a time, with the ratio to a whisper that is only echoed.
    pub(super) fn sequential_calls(&self) -> Table {
        let bare = format!("p50 to {}", title(Contender::Zyre));
        let header = ["", "p50 / p99, µs", "CPU a call, µs, client + server", &bare].map(String::from);
        let mut table = Table::new("Calls of add(a, b), one at a time; ratios in the same round", header);
        let workload = Workload::CallSequential;
        for contender in Contender::ALL {
            let of = |figure| self.median(workload, contender, figure);
            let (Some(p50), Some(p99)) = (of(p50), of(p99)) else { continue };
            table.rows.push(vec![
                title(contender),
                format!("{} / {}", three(p50), three(p99)),
                self.cost(workload, contender),
                self.ratio(workload, contender, Contender::Zyre),
            ]);
        }
        table
    }

    /// Times of calls to a pool by contender and policy.
    pub(super) fn pools(&self) -> Table {
        let header = ["", "p50", "p99", "p99.9", "slowest", "failed, %", "CPU a call, µs"].map(String::from);
        let mut table =
            Table::new("Pool of 8 workers, one 5× slower, 4 callers, half of the capacity: ms", header);
        let times: [Figure; 4] = [p50, p99, |_, one| number(one, "p999_us"), slowest];
        for workload in self.workloads() {
            let Workload::Pool { policy } = workload else { continue };
            for contender in Contender::ALL {
                let times = times.map(|figure| self.median(workload, contender, figure));
                let [Some(p50), Some(p99), Some(p999), Some(max)] = times else { continue };
                let failed = self.median(workload, contender, |_, one| number(one, "failed_percent"));
                let mut row = vec![format!("{contender}, {policy:?}")];
                row.extend([p50, p99, p999, max].map(|time| three(time / 1e3)));
                row.extend([failed.map_or_else(|| "-".into(), three), self.cost(workload, contender)]);
                table.rows.push(row);
            }
        }
        table
    }

    fn cost(&self, workload: Workload, contender: Contender) -> String {
        self.median(workload, contender, cpu_of_both).map_or_else(|| "-".into(), three)
    }
}

fn title(contender: Contender) -> String {
    match contender {
        Contender::Zyre => "bare whisper echo".into(),
        _ => contender.to_string(),
    }
}

fn cpu_of_both(_: Workload, one: &Measurement) -> Option<f64> {
    one.source.map(|source| (source.cpu_seconds + one.sink.cpu_seconds) * 1e6 / one.count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Usage;
    use crate::workload::Policy;
    use std::collections::BTreeMap;

    fn measured(numbers: &[(&str, f64)]) -> BTreeMap<usize, Measurement> {
        let usage = |cpu_seconds| Usage { cpu_seconds, peak_rss_kib: 0.0 };
        let numbers = numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        let one = Measurement { count: 1000, numbers, source: Some(usage(0.01)), sink: usage(0.02) };
        BTreeMap::from([(0, one)])
    }

    #[test]
    fn calls_show_rate_cost_of_both_sides_and_ratios_to_the_others() {
        let results = BTreeMap::from([
            ((Workload::Call, Contender::TcpJson), measured(&[("rate", 3000.0)])),
            ((Workload::Call, Contender::TarpcJson), measured(&[("rate", 1000.0)])),
        ]);
        let table = Report { rounds: 1, results, ..Report::default() }.calls();
        assert_eq!(table.rows[0][..4], ["tcp json", "3000", "30.0", "3.00 (3.00 to 3.00)"]);
        assert_eq!(table.rows[1][3], "1.00 (1.00 to 1.00)");
        assert_eq!(table.rows[1][4], "-");
    }

    #[test]
    fn a_pool_shows_its_percentiles_in_milliseconds_and_what_failed() {
        let workload = Workload::Pool { policy: Policy::RoundRobin };
        let numbers = [("p50_us", 11e3), ("p99_us", 2e6), ("p999_us", 4e6), ("max_us", 5e6)];
        let numbers = numbers.into_iter().chain([("failed_percent", 1.5)]).collect::<Vec<_>>();
        let results = BTreeMap::from([((workload, Contender::TarpcBincode), measured(&numbers))]);
        let table = Report { rounds: 1, results, ..Report::default() }.pools();
        let expected = ["tarpc bincode, RoundRobin", "11.0", "2000", "4000", "5000", "1.50", "30.0"];
        assert_eq!(table.rows, [expected]);
    }
}
