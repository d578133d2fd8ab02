//! Policies that go by a call's key. Calls without one go where they cost least.

use super::{LeastCost, Policy, Provider};
use crate::caller::random::mix;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use zyre_rs::PeerId;

/// The same key to the same provider, whoever calls: rendezvous hashing.
///
/// When a provider comes or goes, only the keys move that it gets or had. While a key's provider has its window full
/// or does not answer, its calls go to the key's second choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsistentHash;

impl ConsistentHash {
    /// All callers must agree on this, so it is never to change.
    fn weight(peer: PeerId, key: u64) -> u64 {
        let id = u128::from_be_bytes(*peer.as_bytes());
        mix(mix(key ^ (id >> 64) as u64) ^ id as u64)
    }
}

impl Policy for ConsistentHash {
    fn pick(&mut self, candidates: &[Provider], key: Option<u64>, random: u64) -> usize {
        let Some(key) = key else { return LeastCost.pick(candidates, key, random) };
        let by_weight = |&index: &usize| {
            Reverse(candidates.get(index).map(|candidate| Self::weight(candidate.peer, key)))
        };
        (0..candidates.len()).min_by_key(by_weight).unwrap_or(0)
    }
}

/// A key stays at the provider that got its first call, chosen as [`LeastCost`] does, until that provider leaves.
///
/// While it has its window full or does not answer, the key's calls go elsewhere, and come back afterwards: a call is
/// worth more than its place. Callers do not agree on places; see [`ConsistentHash`] for that. The 65,536 keys that
/// were placed last are remembered.
#[derive(Clone, Debug, Default)]
pub struct Sticky {
    homes: BTreeMap<u64, PeerId>,
    placed: VecDeque<u64>,
}

impl Sticky {
    const MAX_KEYS: usize = 65_536;
}

impl Policy for Sticky {
    fn pick(&mut self, candidates: &[Provider], key: Option<u64>, random: u64) -> usize {
        let home = key.and_then(|key| self.homes.get(&key));
        if let Some(home) = home
            && let Ok(index) = candidates.binary_search_by_key(home, |candidate| candidate.peer)
        {
            return index;
        }
        let index = LeastCost.pick(candidates, key, random);
        if home.is_none()
            && let (Some(key), Some(candidate)) = (key, candidates.get(index))
        {
            if self.placed.len() >= Self::MAX_KEYS
                && let Some(oldest) = self.placed.pop_front()
            {
                self.homes.remove(&oldest);
            }
            self.homes.insert(key, candidate.peer);
            self.placed.push_back(key);
        }
        index
    }

    fn forget(&mut self, peer: PeerId) {
        self.homes.retain(|_, home| *home != peer);
        self.placed.retain(|key| self.homes.contains_key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sticky_remembers_a_bounded_number_of_keys() {
        let provider = |n| Provider {
            peer: PeerId::from_bytes([n; 16]),
            in_flight: 0,
            window: 16,
            latency: Duration::ZERO,
            ejected: false,
            draining: false,
        };
        let two = [provider(1), provider(2)];
        let mut policy = Sticky::default();
        for key in 0..70_000 {
            policy.pick(&two, Some(key), mix(key));
        }
        assert_eq!((policy.homes.len(), policy.placed.len()), (65_536, 65_536));
        policy.forget(two[0].peer);
        assert!(policy.homes.values().all(|home| *home == two[1].peer));
        assert_eq!(policy.homes.len(), policy.placed.len());
    }
}
