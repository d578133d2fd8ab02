//! The calling side, without I/O: which provider a call goes to, how long it waits, when it has failed.
//!
//! [`Caller`] owns every call from the moment it is made until it has ended, which it does exactly once: `Answered`,
//! `Failed`, or cancelled by whoever made it. A call is either in flight at one provider or waits in its pool's queue.
//! What may have been executed is sent again only where the caller allows it; what certainly was not goes on at once.

#![deny(clippy::disallowed_methods)]

mod budget;
mod health;
mod latency;
mod machine;
#[cfg(test)]
mod model;
pub(crate) mod policy;
mod pool;
mod random;
mod stats;
#[cfg(test)]
mod tests;

pub(crate) use machine::Caller;
pub use policy::{Policy, Provider};
pub use pool::PoolSettings;
pub(crate) use random::Random;
pub(crate) use stats::Stats;

use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// A call of this system; also the number in its wire id. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u64);

/// Who may be given a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The members of a group (`svc/calc`, `pool/calc`), picked by its policy.
    Group(std::sync::Arc<str>),
    /// One peer, whatever groups it is in.
    Peer(PeerId),
}

/// A call to be made. `P` is what the shell sends; the machine only carries it.
#[derive(Clone, Debug)]
pub(crate) struct Call<P> {
    pub(crate) id: CallId,
    pub(crate) target: Target,
    pub(crate) deadline: Instant,
    /// How often it may be tried again where it may have been executed: 0 is at most once.
    pub(crate) retries: u32,
    /// For `ConsistentHash` and `Sticky`.
    pub(crate) key: Option<u64>,
    pub(crate) payload: P,
}

/// What the machine is told.
#[derive(Clone, Debug)]
pub(crate) enum Input<P> {
    Call(Call<P>),
    /// A call's future was dropped.
    Cancel(CallId),
    /// The node refused to send what `Output::Send` asked for; certainly not executed. `permanent`: trying elsewhere
    /// is of no use (message too large, node stopped).
    SendFailed {
        call: CallId,
        peer: PeerId,
        reason: String,
        permanent: bool,
    },
    /// A response whose id is one of ours.
    Response {
        call: CallId,
        peer: PeerId,
        verdict: Verdict,
    },
    /// A stream item of a call; shows that the provider lives and works on it.
    Item {
        call: CallId,
        peer: PeerId,
    },
    Join {
        peer: PeerId,
        group: std::sync::Arc<str>,
    },
    /// Drains: gets no new calls, those it has go on.
    Leave {
        peer: PeerId,
        group: std::sync::Arc<str>,
    },
    /// The peer is gone, its calls with it.
    Exit {
        peer: PeerId,
    },
    /// The peer has become quiet: it gets no new calls for a while.
    Evasive {
        peer: PeerId,
    },
    /// A provider has said how many requests it works on at once.
    Capacity {
        peer: PeerId,
        group: std::sync::Arc<str>,
        concurrency: u32,
    },
}

/// What a response says about the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It worked on the call: a result, or an error of its own.
    Done,
    /// Not executed (−32001, −32006): the call may go elsewhere.
    Refused { retry_after: Option<Duration> },
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output<P> {
    Send {
        call: CallId,
        peer: PeerId,
        attempt: u32,
        remaining: Duration,
        payload: P,
    },
    /// Tell the provider that nobody waits any more.
    SendCancel {
        call: CallId,
        peer: PeerId,
    },
    /// The response that was just handled is the call's answer. Always the output of `Input::Response`.
    Answered {
        call: CallId,
    },
    Failed {
        call: CallId,
        failure: Failure,
    },
}

/// Why a call failed before it had an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    NoProvider,
    Rejected { retry_after: Option<Duration> },
    NotSent { reason: String },
    TimedOut { maybe_executed: bool },
    PeerLost { peer: PeerId, maybe_executed: bool },
}
