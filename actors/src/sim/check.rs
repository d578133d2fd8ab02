//! What must hold whatever happens: books of every call that know nothing of pools.
//!
//! - Every call ends once, by its deadline.
//! - A call that may not be retried runs at most once; one that may, once more for each time it was lost.
//! - What is said not to have been executed never runs.
//! - A call that may be retried is answered while a worker lives, if deadline, retries and their budget allow.
//! - Windows hold, and nothing is sent to who has left, is gone or asked to be left alone.

use super::{Event, Report, Scenario, Violation};
use crate::caller::{CallId, Failure, Provider};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use zyre_rs::PeerId;

/// Timers fire as much as this after they are due.
pub(super) const TIMERS_LATE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Failed { maybe_executed: bool },
    Cancelled,
}

#[derive(Debug)]
struct Book {
    deadline: Duration,
    retries: u32,
    by_id: bool,
    patient: bool,
    attempts: u32,
    lost: u32,
    runs: u32,
    /// Where it is in flight.
    at: Option<PeerId>,
    end: Option<End>,
}

#[derive(Debug)]
pub(super) struct Check {
    calls: BTreeMap<CallId, Book>,
    in_flight: BTreeMap<(usize, PeerId), BTreeSet<CallId>>,
    /// The widest ever.
    windows: BTreeMap<(usize, PeerId), u32>,
    /// Who may be sent calls to the group.
    members: BTreeSet<(usize, PeerId)>,
    closed_until: BTreeMap<(usize, PeerId), Duration>,
    broken: Option<String>,
    recent: VecDeque<(Duration, Event)>,
    digest: u64,
    seed: u64,
}

