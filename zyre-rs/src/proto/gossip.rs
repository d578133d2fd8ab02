//! Gossip discovery (zyre over czmq's `zgossip`, no RFC): the tuples a node knows, and who hears of which.
//!
//! Every change gets the next revision. A link keeps the last revision it has passed on and asks for what came
//! after it ([`Table::news`]), so that nobody needs a queue: a slow link skips values that have been replaced, and
//! costs one number. What is said again without change is no news, which is what ends a tuple's journey in a
//! network of hubs.
//!
//! Invariant: at most [`MAX_TUPLES`] tuples whose value is text of at most [`MAX_VALUE`] bytes, our own among them.

mod registration;

pub(crate) use registration::{BEAT, Registration, Say};

use crate::PeerId;
use crate::wire::Endpoint;
use crate::wire::gossip::{Message, Publish};
use crate::zmtp::curve::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Most tuples, ours included: as many nodes as one network segment may hold, times sixteen.
pub(crate) const MAX_TUPLES: usize = 4_096;
/// Longest value in bytes: a host name of 253, scheme and port, and a CURVE key of 40 leave room to spare.
pub(crate) const MAX_VALUE: usize = 512;

/// One gossip connection, to a client of ours or to a hub. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkNo {
    /// Its number.
    pub(crate) number: u64,
    /// Whether the other side is a hub, which repeats what others told it.
    pub(crate) upstream: bool,
}

#[derive(Clone, Debug)]
struct Tuple {
    value: String,
    revision: u64,
    /// Who says so; `None` for our own.
    said_by: Option<LinkNo>,
}

/// What a tuple that was taken means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// It is our own, an echo, or unchanged for a peer known to be alive.
    Nothing,
    /// A peer to greet, and its public key if the tuple names one.
    Peer(PeerId, Endpoint, Option<PublicKey>),
    /// It is passed on, but names no `tcp://IP:port`, or a key that is none.
    Unusable,
}

/// Why a tuple was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its key is not a UUID.
    Key,
    /// Its value is too long or cannot be an endpoint of any transport.
    Value,
    /// There are [`MAX_TUPLES`] already.
    Full,
}

impl Refused {
    /// The name this cause is counted under.
    pub(crate) const fn counter(self) -> &'static str {
        match self {
            Self::Key => "gossip_key_refused",
            Self::Value => "gossip_value_refused",
            Self::Full => "gossip_table_full",
        }
    }
}

/// All that gossip knows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    own: PeerId,
    /// Which our tuple names beside our endpoint.
    key: Option<PublicKey>,
    tuples: BTreeMap<PeerId, Tuple>,
    /// The tuples by revision.
    order: BTreeMap<u64, PeerId>,
    revision: u64,
    /// Peers with a session; as many as the node allows.
    alive: BTreeSet<PeerId>,
}

impl Table {
    /// A table with nothing but our own tuple.
    pub(crate) fn new(own: PeerId, endpoint: Endpoint, key: Option<PublicKey>) -> Self {
        let mut table = Self {
            own,
            key,
            tuples: BTreeMap::new(),
            order: BTreeMap::new(),
            revision: 0,
            alive: BTreeSet::new(),
        };
        table.set_own(endpoint);
        table
    }

    /// Says where we are; news if that has changed.
    pub(crate) fn set_own(&mut self, endpoint: Endpoint) -> bool {
        let value = match self.key {
            None => endpoint.to_string(),
            // As zyre C writes it; `|` stands in no key.
            Some(key) => format!("{endpoint}|{key}"),
        };
        let unchanged = self.tuples.get(&self.own).is_some_and(|tuple| tuple.value == value);
        if !unchanged {
            self.put(self.own, value, None);
        }
        !unchanged
    }

    /// Takes a tuple that was published on a link. Whether it was news shows in [`Table::revision`].
    ///
    /// # Errors
    /// When it is refused; the table is as before.
    pub(crate) fn publish(&mut self, link: LinkNo, published: &Publish) -> Result<Learned, Refused> {
        let key = std::str::from_utf8(published.key()).map_err(|_| Refused::Key)?;
        let peer: PeerId = key.parse().map_err(|_| Refused::Key)?;
        let value = endpoint_text(published.value()).ok_or(Refused::Value)?;
        // An echo, or an endpoint we no longer have: nobody knows better than we do.
        if peer == self.own {
            return Ok(Learned::Nothing);
        }
        let full = self.tuples.len() >= MAX_TUPLES;
        match self.tuples.get_mut(&peer) {
            Some(known) if known.value == value => {
                // A hub only repeats, our own words too.
                if link.upstream {
                    return Ok(Learned::Nothing);
                }
                // A client may be the node itself on a new connection, and without a session worth another try.
                known.said_by = Some(link);
                if self.alive.contains(&peer) {
                    return Ok(Learned::Nothing);
                }
            }
            None if full => return Err(Refused::Full),
            _ => self.put(peer, value.to_owned(), Some(link)),
        }
        Ok(place(value).map_or(Learned::Unusable, |(endpoint, key)| Learned::Peer(peer, endpoint, key)))
    }

