//! Methods without actors: an async closure per method.

mod runner;

use crate::server::Limits;
use crate::system::directory::{service_group, service_of};
use crate::system::{MethodEntry, Registration, Serving, Shared};
use crate::work::Context;
use crate::{Body, Codec, MethodSchema, RemoteMessage, RpcError, ServeError, code, remote};
use runner::Runner;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

/// The parameters of an untyped call.
#[derive(Clone, Debug)]
pub struct Params(Body);

impl Params {
    /// Reads them as a type: a struct takes named parameters, a tuple positional ones.
    ///
    /// # Errors
    /// −32602 with the reason; `?` in a handler answers it to the caller.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, RpcError> {
        self.0.decode().map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))
    }

    /// Reads them as JSON, whatever they are.
    ///
    /// # Errors
    /// −32602 when they came as MessagePack that has no JSON form.
    pub fn json(&self) -> Result<serde_json::Value, RpcError> {
        self.parse()
    }
}

type Handled = Pin<Box<dyn Future<Output = Result<Body, RpcError>> + Send>>;
type Handler = Arc<dyn Fn(Body, Context) -> Handled + Send + Sync>;

/// A method about to be served; made by [`ActorSystem::method`](crate::ActorSystem::method) and
/// [`ActorSystem::handle`](crate::ActorSystem::handle). Await it, or call [`start`](Self::start).
#[must_use = "a method is served once it is started"]
pub struct MethodBuilder {
    shared: Arc<Shared>,
    entry: MethodEntry,
    handler: Handler,
    limits: Limits,
    pools: Vec<String>,
}

impl MethodBuilder {
    pub(crate) fn untyped<R, F>(
        shared: Arc<Shared>,
        name: &str,
        handle: impl Fn(Params, Context) -> F + Send + Sync + 'static,
    ) -> Self
    where
        R: Serialize,
        F: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |params, context| {
            let codec = params.codec;
            let handled = handle(Params(params), context);
            Box::pin(async move { encode(codec, &handled.await?) })
        });
        Self::new(shared, name, false, MethodSchema::default(), handler)
    }

    pub(crate) fn typed<M, F>(
        shared: Arc<Shared>,
        handle: impl Fn(M, Context) -> F + Send + Sync + 'static,
    ) -> Self
    where
        M: RemoteMessage,
        F: Future<Output = M::Output> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |params, context| {
            let codec = params.codec;
            match params.decode::<M>() {
                Err(error) => {
                    let error = RpcError::new(code::INVALID_PARAMS, error.to_string());
                    Box::pin(std::future::ready(Err(error)))
                }
                Ok(message) => {
                    let handled = handle(message, context);
                    Box::pin(async move { remote::answer::<M>(handled.await, codec) })
                }
            }
        });
        Self::new(shared, M::METHOD, M::IDEMPOTENT, M::schema(), handler)
    }

    fn new(
        shared: Arc<Shared>,
        name: &str,
        idempotent: bool,
        schema: MethodSchema,
        handler: Handler,
    ) -> Self {
        let entry = MethodEntry { name: name.into(), idempotent, schema };
        Self { shared, entry, handler, limits: Limits::default(), pools: Vec::new() }
    }

    /// How many requests are worked on at once; 16 by default, at least 1.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.limits.concurrency = requests.max(1);
        self
    }

    /// How many requests may wait beyond that; 256 by default. More are refused with −32001, so that the caller goes elsewhere.
    pub fn queue(mut self, requests: usize) -> Self {
        self.limits.queue = requests;
        self
    }

    /// Running it twice does what running it once does: callers may retry it at another provider.
    pub fn idempotent(mut self) -> Self {
        self.entry.idempotent = true;
        self
    }

    /// Also joins `pool/<name>`.
    pub fn pool(mut self, name: &str) -> Self {
        self.pools.push(name.to_owned());
        self
    }

    /// Serves it: joins the service's group `svc/<name>`, where the name is what stands before the method's last dot.
    ///
    /// # Errors
    /// See [`ServeError`]; nothing is served then.
    ///
    /// # Cancel safety
    /// Dropped early, the method may or may not be served.
    pub async fn start(self) -> Result<Serving, ServeError> {
        let name = self.entry.name.clone();
        let service = service_of(&name);
        let registration = Registration::new(
            self.shared.next_service(),
            service,
            std::iter::once(service_group(service))
                .chain(self.pools.iter().map(|pool| crate::system::directory::pool_group(pool))),
            vec![self.entry],
            self.limits,
            Box::new(Runner::spawn(&self.shared.runtime, self.handler)),
        )?;
        self.shared.serve(registration).await
    }
}

impl IntoFuture for MethodBuilder {
    type Output = Result<Serving, ServeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl fmt::Debug for MethodBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodBuilder")
            .field("method", &self.entry.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn encode(codec: Codec, value: &impl Serialize) -> Result<Body, RpcError> {
    Body::encode(codec, value).map_err(|error| RpcError::new(code::INTERNAL_ERROR, error.to_string()))
}
