//! A node with actors on it: the handle, and how it starts and stops. The work is done by the driver (`system/driver.rs`).

mod builder;
mod builtin;
mod calls;
mod command;
pub(crate) mod directory;
mod driver;
mod figures;
mod registry;
mod restarted;
pub(crate) mod route;
mod serving;
mod stop;

pub use builder::{ActorSystemBuilder, NodeSource};
pub(crate) use command::{Answer, Command, Mailbox, Outgoing, Reply};
pub(crate) use registry::{MethodEntry, Registration};
pub use stop::Serving;

use crate::caller::CallId;
use crate::closure::{MethodBuilder, Params};
use crate::server::ServiceId;
use crate::service::{JsonCall, Service};
use crate::topic::{Topic, Topics};
use crate::{Context, RemoteMessage, RpcError, ServeError, TopicError};
use directory::{Directory, pool_group, service_group};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use zyre_rs::{Event, Node};

/// Events kept for an application that takes them later; more are dropped and counted as `events_dropped`.
const EVENTS: usize = 16_384;

/// A node with actors on it: serves methods, calls those of others, and spreads calls over pools.
///
/// Cheap to clone. It runs until [`stop`](Self::stop), or until the last handle ([`Service`]s included) is dropped.
///
/// # Example
/// ```
/// use serde_json::json;
/// use zyre_actors::{ActorSystem, Context, Params};
/// use std::time::Duration;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let network = zyre_rs::MemoryNetwork::new();
/// # let node = |name: &str| zyre_rs::Node::builder(name).network(&network);
/// let server = ActorSystem::start(node("server")).await?; // node(…): Node::builder(…)
/// server.method("text.upper", |params: Params, _: Context| async move {
///     let (text,): (String,) = params.parse()?;
///     Ok(text.to_uppercase())
/// }).await?;
///
/// let client = ActorSystem::start(node("client")).await?;
/// client.service("text").ready(Duration::from_secs(5)).await?;
/// assert_eq!(client.call_json("text.upper", json!(["loud"])).await?, json!("LOUD"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct ActorSystem(pub(crate) Arc<Shared>);

/// What all handles share. Dropping it ends the driver.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: Node,
    pub(crate) mailbox: Mailbox,
    pub(crate) directory: watch::Receiver<Arc<Directory>>,
    pub(crate) host: crate::host::Lazy,
    pub(crate) topics: Topics,
    /// For what outlives the call that began it.
    pub(crate) runtime: Handle,
    /// Held from joining groups of services until the directory says so, and from asking it until they are left.
    membership: Arc<Mutex<()>>,
    next_call: AtomicU64,
    next_batch: AtomicU64,
    next_service: AtomicU32,
}

impl Drop for Shared {
    fn drop(&mut self) {
        _ = self.mailbox.send(Command::End);
    }
}

impl ActorSystem {
    /// Settings for a system that has not started yet.
    pub fn builder() -> ActorSystemBuilder {
        ActorSystemBuilder::default()
    }

    /// Starts a system on a node with default settings; see [`builder`](Self::builder).
    ///
    /// # Errors
    /// When the node does not start.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is left behind.
    pub async fn start(node: impl Into<NodeSource>) -> Result<Self, zyre_rs::StartError> {
        Self::builder().node(node).start().await
    }

    /// The node underneath, for groups, shouts and whispers. Stop the system, not the node.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// What happens on the node besides RPC: peers that come and go, shouts, ordinary whispers.
    ///
    /// Only the last stream asked for gets them. Up to 16,384 wait for a reader that is slower than they come; what comes
    /// then is dropped and counted (`events_dropped`), since calls must not wait for it.
    pub fn events(&self) -> mpsc::Receiver<Event> {
        let (events, taken) = mpsc::channel(EVENTS);
        _ = self.0.mailbox.send(Command::TakeEvents(events));
        taken
    }

