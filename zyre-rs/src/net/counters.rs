//! Counts of everything refused, dropped or noteworthy, under names a user can read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Shared by all tasks of a node. For rare things: what happens per message is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<BTreeMap<&'static str, u64>>);

impl Counters {
    pub(crate) fn count(&self, name: &'static str) {
        self.add(name, 1);
    }

    pub(crate) fn add(&self, name: &'static str, n: u64) {
        if n > 0 {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += n;
        }
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
