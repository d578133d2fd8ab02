//! A node made from the options, for as long as a command works with it.

use crate::args::{Options, Repeatable};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::output::{Output, coloured};
use crate::signals::Signals;
use std::io;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use zyre_actors::ActorSystem;
use zyre_rs::{Events, Membership, Node, NodeBuilder};

/// What every command starts from.
pub(crate) struct Session {
    pub(crate) options: Options,
    pub(crate) repeatable: Repeatable,
    pub(crate) credentials: Credentials,
    pub(crate) signals: Signals,
    pub(crate) output: Output,
}

impl Session {
    /// Starts a node in these groups, lets `work` use it and stops it cleanly however the work ends.
    pub(crate) async fn with_node(
        mut self,
        groups: &[String],
        work: impl AsyncFnOnce(&Node, Events, &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let builder = groups.iter().fold(self.builder(), |builder, group| builder.join(group));
        let (node, events) = self.signals.unless(builder.start()).await??;
        tracing::info!(name = node.name(), id = %node.id(), endpoint = %node.endpoint(), "started");
        let worked = self.signals.unless(work(&node, events, &mut self.output)).await;
        // What has been printed so far belongs to the user, also after a timeout or Ctrl-C.
        let flushed = self.output.flush();
        node.stop().await;
        worked.flatten().and(flushed)
    }

    /// Starts an actor system on such a node, lets `work` use it and stops it cleanly however the work ends: what it
    /// serves leaves its groups, and requests that are being worked on are finished first, for up to five seconds.
    pub(crate) async fn with_system(
        mut self,
        work: impl AsyncFnOnce(&ActorSystem, &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let system = self.signals.unless(ActorSystem::start(self.builder())).await??;
        let node = system.node();
        tracing::info!(name = node.name(), id = %node.id(), endpoint = %node.endpoint(), "started");
        let worked = self.signals.unless(work(&system, &mut self.output)).await;
        let flushed = self.output.flush();
        system.stop().await;
        worked.flatten().and(flushed)
    }

    /// Such a node, not started yet.
    pub(crate) fn builder(&self) -> NodeBuilder {
        builder(&self.options, &self.repeatable, &self.credentials)
    }
}

/// A node as the options want it, not started yet.
pub(crate) fn builder(options: &Options, repeatable: &Repeatable, credentials: &Credentials) -> NodeBuilder {
    let Options { name, interface, port, evasive_ms, expired_ms, endpoint, .. } = options;
    let Repeatable { headers, connect, gossip_bind, gossip_connect, .. } = repeatable;
    let mut builder = name.as_ref().map_or_else(Node::unnamed, Node::builder).beacon_port(*port);
    if let Some(interface) = interface {
        builder = builder.interface(interface);
    }
    if let Some(timeout) = evasive_ms {
        builder = builder.evasive_timeout(*timeout);
    }
    if let Some(timeout) = expired_ms {
        builder = builder.expired_timeout(*timeout);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint(endpoint);
    }
    builder = headers.iter().fold(builder, |builder, (key, value)| builder.header(key, value));
    builder = connect.iter().fold(builder, NodeBuilder::connect);
    builder = gossip_bind.iter().fold(builder, NodeBuilder::gossip_bind);
    builder = gossip_connect.iter().fold(builder, NodeBuilder::gossip_connect);
    credentials.secure(builder)
}

/// Waits until the membership is as wished; whether it was before the time ran out.
pub(crate) async fn wait_for(
    node: &Node,
    limit: Duration,
    wish: impl FnMut(&Membership) -> bool,
) -> Result<bool, Failure> {
    match tokio::time::timeout(limit, node.wait_until(wish)).await {
        Ok(true) => Ok(true),
        Ok(false) => Err(Failure::Stopped),
        Err(_) => Ok(false),
    }
}

/// Reads the events of a command that has no use for them, so that they do not pile up.
pub(crate) fn ignore(mut events: Events) {
    tokio::spawn(async move { while events.next().await.is_some() {} });
}

/// Sends traces to standard error: warnings, with `-v` more; `RUST_LOG` counts before that.
pub(crate) fn start_tracing(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let colour = coloured(&io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour).init();
}
