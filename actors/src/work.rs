//! A request on its way to its handler, and the handler's answer on its way back.

use crate::wire::TraceParent;
use crate::{Body, RpcError, code};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use zyre_rs::{Headers, PeerId};

/// Who is calling, and until when: what a handler can ask about the request it works on.
///
/// Cheap to clone. Closures get it as an argument; an actor's handler asks [`Context::current`].
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) peer: PeerId,
    pub(crate) name: Arc<str>,
    pub(crate) headers: Headers,
    pub(crate) method: Arc<str>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<TraceParent>,
    /// True once nobody waits for the answer any more.
    pub(crate) cancelled: watch::Receiver<bool>,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

impl Context {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
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
        handle()
    }

    /// The caller's node.
    pub fn peer(&self) -> PeerId {
        self.0.peer
    }

    /// The caller's name; names are not unique.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The headers of the caller's node.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The method that was called.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// When the caller stops waiting; `None` if it did not say.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// What is left of the deadline; zero once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether nobody waits for the answer any more: cancelled, deadline passed, caller gone.
    pub fn is_cancelled(&self) -> bool {
        *self.0.cancelled.borrow()
    }

    /// Waits until nobody waits for the answer any more.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn cancelled(&self) {
        let mut cancelled = self.0.cancelled.clone();
        // The sender goes when the request has ended: nobody waits then either.
        let _ = cancelled.wait_for(|cancelled| *cancelled).await;
    }

    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.0.trace
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("peer", &self.0.peer)
            .field("name", &self.0.name)
            .field("method", &self.0.method)
            .field("deadline", &self.0.deadline)
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

/// Takes a handler's answer, exactly once: dropped without one, it says that the actor is gone.
pub(crate) struct Responder(Option<Box<dyn FnOnce(Result<Body, RpcError>) + Send>>);

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
