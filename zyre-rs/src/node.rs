//! The handle to a running node. Sending goes from here straight to the links (`net/outbox.rs`); everything
//! else is asked of the driver (`net/driver.rs`).

mod trust;

use crate::config::Config;
use crate::membership::{Entry, Membership, Peer, View};
use crate::net::counters::Counters;
use crate::net::inbox::Inbox;
use crate::net::outbox::{Head, LinkStats, Outbox, Refused};
use crate::net::request::{Ask, Driver, Request};
use crate::net::security::Security;
use crate::net::setup::{self, check::group_bytes};
use crate::proto::Input;
use crate::wire::Endpoint;
use crate::{
    ConnectError, Events, GroupError, GroupName, Message, NodeBuilder, Overflow, PeerId, SendError,
    StartError,
};
use bytes::Bytes;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Frames a message may have; peers of this crate take no more (attack row T4).
const MAX_FRAMES: usize = 1_023;
/// A task that only sends lets others run after this many messages; tokio's own budget would stop it every 128.
const MESSAGES_PER_TURN: usize = 4_096;
/// And after this many bytes.
const TURN: usize = 256 * 1024;

/// Handle to a running node: joins groups, shouts, whispers and answers questions about peers.
///
/// Cheap to clone. The node runs until [`stop`](Self::stop) is called or the last handle is dropped.
///
/// # Example
/// ```
/// # use zyre_rs::{Node, Event};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let network = zyre_rs::MemoryNetwork::new(); // leave `network` out to use the LAN
/// let (cam, _) = Node::builder("cam-1").header("X-ROLE", "camera").network(&network).start().await?;
/// let (_viewer, mut events) = Node::builder("viewer").join("video").network(&network).start().await?;
/// cam.wait_until(|members| members.members("video").count() == 1).await;
/// cam.shout("video", "frame 1").await?;
/// loop {
///     if let Some(Event::Shout { name, message, .. }) = events.next().await {
///         assert_eq!((&*name, message.text()), ("cam-1", Some("frame 1")));
///         break;
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Node(Arc<Handle>);