impl Check {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            calls: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            windows: BTreeMap::new(),
            members: BTreeSet::new(),
            closed_until: BTreeMap::new(),
            broken: None,
            recent: VecDeque::new(),
            digest: 0,
            seed,
        }
    }

    pub(super) fn broken(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    pub(super) fn violation(&mut self) -> Option<Violation> {
        let what = format!("seed {}: {}", self.seed, self.broken.take()?);
        let trace = self.recent.iter().map(|(at, event)| format!("{at:?} {event:?}")).collect();
        Some(Violation { what, trace })
    }

    pub(super) fn trace(&mut self, at: Duration, event: &Event) {
        if self.recent.len() >= 400 {
            self.recent.pop_front();
        }
        self.recent.push_back((at, event.clone()));
        self.digest = self.digest.rotate_left(5) ^ at.as_nanos() as u64;
    }

    pub(super) fn made(
        &mut self,
        call: CallId,
        deadline: Duration,
        retries: u32,
        by_id: bool,
        patient: bool,
    ) {
        let (attempts, lost, runs, at, end) = (0, 0, 0, None, None);
        self.calls.insert(call, Book { deadline, retries, by_id, patient, attempts, lost, runs, at, end });
    }

    pub(super) fn sent(
        &mut self,
        now: Duration,
        caller: usize,
        call: CallId,
        peer: PeerId,
        attempt: u32,
        remaining: Duration,
    ) {
        let Some(book) = self.calls.get_mut(&call) else { return };
        book.attempts += 1;
        let wrong = if book.end.is_some() {
            "after it had ended"
        } else if book.at.replace(peer).is_some() {
            "while it was in flight"
        } else if book.attempts != attempt || book.deadline != now + remaining || remaining.is_zero() {
            "with a wrong attempt or deadline"
        } else if book.lost > book.retries {
            "again more often than allowed"
        } else if book.by_id {
            ""
        } else if !self.members.contains(&(caller, peer)) {
            "to no member"
        } else if self.closed_until.get(&(caller, peer)).is_some_and(|until| *until > now) {
            "to who asked to be left alone"
        } else {
            ""
        };
        if !wrong.is_empty() {
            self.broken(format!("{call:?} was sent {wrong} ({peer})"));
        }
        self.in_flight.entry((caller, peer)).or_default().insert(call);
    }

    /// The call is in flight no more, wherever it was.
    pub(super) fn landed(&mut self, caller: usize, call: CallId) {
        if let Some(peer) = self.calls.get_mut(&call).and_then(|book| book.at.take())
            && let Some(calls) = self.in_flight.get_mut(&(caller, peer))
        {
            calls.remove(&call);
        }
    }

    pub(super) fn is_at(&self, call: CallId, peer: PeerId) -> bool {
        self.calls.get(&call).is_some_and(|book| book.at == Some(peer))
    }

    pub(super) fn landed_at(&mut self, caller: usize, call: CallId, peer: PeerId) {
        if self.is_at(call, peer) {
            self.landed(caller, call);
        }
    }

    pub(super) fn refused(
        &mut self,
        now: Duration,
        caller: usize,
        call: CallId,
        peer: PeerId,
        closed_for: Duration,
    ) {
        if self.is_at(call, peer) {
            self.returned(now, caller, call, closed_for, false);
        }
    }

    /// A call has come back not executed; `gladly` if its sender may be asked again at once.
    pub(super) fn returned(
        &mut self,
        now: Duration,
        caller: usize,
        call: CallId,
        closed_for: Duration,
        gladly: bool,
    ) {
        if let Some(book) = self.calls.get(&call)
            && let Some(peer) = book.at
            && !book.by_id
            && !gladly
        {
            self.closed_until.insert((caller, peer), now + closed_for);
        }
        self.landed(caller, call);
    }

    pub(super) fn joined(&mut self, caller: usize, peer: PeerId) {
        self.members.insert((caller, peer));
    }

    pub(super) fn left(&mut self, caller: usize, peer: PeerId) {
        self.members.remove(&(caller, peer));
    }

    pub(super) fn exited(&mut self, caller: usize, peer: PeerId) {
        self.left(caller, peer);
        self.closed_until.remove(&(caller, peer));
        for call in self.in_flight.remove(&(caller, peer)).unwrap_or_default() {
            if let Some(book) = self.calls.get_mut(&call) {
                book.at = None;
                book.lost += 1;
            }
        }
    }

    pub(super) fn window(&mut self, caller: usize, provider: &Provider) {
        let calls = self.in_flight.get(&(caller, provider.peer));
        let counted =
            calls.into_iter().flatten().filter(|call| self.calls.get(call).is_some_and(|book| !book.by_id));
        let counted = counted.count() as u32;
        // A provider may say its concurrency when it has more calls already.
        let window = self.windows.entry((caller, provider.peer)).or_default();
        *window = provider.window.max(*window);
        if counted != provider.in_flight || counted > *window {
            self.broken(format!("caller {caller} has {counted} calls in flight: {provider:?}"));
        }
    }

    pub(super) fn ran(&mut self, call: CallId, worker: PeerId) {
        let Some(book) = self.calls.get_mut(&call) else { return };
        book.runs += 1;
        let allowed = 1 + book.lost.min(book.retries);
        if book.runs > allowed {
            let runs = book.runs;
            self.broken(format!(
                "{call:?} runs for the {runs}th time, at {worker}, and {allowed} are allowed"
            ));
        }
    }

    pub(super) fn cancelled(&mut self, call: CallId) {
        if let Some(book) = self.calls.get_mut(&call) {
            book.end.get_or_insert(End::Cancelled);
        }
    }

    pub(super) fn answered(&mut self, now: Duration, call: CallId) {
        self.end(now, call, End::Answered);
        // After the deadline the answer may be that it has passed.
        if self.calls.get(&call).is_some_and(|book| book.runs == 0 && now < book.deadline) {
            self.broken(format!("{call:?} was answered and never ran"));
        }
    }

    pub(super) fn failed(
        &mut self,
        now: Duration,
        scenario: Scenario,
        call: CallId,
        failure: &Failure,
        over_budget: bool,
    ) {
        let maybe_executed = match failure {
            Failure::TimedOut { maybe_executed } | Failure::PeerLost { maybe_executed, .. } => {
                *maybe_executed
            }
            Failure::NoProvider | Failure::Rejected { .. } | Failure::NotSent { .. } => false,
        };
        self.end(now, call, End::Failed { maybe_executed });
        let Some(book) = self.calls.get(&call) else { return };
        let may_be_lost = book.lost > book.retries || over_budget || book.by_id || now >= book.deadline;
        if matches!(failure, Failure::PeerLost { .. }) {
            if book.lost == 0 {
                self.broken(format!("{call:?} was not lost: {failure:?}"));
            } else if scenario.spares_one() && !may_be_lost {
                self.broken(format!("{call:?} might have been retried: {failure:?} {book:?}"));
            }
        } else if scenario.spares_one() && book.patient && !book.by_id {
            self.broken(format!("{call:?} failed although a worker lives: {failure:?} {book:?}"));
        }
    }

    fn end(&mut self, now: Duration, call: CallId, end: End) {
        let Some(book) = self.calls.get_mut(&call) else { return };
        let before = book.end.replace(end);
        if before.is_some() || book.at.is_some() || now > book.deadline + TIMERS_LATE {
            let book = format!("{book:?}");
            self.broken(format!("{call:?} ends twice, late or in flight ({before:?}): {book}"));
        }
    }

    pub(super) fn finish(&mut self, scenario: Scenario, report: &mut Report) {
        for (call, book) in &self.calls {
            let wrong = match book.end {
                None => "never ended",
                Some(End::Failed { maybe_executed: false }) if book.runs > 0 => {
                    "ran, and its caller was told it did not"
                }
                Some(End::Failed { .. }) if scenario.loses_nothing() => "failed, and nothing was wrong",
                _ => "",
            };
            if !wrong.is_empty() {
                self.broken.get_or_insert_with(|| format!("{call:?} {wrong}: {book:?}"));
            }
            report.calls += 1;
            report.runs += u64::from(book.runs);
            report.answered += u64::from(book.end == Some(End::Answered));
            report.failed += u64::from(matches!(book.end, Some(End::Failed { .. })));
            report.cancelled += u64::from(book.end == Some(End::Cancelled));
            report.survived += u64::from(book.end == Some(End::Answered) && book.lost > 0);
        }
        report.digest = self.digest;
    }
}
