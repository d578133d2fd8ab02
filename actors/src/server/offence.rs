//! Limits how often garbage is answered: a peer that sends nothing else must not make us send as much.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// Error answers (−32700, −32600) to one peer within any [`WINDOW`].
const MAX_ANSWERS: usize = 10;

const WINDOW: Duration = Duration::from_secs(1);

/// Peers remembered at once. A network has fewer peers; more within a second are one attacker with many names.
const MAX_PEERS: usize = 1024;

/// Who was answered with an error lately.
///
/// Overflow: while as many peers as can be remembered were answered within the last second, no further one is
/// answered.
#[derive(Debug, Default)]
pub(crate) struct Offences {
    /// The times of the last answers, oldest first, at most [`MAX_ANSWERS`].
    answered: BTreeMap<PeerId, VecDeque<Instant>>,
    /// No one can be forgotten before this, so that a full memory is not searched for every offence.
    full_until: Option<Instant>,
    unanswered: u64,
}

impl Offences {
    /// Whether this offence may be answered; counts it if not.
    pub(crate) fn may_answer(&mut self, now: Instant, peer: PeerId) -> bool {
        let may = self.has_room(now, peer) && {
            let times = self.answered.entry(peer).or_default();
            while times.front().is_some_and(|&at| is_over(now, at)) {
                times.pop_front();
            }
            let few = times.len() < MAX_ANSWERS;
            if few {
                times.push_back(now);
            }
            few
        };
        self.unanswered += u64::from(!may);
        may
    }

    /// Offences that were not answered.
    pub(crate) fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// Whether the peer is remembered or can be, after those who were not answered lately are forgotten.
    fn has_room(&mut self, now: Instant, peer: PeerId) -> bool {
        if self.answered.len() < MAX_PEERS || self.answered.contains_key(&peer) {
            return true;
        }
        if self.full_until.is_some_and(|until| now < until) {
            return false;
        }
        self.answered.retain(|_, times| times.back().is_some_and(|&at| !is_over(now, at)));
        let first_over = self.answered.values().filter_map(VecDeque::back).min().map(|&at| at + WINDOW);
        self.full_until = first_over;
        self.answered.len() < MAX_PEERS
    }
}

fn is_over(now: Instant, at: Instant) -> bool {
    now.saturating_duration_since(at) >= WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> PeerId {
        PeerId::from_bytes((n as u128).to_be_bytes())
    }

    fn answered(offences: &mut Offences, now: Instant, peer: PeerId, times: usize) -> usize {
        (0..times).filter(|_| offences.may_answer(now, peer)).count()
    }

    #[test]
    fn no_second_sees_more_than_ten_answers_to_one_peer() {
        let start = Instant::now();
        let mut offences = Offences::default();
        let times: Vec<u64> = (0..5_000)
            .filter(|&ms| offences.may_answer(start + Duration::from_millis(ms), peer(1)))
            .collect();
        assert!(times.windows(MAX_ANSWERS + 1).all(|w| w[MAX_ANSWERS] - w[0] >= 1_000), "{times:?}");
        assert_eq!(times.len(), 50);
        assert_eq!(offences.unanswered(), 4_950);
    }

    #[test]
    fn one_peer_does_not_use_up_the_answers_of_another() {
        let now = Instant::now();
        let mut offences = Offences::default();
        assert_eq!(answered(&mut offences, now, peer(1), 100), 10);
        assert_eq!(answered(&mut offences, now, peer(2), 3), 3);
    }

    #[test]
    fn a_full_memory_answers_no_stranger_and_still_those_it_knows() {
        let start = Instant::now();
        let mut offences = Offences::default();
        for n in 0..MAX_PEERS {
            assert!(offences.may_answer(start, peer(n)));
        }
        let half = start + Duration::from_millis(500);
        assert!(!offences.may_answer(half, peer(MAX_PEERS)));
        assert!(offences.may_answer(half, peer(7)));
        assert_eq!(offences.unanswered(), 1);
        assert_eq!(offences.answered.len(), MAX_PEERS);
    }

    #[test]
    fn those_who_behaved_for_a_second_make_room() {
        let start = Instant::now();
        let mut offences = Offences::default();
        for n in 0..MAX_PEERS {
            offences.may_answer(start, peer(n));
        }
        offences.may_answer(start + Duration::from_millis(500), peer(7));
        assert!(!offences.may_answer(start + Duration::from_millis(999), peer(MAX_PEERS)));
        assert!(offences.may_answer(start + WINDOW, peer(MAX_PEERS)));
        assert_eq!(offences.answered.len(), 2, "the one who offended again is remembered");
    }
}
