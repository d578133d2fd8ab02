//! Many calls at once.

use super::Service;
use super::invoke::{self, IDEMPOTENT_RETRIES, Invocation, Options};
use crate::{CallError, Codec, RemoteMessage};
use futures_util::TryFutureExt;
use futures_util::future::join_all;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

/// Calls about to be made together; awaiting gives one result each, in their order.
///
/// They are placed one by one, as the policy says; those that go to one provider travel as one JSON array, if it
/// announces this layer's RPC.
#[must_use = "the calls are made when the batch is awaited"]
pub struct Batch<M> {
    service: Service,
    messages: Vec<M>,
    options: Options,
}

impl<M: RemoteMessage> Batch<M> {
    pub(super) fn new(service: Service, messages: Vec<M>) -> Self {
        let retries = M::IDEMPOTENT.then_some(IDEMPOTENT_RETRIES);
        Self {
            service,
            messages,
            options: Options { retries, codec: Some(Codec::Json), ..Options::default() },
        }
    }

    /// How long it may take in all; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }
}

impl<M: RemoteMessage> IntoFuture for Batch<M> {
    type Output = Vec<Result<M::Reply, CallError<M::Error>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let batch = self.service.shared.next_batch();
        let calls: Vec<_> = self
            .messages
            .iter()
            .map(|message| {
                Invocation::with(&self.service, M::METHOD, message, self.options.clone()).map(
                    |mut invocation| {
                        invocation.batch = Some(batch);
                        invocation
                    },
                )
            })
            .collect();
        let calls = calls.into_iter().map(|call| invoke::run::<M>(call).map_ok(|(_, reply)| reply));
        Box::pin(join_all(calls))
    }
}

impl<M> fmt::Debug for Batch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("service", &self.service)
            .field("calls", &self.messages.len())
            .finish_non_exhaustive()
    }
}
