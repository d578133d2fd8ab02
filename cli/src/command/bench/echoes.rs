//! Which messages wait for how many answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// At most as many as there are clients: each forgets its message before it sends another.
#[derive(Default)]
pub(super) struct Echoes(Mutex<BTreeMap<u64, Waiting>>);

struct Waiting {
    answers: usize,
    /// Known once the message is sent; answers may be quicker than that.
    wanted: Option<usize>,
    /// When the last one came.
    complete: Option<oneshot::Sender<Instant>>,
}

impl Waiting {
    fn check(&mut self, now: Instant) {
        if self.wanted.is_some_and(|wanted| self.answers >= wanted)
            && let Some(complete) = self.complete.take()
        {
            // Whoever waits may just have given up.
            _ = complete.send(now);
        }
    }
}

impl Echoes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects answers to a message that is about to be sent; tells when all have come.
    pub(super) fn expect(&self, number: u64) -> oneshot::Receiver<Instant> {
        let (complete, completed) = oneshot::channel();
        self.all().insert(number, Waiting { answers: 0, wanted: None, complete: Some(complete) });
        completed
    }

    /// Says how many answers make it complete.
    pub(super) fn want(&self, number: u64, wanted: usize) {
        if let Some(waiting) = self.all().get_mut(&number) {
            waiting.wanted = Some(wanted);
            waiting.check(Instant::now());
        }
    }

    /// Counts an answer. One that comes too late counts for nothing.
    pub(super) fn answered(&self, number: u64) {
        if let Some(waiting) = self.all().get_mut(&number) {
            waiting.answers += 1;
            waiting.check(Instant::now());
        }
    }

    /// Expects nothing more; how many answers have come.
    pub(super) fn forget(&self, number: u64) -> usize {
        self.all().remove(&number).map_or(0, |waiting| waiting.answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_complete_with_its_last_answer_even_if_that_is_quicker_than_its_sender() {
        let echoes = Echoes::default();
        let (mut slow, mut quick) = (echoes.expect(1), echoes.expect(2));
        echoes.want(1, 2);
        echoes.answered(1);
        echoes.answered(2);
        assert!(slow.try_recv().is_err() && quick.try_recv().is_err());
        echoes.answered(1);
        echoes.want(2, 1);
        assert!(slow.try_recv().is_ok() && quick.try_recv().is_ok());
        assert_eq!((echoes.forget(1), echoes.forget(2), echoes.forget(3)), (2, 1, 0));
    }

    #[test]
    fn an_answer_that_comes_too_late_counts_for_nothing() {
        let echoes = Echoes::default();
        _ = echoes.expect(1);
        assert_eq!(echoes.forget(1), 0);
        echoes.answered(1);
        assert_eq!(echoes.forget(1), 0);
    }
}
