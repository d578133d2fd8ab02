//! The dealer's bookkeeping: whose turn it is, which request is with whom, who has answered how many.
//!
//! Invariant: every request not yet answered is either waiting or with exactly one worker that is still there,
//! so a request is done at least once and counted exactly once.

use std::collections::{BTreeMap, VecDeque};
use zyre_rs::PeerId;

/// Requests out at one time. More would only queue up in the workers, and be lost with them.
const MAX_OPEN: usize = 100;

/// Numbered requests, dealt round-robin.
#[derive(Debug)]
pub struct WorkList {
    total: usize,
    waiting: VecDeque<u64>,
    open: BTreeMap<u64, PeerId>,
    /// Whose turn it is stands in front.
    turns: VecDeque<PeerId>,
    /// Workers to wait for before the first request is dealt; 0 from then on.
    wait_for: usize,
    answers: Vec<(PeerId, String, usize)>,
}

impl WorkList {
    /// Requests 1 to `total`, dealt once `wait_for` workers are there.
    pub fn new(total: usize, wait_for: usize) -> Self {
        let waiting = (1..).take(total).collect();
        Self { total, waiting, open: BTreeMap::new(), turns: VecDeque::new(), wait_for, answers: Vec::new() }
    }

    /// A worker has come (again).
    pub fn add_worker(&mut self, worker: PeerId, name: &str) {
        if !self.turns.contains(&worker) {
            self.turns.push_back(worker);
        }
        if !self.answers.iter().any(|(known, ..)| *known == worker) {
            self.answers.push((worker, name.to_owned(), 0));
        }
    }

    /// A worker has gone. Returns how many requests it left unanswered; others get them next.
    pub fn remove_worker(&mut self, worker: PeerId) -> usize {
        self.turns.retain(|known| *known != worker);
        let left: Vec<u64> =
            self.open.iter().filter(|(_, with)| **with == worker).map(|(id, _)| *id).collect();
        for id in left.iter().rev() {
            self.open.remove(id);
            self.waiting.push_front(*id);
        }
        left.len()
    }

    /// The next request to send and to whom; `None` when there is nothing to send now.
    pub fn deal(&mut self) -> Option<(u64, PeerId)> {
        if self.turns.len() < self.wait_for || self.open.len() >= MAX_OPEN {
            return None;
        }
        let worker = *self.turns.front()?;
        let id = self.waiting.pop_front()?;
        self.wait_for = 0;
        self.turns.rotate_left(1);
        self.open.insert(id, worker);
        Some((id, worker))
    }

    /// Counts an answer. False when this worker was not asked for it: it came late, twice, or out of the blue.
    pub fn answered(&mut self, worker: PeerId, id: u64) -> bool {
        if self.open.get(&id) != Some(&worker) {
            return false;
        }
        self.open.remove(&id);
        if let Some((_, _, count)) = self.answers.iter_mut().find(|(known, ..)| *known == worker) {
            *count += 1;
        }
        true
    }

    /// Whether every request has its answer.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    /// `100 requests, 100 answers: worker-1 34, worker-2 33, worker-3 33`
    pub fn summary(&self) -> String {
        let mut workers: Vec<_> = self.answers.iter().map(|(_, name, count)| (name, count)).collect();
        workers.sort();
        let each: Vec<_> =
            workers.iter().map(|(name, count)| format!("{} {count}", zyre_rs::printable(name))).collect();
        let answers = self.total - self.waiting.len() - self.open.len();
        format!("{} requests, {answers} answers: {}", self.total, each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(n: u8) -> PeerId {
        PeerId::from_bytes([n; 16])
    }

    fn list(total: usize, workers: u8) -> WorkList {
        let mut work = WorkList::new(total, usize::from(workers));
        (1..=workers).for_each(|n| work.add_worker(worker(n), &format!("worker-{n}")));
        work
    }

    #[test]
    fn requests_go_round_and_every_answer_is_counted() {
        let mut work = list(100, 3);
        while let Some((id, to)) = work.deal() {
            assert!(work.answered(to, id));
        }
        assert!(work.is_done());
        assert_eq!(work.summary(), "100 requests, 100 answers: worker-1 34, worker-2 33, worker-3 33");
    }

    #[test]
    fn nothing_is_dealt_before_enough_workers_are_there_and_their_loss_does_not_stop_it() {
        let mut work = WorkList::new(2, 2);
        work.add_worker(worker(1), "a");
        work.add_worker(worker(1), "a");
        assert_eq!(work.deal(), None);
        work.add_worker(worker(2), "b");
        assert_eq!(work.deal(), Some((1, worker(1))));
        assert_eq!(work.remove_worker(worker(2)), 0);
        assert_eq!(work.deal(), Some((2, worker(1))));
    }

    #[test]
    fn what_a_dead_worker_owes_goes_to_the_others_first() {
        let mut work = list(5, 2);
        let dealt: Vec<_> = (0..4).filter_map(|_| work.deal()).collect();
        assert_eq!(dealt, [(1, worker(1)), (2, worker(2)), (3, worker(1)), (4, worker(2))]);
        assert!(work.answered(worker(1), 1));
        assert_eq!(work.remove_worker(worker(1)), 1);
        assert_eq!(work.deal(), Some((3, worker(2))));
        assert!(!work.answered(worker(1), 3), "late answers of the dead do not count twice");
        for id in [2, 3, 4] {
            assert!(work.answered(worker(2), id));
        }
        assert!(!work.answered(worker(2), 4), "nor does a second answer");
        assert!(!work.is_done(), "request 5 is still waiting");
        assert_eq!(work.summary(), "5 requests, 4 answers: worker-1 1, worker-2 3");
    }

    #[test]
    fn no_more_than_the_limit_is_out_at_one_time() {
        let mut work = list(MAX_OPEN + 1, 1);
        let dealt = std::iter::from_fn(|| work.deal()).count();
        assert_eq!(dealt, MAX_OPEN);
        assert!(work.answered(worker(1), 1));
        assert!(work.deal().is_some());
    }
}
