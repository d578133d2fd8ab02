//! A call by name.

use super::Service;
use super::invoke::{Invocation, Options};
use super::{ItemStream, PeerRef};
use crate::{CallError, Context};
use serde_json::Value;
use std::future::{Future, IntoFuture};
use std::hash::Hash;
use std::pin::Pin;
use std::time::Duration;
use zyre_rs::PeerId;

/// An untyped call about to be made: awaiting it makes it. See [`Call`](super::Call) for what the settings do.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct JsonCall {
    service: Service,
    method: String,
    params: Value,
    options: Options,
}

impl JsonCall {
    pub(crate) fn new(service: Service, method: &str, params: Value) -> Self {
        Self { service, method: method.to_owned(), params, options: Options::default() }
    }

    /// At this peer, whoever else serves the method.
    pub fn on(mut self, peer: impl Into<PeerRef>) -> Self {
        self.service = self.service.on(peer);
        self
    }

    /// How long it may take in all; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Tries up to `n` times again at another provider where it may have been executed; 0 by default.
    pub fn retry(mut self, n: u32) -> Self {
        self.options.retries = Some(n);
        self
    }

    /// What `ConsistentHash` and `Sticky` go by.
    pub fn key(mut self, key: &(impl Hash + ?Sized)) -> Self {
        self.options.keyed(key);
        self
    }

    /// Makes it part of a request.
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
    pub async fn answered_by(self) -> Result<(PeerId, Value), CallError> {
        let answer = self.invocation()?.run().await?;
        let value = answer.body.decode().map_err(|error| CallError::Decode(error.to_string()))?;
        Ok((answer.peer, value))
    }

    /// Makes the call and takes the items its handler streams before the result. It is never retried where it may have
    /// been executed: items would come twice.
    ///
    /// # Errors
    /// When it could not be sent.
    pub fn stream(self) -> Result<ItemStream<Value>, CallError> {
        ItemStream::new(self.invocation()?)
    }

    /// Sends it as a notification, which nobody answers.
    ///
    /// # Errors
    /// `NoProvider` or `NotSent`; nothing was sent then.
    ///
    /// # Cancel safety
    /// Dropped early, it may or may not have been sent.
    pub async fn tell(self) -> Result<(), CallError> {
        self.invocation()?.tell().await
    }

    fn invocation(self) -> Result<Invocation, CallError> {
        Invocation::with(&self.service, &self.method, &self.params, self.options)
    }
}

impl IntoFuture for JsonCall {
    type Output = Result<Value, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.answered_by().await.map(|(_, value)| value) })
    }
}
