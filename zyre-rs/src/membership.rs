//! Who is there: one consistent view of peers and groups, replaced as a whole whenever something changes.

use crate::net::outbox::Outbox;
use crate::wire::Endpoint;
use crate::{GroupName, Headers, PeerId};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;

/// A peer as this node sees it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Peer {
    /// Its UUID.
    pub id: PeerId,
    /// Its name; names are not unique.
    pub name: Arc<str>,
    /// Where its HELLO says its mailbox is.
    pub endpoint: Endpoint,
    /// What it says of itself; sent once, with its HELLO.
    pub headers: Headers,
    /// Which version of this crate it says it is made with ([`VERSION`](crate::VERSION)); `None` for other implementations.
    pub version: Option<Arc<str>>,
    /// The groups it is in.
    pub groups: Arc<BTreeSet<GroupName>>,
}

/// The current view, read by every send without a lock, and the news that it has changed. It ends with its publisher.
#[derive(Clone, Debug)]
pub(crate) struct View {
    current: Arc<ArcSwap<Membership>>,
    changed: watch::Receiver<()>,
}

/// The driver's end of a [`View`].
#[derive(Debug)]
pub(crate) struct Publisher {
    current: Arc<ArcSwap<Membership>>,
    changed: watch::Sender<()>,
}

pub(crate) fn view() -> (Publisher, View) {
    let current = Arc::new(ArcSwap::default());
    let (sender, changed) = watch::channel(());
    (Publisher { current: current.clone(), changed: sender }, View { current, changed })
}

impl Publisher {
    pub(crate) fn publish(&self, membership: Membership) {
        self.current.store(Arc::new(membership));
        self.changed.send_replace(());
    }
}

impl View {
    /// The view as of now.
    pub(crate) fn get(&self) -> impl Deref<Target = Arc<Membership>> {
        self.current.load()
    }

    /// Waits for a change that came after this clone was made or last waited; false at the end. Cancel safe.
    pub(crate) async fn changed(&mut self) -> bool {
        self.changed.changed().await.is_ok()
    }
}

/// A peer and the link that carries what is sent to it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) peer: Peer,
    pub(crate) link: Option<Arc<Outbox>>,
}

/// One consistent view of all peers that have entered and of the groups.
///
/// It does not change once it has been handed out; ask again for a newer one.
#[derive(Debug, Default)]
pub struct Membership {
    peers: BTreeMap<PeerId, Arc<Entry>>,
    groups: BTreeMap<GroupName, Vec<Arc<Entry>>>,
    own_groups: BTreeSet<GroupName>,
}

impl Membership {
    pub(crate) fn new(peers: impl Iterator<Item = Entry>, own_groups: BTreeSet<GroupName>) -> Self {
        let peers: BTreeMap<_, _> = peers.map(|entry| (entry.peer.id, Arc::new(entry))).collect();
        let mut groups: BTreeMap<GroupName, Vec<Arc<Entry>>> = BTreeMap::new();
        for entry in peers.values() {
            for group in entry.peer.groups.iter() {
                groups.entry(group.clone()).or_default().push(entry.clone());
            }
        }
        Self { peers, groups, own_groups }
    }

    /// All peers, by UUID.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().map(|entry| &entry.peer)
    }

    /// One peer; `None` before its `Enter` and after its `Exit`.
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id).map(|entry| &entry.peer)
    }

    /// The peers in a group, by UUID. This node itself is not among them.
    pub fn members(&self, group: &str) -> impl Iterator<Item = &Peer> {
        self.entries_in(group.as_bytes()).iter().map(|entry| &entry.peer)
    }

    /// The groups peers are in, whether this node is in them or not.
    pub fn peer_groups(&self) -> impl Iterator<Item = &GroupName> {
        self.groups.keys()
    }

    /// The groups this node is in.
    pub fn own_groups(&self) -> impl Iterator<Item = &GroupName> {
        self.own_groups.iter()
    }

    pub(crate) fn entry(&self, id: PeerId) -> Option<&Entry> {
        self.peers.get(&id).map(|entry| &**entry)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.peers.values().map(|entry| &**entry)
    }

    pub(crate) fn entries_in(&self, group: &[u8]) -> &[Arc<Entry>] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }
}
