//! Policies that treat all calls alike.

use super::{Policy, Provider, below, least};
use zyre_rs::PeerId;

/// The provider where a call would be answered soonest: the least (calls in flight + 1) × latency. The default.
///
/// Among more than 64 candidates the better of two random ones, so that many callers do not all run to the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastCost;

impl LeastCost {
    const MAX_COMPARED: usize = 64;
}

impl Policy for LeastCost {
    fn pick(&mut self, candidates: &[Provider], _key: Option<u64>, random: u64) -> usize {
        if candidates.len() <= Self::MAX_COMPARED {
            return least(candidates, random, Provider::cost);
        }
        let one = below(random, candidates.len());
        // The low bits say how far the other is from the first: never zero, so they are two.
        let other = (one + 1 + below(random << 32, candidates.len() - 1)) % candidates.len();
        let cost = |index: usize| candidates.get(index).map(Provider::cost);
        if cost(other) < cost(one) { other } else { one }
    }
}

/// One provider after the other, whatever they have to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    last: Option<PeerId>,
}

impl Policy for RoundRobin {
    fn pick(&mut self, candidates: &[Provider], _key: Option<u64>, _random: u64) -> usize {
        // By id and not by index: candidates come and go.
        let next =
            candidates.partition_point(|candidate| self.last.is_some_and(|last| candidate.peer <= last));
        let index = if next < candidates.len() { next } else { 0 };
        self.last = candidates.get(index).map(|candidate| candidate.peer);
        index
    }
}

/// The provider with the fewest calls of this caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastInFlight;

impl Policy for LeastInFlight {
    fn pick(&mut self, candidates: &[Provider], _key: Option<u64>, random: u64) -> usize {
        least(candidates, random, |candidate| candidate.in_flight)
    }
}

/// Any provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Policy for Random {
    fn pick(&mut self, candidates: &[Provider], _key: Option<u64>, random: u64) -> usize {
        below(random, candidates.len())
    }
}
