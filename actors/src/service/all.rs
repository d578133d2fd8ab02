//! A call of every provider.

use super::invoke::{self, Options};
use super::{Call, Service};
use crate::{CallError, RemoteMessage};
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryFutureExt};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use zyre_rs::PeerId;

type Answered<M> = (PeerId, Result<<M as RemoteMessage>::Reply, CallError<<M as RemoteMessage>::Error>>);
type Waiting<M> = FuturesUnordered<Pin<Box<dyn Future<Output = Answered<M>> + Send>>>;

/// The answers of all providers, as they arrive: each gives exactly one result or error, by the deadline at the latest.
///
/// The calls are made when the first answer is asked for. Also a [`Stream`].
#[must_use = "the calls are made when answers are asked for"]
pub struct CallAll<M: RemoteMessage> {
    service: Service,
    message: Option<M>,
    timeout: Option<Duration>,
    waiting: Waiting<M>,
}

impl<M: RemoteMessage + Clone> CallAll<M> {
    pub(super) fn new(service: &Service, message: M) -> Self {
        Self {
            service: service.clone(),
            message: Some(message),
            timeout: None,
            waiting: FuturesUnordered::new(),
        }
    }

    /// How long each call may take; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The next answer and who gave it; `None` when all have answered.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Answered<M>> {
        self.start();
        self.waiting.next().await
    }

    fn start(&mut self) {
        let Some(message) = self.message.take() else { return };
        for peer in self.service.providers() {
            let options = Options { timeout: self.timeout, ..Options::default() };
            let call = Call { service: self.service.on(peer), message: message.clone(), options };
            let invocation = call.invocation();
            let answered = invoke::run::<M>(invocation).map_ok(|(_, reply)| reply);
            self.waiting.push(Box::pin(answered.map(move |answer| (peer, answer))));
        }
    }
}

impl<M: RemoteMessage + Clone + Unpin> Stream for CallAll<M> {
    type Item = Answered<M>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.start();
        self.waiting.poll_next_unpin(cx)
    }
}

impl<M: RemoteMessage> fmt::Debug for CallAll<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallAll")
            .field("service", &self.service)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