    /// A peer has a session: its tuple stays even if nobody publishes it any more.
    pub(crate) fn alive(&mut self, peer: PeerId) {
        self.alive.insert(peer);
    }

    /// A peer is gone, and its tuple with it. Whoever publishes it again brings it back.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.alive.remove(&peer);
        if peer != self.own {
            self.remove(peer);
        }
    }

    /// A link has ended: what only it said of nodes without a session is forgotten.
    pub(crate) fn closed(&mut self, link: LinkNo) {
        let said = self.tuples.iter().filter(|(_, tuple)| tuple.said_by == Some(link));
        let dead: Vec<PeerId> =
            said.map(|(peer, _)| *peer).filter(|peer| !self.alive.contains(peer)).collect();
        dead.into_iter().for_each(|peer| self.remove(peer));
    }

    /// The revision of the latest change; grows with each, but not when something is forgotten.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// What has changed after a revision, oldest first, each with the revision it brings one to.
    ///
    /// A client hears everything, what it said itself included, as from czmq. A hub hears nothing of what it said:
    /// two hubs that know different endpoints of one node would otherwise correct each other for ever.
    pub(crate) fn news(&self, link: LinkNo, after: u64) -> impl Iterator<Item = (u64, Message)> + '_ {
        let order = self.order.range((Bound::Excluded(after), Bound::Unbounded));
        order.filter_map(move |(revision, peer)| {
            let tuple = self.tuples.get(peer)?;
            let echo = link.upstream && tuple.said_by == Some(link);
            let message = message(*peer, &tuple.value).filter(|_| !echo)?;
            Some((*revision, message))
        })
    }

    /// Where peers are, as far as it can be used, and their public keys.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (PeerId, Endpoint, Option<PublicKey>)> + '_ {
        let others = self.tuples.iter().filter(|(peer, _)| **peer != self.own);
        others.filter_map(|(peer, tuple)| {
            let (endpoint, key) = place(&tuple.value)?;
            Some((*peer, endpoint, key))
        })
    }

    /// Our own tuple.
    pub(crate) fn own(&self) -> Option<Message> {
        message(self.own, &self.tuples.get(&self.own)?.value)
    }

    /// Whether a peer's tuple is known.
    #[cfg(test)]
    pub(crate) fn value(&self, peer: PeerId) -> Option<&str> {
        Some(&self.tuples.get(&peer)?.value)
    }

    fn put(&mut self, peer: PeerId, value: String, said_by: Option<LinkNo>) {
        self.remove(peer);
        self.revision += 1;
        self.order.insert(self.revision, peer);
        self.tuples.insert(peer, Tuple { value, revision: self.revision, said_by });
    }

    fn remove(&mut self, peer: PeerId) {
        if let Some(tuple) = self.tuples.remove(&peer) {
            self.order.remove(&tuple.revision);
        }
    }
}

/// A value that may be passed on: other nodes may know transports and names that we do not, but libzmq
/// must be able to read it as a C string that names a transport.
fn endpoint_text(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let sound = text.len() <= MAX_VALUE && text.contains("://") && !text.chars().any(char::is_control);
    sound.then_some(text)
}

/// What a value names, if that can be used: `tcp://IP:port`, and behind a `|` perhaps a key.
fn place(value: &str) -> Option<(Endpoint, Option<PublicKey>)> {
    match value.split_once('|') {
        None => Some((value.parse().ok()?, None)),
        Some((endpoint, key)) => Some((endpoint.parse().ok()?, Some(key.parse().ok()?))),
    }
}

fn message(peer: PeerId, value: &str) -> Option<Message> {
    Publish::new(peer.to_string(), value, 0).ok().map(Message::Publish)
}

#[cfg(test)]
mod tests;
