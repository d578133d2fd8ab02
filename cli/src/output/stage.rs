//! What the demo shows: lines of what happens and, at a terminal, a table below them that is drawn anew.

use super::list::table;
use super::{Output, Screen};
use crate::failure::Failure;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::printable;

/// Where there is no terminal, how the workers stand is a line this often.
const STANDING_EVERY: Duration = Duration::from_secs(1);

/// The workers as they stand.
#[derive(Serialize)]
pub(crate) struct Board {
    pub(crate) seconds: f64,
    pub(crate) workers: Vec<WorkerLine>,
}

/// One of them.
#[derive(Serialize)]
pub(crate) struct WorkerLine {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) in_flight: u32,
    pub(crate) answered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mean_ms: Option<f64>,
}

/// What it has come to.
#[derive(Serialize)]
pub(crate) struct Total {
    pub(crate) seconds: f64,
    pub(crate) calls: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) rerouted: u64,
    pub(crate) workers: Vec<WorkerLine>,
}

/// A line of what happens.
#[derive(Serialize)]
struct Told<'a> {
    seconds: f64,
    text: &'a str,
}

/// Shows the demo as it goes.
pub(crate) struct Stage<'a> {
    output: &'a mut Output,
    began: Instant,
    screen: Screen,
    stood_at: Option<Instant>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(output: &'a mut Output) -> Self {
        let screen = Screen::new(output);
        Self { output, began: Instant::now(), screen, stood_at: None }
    }

    /// Seconds since the beginning, to the tenth.
    pub(crate) fn seconds(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    pub(crate) fn tell(&mut self, text: &str) -> Result<(), Failure> {
        self.screen.erase(self.output)?;
        let seconds = self.seconds();
        self.output.line(&Told { seconds, text })?;
        self.output.flush()
    }

    pub(crate) fn show(&mut self, board: &Board) -> Result<(), Failure> {
        if self.screen.is_live() {
            return self.screen.draw(self.output, &worker_table(&board.workers));
        }
        if self.stood_at.is_some_and(|at| at.elapsed() < STANDING_EVERY) {
            return Ok(());
        }
        self.stood_at = Some(Instant::now());
        self.output.line(board)?;
        self.output.flush()
    }

    pub(crate) fn end(&mut self, total: &Total) -> Result<(), Failure> {
        self.screen.erase(self.output)?;
        self.output.line(total)?;
        self.output.flush()
    }
}

fn worker_table(workers: &[WorkerLine]) -> String {
    let line = |worker: &WorkerLine| {
        [
            printable(&worker.name).into_owned(),
            worker.state.clone(),
            worker.in_flight.to_string(),
            worker.answered.to_string(),
            worker.mean_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}")),
        ]
    };
    table(["WORKER", "STATE", "IN FLIGHT", "ANSWERED", "MEAN MS"], workers.iter().map(line))
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5.1} s  {}", self.seconds, printable(self.text))
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.workers.iter().map(|WorkerLine { name, state, answered, in_flight, .. }| {
            format!("{name} {answered} answered, {in_flight} open ({state})")
        });
        let text = each.collect::<Vec<_>>().join("; ");
        Told { seconds: self.seconds, text: &text }.fmt(f)
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, calls, answered, failed, rerouted, workers } = self;
        write!(
            f,
            "\n{}\n{calls} calls in {seconds} s: {answered} answered, {failed} failed; {rerouted} of a killed worker's \
             calls were re-routed",
            worker_table(workers)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers() -> Vec<WorkerLine> {
        let line = |name: &str, state: &str, mean_ms| WorkerLine {
            name: name.to_owned(),
            state: state.to_owned(),
            in_flight: 2,
            answered: 10,
            mean_ms,
        };
        vec![line("slow", "works", Some(50.04)), line("worker\n1", "killed", None)]
    }

    #[test]
    fn the_workers_are_a_table_at_a_terminal_and_a_line_elsewhere() {
        assert_eq!(
            worker_table(&workers()),
            "WORKER     STATE   IN FLIGHT  ANSWERED  MEAN MS\n\
             slow       works   2          10        50.0\n\
             worker\\n1  killed  2          10        -\n"
        );
        assert_eq!(
            Board { seconds: 1.5, workers: workers() }.to_string(),
            r"  1.5 s  slow 10 answered, 2 open (works); worker\n1 10 answered, 2 open (killed)"
        );
    }
}
