//! Which peers are left alone for a while since they do not answer.

use super::Random;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// The peers that have failed since they last gave a sign of life; all others are well.
///
/// At most [`Self::MAX_SICK`] are remembered, those that are gone among them; beyond it those are forgotten that have
/// not failed for [`Self::FORGET_AFTER`], and if there are none, a newly failing peer is not remembered.
#[derive(Debug, Default)]
pub(super) struct Health {
    sick: BTreeMap<PeerId, Sick>,
}

#[derive(Debug)]
struct Sick {
    failures: u32,
    ejections: u32,
    ejected_until: Option<Instant>,
    failed_at: Instant,
}

impl Health {
    /// Failures in a row that eject a peer.
    const MAX_FAILURES: u32 = 5;
    const FIRST_EJECTION: Duration = Duration::from_secs(1);
    const LONGEST_EJECTION: Duration = Duration::from_secs(30);
    const MAX_SICK: usize = 1_024;
    const FORGET_AFTER: Duration = Duration::from_secs(60);

    /// A send failed, a call timed out or was lost with the peer. Says until when it is ejected, if it is so now.
    pub(super) fn failed(&mut self, now: Instant, peer: PeerId, random: &mut Random) -> Option<Instant> {
        let sick = self.sick(now, peer)?;
        sick.failures = sick.failures.saturating_add(1);
        if sick.failures < Self::MAX_FAILURES { None } else { sick.eject(now, random) }
    }

    /// The peer has become quiet. Says until when it is ejected, unless it was already.
    pub(super) fn evasive(&mut self, now: Instant, peer: PeerId, random: &mut Random) -> Option<Instant> {
        self.sick(now, peer)?.eject(now, random)
    }

    /// The peer gave a sign of life. Whether it was ejected before.
    pub(super) fn alive(&mut self, peer: PeerId) -> bool {
        !self.sick.is_empty() && self.sick.remove(&peer).is_some_and(|sick| sick.ejected_until.is_some())
    }

    pub(super) fn ejected_until(&self, peer: PeerId) -> Option<Instant> {
        self.sick.get(&peer)?.ejected_until
    }

    fn sick(&mut self, now: Instant, peer: PeerId) -> Option<&mut Sick> {
        if self.sick.len() >= Self::MAX_SICK && !self.sick.contains_key(&peer) {
            self.sick.retain(|_, sick| now.saturating_duration_since(sick.failed_at) < Self::FORGET_AFTER);
            if self.sick.len() >= Self::MAX_SICK {
                return None;
            }
        }
        let fresh = Sick { failures: 0, ejections: 0, ejected_until: None, failed_at: now };
        let sick = self.sick.entry(peer).or_insert(fresh);
        sick.failed_at = now;
        Some(sick)
    }
}

impl Sick {
    /// Twice as long as the last time, spread by up to a quarter so that callers do not come back in step. What fails
    /// during an ejection was under way before and does not make it longer.
    fn eject(&mut self, now: Instant, random: &mut Random) -> Option<Instant> {
        if self.ejected_until.is_some_and(|until| until > now) {
            return None;
        }
        let doubled = Health::FIRST_EJECTION.saturating_mul(1 << self.ejections.min(16));
        let wait = doubled.min(Health::LONGEST_EJECTION);
        self.ejections += 1;
        let until = now + wait - (wait / 4).mul_f64((random.next() & 0xff) as f64 / 255.0);
        self.ejected_until = Some(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId::from_bytes([1; 16]);

    #[test]
    fn the_fifth_failure_in_a_row_ejects_and_each_ejection_lasts_twice_as_long_up_to_30_s() {
        let mut now = Instant::now();
        let (mut health, mut random) = (Health::default(), Random::new(1));
        for _ in 0..4 {
            assert_eq!(health.failed(now, PEER, &mut random), None);
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let until = health.failed(now, PEER, &mut random).expect("ejected");
            let longest = Duration::from_secs(seconds);
            assert!(until <= now + longest && until >= now + longest * 3 / 4, "{:?}", until - now);
            assert_eq!(health.failed(now, PEER, &mut random), None, "it is ejected already");
            now = until;
        }
    }

    #[test]
    fn a_sign_of_life_forgives_everything() {
        let now = Instant::now();
        let (mut health, mut random) = (Health::default(), Random::new(1));
        assert!(health.evasive(now, PEER, &mut random).is_some());
        assert!(health.alive(PEER));
        assert!(!health.alive(PEER));
        for _ in 0..4 {
            assert_eq!(health.failed(now, PEER, &mut random), None);
        }
    }

    #[test]
    fn no_more_than_1_024_are_remembered_and_the_oldest_go_first() {
        let now = Instant::now();
        let (mut health, mut random) = (Health::default(), Random::new(1));
        let peer = |n: u128| PeerId::from_bytes(n.to_be_bytes());
        for n in 0..2_000 {
            health.evasive(now, peer(n), &mut random);
        }
        assert_eq!(health.sick.len(), Health::MAX_SICK);
        assert!(health.evasive(now + Health::FORGET_AFTER, peer(5_000), &mut random).is_some());
        assert_eq!(health.sick.len(), 1);
    }
}
