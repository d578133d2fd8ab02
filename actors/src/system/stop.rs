//! How services end: out of the groups first, then what runs, then the rest. A caller that follows the groups loses nothing.

use super::command::Command;
use super::directory::Directory;
use super::{ActorSystem, STOP_TIMEOUT, Shared};
use crate::server::ServiceId;
use crate::service::deadline_after;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use zyre_rs::Node;

/// How long peers that do not answer `rpc.ping` may still send requests after they were told that the service leaves.
const GRACE: Duration = Duration::from_millis(250);

/// A service that is being served. It goes on when this is dropped; [`drain`](Self::drain) ends it.
#[derive(Clone, Debug)]
pub struct Serving {
    shared: Arc<Shared>,
    service: ServiceId,
    groups: Vec<Arc<str>>,
}

impl Serving {
    pub(super) fn new(shared: Arc<Shared>, service: ServiceId, groups: Vec<Arc<str>>) -> Self {
        Self { shared, service, groups }
    }

    /// Ends the service without losing a request: leaves its groups, so that no new calls come, works off those that are
    /// on their way or waiting, and closes. False if some were still worked on at the timeout; they are aborted.
    ///
    /// Up to half of the time goes to peers that are slow to show that they have seen it leave. In one of the service's own
    /// handlers this waits for that handler: spawn it there.
    ///
    /// # Cancel safety
    /// Dropped early, the service may be out of its groups and still answer.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let deadline = deadline_after(timeout);
        // A peer that does not answer must not use up the time of the requests.
        let seen_by = deadline_after(timeout / 2);
        let (done, left) = oneshot::channel();
        _ = self.shared.mailbox.send(Command::Announce { service: self.service, up: false, done });
        _ = left.await;
        for group in &self.groups {
            self.shared.leave(group).await;
        }
        self.shared.callers_have_seen(seen_by).await;
        let (done, drained) = oneshot::channel();
        _ = self.shared.mailbox.send(Command::Drain { service: self.service, done });
        let clean = matches!(tokio::time::timeout_at(deadline, drained).await, Ok(Ok(())));
        let (done, closed) = oneshot::channel();
        _ = self.shared.mailbox.send(Command::Close { service: self.service, done });
        _ = closed.await;
        clean
    }
}

/// Leaves a group that this node does not stand for any more.
pub(super) async fn leave_unless_served(
    node: &Node,
    directory: &watch::Receiver<Arc<Directory>>,
    group: &str,
) {
    let is_served = directory.borrow().is_member(group, node.id());
    if !is_served && let Err(error) = node.leave(group).await {
        tracing::debug!(%group, %error, "not left");
    }
}

impl Shared {
    /// Leaves a group, unless another service of this node still stands for it.
    async fn leave(&self, group: &str) {
        let _membership = self.membership.lock().await;
        self.leave_unless_served(group).await;
    }

    /// The same for whoever holds `membership`.
    pub(super) async fn leave_unless_served(&self, group: &str) {
        leave_unless_served(&self.node, &self.directory, group).await;
    }

    /// Waits until every peer has seen what was sent to it before, and all it sent before that has arrived here.
    ///
    /// Messages of a link keep their order, so an answer to `rpc.ping` shows both. A peer without RPC gets a moment.
    async fn callers_have_seen(self: &Arc<Self>, deadline: Instant) {
        let directory = self.directory.borrow().clone();
        let peers = directory.peers.iter().filter(|(id, _)| **id != self.node.id());
        let grace = deadline.min(Instant::now() + GRACE);
        let mut waits = tokio::task::JoinSet::new();
        for (id, peer) in peers {
            let ping = peer.rpc.then(|| crate::service::ping(self, *id, deadline));
            waits.spawn(async move {
                match ping {
                    Some(ping) => _ = ping.await,
                    None => tokio::time::sleep_until(grace).await,
                }
            });
        }
        waits.join_all().await;
    }
}

impl ActorSystem {
    /// [`stop_within`](Self::stop_within) five seconds.
    ///
    /// # Cancel safety
    /// Dropped early, the system may be half stopped; drop all handles to end it at once.
    pub async fn stop(&self) {
        self.stop_within(STOP_TIMEOUT).await;
    }

    /// Drains every service (see [`Serving::drain`]), ends the actors and stops the node.
    ///
    /// A handler that stops its own system spawns this, since it would wait for itself.
    ///
    /// Calls of this system that are still open end with `Cancelled`.
    ///
    /// # Cancel safety
    /// Dropped early, the system may be half stopped; drop all handles to end it at once.
    pub async fn stop_within(&self, timeout: Duration) {
        let deadline = deadline_after(timeout);
        let (reply, services) = oneshot::channel();
        _ = self.0.mailbox.send(Command::Services(reply));
        let mut drains = tokio::task::JoinSet::new();
        for (service, groups) in services.await.unwrap_or_default() {
            let serving = Serving::new(self.0.clone(), service, groups);
            drains.spawn(async move { serving.drain(timeout).await });
        }
        drains.join_all().await;
        _ = self.0.mailbox.send(Command::End);
        self.0.host.stop().await;
        self.0
            .node
            .stop_within(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100)))
            .await;
    }
}
