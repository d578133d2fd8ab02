//! What goes wrong.

use super::nodes::{SERVICE, WorkerState};
use super::{CallId, Event, FAULTS_LAST, Reply, Scenario, Verdict, World};
use crate::caller::Input as CallerInput;
use crate::server::Input as ServerInput;
use std::time::Duration;
use zyre_rs::PeerId;

impl World {
    pub(super) fn fault(&mut self) {
        if self.now > FAULTS_LAST {
            return;
        }
        // The first is the one that is spared.
        let first = u64::from(self.scenario.spares_one());
        let slot = (first + self.below(self.workers.len() as u64 - first)) as usize;
        let worker = self.workers[slot].id;
        if self.workers[slot].state == WorkerState::Up {
            match self.scenario {
                Scenario::Calm | Scenario::FullLinks => {}
                Scenario::Drains => self.drain(slot, worker),
                Scenario::Crashes => self.crash(slot, worker),
                Scenario::Cuts => self.cut(worker),
                Scenario::Slow => self.hinder(slot, worker),
                Scenario::Overload => self.restart_actor(worker),
                Scenario::Mixed => match self.below(6) {
                    0 => self.drain(slot, worker),
                    1 => self.crash(slot, worker),
                    2 => self.cut(worker),
                    3 => self.hinder(slot, worker),
                    4 => self.forge(worker),
                    _ => self.restart_actor(worker),
                },
            }
        }
        let wait = Duration::from_millis(100 + self.below(600));
        self.after(wait, Event::Fault);
    }

    fn drain(&mut self, slot: usize, worker: PeerId) {
        self.workers[slot].state = WorkerState::Draining;
        for caller in 0..self.callers.len() {
            self.reply(caller, worker, Reply::Leave);
        }
        self.tell_worker(worker, ServerInput::Drain { service: SERVICE });
    }

    fn crash(&mut self, slot: usize, worker: PeerId) {
        self.workers[slot].state = WorkerState::Off;
        for caller in 0..self.callers.len() {
            let noticed = Duration::from_millis(900 + self.below(300));
            self.after(noticed, Event::Exit { caller, worker });
        }
        let wait = Duration::from_millis(200 + self.below(3_000));
        self.after(wait, Event::Start { slot });
    }

    fn cut(&mut self, worker: PeerId) {
        let caller = self.below(self.callers.len() as u64) as usize;
        self.on_exit(caller, worker);
        let noticed = Duration::from_millis(self.below(200));
        if self.chance(50) {
            self.after(noticed, Event::CallerGone { caller, worker });
        }
        let back = noticed + Duration::from_millis(self.below(300));
        self.after(back, Event::Meet { caller, worker });
    }

    fn hinder(&mut self, slot: usize, worker: PeerId) {
        let until = self.now + Duration::from_millis(self.below(1_500));
        match self.below(3) {
            0 => self.workers[slot].slow_until = until,
            1 => self.workers[slot].frozen_until = until,
            _ => {}
        }
        for caller in 0..self.callers.len() {
            if self.chance(50) {
                self.tell_caller(caller, CallerInput::Evasive { peer: worker });
            }
        }
    }

    /// Answers calls that it does not have.
    fn forge(&mut self, worker: PeerId) {
        let caller = self.below(self.callers.len() as u64) as usize;
        for _ in 0..10 {
            let call = CallId(self.next_call.saturating_sub(self.below(20)));
            let verdict =
                if self.chance(50) { Verdict::Done } else { Verdict::Refused { retry_after: None } };
            if !self.check.is_at(call, worker) {
                self.tell_caller(caller, CallerInput::Response { call, peer: worker, verdict });
            }
        }
    }

    fn restart_actor(&mut self, worker: PeerId) {
        let back = Duration::from_millis(1 + self.below(300));
        let until = self.start + self.now + back;
        self.tell_worker(worker, ServerInput::Pause { service: SERVICE, until });
        self.after(back, Event::Resume { worker });
    }
}
