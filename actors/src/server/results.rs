//! Answers kept for a while, so that a retry is answered instead of being run again.

use super::{Counters, ServiceId};
use crate::wire::Id;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// Results kept at once. Retries follow within a deadline, so this is for the last moments of a busy worker.
pub(super) const MAX_RESULTS: usize = 1024;

/// Bytes of all results kept.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// How long a result may be asked for again: longer than the deadlines of calls that are worth a retry.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(60);

/// How long an expired result may stay in memory, so that the clearing of many costs one wake-up.
pub(super) const SWEEP_AFTER: Duration = Duration::from_secs(10);

/// Tells how much memory an answer holds.
pub(crate) trait Weigh {
    /// Bytes, those of buffers it keeps alive included.
    fn bytes(&self) -> usize;
}

#[derive(Debug)]
struct Kept<R> {
    serial: u64,
    service: ServiceId,
    answer: R,
    expires_at: Instant,
    bytes: usize,
}

/// Results by caller and request id, bounded in number, bytes and time.
///
/// Overflow: the oldest make room; a result that alone is over the limit is not kept. Both are counted.
#[derive(Debug)]
pub(super) struct Results<R> {
    kept: BTreeMap<(PeerId, Id), Kept<R>>,
    /// Oldest first. Since all are kept for the same time this is the order in which they expire.
    order: BTreeMap<u64, (PeerId, Id)>,
    serials: u64,
    bytes: usize,
    pushed_out: u64,
    too_large: u64,
}

impl<R: Clone + Weigh> Results<R> {
    pub(super) fn new() -> Self {
        Self {
            kept: BTreeMap::new(),
            order: BTreeMap::new(),
            serials: 0,
            bytes: 0,
            pushed_out: 0,
            too_large: 0,
        }
    }

    /// The answer to the same request. A request for another service is another request, whatever its id.
    pub(super) fn get(&self, now: Instant, key: &(PeerId, Id), service: ServiceId) -> Option<R> {
        let kept = self.kept.get(key)?;
        (kept.service == service && now < kept.expires_at).then(|| kept.answer.clone())
    }

    pub(super) fn keep(&mut self, now: Instant, (peer, id): (PeerId, Id), service: ServiceId, answer: R) {
        let bytes = answer.bytes().saturating_add(id.0.len());
        if bytes > MAX_BYTES {
            self.too_large += 1;
            return;
        }
        // A copy: the id as it came may be a slice of a large whisper and would keep that alive.
        let key = (peer, Id(Bytes::copy_from_slice(&id.0)));
        if let Some(former) = self.kept.get(&key).map(|kept| kept.serial) {
            self.remove(former);
        }
        while self.kept.len() >= MAX_RESULTS || self.bytes + bytes > MAX_BYTES {
            let Some((&oldest, _)) = self.order.first_key_value() else { break };
            self.remove(oldest);
            self.pushed_out += 1;
        }
        let serial = self.serials;
        self.serials += 1;
        self.bytes += bytes;
        self.order.insert(serial, key.clone());
        self.kept.insert(key, Kept { serial, service, answer, expires_at: now + KEPT_FOR, bytes });
    }

    /// Forgets what has expired.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((serial, _)) = self.oldest().filter(|&(_, expires_at)| expires_at <= now) {
            self.remove(serial);
        }
    }

    /// When `sweep` is due.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.oldest().map(|(_, expires_at)| expires_at + SWEEP_AFTER)
    }

    pub(super) fn count_into(&self, counters: &mut Counters) {
        counters.results = self.kept.len();
        counters.results_pushed_out = self.pushed_out;
        counters.results_too_large = self.too_large;
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.order.is_empty() && self.bytes == 0
    }

    fn oldest(&self) -> Option<(u64, Instant)> {
        let (&serial, key) = self.order.first_key_value()?;
        Some((serial, self.kept.get(key)?.expires_at))
    }

    fn remove(&mut self, serial: u64) {
        if let Some(kept) = self.order.remove(&serial).and_then(|key| self.kept.remove(&key)) {
            self.bytes -= kept.bytes;
        }
    }
}
