//! The settings of a system, and its start.

use super::calls::Calls;
use super::directory::{CODECS, CODECS_HEADER, Directory, PeerInfo, RPC_HEADER, RPC_VERSION};
use super::driver::Driver;
use super::serving::Serving;
use super::{ActorSystem, Shared};
use crate::caller::Caller;
use crate::host;
use crate::server::Server;
use crate::topic::Topics;
use crate::wire::{self, Incarnation};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use zyre_rs::{Events, Headers, Node, NodeBuilder, StartError};

/// The node a system runs on.
#[derive(Debug)]
pub enum NodeSource {
    /// Settings of a node to be started, with headers added that announce RPC.
    Builder(Box<NodeBuilder>),
    /// A node that runs. Other nodes learn what its headers say: without `X-RPC-CODECS` they send it JSON.
    Running(Box<(Node, Events)>),
}

impl From<NodeBuilder> for NodeSource {
    fn from(builder: NodeBuilder) -> Self {
        Self::Builder(Box::new(builder))
    }
}

impl From<(Node, Events)> for NodeSource {
    fn from(node: (Node, Events)) -> Self {
        Self::Running(Box::new(node))
    }
}

/// Settings for a system that has not started yet; made by [`ActorSystem::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct ActorSystemBuilder {
    node: NodeSource,
    arbiters: usize,
    max_json: usize,
}

impl Default for ActorSystemBuilder {
    fn default() -> Self {
        Self { node: Node::unnamed().into(), arbiters: 1, max_json: wire::Limits::default().frame }
    }
}

impl ActorSystemBuilder {
    /// The node to run on: a [`NodeBuilder`], or a node and its events. By default an unnamed node with default settings.
    pub fn node(mut self, node: impl Into<NodeSource>) -> Self {
        self.node = node.into();
        self
    }

    /// Threads that actors run on; 1 by default. They are started with the first actor.
    pub fn arbiters(mut self, threads: usize) -> Self {
        self.arbiters = threads;
        self
    }

    /// The most bytes of JSON taken from a peer; 16 MiB by default. More is answered with −32600.
    pub fn max_json(mut self, bytes: usize) -> Self {
        self.max_json = bytes;
        self
    }

    /// Starts the node, if it is not running, and the system on it.
    ///
    /// # Errors
    /// When the node does not start.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is left behind.
    pub async fn start(self) -> Result<ActorSystem, StartError> {
        let announced = [(RPC_HEADER, RPC_VERSION), (CODECS_HEADER, CODECS)];
        let (node, events) = match self.node {
            NodeSource::Builder(builder) => {
                announced
                    .into_iter()
                    .fold(*builder, |builder, (key, value)| builder.header(key, value))
                    .start()
                    .await?
            }
            NodeSource::Running(running) => *running,
        };
        let (mailbox, commands) = mpsc::unbounded_channel();
        let mut directory = Directory::default();
        // This node can be among the providers, and reads whatever it wrote itself.
        let headers: Headers = announced.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        directory.peers.insert(node.id(), PeerInfo::new(node.name().into(), headers));
        let directory = Arc::new(directory);
        let (published, seen) = watch::channel(directory.clone());
        let membership = Arc::<tokio::sync::Mutex<()>>::default();
        let random = uuid::Uuid::new_v4().as_u64_pair();
        let driver = Driver {
            node: node.clone(),
            mailbox: mailbox.clone(),
            limits: wire::Limits { frame: self.max_json },
            caller: Caller::new(random.0),
            server: Server::new(),
            calls: Calls::new(Incarnation(random.1 as u32)),
            serving: Serving::default(),
            directory,
            published,
            watchers: BTreeMap::new(),
            topics: BTreeMap::new(),
            local: VecDeque::new(),
            application: None,
            counters: BTreeMap::new(),
            membership: membership.clone(),
        };
        tokio::spawn(driver.run(events, commands));
        Ok(ActorSystem(Arc::new(Shared {
            node,
            mailbox,
            directory: seen,
            host: host::Lazy::new(self.arbiters),
            topics: Topics::default(),
            runtime: Handle::current(),
            membership,
            next_call: AtomicU64::new(1),
            next_batch: AtomicU64::new(1),
            next_service: AtomicU32::new(1),
        })))
    }
}
