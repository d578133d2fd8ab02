//! Which provider gets a call, among those that may get one.

mod keyed;
mod plain;

pub use keyed::{ConsistentHash, Sticky};
pub use plain::{LeastCost, LeastInFlight, Random, RoundRobin};

use std::time::Duration;
use zyre_rs::PeerId;

/// Picks the provider of a call.
///
/// Providers that have left, refused a moment ago, do not answer or have their credit window full are not among the
/// candidates.
pub trait Policy: Send + 'static {
    /// Picks one of `candidates` by its index; they are never empty, and in the order of their ids. `key` is what the
    /// call was given for policies that go by it, `random` a fresh number. An index beyond the end means the last; after a
    /// panic [`LeastCost`] picks instead.
    fn pick(&mut self, candidates: &[Provider], key: Option<u64>, random: u64) -> usize;

    /// Is told that a provider takes no more calls: it left, drains or is gone.
    fn forget(&mut self, peer: PeerId) {
        let _ = peer;
    }
}

/// A member of a service or pool, as this caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provider {
    /// Which peer.
    pub peer: PeerId,
    /// Calls that this caller has there now.
    pub in_flight: u32,
    /// How many it may have there at once.
    pub window: u32,
    /// What a round trip takes there: the peak, fading over seconds. Zero until any member has answered.
    pub latency: Duration,
    /// Whether it gets no calls for a while since it did not answer.
    pub ejected: bool,
    /// Whether it has left and only finishes what it has.
    pub draining: bool,
}

impl Provider {
    /// Roughly how long one more call would take there: (calls in flight + 1) × latency.
    pub fn cost(&self) -> Duration {
        // Before anybody has answered, the calls in flight alone tell providers apart.
        self.latency.max(Duration::from_nanos(1)).saturating_mul(self.in_flight.saturating_add(1))
    }
}

/// The index of the least; among equals any, since always the first would get every call of an idle pool.
fn least<K: Ord>(candidates: &[Provider], random: u64, key: impl Fn(&Provider) -> K) -> usize {
    let start = below(random, candidates.len());
    let turned = (start..candidates.len()).chain(0..start);
    turned.min_by_key(|&index| candidates.get(index).map(&key)).unwrap_or(0)
}

/// A random number turned into one below `bound`.
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;
