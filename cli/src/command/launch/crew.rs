//! The processes of a launch and what is to be done about them: one task that hears of everything and decides nothing
//! that `plan` and `restart` can decide.

use super::awaited;
use super::plan::Plan;
use super::process::{End, Line, Process, Surroundings};
use super::ready::ready;
use super::restart::{Row, Verdict};
use crate::failure::Failure;
use crate::output::{Happened, Output, Said, Stream, What, coloured, note};
use crate::signals::Signals;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use zyre_rs::Node;

/// Lines that wait to be printed; nodes that print faster are held up by their pipes.
const LINES: usize = 256;

pub(super) struct Crew<'a> {
    plan: &'a Plan,
    surroundings: &'a Surroundings,
    /// Who looks for peers; there if the plan waits for some.
    node: Option<&'a Node>,
    patience: Duration,
    output: &'a mut Output,
    members: Vec<Member>,
    /// Steps that wait, or that were started.
    begun: BTreeSet<usize>,
    started: BTreeSet<usize>,
    to_lines: mpsc::Sender<Line>,
    lines: mpsc::Receiver<Line>,
    delays: JoinSet<News>,
    processes: JoinSet<(usize, End)>,
    /// Why all are being stopped, if they are.
    failure: Option<Failure>,
}

/// One process, whether it runs or not.
struct Member {
    step: usize,
    name: String,
    row: Row,
    running: bool,
    /// Stops it; there until that was used.
    stop: Option<oneshot::Sender<()>>,
}

/// What was waited for.
enum News {
    Ready { step: usize },
    Unready { step: usize, missing: String },
    Restart { member: usize },
}

