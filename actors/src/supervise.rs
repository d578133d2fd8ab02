//! What is restarted when an actor dies, without I/O: a set of children under one [`Strategy`].
//!
//! A child is told to start only after it has reported the end of its run before, so there is never more than one of
//! it. Where a failure concerns several, all of them are down before the first comes up again, and they come up one
//! after the other in the order they were added.

#![deny(clippy::indexing_slicing)]
// Tests need some instant to begin with.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod strategy;
#[cfg(test)]
mod tests;

pub use strategy::{OneForAll, OneForOne, RestForOne, Strategy};

use std::collections::{BTreeMap, VecDeque};
use strategy::Scope;
use tokio::time::Instant;

/// A supervised actor; later ones have higher numbers. Never reused within a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChildId(pub(crate) u64);

/// How an actor's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Panicked,
    /// By itself, as with `ctx.stop()`, or because it was told to.
    Stopped,
}

/// What the machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Add(ChildId),
    /// It is no longer wanted.
    Remove(ChildId),
    /// It is built and its `started` has returned.
    Started(ChildId),
    /// Once per `Output::Start`.
    Exited(ChildId, Exit),
    /// The deadline has come.
    Timeout,
}

/// What the shell has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Start(ChildId),
    /// May meet a child that has just ended by itself.
    Stop(ChildId),
    /// It will be started again, not before this time.
    Paused(ChildId, Instant),
    /// It stopped by itself and stays so; the set has forgotten it.
    Ended(ChildId),
    /// There were too many restarts. Those that run were told to stop; the set does nothing more.
    GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Down; may start at this time.
    Waiting(Instant),
    Starting,
    Running {
        since: Instant,
    },
    /// Told to stop because of another; down until this time.
    Stopping(Instant),
}

#[derive(Debug)]
struct Child {
    state: State,
    /// Failures without a quiet time in between.
    failures: u32,
}

/// A set of children that are restarted together or alone.
#[derive(Debug)]
pub(crate) struct Supervisor {
    strategy: Strategy,
    children: BTreeMap<ChildId, Child>,
    /// When the restarts of the last while were; at most `strategy.max`.
    restarts: VecDeque<Instant>,
    gave_up: bool,
    /// Emptied by the shell after each input.
    outputs: VecDeque<Output>,
}

impl Supervisor {
    pub(crate) fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            children: BTreeMap::new(),
            restarts: VecDeque::new(),
            gave_up: false,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Add(_) if self.gave_up => self.outputs.push_back(Output::GaveUp),
            Input::Add(child) => {
                self.children.insert(child, Child { state: State::Waiting(now), failures: 0 });
            }
            Input::Remove(child) => self.on_remove(child),
            Input::Started(child) => self.on_started(now, child),
            Input::Exited(child, exit) => self.on_exited(now, child, exit),
            Input::Timeout => {}
        }
        self.start_due(now);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `Input::Timeout` is wanted. A set that waits for a child to come up or down wants none.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.in_order() {
            self.next_in_order().map(|(_, due)| due)
        } else {
            self.waiting().map(|(_, due)| due).min()
        }
    }

    fn on_remove(&mut self, child: ChildId) {
        let Some(removed) = self.children.remove(&child) else { return };
        if matches!(removed.state, State::Starting | State::Running { .. }) {
            self.outputs.push_back(Output::Stop(child));
        }
    }

    fn on_started(&mut self, now: Instant, child: ChildId) {
        if let Some(child) = self.children.get_mut(&child)
            && child.state == State::Starting
        {
            child.state = State::Running { since: now };
        }
    }

    fn on_exited(&mut self, now: Instant, id: ChildId, exit: Exit) {
        let Some(child) = self.children.get_mut(&id) else { return };
        match child.state {
            State::Stopping(until) => child.state = State::Waiting(until),
            State::Waiting(_) => {}
            State::Starting | State::Running { .. } if exit == Exit::Stopped && !self.strategy.always => {
                self.children.remove(&id);
                self.outputs.push_back(Output::Ended(id));
            }
            State::Running { since } if now.saturating_duration_since(since) >= self.strategy.longest => {
                child.failures = 0;
                self.restart(now, id);
            }
            State::Starting | State::Running { .. } => self.restart(now, id),
        }
    }

    /// `failed` is down and has to come up again, with those that the strategy ties to it.
    fn restart(&mut self, now: Instant, failed: ChildId) {
        if !self.may_restart(now) {
            self.children.remove(&failed);
            return self.give_up();
        }
        let Some(child) = self.children.get_mut(&failed) else { return };
        let until = now + self.strategy.delay(child.failures);
        child.failures = child.failures.saturating_add(1);
        child.state = State::Waiting(until);
        self.outputs.push_back(Output::Paused(failed, until));

        let first = match self.strategy.scope {
            Scope::One => return,
            Scope::All => ChildId(0),
            Scope::Rest => failed,
        };
        // Last come, first down: a later child may lean on an earlier one.
        for (&id, child) in self.children.range_mut(first..).rev() {
            match child.state {
                State::Starting | State::Running { .. } => {
                    child.state = State::Stopping(until);
                    self.outputs.extend([Output::Stop(id), Output::Paused(id, until)]);
                }
                State::Stopping(due) => child.state = State::Stopping(due.max(until)),
                State::Waiting(due) => child.state = State::Waiting(due.max(until)),
            }
        }
    }

    fn may_restart(&mut self, now: Instant) -> bool {
        let within = self.strategy.within;
        while self.restarts.front().is_some_and(|&at| now.saturating_duration_since(at) >= within) {
            self.restarts.pop_front();
        }
        let allowed = self.restarts.len() < self.strategy.max as usize;
        if allowed {
            self.restarts.push_back(now);
        }
        allowed
    }

    fn give_up(&mut self) {
        self.gave_up = true;
        for (id, child) in std::mem::take(&mut self.children).into_iter().rev() {
            if matches!(child.state, State::Starting | State::Running { .. }) {
                self.outputs.push_back(Output::Stop(id));
            }
        }
        self.outputs.push_back(Output::GaveUp);
    }

    fn start_due(&mut self, now: Instant) {
        loop {
            let next = if self.in_order() {
                self.next_in_order()
            } else {
                self.waiting().find(|(_, due)| *due <= now)
            };
            let Some((id, _)) = next.filter(|(_, due)| *due <= now) else { return };
            let Some(child) = self.children.get_mut(&id) else { return };
            child.state = State::Starting;
            self.outputs.push_back(Output::Start(id));
        }
    }

    fn in_order(&self) -> bool {
        self.strategy.scope != Scope::One
    }

    fn waiting(&self) -> impl Iterator<Item = (ChildId, Instant)> {
        self.children.iter().filter_map(|(&id, child)| match child.state {
            State::Waiting(due) => Some((id, due)),
            _ => None,
        })
    }

    /// The first that is down, once nothing is on its way up or down any more.
    fn next_in_order(&self) -> Option<(ChildId, Instant)> {
        let moving = |child: &Child| matches!(child.state, State::Starting | State::Stopping(_));
        if self.children.values().any(moving) { None } else { self.waiting().next() }
    }
}
