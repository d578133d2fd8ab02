//! The node for programs without an async runtime: the same handle and events, with calls that wait.
//!
//! Owns a small tokio runtime (one worker thread) shared by the [`Node`] handles and [`Events`] of one node. Invariants: when the
//! last handle is dropped the node has said goodbye, and the runtime outlives everything that runs on it.
//!
//! Inside an async runtime use [`crate::Node`]. These calls work there too, but they block the thread they are made on, and
//! everything else that runs on it, until they are done.

use crate::wire::Endpoint;
use crate::{
    ConnectError, Event, GroupError, GroupName, Membership, Message, NodeBuilder, Peer, PeerId, SendError,
    Stats, TrustError, TrustedKeys,
};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

/// Starting a blocking node failed. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system gave no thread or no poller for the node to run on. Free some and try again.
    #[error("cannot start the thread the node runs on: {0}; check the limits on threads and open files")]
    Runtime(#[from] io::Error),
    /// The node did not start; see its variants.
    #[error(transparent)]
    Node(#[from] crate::StartError),
}

impl NodeBuilder {
    /// Starts the node like [`start`](Self::start), for a program without an async runtime.
    ///
    /// # Errors
    /// When a setting is not usable or a port cannot be opened; nothing is left behind then.
    ///
    /// # Example
    /// ```no_run
    /// use zyre_rs::{Event, Node};
    ///
    /// let (node, events) = Node::builder("greeter").join("hello").start_blocking()?;
    /// for event in events {
    ///     if let Event::Join { peer, name, .. } = event {
    ///         node.whisper(peer, format!("Hello {name}!"))?;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_blocking(self) -> Result<(Node, Events), StartError> {
        let runtime = Runtime::new()?;
        let (node, events) = runtime.wait(self.start())?;
        let owner = Owner { node, runtime: Arc::clone(&runtime) };
        Ok((Node(Arc::new(owner)), Events { events, runtime }))
    }
}

/// Handle to a running node whose calls wait; cheap to clone, usable from any thread.
///
/// The node stops when [`stop`](Self::stop) is called or the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Node(Arc<Owner>);

impl Node {
    /// This node's UUID.
    pub fn id(&self) -> PeerId {
        self.0.node.id()
    }

    /// This node's name.
    pub fn name(&self) -> &str {
        self.0.node.name()
    }

    /// The endpoint peers are told.
    pub fn endpoint(&self) -> Endpoint {
        self.0.node.endpoint()
    }

    /// Joins a group; once it returns, shouts to it by peers that have heard of it are delivered.
    ///
    /// # Errors
    /// When the name is too long, the node is in too many groups, or has stopped.
    pub fn join(&self, group: impl AsRef<str>) -> Result<(), GroupError> {
        self.0.runtime.wait(self.0.node.join(group.as_ref()))
    }

    /// Leaves a group. Leaving a group one is not in does nothing.
    ///
    /// # Errors
    /// When the name is too long or the node has stopped.
    pub fn leave(&self, group: impl AsRef<str>) -> Result<(), GroupError> {
        self.0.runtime.wait(self.0.node.leave(group.as_ref()))
    }

    /// Stands for leader in a group (see [`NodeBuilder::contest`]).
    ///
    /// # Errors
    /// When the name is too long or the node has stopped.
    pub fn contest(&self, group: impl AsRef<str>) -> Result<(), GroupError> {
        self.0.runtime.wait(self.0.node.contest(group.as_ref()))
    }

    /// One consistent view of peers and groups.
    pub fn membership(&self) -> Arc<Membership> {
        self.0.node.membership()
    }

    /// Waits until the membership satisfies the condition.
    ///
    /// False when it did not within `timeout`, or the node stopped before.
    pub fn wait_until(&self, timeout: Duration, condition: impl FnMut(&Membership) -> bool + Send) -> bool {
        self.0.runtime.wait(async {
            tokio::time::timeout(timeout, self.0.node.wait_until(condition)).await.unwrap_or(false)
        })
    }

    /// The ids of all peers.
    pub fn peers(&self) -> Vec<PeerId> {
        self.0.node.peers()
    }

    /// The members of a group, without this node.
    pub fn peers_in(&self, group: impl AsRef<str>) -> Vec<PeerId> {
        self.0.node.peers_in(group)
    }

    /// The peers with exactly this name.
    pub fn peers_named(&self, name: &str) -> Vec<PeerId> {
        self.0.node.peers_named(name)
    }

