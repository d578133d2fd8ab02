//! What handles and handlers tell the driver.

use super::registry::Registration;
use crate::caller::{Call, CallId};
use crate::host::HostEvent;
use crate::server::{ServiceId, Ticket, Weigh};
use crate::topic::Sink;
use crate::wire::{Meta, Packet};
use crate::{Body, CallError, PoolSettings, Provider, RpcError, ServeError, SystemStats, Up};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use zyre_rs::{Event, Message, PeerId};

/// To the driver. Not bounded by itself: what is in it belongs to a call or a request that somebody holds, and those
/// are bounded (a call waits for its answer, requests are limited per service).
pub(crate) type Mailbox = mpsc::UnboundedSender<Command>;

/// A request as it goes out, whichever provider gets it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Arc<str>,
    pub(crate) body: Body,
    /// Deadline and attempt are filled in when it is sent.
    pub(crate) meta: Meta,
    /// Calls with the same number that go to one provider at the same time travel as one array.
    pub(crate) batch: Option<u64>,
}

/// An answer and who gave it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) peer: PeerId,
    pub(crate) body: Body,
}

/// Where the answer of a call goes.
#[derive(Debug)]
pub(crate) enum Reply {
    One(oneshot::Sender<Result<Answer, CallError>>),
    /// Full only with a provider that sends faster than room was granted; that ends the call.
    Stream {
        items: mpsc::Sender<Body>,
        end: oneshot::Sender<Result<Answer, CallError>>,
    },
    /// The driver itself asked this peer how much it takes.
    Capacity(PeerId),
}

/// See the variants.
#[derive(Debug)]
pub(crate) enum Command {
    Call {
        call: Call<Arc<Outgoing>>,
        reply: Reply,
    },
    /// A call's future was dropped.
    Cancel(CallId),
    /// The caller has taken items of a stream and grants room for as many more.
    Grant {
        call: CallId,
        n: u32,
    },
    /// Picks a provider for a notification.
    Pick {
        group: Arc<str>,
        key: Option<u64>,
        reply: oneshot::Sender<Option<PeerId>>,
    },
    /// A handle for this group exists: learn what its members take.
    Interest(Arc<str>),
    Configure {
        group: Arc<str>,
        settings: Box<PoolSettings>,
    },
    Watch {
        group: Arc<str>,
        news: mpsc::Sender<Up>,
    },
    /// What a pool knows of its workers.
    Workers {
        group: Arc<str>,
        reply: oneshot::Sender<Vec<Provider>>,
    },
    /// The services there are, for stopping them.
    Services(oneshot::Sender<Vec<(ServiceId, Vec<Arc<str>>)>>),
    Subscribe {
        group: Arc<str>,
        sink: Box<dyn Sink>,
        reply: oneshot::Sender<()>,
    },
    /// A subscription of this group was dropped.
    Unsubscribed(Arc<str>),
    /// Gives a message to this system's own subscriptions and says to how many.
    Publish {
        group: Arc<str>,
        message: Message,
        reply: oneshot::Sender<usize>,
    },
    /// A packet from this node to itself.
    Local(Box<Packet>),
    /// A handler has ended; `answer` is kept for retries.
    Finished {
        ticket: Ticket,
        answer: Option<Kept>,
    },
    /// A handler's answer did not fit into its caller's link, or the caller was gone.
    ReplyDropped,
    Register {
        registration: Box<Registration>,
        reply: oneshot::Sender<Result<(), ServeError>>,
    },
    /// The groups of a service have been joined, or are about to be left.
    Announce {
        service: ServiceId,
        up: bool,
        done: oneshot::Sender<Result<(), ServeError>>,
    },
    Drain {
        service: ServiceId,
        done: oneshot::Sender<()>,
    },
    Close {
        service: ServiceId,
        done: oneshot::Sender<()>,
    },
    Host {
        service: ServiceId,
        event: HostEvent,
    },
    Stats(oneshot::Sender<SystemStats>),
    TakeEvents(mpsc::Sender<Event>),
    /// The last handle is gone, or the system was told to stop.
    End,
}

/// An answer that may be sent again.
pub(crate) type Kept = Arc<Result<Body, RpcError>>;

impl Weigh for Kept {
    fn bytes(&self) -> usize {
        match &**self {
            Ok(body) => body.bytes.len(),
            Err(error) => error.message.len() + error.data.as_ref().map_or(0, |data| data.to_string().len()),
        }
    }
}
