//! What the two directions of one peer tell each other and the driver, without a message for each message.

use crate::proto::sequence::Flavour;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

/// Shared by a peer's link, its mailbox connection and the driver. All of it is advisory, hence relaxed.
#[derive(Debug, Default)]
pub(crate) struct Line {
    flavour: AtomicU8,
    heard: AtomicBool,
    stalled: AtomicBool,
    reads: AtomicU64,
}

impl Line {
    pub(crate) fn flavour(&self) -> Flavour {
        Flavour::from_u8(self.flavour.load(Relaxed))
    }

    /// Records how the peer counts; what is known is kept.
    pub(crate) fn learn(&self, flavour: Flavour) {
        self.flavour.store(self.flavour().or(flavour) as u8, Relaxed);
    }

    /// The connection has read messages of an accepted session.
    pub(crate) fn note_read(&self) {
        self.heard.store(true, Relaxed);
        self.reads.fetch_add(1, Relaxed);
    }

    /// Whether something was read since the last time this was asked.
    pub(crate) fn take_heard(&self) -> bool {
        self.heard.load(Relaxed) && self.heard.swap(false, Relaxed)
    }

    /// Grows with every read: unchanged over a while means that the peer is quiet.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// The connection waits for the application to take events (or no longer does).
    pub(crate) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Relaxed);
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed)
    }
}
