//! A request on its way to its handler, and the handler's answer on its way back.

use crate::system::route::Route;
use crate::wire::TraceParent;
use crate::{Body, ItemError, RpcError, code};
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use zyre_rs::{Headers, PeerId};

/// Who is calling, and until when: what a handler can ask about the request it works on.
///
/// Cheap to clone. Closures get it as an argument; an actor's handler asks [`Context::current`].
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// What all clones share.
struct Inner {
    caller: Caller,
    /// Nobody waits for the answer any more.
    cancelled: AtomicBool,
    wake: Notify,
    /// The way back to the caller; tests may have none.
    route: Option<Route>,
}

/// What a request says of its caller.
pub(crate) struct Caller {
    pub(crate) peer: PeerId,
    pub(crate) name: Arc<str>,
    pub(crate) headers: Headers,
    pub(crate) method: Arc<str>,
    pub(crate) deadline: Option<Instant>,
    /// The request's own place in its trace.
    pub(crate) trace: Option<TraceParent>,
    pub(crate) span: tracing::Span,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

impl Context {
    pub(crate) fn new(caller: Caller, route: Option<Route>) -> Self {
        Self(Arc::new(Inner { caller, cancelled: AtomicBool::new(false), wake: Notify::new(), route }))
    }

    /// The request being handled on this thread right now.
    ///
    /// In an actor's handler: until `handle` returns (keep it for what comes later). In a closure's future: whenever it runs.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Runs `handle` as part of this request.
    pub(crate) fn enter<R>(&self, handle: impl FnOnce() -> R) -> R {
        struct Restore(Option<Context>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with_borrow_mut(|current| *current = self.0.take());
            }
        }
        let _restore = Restore(CURRENT.with_borrow_mut(|current| current.replace(self.clone())));
        self.0.caller.span.in_scope(handle)
    }

    /// The caller's node.
    pub fn peer(&self) -> PeerId {
        self.0.caller.peer
    }

    /// The caller's name; names are not unique.
    pub fn name(&self) -> &str {
        &self.0.caller.name
    }

    /// The headers of the caller's node.
    pub fn headers(&self) -> &Headers {
        &self.0.caller.headers
    }

    /// The method that was called.
    pub fn method(&self) -> &str {
        &self.0.caller.method
    }

    /// When the caller stops waiting; `None` if it did not say.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.caller.deadline
    }

    /// What is left of the deadline; zero once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The W3C `traceparent` of this request itself, for what is done on its behalf; calls of this layer carry it on.
    ///
    /// `None` if the caller sent none and no subscriber looks at the span `rpc.serve`.
    pub fn traceparent(&self) -> Option<String> {
        self.0.caller.trace.map(|trace| trace.to_string())
    }

    /// Whether nobody waits for the answer any more: cancelled, deadline passed, caller gone.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Waits until nobody waits for the answer any more.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn cancelled(&self) {
        loop {
            let woken = self.0.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if self.is_cancelled() {
                return;
            }
            woken.await;
        }
    }

    /// Sends an item of a streaming answer (`rpc.item`); the handler's result ends the stream.
    ///
    /// Waits until the caller has room for it, if the caller counts (Rust callers do, see `docs/rpc.md`).
    ///
    /// # Errors
    /// When nobody waits any more, the item cannot be encoded, or the caller's link is full for longer than the node's
    /// overflow policy allows. The items before it have been sent.
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, nothing has been sent.
    pub async fn item(&self, value: &(impl Serialize + ?Sized)) -> Result<(), ItemError> {
        let Some(route) = self.route() else { return Err(ItemError::NotWaitedFor) };
        tokio::select! {
            biased;
            () = self.cancelled() => Err(ItemError::NotWaitedFor),
            sent = route.item(self.peer(), value) => sent,
        }
    }

    /// Marks it as not waited for. False if that was known before.
    pub(crate) fn cancel(&self) -> bool {
        let first = !self.0.cancelled.swap(true, Ordering::AcqRel);
        self.0.wake.notify_waiters();
        first
    }

    /// Sends the handler's answer.
    pub(crate) fn answer(&self, outcome: Result<Body, RpcError>) {
        if let Some(route) = self.route() {
            route.answer(self, outcome);
        }
    }

    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.0.caller.trace
    }

    pub(crate) fn route(&self) -> Option<&Route> {
        self.0.route.as_ref()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("peer", &self.peer())
            .field("name", &self.name())
            .field("method", &self.method())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

/// A request, ready to be run.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) params: Body,
    pub(crate) context: Context,
    pub(crate) responder: Responder,
}

type Answer = Box<dyn FnOnce(Result<Body, RpcError>) + Send>;

/// Takes a handler's answer, exactly once: dropped without one, it says that the actor is gone.
pub(crate) struct Responder(Option<Answer>);

impl Responder {
    pub(crate) fn new(answer: impl FnOnce(Result<Body, RpcError>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    pub(crate) fn send(mut self, outcome: Result<Body, RpcError>) {
        self.answer(outcome);
    }

    fn answer(&mut self, outcome: Result<Body, RpcError>) {
        if let Some(answer) = self.0.take() {
            answer(outcome);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.answer(Err(RpcError::new(code::ACTOR_GONE, "the actor died while it worked on the request")));
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

/// What runs a service's requests. `start` must not block; the server has seen to it that no more than the service's
/// concurrency are started.
pub(crate) trait Backend: Send + 'static {
    /// `method` is the index the method was registered with.
    fn start(&mut self, method: usize, work: Work);
}