impl<'a> Crew<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        surroundings: &'a Surroundings,
        node: Option<&'a Node>,
        patience: Duration,
        output: &'a mut Output,
    ) -> Self {
        let of_step = |(step, planned): (usize, &super::plan::Step)| {
            let member = move |name| Member { step, name, row: Row::default(), running: false, stop: None };
            planned.node.instances().into_iter().map(member).collect::<Vec<_>>()
        };
        let members = plan.steps.iter().enumerate().flat_map(of_step).collect();
        let (to_lines, lines) = mpsc::channel(LINES);
        let (begun, started) = (BTreeSet::new(), BTreeSet::new());
        let (delays, processes) = (JoinSet::new(), JoinSet::new());
        Self {
            plan,
            surroundings,
            node,
            patience,
            output,
            members,
            begun,
            started,
            to_lines,
            lines,
            delays,
            processes,
            failure: None,
        }
    }

    /// Runs until all have done their work, or until all are stopped again.
    pub(super) async fn run(mut self, signals: &mut Signals) -> Result<(), Failure> {
        let mut batch = Vec::with_capacity(LINES);
        self.advance();
        while !(self.delays.is_empty() && self.processes.is_empty()) {
            tokio::select! {
                signal = signals.first(), if self.failure.is_none() => self.stop(Failure::Interrupted(signal)),
                _ = self.lines.recv_many(&mut batch, LINES) => self.print(batch.drain(..)),
                Some(news) = self.delays.join_next() => if let Ok(news) = news { self.on_news(news) },
                Some(ended) = self.processes.join_next() => if let Ok((member, end)) = ended {
                    // Its last lines come before the news of its end.
                    while let Ok(line) = self.lines.try_recv() {
                        batch.push(line);
                    }
                    self.print(batch.drain(..));
                    self.on_end(member, end);
                },
            }
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// Begins all steps whose turn it is.
    fn advance(&mut self) {
        while self.failure.is_none() {
            let due = self.plan.next(&self.started).into_iter().find(|step| !self.begun.contains(step));
            let Some(step) = due else { return };
            self.begun.insert(step);
            self.begin(step);
        }
    }

    fn begin(&mut self, step: usize) {
        let (plan, patience) = (self.plan, self.patience);
        let Some(planned) = plan.steps.get(step) else { return };
        let Some(node) = self.node.filter(|_| !planned.waits.is_empty()) else { return self.start_all(step) };
        let peers = planned.waits.iter().map(awaited).collect();
        self.tell(&planned.node.name, What::Waiting { peers });
        let (node, waits) = (node.clone(), planned.waits.clone());
        self.later(async move {
            match ready(&node, &waits, patience).await {
                Ok(()) => News::Ready { step },
                Err(missing) => News::Unready { step, missing },
            }
        });
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Ready { step } => {
                self.start_all(step);
                self.advance();
            }
            News::Unready { step, missing } => {
                let name = self.plan.steps.get(step).map_or("", |step| &step.node.name);
                self.stop(Failure::Timeout(format!(
                    "{name} was not started: {missing}; see what its lines say, check that it uses the name in \
                     ZYRE_NAME and the same network, or wait longer with `timeout`"
                )));
            }
            News::Restart { member } => self.start(member),
        }
    }

    fn start_all(&mut self, step: usize) {
        self.started.insert(step);
        for member in 0..self.members.len() {
            if self.failure.is_none() && self.members.get(member).is_some_and(|member| member.step == step) {
                self.start(member);
            }
        }
    }

    fn start(&mut self, number: usize) {
        let Some(member) = self.members.get_mut(number) else { return };
        let Some(step) = self.plan.steps.get(member.step) else { return };
        let name = member.name.clone();
        match Process::start(self.surroundings, &step.node, &name, number, &self.to_lines) {
            Ok(process) => {
                let (stop, stopped) = oneshot::channel();
                (member.running, member.stop) = (true, Some(stop));
                let pid = process.id();
                self.processes.spawn(async move { (number, process.end(stopped).await) });
                self.tell(&name, What::Started { pid });
            }
            Err(error) => {
                let program = step.node.command.first().map_or("", String::as_str);
                let directory = self.surroundings.directory(&step.node);
                self.stop(Failure::Launch(format!(
                    "{name} cannot be started: {error}; check that there is a program `{program}` and a directory {}",
                    directory.display()
                )));
            }
        }
    }

    fn on_end(&mut self, number: usize, end: End) {
        let Some(member) = self.members.get_mut(number) else { return };
        (member.running, member.stop) = (false, None);
        let name = member.name.clone();
        let (success, happened) = (end.success(), end.told());
        let how = Happened { what: happened.clone(), node: &name }.to_string();
        self.tell(&name, happened);
        if end.escaped {
            note(format_args!(
                "warning: {name} has started a process that left its group and goes on, and whose lines are not shown \
                 any more; end it yourself"
            ));
        }
        if self.failure.is_some() {
            return self.stop_next();
        }
        let Some(member) = self.members.get_mut(number) else { return };
        let Some(step) = self.plan.steps.get(member.step) else { return };
        match member.row.judge(&step.node.restart, success, end.ran, chance()) {
            Verdict::Done => {}
            Verdict::Failed => {
                self.stop(Failure::Launch(format!("{how}, which is for good: all were stopped")))
            }
            Verdict::Again { after, restart } => {
                self.tell(&name, What::Restart { restart, in_ms: after.as_millis() });
                self.later(async move {
                    tokio::time::sleep(after).await;
                    News::Restart { member: number }
                });
            }
        }
    }

    /// Hears of it in time, unless all are being stopped: telling of something may have shown that nobody listens.
    fn later(&mut self, news: impl Future<Output = News> + Send + 'static) {
        if self.failure.is_none() {
            self.delays.spawn(news);
        }
    }

    /// Starts nothing more and stops what runs; the first reason to do so counts.
    fn stop(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure);
            self.delays = JoinSet::new();
            self.stop_next();
        }
    }

    /// Stops those whose turn it is.
    fn stop_next(&mut self) {
        let running: BTreeSet<usize> =
            self.members.iter().filter(|member| member.running).map(|member| member.step).collect();
        let last = self.plan.last(&running);
        let mut told = Vec::new();
        for member in self.members.iter_mut().filter(|member| last.contains(&member.step)) {
            if let Some(stop) = member.stop.take() {
                // It may have ended in the meantime.
                _ = stop.send(());
                told.push(member.name.clone());
            }
        }
        told.iter().for_each(|name| self.tell(name, What::Stopping));
    }

    /// Says what has happened: with JSON as data, else as a note.
    fn tell(&mut self, node: &str, what: What) {
        let happened = Happened { what, node };
        if !self.output.is_json() {
            return note(&happened);
        }
        let told = self.output.line(&happened).and_then(|()| self.output.flush());
        self.printed(told);
    }

    fn print(&mut self, lines: impl Iterator<Item = Line>) {
        let printed = self.print_all(lines);
        self.printed(printed);
    }

    /// Passes lines on.
    fn print_all(&mut self, mut lines: impl Iterator<Item = Line>) -> Result<(), Failure> {
        let json = self.output.is_json();
        let (out, err) = (coloured(&io::stdout()), coloured(&io::stderr()));
        let width = self.members.iter().map(|member| member.name.len()).max().unwrap_or_default();
        lines.try_for_each(|Line { process, stream, text }| {
            let Some(member) = self.members.get(process) else { return Ok(()) };
            let colour = (if stream == Stream::Stdout { out } else { err }).then_some(member.step);
            let text = &String::from_utf8_lossy(&text);
            let said = Said { node: &member.name, stream, text, width, colour };
            if json || stream == Stream::Stdout {
                return self.output.line(&said);
            }
            // That it may be closed is no reason to fail.
            _ = writeln!(io::stderr(), "{said}");
            Ok(())
        })?;
        self.output.flush()
    }

    /// Nodes that nobody hears are stopped.
    fn printed(&mut self, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            self.stop(failure);
        }
    }
}

/// From 0 to 1. Without a source of it all restart after exactly their delay.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