    /// Serves a method with a closure: `system.method("text.upper", |params: Params, ctx| async move { … }).await?`.
    ///
    /// The result may be anything that serialises; an [`RpcError`] reaches the caller as it is, and `?` turns what became of
    /// a call of its own ([`CallError`](crate::CallError)) into one. Requests run side
    /// by side; each is dropped when nobody waits for it any more, and fails alone when it panics. A handler that blocks
    /// holds a thread of the runtime, and the first of its kind the requests behind it.
    pub fn method<R, F>(
        &self,
        name: &str,
        handle: impl Fn(Params, Context) -> F + Send + Sync + 'static,
    ) -> MethodBuilder
    where
        R: Serialize,
        F: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        MethodBuilder::untyped(self.0.clone(), name, handle)
    }

    /// Serves a message type with a closure: `system.handle(|add: Add, ctx| async move { Ok(add.a + add.b) }).await?`.
    pub fn handle<M, F>(&self, handle: impl Fn(M, Context) -> F + Send + Sync + 'static) -> MethodBuilder
    where
        M: RemoteMessage,
        F: Future<Output = M::Output> + Send + 'static,
    {
        MethodBuilder::typed(self.0.clone(), handle)
    }

    /// The providers of a service: the nodes in the group `svc/<name>`, this one included if it serves it.
    pub fn service(&self, name: &str) -> Service {
        Service::new(self.0.clone(), service_group(name))
    }

    /// The workers of a pool: the nodes in the group `pool/<name>`.
    pub fn pool(&self, name: &str) -> Service {
        Service::new(self.0.clone(), pool_group(name))
    }

    /// Calls a method by name, with any parameters: an object (named) or an array (positional). It goes to the service that
    /// stands before the name's last dot; the built-in methods (`rpc.…`) are every node's, so they want
    /// [`on`](JsonCall::on).
    pub fn call_json(&self, method: &str, params: Value) -> JsonCall {
        JsonCall::new(self.service(directory::service_of(method)), method, params)
    }

    /// Messages of type `T` under this name, published and subscribed over the group of that name.
    ///
    /// # Errors
    /// When the name is longer than a group's may be, or is that of a service's or pool's group.
    pub fn topic<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
    ) -> Result<Topic<T>, TopicError> {
        Topic::new(self.0.clone(), name)
    }

    /// Counters and the load of each service.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn stats(&self) -> SystemStats {
        let (reply, stats) = oneshot::channel();
        _ = self.0.mailbox.send(Command::Stats(reply));
        stats.await.unwrap_or_default()
    }
}

impl Shared {
    pub(crate) fn next_call(&self) -> CallId {
        CallId(self.next_call.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_service(&self) -> ServiceId {
        ServiceId(self.next_service.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_batch(&self) -> u64 {
        self.next_batch.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a service, then joins its groups: whoever sees it can call it.
    pub(crate) async fn serve(self: &Arc<Self>, registration: Registration) -> Result<Serving, ServeError> {
        let (service, groups) = (registration.id, registration.groups.clone());
        let (reply, registered) = oneshot::channel();
        let registration = Box::new(registration);
        self.tell(Command::Register { registration, reply })?;
        registered.await.map_err(|_| ServeError::Stopped)??;
        let _membership = self.membership.lock().await;
        let mut outcome = Ok(());
        for group in &groups {
            if let Err(error) = self.node.join(&**group).await {
                let (done, _) = oneshot::channel();
                self.tell(Command::Close { service, done })?;
                outcome = Err(error.into());
                break;
            }
        }
        if outcome.is_ok() {
            let (done, announced) = oneshot::channel();
            self.tell(Command::Announce { service, up: true, done })?;
            outcome = announced.await.map_err(|_| ServeError::Stopped)?;
        }
        if let Err(error) = outcome {
            for group in &groups {
                self.leave_unless_served(group).await;
            }
            return Err(error);
        }
        Ok(Serving::new(self.clone(), service, groups))
    }

    fn tell(&self, command: Command) -> Result<(), ServeError> {
        self.mailbox.send(command).map_err(|_| ServeError::Stopped)
    }
}

/// Figures of a system since its start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SystemStats {
    /// Everything retried, refused, dropped or noteworthy, by name; names that never occurred are missing.
    pub counters: BTreeMap<&'static str, u64>,
    /// Calls that wait for their answer.
    pub calls_open: usize,
    /// The load of each service, by its first method.
    pub services: BTreeMap<String, crate::server::Load>,
}

/// How long a system that stops waits for requests it works on.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);
