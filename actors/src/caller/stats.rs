//! Counters of the calling side: every call that ended without an answer and everything dropped is in one of them.

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Calls made.
    pub(crate) calls: u64,
    /// Calls that got their answer.
    pub(crate) answered: u64,
    /// Calls whose future was dropped.
    pub(crate) cancelled: u64,
    /// Calls for a group that nobody serves.
    pub(crate) no_provider: u64,
    /// Calls that found their queue, or the peer they name, full.
    pub(crate) full: u64,
    /// Calls whose deadline passed while they waited to be sent.
    pub(crate) expired_unsent: u64,
    /// Calls whose deadline passed in flight.
    pub(crate) timed_out: u64,
    /// Times a peer was lost with a call.
    pub(crate) lost: u64,
    /// Calls sent again although they may have been executed.
    pub(crate) retries: u64,
    /// Such calls that failed instead, since too many were sent again.
    pub(crate) retries_over_budget: u64,
    /// Refusals by providers.
    pub(crate) refused: u64,
    /// Sends that the node did not accept.
    pub(crate) send_failed: u64,
    /// Times a peer was left alone since it did not answer.
    pub(crate) ejections: u64,
    /// Responses and items that fit no call in flight at their sender; dropped.
    pub(crate) late: u64,
}