/// What all clones of a handle share. Dropping it stops the node.
pub(crate) struct Handle {
    pub(crate) id: PeerId,
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) overflow: Overflow,
    pub(crate) max_message: usize,
    /// Bytes of a HELLO that the names of groups may take.
    pub(crate) hello_room: usize,
    pub(crate) driver: Driver,
    pub(crate) membership: View,
    pub(crate) inbox: Inbox,
    pub(crate) counters: Arc<Counters>,
    pub(crate) gossip_addresses: Vec<SocketAddr>,
    pub(crate) security: Security,
    pub(crate) abandoned: Arc<tokio::sync::Notify>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.abandoned.notify_one();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.0.id)
            .field("name", &self.0.name)
            .field("endpoint", &self.0.endpoint)
            .field("membership", &**self.0.membership.get())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Settings for a node with this name (1–255 bytes, no NUL). Names are for people and need not be unique.
    pub fn builder(name: impl Into<String>) -> NodeBuilder {
        NodeBuilder::new(Some(name.into()))
    }

    /// Settings for a node that is named after the first six digits of its UUID.
    pub fn unnamed() -> NodeBuilder {
        NodeBuilder::new(None)
    }

    pub(crate) async fn start(config: Config) -> Result<(Self, Events), StartError> {
        let (handle, events) = setup::start(config).await?;
        Ok((Self(Arc::new(handle)), events))
    }

    /// This node's UUID.
    pub fn id(&self) -> PeerId {
        self.0.id
    }

    /// This node's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where this node's mailbox is: what was advertised, else what was bound, else the first interface's address and the port.
    ///
    /// A node on several networks tells each peer the address it is reached at.
    pub fn endpoint(&self) -> Endpoint {
        self.0.endpoint
    }

    /// Where this node serves gossip; tells the port where [`NodeBuilder::gossip_bind`] left it open.
    pub fn gossip_addresses(&self) -> &[SocketAddr] {
        &self.0.gossip_addresses
    }

    /// Joins a group. Messages sent through this handle afterwards reach peers after the JOIN.
    ///
    /// Joining a group twice does nothing.
    ///
    /// # Errors
    /// When the name is too long, the node is in too many groups, or it has stopped.
    ///
    /// # Cancel safety
    /// Dropped early, the group may or may not be joined.
    pub async fn join(&self, group: impl AsRef<str>) -> Result<(), GroupError> {
        let group = GroupName::try_from(group.as_ref())?;
        if !self.has_room_for(&group) {
            return Err(GroupError::TooMany { group });
        }
        self.0.driver.tell_ordered(Input::Join(group)).await.map_err(|_| GroupError::Stopped)
    }

    fn has_room_for(&self, group: &GroupName) -> bool {
        let membership = self.0.membership.get();
        let bytes = group_bytes(membership.own_groups().chain([group]));
        membership.own_groups().count() < crate::wire::MAX_GROUPS && bytes <= self.0.hello_room
    }

    /// Leaves a group. Leaving a group one is not in does nothing.
    ///
    /// # Errors
    /// When the name is too long or the node has stopped.
    ///
    /// # Cancel safety
    /// Dropped early, the group may or may not be left.
    pub async fn leave(&self, group: impl AsRef<str>) -> Result<(), GroupError> {
        let group = GroupName::try_from(group.as_ref())?;
        self.0.driver.tell_ordered(Input::Leave(group)).await.map_err(|_| GroupError::Stopped)
    }

    /// Stands for leader in a group from now on (see [`NodeBuilder::contest`]); it counts while the node is a member.
    ///
    /// # Errors
    /// When the name is too long or the node has stopped.
    ///
    /// # Cancel safety
    /// Dropped early, the node may or may not contest.
    pub async fn contest(&self, group: impl AsRef<str>) -> Result<(), GroupError> {
        let group = GroupName::try_from(group.as_ref())?;
        self.0.driver.tell_ordered(Input::Contest(group)).await.map_err(|_| GroupError::Stopped)
    }

    /// One consistent view of peers and groups as of now.
    pub fn membership(&self) -> Arc<Membership> {
        self.0.membership.get().clone()
    }

    /// Waits until the membership satisfies a condition; `false` if the node stopped before it did.
    ///
    /// The condition is checked at once and after every change. Bound the wait with `tokio::time::timeout`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Membership) -> bool) -> bool {
        let mut membership = self.0.membership.clone();
        loop {
            if condition(&membership.get()) {
                return true;
            }
            if !membership.changed().await {
                return false;
            }
        }
    }

    /// The UUIDs of all peers that have entered, in ascending order.
    pub fn peers(&self) -> Vec<PeerId> {
        self.0.membership.get().peers().map(|peer| peer.id).collect()
    }

    /// The UUIDs of the peers in a group, in ascending order; this node's own is not among them.
    pub fn peers_in(&self, group: impl AsRef<str>) -> Vec<PeerId> {
        self.0.membership.get().members(group.as_ref()).map(|peer| peer.id).collect()
    }

    /// The UUIDs of the peers with exactly this name.
    pub fn peers_named(&self, name: &str) -> Vec<PeerId> {
        self.0.membership.get().peers().filter(|peer| &*peer.name == name).map(|peer| peer.id).collect()
    }

    /// What is known of a peer; `None` if it is not there.
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        self.0.membership.get().peer(id).cloned()
    }

    /// The groups this node is in.
    pub fn own_groups(&self) -> Vec<GroupName> {
        self.0.membership.get().own_groups().cloned().collect()
    }

    /// The groups peers are in.
    pub fn peer_groups(&self) -> Vec<GroupName> {
        self.0.membership.get().peer_groups().cloned().collect()
    }

    /// Queues a message for one peer. Messages to a peer arrive in the order in which they were queued,
    /// whispers and shouts alike, at most once.
    ///
    /// `Ok` means queued here, not received; only an answer of the peer's application shows that. On a full link the
    /// node's [`Overflow`] policy decides.
    ///
    /// # Errors
    /// See [`SendError`]; the message was not queued then.
    ///
    /// # Cancel safety
    /// Dropped while it waits for space, nothing has been queued.
    pub async fn whisper(&self, peer: PeerId, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        self.check(&message)?;
        match self.whisper_now(peer, message.frames()) {
            Ok(()) => take_turns(message.size()).await,
            Err(WhisperRefused::Unknown) => return Err(SendError::UnknownPeer(peer)),
            Err(WhisperRefused::Link(Refused::Cut)) => return Err(Refused::Cut.by(peer)),
            Err(WhisperRefused::Link(_)) => {
                self.send_patiently(peer, Head::Whisper, message.frames()).await?
            }
        }
        Ok(())
    }

    /// Queues a message for every member of a group and says for how many. This node itself does not get it, and need
    /// not be a member. No member is no error.
    ///
    /// # Errors
    /// See [`SendError`]. `Full` and `Disconnected` name the first peer that did not take the message; the others did.
    ///
    /// # Cancel safety
    /// Dropped while it waits for space on slow links, the other members have been served.
    pub async fn shout(
        &self,
        group: impl AsRef<str>,
        message: impl Into<Message>,
    ) -> Result<usize, SendError> {
        let group = GroupName::try_from(group.as_ref())?;
        let message = message.into();
        self.check(&message)?;
        let (mut queued, slow) = self.shout_now(&group, message.frames());
        let mut failed = None;
        for (peer, refused) in slow {
            let sent = match refused {
                // By this very shout: there is no link left to ask.
                Refused::Cut => Err(refused.by(peer)),
                _ => self.send_patiently(peer, Head::Shout(&group), message.frames()).await,
            };
            match sent {
                Ok(()) => queued += 1,
                Err(SendError::UnknownPeer(_)) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        take_turns(message.size().saturating_mul(queued)).await;
        failed.map_or(Ok(queued), Err)
    }

    /// Like [`whisper`](Self::whisper) without ever waiting: a full link under `Block`, or one that is just being replaced, refuses at once.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_whisper(&self, peer: PeerId, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        self.check(&message)?;
        self.whisper_now(peer, message.frames()).map_err(|refused| match refused {
            WhisperRefused::Unknown => SendError::UnknownPeer(peer),
            WhisperRefused::Link(refused) => refused.by(peer),
        })
    }

    /// Like [`shout`](Self::shout) without ever waiting.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_shout(&self, group: impl AsRef<str>, message: impl Into<Message>) -> Result<usize, SendError> {
        let group = GroupName::try_from(group.as_ref())?;
        let message = message.into();
        self.check(&message)?;
        let (queued, slow) = self.shout_now(&group, message.frames());
        slow.first().map_or(Ok(queued), |(peer, refused)| Err(refused.by(*peer)))
    }

    fn check(&self, message: &Message) -> Result<(), SendError> {
        if self.0.driver.has_stopped() {
            return Err(SendError::Stopped);
        }
        let (frames, size) = (message.len(), message.size());
        if frames == 0 {
            return Err(SendError::EmptyMessage);
        }
        let (max_size, max_frames) = (self.0.max_message, MAX_FRAMES);
        if size > max_size || frames > max_frames {
            return Err(SendError::TooLarge { size, frames, max_size, max_frames });
        }
        Ok(())
    }

    fn whisper_now(&self, peer: PeerId, frames: &[Bytes]) -> Result<(), WhisperRefused> {
        let membership = self.0.membership.get();
        let entry = membership.entry(peer).ok_or(WhisperRefused::Unknown)?;
        let link = entry.link.as_ref().ok_or(WhisperRefused::Link(Refused::Closed))?;
        link.send_content(Head::Whisper, frames).map_err(WhisperRefused::Link)
    }

    /// Serves every member whose link has room; the others are returned.
    fn shout_now(&self, group: &GroupName, frames: &[Bytes]) -> (usize, Vec<(PeerId, Refused)>) {
        let membership = self.0.membership.get();
        let mut queued = 0;
        let mut slow = Vec::new();
        for entry in membership.entries_in(group.as_bytes()) {
            let link = entry.link.as_ref().ok_or(Refused::Closed);
            match link.and_then(|link| link.send_content(Head::Shout(group), frames)) {
                Ok(()) => queued += 1,
                Err(refused) => slow.push((entry.peer.id, refused)),
            }
        }
        (queued, slow)
    }

    /// What happens when a link has no room, or is being replaced: the overflow policy.
    async fn send_patiently(&self, peer: PeerId, head: Head<'_>, frames: &[Bytes]) -> Result<(), SendError> {
        let patience = match self.0.overflow {
            Overflow::Block(timeout) => timeout,
            _ => Duration::ZERO,
        };
        let deadline = Instant::now() + patience;
        let mut membership = self.0.membership.clone();
        loop {
            let link: Option<Arc<Outbox>> = {
                let now = membership.get();
                now.entry(peer).ok_or(SendError::UnknownPeer(peer))?.link.clone()
            };
            let refused = match &link {
                None => Refused::Closed,
                Some(link) => match link.send_content(head, frames) {
                    Ok(()) => return Ok(()),
                    Err(refused) => refused,
                },
            };
            let room = async {
                match (refused, &link) {
                    (Refused::Cut, _) => Err(refused.by(peer)),
                    (Refused::Full, Some(link)) => {
                        link.wait_for_space(head, frames).await;
                        Ok(())
                    }
                    // A link is replaced within one change of the membership.
                    _ if membership.changed().await => Ok(()),
                    _ => Err(SendError::Stopped),
                }
            };
            match tokio::time::timeout_at(deadline, room).await {
                Ok(result) => result?,
                Err(_) => return Err(SendError::Full { peer }),
            }
        }
    }

    /// Waits until everything queued so far on every link has been handed to the system; `false` at the timeout.
    ///
    /// That is not yet the peer: only an answer of its application shows that a message has arrived.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn flush(&self, timeout: Duration) -> bool {
        let links: Vec<_> = self.links().collect();
        tokio::time::timeout(timeout, async {
            for link in &links {
                link.flushed().await;
            }
        })
        .await
        .is_ok()
    }

    fn links(&self) -> impl Iterator<Item = Arc<Outbox>> + use<> {
        let membership = self.membership();
        let links: Vec<_> = membership.entries().filter_map(|entry: &Entry| entry.link.clone()).collect();
        links.into_iter()
    }

    /// Connects to a node's mailbox (`tcp://192.168.1.5:9000` or with a host name) without discovery, and again whenever
    /// it is lost. Returns before the connection is there: `Enter` tells. With a
    /// [`node_key`](NodeBuilder::node_key) the other node's public key follows: `tcp://192.168.1.5:9000|KEY`.
    ///
    /// # Errors
    /// When the endpoint cannot be understood or its host name not be resolved.
    ///
    /// # Cancel safety
    /// Dropped early, nothing has happened.
    pub async fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
        let (endpoint, key) = setup::resolve(endpoint, &self.0.security).await.map_err(|problem| {
            ConnectError::InvalidEndpoint { text: setup::without_key(endpoint), problem }
        })?;
        self.0.driver.tell_ordered(Input::Dial { endpoint, key }).await.map_err(|_| ConnectError::Stopped)
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        let links = self
            .membership()
            .entries()
            .filter_map(|entry| entry.link.as_ref().map(|link| (entry.peer.id, link.stats())))
            .collect();
        Stats { counters: self.0.counters.snapshot(), links, receive_bytes: self.0.inbox.used() }
    }

    /// Stops the node: what is queued is delivered as far as peers take it within `timeout` (peers answer a last PING),
    /// then it says goodbye and closes. [`Events`] ends after the events that are still in it.
    ///
    /// Stopping twice does nothing.
    ///
    /// # Cancel safety
    /// Dropped early, the node stops all the same.
    pub async fn stop_within(&self, timeout: Duration) {
        let (done, stopped) = oneshot::channel();
        if self.0.driver.0.send(Request::Ask(Ask::Stop { timeout, done })).await.is_ok() {
            let _ = stopped.await;
        }
    }

    /// [`stop_within`](Self::stop_within) one second.
    ///
    /// # Cancel safety
    /// Dropped early, the node stops all the same.
    pub async fn stop(&self) {
        self.stop_within(Duration::from_secs(1)).await;
    }
}

/// Why a whisper was not queued at once.
enum WhisperRefused {
    Unknown,
    Link(Refused),
}

/// Lets the links' tasks run now and then: often enough that what they write is still in the cache.
async fn take_turns(bytes: usize) {
    thread_local! {
        static SPENT: Cell<usize> = const { Cell::new(0) };
    }
    // Large frames are not copied, so they displace less of it.
    let bytes = if bytes > 4096 { bytes / 4 } else { bytes };
    let spent = SPENT.get() + TURN / MESSAGES_PER_TURN + bytes;
    SPENT.set(if spent < TURN { spent } else { 0 });
    if spent >= TURN {
        tokio::task::yield_now().await;
    }
}

/// Counters of a node since its start, and the state of its links.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Everything refused, dropped or noteworthy, by name; names that never occurred are missing.
    pub counters: BTreeMap<&'static str, u64>,
    /// The links to peers.
    pub links: BTreeMap<PeerId, LinkStats>,
    /// Bytes of messages that have arrived and wait for the application, or for their rest.
    pub receive_bytes: usize,
}

impl Stats {
    /// One counter; 0 if it never occurred.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }
}
