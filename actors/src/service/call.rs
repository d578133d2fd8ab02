//! A typed call.

use super::Service;
use super::invoke::{self, IDEMPOTENT_RETRIES, Invocation, Options};
use super::stream::CallStream;
use crate::{CallError, Codec, Context, RemoteMessage};
use futures_util::TryFutureExt;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::hash::Hash;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;
use zyre_rs::PeerId;

/// A call about to be made: awaiting it makes it. Dropping that future cancels it, at its provider too.
///
/// Made on behalf of a request (in a closure's future, in an actor's `handle`, or [`within`](Self::within)), it ends with that
/// request's deadline, at the latest, and is part of its trace.
#[must_use = "a call is made when it is awaited"]
pub struct Call<M> {
    pub(super) service: Service,
    pub(super) message: M,
    pub(super) options: Options,
}

impl<M: RemoteMessage> Call<M> {
    pub(super) fn new(service: Service, message: M) -> Self {
        let retries = M::IDEMPOTENT.then_some(IDEMPOTENT_RETRIES);
        Self { service, message, options: Options { retries, ..Options::default() } }
    }

    /// How long it may take in all, waiting and retries included; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Tries up to `n` times again, at another provider, where it may have been executed: at least once instead of at
    /// most once. 0 by default, 3 for methods declared `idempotent`.
    pub fn retry(mut self, n: u32) -> Self {
        self.options.retries = Some(n);
        self
    }

    /// What `ConsistentHash` and `Sticky` go by.
    pub fn key(mut self, key: &(impl Hash + ?Sized)) -> Self {
        self.options.keyed(key);
        self
    }

    /// Encodes the parameters so, whatever the providers read. By default MessagePack if all of them do, else JSON.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.options.codec = Some(codec);
        self
    }

    /// Makes it part of a request: its deadline, its cancellation, its trace.
    pub fn within(mut self, request: &Context) -> Self {
        self.options.within = Some(request.clone());
        self
    }

    /// The answer and who gave it.
    ///
    /// # Errors
    /// As when it is awaited.
    ///
    /// # Cancel safety
    /// Dropped early, the call is cancelled, at its provider too.
    pub fn answered_by(
        self,
    ) -> impl Future<Output = Result<(PeerId, M::Reply), CallError<M::Error>>> + Send + use<M> {
        // Encoded here: the message need not be shared between threads.
        invoke::run::<M>(self.invocation())
    }

    /// Makes the call and takes the items its handler streams before the result; `T` is the type of an item. It is never
    /// retried where it may have been executed: items would come twice.
    ///
    /// # Errors
    /// When it could not be sent.
    pub fn stream<T>(self) -> Result<CallStream<M, T>, CallError<M::Error>> {
        let invocation = self.invocation().map_err(CallError::widen)?;
        CallStream::new(invocation).map_err(CallError::widen)
    }

    pub(super) fn invocation(self) -> Result<Invocation, CallError> {
        Invocation::with(&self.service, M::METHOD, &self.message, self.options)
    }
}

impl<M: RemoteMessage> IntoFuture for Call<M> {
    type Output = Result<M::Reply, CallError<M::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.answered_by().map_ok(|(_, reply)| reply))
    }
}

impl<M> fmt::Debug for Call<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("service", &self.service)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Marks what a value was decoded for, without owning one.
pub(super) type Of<T> = PhantomData<fn() -> T>;
