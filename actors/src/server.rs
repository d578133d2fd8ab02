//! The serving side, without I/O: what is worked on now, what waits, what is refused, what was already answered.

#![deny(clippy::disallowed_methods)]

use crate::RpcError;
use crate::wire::Id;
use std::time::Duration;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// A service of this system. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceId(pub(crate) u32);

/// A request that was taken. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// How much a service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Requests worked on at once; at least 1.
    pub(crate) concurrency: usize,
    /// Requests that wait beyond that; more are refused with −32001.
    pub(crate) queue: usize,
}

/// A request for one of the services. `J` is what the shell needs in order to start it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival<J> {
    pub(crate) service: ServiceId,
    pub(crate) peer: PeerId,
    /// `None`: a notification, never answered.
    pub(crate) id: Option<Id>,
    pub(crate) deadline: Option<Instant>,
    /// A retry may be answered from the results of the last while instead of being run again. Results are kept only
    /// for methods that callers may retry.
    pub(crate) keep_result: bool,
    pub(crate) job: J,
}

/// What the machine is told. `R` is an answer as the shell can send it again.
#[derive(Clone, Debug)]
pub(crate) enum Input<J, R> {
    Open {
        service: ServiceId,
        limits: Limits,
    },
    /// No more requests: those that run are aborted, those that wait are refused.
    Close {
        service: ServiceId,
    },
    Request(Arrival<J>),
    /// Work has ended; the shell has sent the answer itself, unless the ticket was aborted.
    Finished {
        ticket: Ticket,
        answer: Option<R>,
    },
    Cancel {
        peer: PeerId,
        id: Id,
    },
    /// Nobody waits for its answers any more.
    PeerGone {
        peer: PeerId,
    },
    /// The actor died: refuse with −32006 until `Resume`. What runs is not touched (the shell ends it).
    Pause {
        service: ServiceId,
        until: Instant,
    },
    Resume {
        service: ServiceId,
    },
    /// `Output::Drained` once nothing of it runs or waits. New requests are still taken until `Close`.
    Drain {
        service: ServiceId,
    },
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output<J, R> {
    Start {
        ticket: Ticket,
        service: ServiceId,
        job: J,
    },
    /// Stop working on it; no answer is to be sent but this error, if there is one.
    Abort {
        ticket: Ticket,
        peer: PeerId,
        id: Option<Id>,
        error: Option<RpcError>,
    },
    /// Answer without having worked on it.
    Refuse {
        peer: PeerId,
        id: Id,
        error: RpcError,
    },
    /// Answer with the result of the same request, worked on before.
    Replay {
        peer: PeerId,
        id: Id,
        answer: R,
    },
    Drained {
        service: ServiceId,
    },
}

/// Figures of one service, for `rpc.stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) started: u64,
    pub(crate) finished: u64,
    pub(crate) refused: u64,
    pub(crate) expired: u64,
    pub(crate) cancelled: u64,
    pub(crate) replayed: u64,
}

/// What `Refused` answers suggest when the queue gives no better estimate.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(20);
