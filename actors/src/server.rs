//! The serving side, without I/O: what is worked on now, what waits, what is refused, what was already answered.
//!
//! Every request that is taken gets a [`Ticket`] and ends once: its handler finishes it, or it is refused while it
//! waits, or aborted while it runs. An aborted request is answered at once and yet holds its slot until the shell says
//! `Finished`: a handler that ignores its cancellation is still at work, so one that never ends keeps a slot for ever
//! and shows in [`Load::aborted`].

#![deny(clippy::disallowed_methods)]

mod ending;
mod machine;
#[cfg(test)]
mod model;
mod offence;
mod results;
mod service;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use offence::Offences;
pub(crate) use {machine::Server, results::Weigh};

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
    /// Requests that wait beyond that; more are refused with −32001. While it is full, callers that have more than an
    /// equal share of it make room for those that have less.
    pub(crate) queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 16, queue: 256 }
    }
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
    /// Begins a service; one that is open already stays as it is.
    Open {
        service: ServiceId,
        limits: Limits,
    },
    /// No more requests: those that run are aborted, those that wait are refused, and the service is forgotten.
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
    /// `Output::Drained`, one time, once no slot is taken and nothing waits. New requests are still taken until `Close`.
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
    /// Stop working on it; no answer is to be sent but this error, if there is one. `Finished` is still awaited.
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
#[derive(serde::Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Slots taken, by aborted requests too.
    pub running: usize,
    /// Of those, slots of aborted requests whose handler has not ended.
    pub aborted: usize,
    /// Requests that wait for a slot.
    pub waiting: usize,
    /// Requests that were begun.
    pub started: u64,
    /// Requests whose handler has ended.
    pub finished: u64,
    /// Requests answered with −32001, −32006 or −32600.
    pub refused: u64,
    /// Notifications that did not fit.
    pub dropped: u64,
    /// Requests whose deadline passed while they waited or ran.
    pub expired: u64,
    /// Requests cancelled by their caller.
    pub cancelled: u64,
    /// Requests of peers that went away while they waited or ran.
    pub lost: u64,
    /// Retries answered with the result of the first try.
    pub replayed: u64,
    /// Retries ignored because the first try is still at work.
    pub repeated: u64,
}

/// Figures that belong to no service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests for a service that is not open.
    pub(crate) unknown_service: u64,
    /// `rpc.cancel` for something that neither waits nor runs; mostly too late.
    pub(crate) unknown_cancel: u64,
    /// Work that ended after its service was closed.
    pub(crate) finished_late: u64,
    /// Results held for retries now.
    pub(crate) results: usize,
    /// Results that made room for newer ones before their time.
    pub(crate) results_pushed_out: u64,
    /// Results too large to be held.
    pub(crate) results_too_large: u64,
}

/// What `Refused` answers suggest when the queue gives no better estimate.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(20);