    /// What is known of a peer.
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        self.0.node.peer(id)
    }

    /// The groups this node is in, sorted.
    pub fn own_groups(&self) -> Vec<GroupName> {
        self.0.node.own_groups()
    }

    /// The groups peers are in.
    pub fn peer_groups(&self) -> Vec<GroupName> {
        self.0.node.peer_groups()
    }

    /// Queues a message for one peer; waits for space as the overflow policy says.
    ///
    /// # Errors
    /// When the message was not queued; each variant of [`SendError`] says why.
    pub fn whisper(&self, peer: PeerId, message: impl Into<Message>) -> Result<(), SendError> {
        self.0.runtime.wait(self.0.node.whisper(peer, message.into()))
    }

    /// Queues a message for every member of a group (not oneself); returns for how many peers it was queued.
    ///
    /// # Errors
    /// When it was not queued for every member; each variant of [`SendError`] says why.
    pub fn shout(&self, group: impl AsRef<str>, message: impl Into<Message>) -> Result<usize, SendError> {
        self.0.runtime.wait(self.0.node.shout(group.as_ref(), message.into()))
    }

    /// Whispers without waiting: a full link answers [`SendError::Full`] at once.
    ///
    /// # Errors
    /// As [`whisper`](Self::whisper).
    pub fn try_whisper(&self, peer: PeerId, message: impl Into<Message>) -> Result<(), SendError> {
        self.0.node.try_whisper(peer, message)
    }

    /// Shouts without waiting.
    ///
    /// # Errors
    /// As [`shout`](Self::shout).
    pub fn try_shout(&self, group: impl AsRef<str>, message: impl Into<Message>) -> Result<usize, SendError> {
        self.0.node.try_shout(group, message)
    }

    /// Waits until everything queued so far has been handed to the kernel; false when the deadline came first.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.0.runtime.wait(self.0.node.flush(deadline))
    }

    /// Connects to a peer's endpoint (`tcp://192.168.1.5:9000` or with a host name) without discovery, and again whenever it
    /// is lost. Returns before the connection is there.
    ///
    /// # Errors
    /// When the endpoint cannot be understood, its host name cannot be resolved, or the node has stopped.
    pub fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
        self.0.runtime.wait(self.0.node.connect(endpoint))
    }

    /// See [`Node::set_trusted`](crate::Node::set_trusted).
    ///
    /// # Errors
    /// When the node has no key of its own or has stopped; nothing has changed then.
    pub fn set_trusted(&self, trusted: TrustedKeys) -> Result<(), TrustError> {
        self.0.runtime.wait(self.0.node.set_trusted(trusted))
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.0.node.stats()
    }

    /// Like [`stop`](Self::stop), with another time for what is queued.
    pub fn stop_within(&self, timeout: Duration) {
        self.0.runtime.wait(self.0.node.stop_within(timeout));
    }

    /// Sends what is queued (for up to 1 s), says goodbye, closes. Stopping twice does nothing. [`Events`] ends after the
    /// events that were left.
    pub fn stop(&self) {
        self.0.runtime.wait(self.0.node.stop());
    }
}

/// A node's events, in order per peer; as an iterator it waits for the next one and ends when the node has stopped.
///
/// It must be read: a node whose events nobody takes makes its peers wait.
#[derive(Debug)]
pub struct Events {
    // Before the runtime: it may need it to be dropped.
    events: crate::Events,
    runtime: Arc<Runtime>,
}

impl Events {
    /// Waits for the next event, but not longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout` when there was none in time, `Disconnected` when the node has stopped and all events are read.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        let next = self.runtime.wait(async { tokio::time::timeout(timeout, self.events.next()).await });
        next.map_err(|_| RecvTimeoutError::Timeout)?.ok_or(RecvTimeoutError::Disconnected)
    }

    /// Appends up to `limit` events, waiting for at least one; 0 = stopped. For high rates.
    pub fn recv_many(&mut self, events: &mut Vec<Event>, limit: usize) -> usize {
        self.runtime.wait(self.events.recv_many(events, limit))
    }

    /// An event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_next()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.runtime.wait(self.events.next())
    }
}

/// What the handles share. Its end is the node's.
#[derive(Debug)]
struct Owner {
    node: crate::Node,
    runtime: Arc<Runtime>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The runtime may be dropped next, and the goodbye with it: wait.
        self.runtime.wait(self.node.stop());
    }
}

/// The runtime a node lives on.
#[derive(Debug)]
struct Runtime {
    handle: Handle,
    /// Taken when it is dropped.
    threads: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    fn new() -> io::Result<Arc<Self>> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("zyre").enable_all().build()?;
        Ok(Arc::new(Self { handle: runtime.handle().clone(), threads: Some(runtime) }))
    }

    /// Runs the future to its end on this thread; tasks it needs run on the worker.
    fn wait<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        if Handle::try_current().is_err() {
            return self.handle.block_on(future);
        }
        // Inside a runtime tokio refuses to block this thread for another one (it panics), so another thread does.
        std::thread::scope(|scope| {
            scope.spawn(|| self.handle.block_on(future)).join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Not by waiting for it: tokio panics when a runtime is dropped that way inside another one.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn a_while() -> u8 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        7
    }

    #[test]
    fn waiting_works_without_a_runtime_and_from_several_threads() {
        let runtime = Runtime::new().expect("a thread");
        assert_eq!(runtime.wait(a_while()), 7);
        std::thread::scope(|scope| {
            let waits: Vec<_> = (0..4).map(|_| scope.spawn(|| runtime.wait(a_while()))).collect();
            waits.into_iter().for_each(|wait| assert_eq!(wait.join().ok(), Some(7)));
        });
    }

    #[test]
    fn waiting_and_dropping_inside_a_runtime_of_either_kind_does_not_panic() {
        for outer in
            [Builder::new_current_thread().build(), Builder::new_multi_thread().worker_threads(1).build()]
        {
            let answer = outer.expect("a runtime").block_on(async {
                let runtime = Runtime::new().expect("a thread");
                let answer = runtime.wait(a_while());
                drop(runtime);
                answer
            });
            assert_eq!(answer, 7);
        }
    }

    #[test]
    fn handles_and_events_can_be_sent_to_other_threads() {
        fn sendable<T: Send>() {}
        sendable::<Node>();
        sendable::<Events>();
    }
}
