//! The calling handle: a service, a pool, or one of its providers.

mod all;
mod batch;
mod call;
mod invoke;
mod json;
mod stream;
mod watch;

pub use all::CallAll;
pub use batch::Batch;
pub use call::Call;
pub(crate) use invoke::ping;
pub use json::JsonCall;
pub use stream::{CallStream, ItemStream};
pub use watch::{Down, Up, Watch};

use crate::caller::Target;
use crate::system::{Command, Shared};
use crate::{CallError, Codec, Policy, PoolSettings, Provider, RemoteMessage};
use invoke::Invocation;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zyre_rs::{Node, PeerId};

/// How long a call may take when its caller says nothing else.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer ones are as good as this, a year: more could not be added to every clock's reading.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// When a timeout that begins now will have passed.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(MAX_TIMEOUT)
}

/// Who provides a service or works in a pool, and how to call them. Cheap to clone.
///
/// Made by [`ActorSystem::service`](crate::ActorSystem::service) and [`ActorSystem::pool`](crate::ActorSystem::pool).
#[derive(Clone)]
pub struct Service {
    pub(crate) shared: Arc<Shared>,
    group: Arc<str>,
    peer: Option<PeerRef>,
}

/// One peer, by its id or by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerRef {
    /// By its UUID.
    Id(PeerId),
    /// By its exact name, looked up when the call is made.
    Name(String),
}

impl From<PeerId> for PeerRef {
    fn from(id: PeerId) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for PeerRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for PeerRef {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl PeerRef {
    fn resolve(&self, node: &Node) -> Result<PeerId, CallError> {
        let name = match self {
            Self::Id(id) => return Ok(*id),
            Self::Name(name) => name,
        };
        let mut found = node.peers_named(name);
        if node.name() == name {
            found.push(node.id());
        }
        match *found {
            [one] => Ok(one),
            [] => Err(CallError::NoProvider { target: format!("peer {name:?}") }),
            _ => Err(CallError::NotSent {
                reason: format!("{} peers are named {name:?}; call one by its id", found.len()),
            }),
        }
    }
}

impl Service {
    pub(crate) fn new(shared: Arc<Shared>, group: Arc<str>) -> Self {
        _ = shared.mailbox.send(Command::Interest(group.clone()));
        Self { shared, group, peer: None }
    }

    /// The group its providers are in: `svc/<name>` or `pool/<name>`.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The nodes that provide it now, this one included if it does; in ascending order.
    pub fn providers(&self) -> Vec<PeerId> {
        self.shared.directory.borrow().members(&self.group).collect()
    }

    /// Waits until at least one provider is there.
    ///
    /// # Errors
    /// [`CallError::NoProvider`] when none has come in time.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready(&self, timeout: Duration) -> Result<Self, CallError> {
        self.ready_with(1, timeout).await
    }

    /// Waits until at least `count` providers are there.
    ///
    /// # Errors
    /// [`CallError::NoProvider`] when too few have come in time.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready_with(&self, count: usize, timeout: Duration) -> Result<Self, CallError> {
        let mut directory = self.shared.directory.clone();
        let enough = directory.wait_for(|directory| directory.members(&self.group).count() >= count);
        match tokio::time::timeout(timeout, enough).await {
            Ok(Ok(_)) => Ok(self.clone()),
            _ => Err(CallError::NoProvider { target: self.target_name() }),
        }
    }

    /// The same service at one peer, whoever else provides it. The peer need not be in the group.
    pub fn on(&self, peer: impl Into<PeerRef>) -> Self {
        Self { peer: Some(peer.into()), ..self.clone() }
    }

    /// How providers are picked from now on, for every handle of this service in this system; [`LeastCost`](crate::LeastCost) by default.
    #[must_use]
    pub fn policy(self, policy: impl Policy + 'static) -> Self {
        self.configure(PoolSettings::new().policy(policy))
    }

    /// How calls are spread from now on, for every handle of this service in this system.
    #[must_use]
    pub fn configure(self, settings: PoolSettings) -> Self {
        let settings = Box::new(settings);
        _ = self.shared.mailbox.send(Command::Configure { group: self.group.clone(), settings });
        self
    }

    /// Calls one provider, picked by the policy, and gives its answer when awaited.
    pub fn call<M: RemoteMessage>(&self, message: M) -> Call<M> {
        Call::new(self.clone(), message)
    }

    /// Calls a method by name, with any parameters: an object (named) or an array (positional).
    pub fn call_json(&self, method: &str, params: Value) -> JsonCall {
        JsonCall::new(self.clone(), method, params)
    }

    /// Calls every provider there is now; each answer comes as it arrives, with who gave it.
    pub fn call_all<M: RemoteMessage + Clone>(&self, message: M) -> CallAll<M> {
        CallAll::new(self, message)
    }

    /// Calls with many messages at once; those for one provider travel as one array.
    pub fn batch<M: RemoteMessage>(&self, messages: impl IntoIterator<Item = M>) -> Batch<M> {
        Batch::new(self.clone(), messages.into_iter().collect())
    }

    /// Sends a message that nobody answers to one provider. `Ok` means queued for it, at most once delivered.
    ///
    /// # Errors
    /// `NoProvider`, `NotSent` or `Decode` (the message could not be encoded); nothing was sent then.
    ///
    /// # Cancel safety
    /// Dropped early, it may or may not have been sent.
    pub async fn tell<M: RemoteMessage>(&self, message: M) -> Result<(), CallError> {
        let invocation = Invocation::new(self, M::METHOD, &message)?;
        invocation.tell().await
    }

    /// Tells who comes and who goes from now on, beginning with who is there.
    pub fn watch(&self) -> Watch {
        Watch::new(self)
    }

    /// What the pool knows of its workers: in flight, cost, whether one is set aside.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn workers(&self) -> Vec<Provider> {
        let (reply, workers) = oneshot::channel();
        _ = self.shared.mailbox.send(Command::Workers { group: self.group.clone(), reply });
        workers.await.unwrap_or_default()
    }

    pub(crate) fn target(&self) -> Result<Target, CallError> {
        match &self.peer {
            Some(peer) => peer.resolve(&self.shared.node).map(Target::Peer),
            None => Ok(Target::Group(self.group.clone())),
        }
    }

    pub(crate) fn target_name(&self) -> String {
        match &self.peer {
            Some(PeerRef::Id(id)) => format!("peer {id}"),
            Some(PeerRef::Name(name)) => format!("peer {name:?}"),
            None => self.group.to_string(),
        }
    }

    /// MessagePack where every provider reads it.
    pub(crate) fn codec(&self, target: &Target) -> Codec {
        let directory = self.shared.directory.borrow();
        let msgpack = match target {
            Target::Group(group) => directory.all_read_msgpack(group),
            Target::Peer(peer) => directory.reads_msgpack(*peer),
        };
        if msgpack { Codec::MessagePack } else { Codec::Json }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("group", &self.group)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
