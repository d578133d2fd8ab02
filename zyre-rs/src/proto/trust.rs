//! Who is who: which keys are welcome, whom a UUID belongs to, and the application's word about a newcomer.
//!
//! Invariant: with keys per node, a peer that is ready has proven the key that is noted for it, and every link to it was
//! opened for that key.

use super::budget::Backoff;
use super::node::Node;
use super::{ConnId, Output};
use crate::trust::{Applicant, TrustedKeys};
use crate::wire::HelloFields;
use crate::zmtp::curve::PublicKey;
use crate::{Event, ExitReason, PeerId};
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The header in which a secured node shows its public key; zyre C ignores a HELLO of a stranger without it.
pub(crate) const KEY_HEADER: &str = "X-PUBLICKEY";
/// A peer that is refused by the application is left alone for so long at first.
const REFUSED_FIRST: Duration = Duration::from_secs(2);
/// And for so long at most.
const REFUSED_MAX: Duration = Duration::from_secs(60);
/// Refused peers remembered at most: they must not take the places of others.
const MAX_REFUSED: usize = 128;
/// At most one report of a kind in this time: a conflict lasts, and each beacon shows it again.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Whose keys are welcome, and what a key says about its owner.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Nobody has a key and everybody is welcome.
    #[default]
    Open,
    /// All nodes of the network have one of these: a key proves membership and says nothing of who it is.
    Network(Arc<[PublicKey]>),
    /// Each node has its own.
    Nodes {
        /// That of this node.
        own: PublicKey,
        /// Those of the others.
        trusted: TrustedKeys,
    },
}

impl Trust {
    /// Beacons of the other mode, and those of strangers, are not for us (attack row B1).
    fn check_beacon(&self, key: Option<PublicKey>) -> Result<(), &'static str> {
        match (self, key) {
            (Self::Open, None) => Ok(()),
            (Self::Open, Some(_)) => Err("beacon_secured"),
            (_, None) => Err("beacon_unsecured"),
            (Self::Network(keys), Some(key)) if keys.contains(&key) => Ok(()),
            (Self::Network(_), Some(_)) => Err("beacon_wrong_key"),
            (Self::Nodes { own, trusted }, Some(key)) if key == *own || trusted.contains(&key) => Ok(()),
            (Self::Nodes { .. }, Some(_)) => Err("beacon_untrusted_key"),
        }
    }

    /// The key by which to connect to a peer that gossip knows. A tuple without one may still name a peer whose key is known.
    fn check_gossip(&self, id: PeerId, key: Option<PublicKey>) -> Result<Option<PublicKey>, &'static str> {
        match (self, key) {
            (Self::Open, None) | (Self::Network(_), None) => Ok(None),
            (Self::Open, Some(_)) => Err("gossip_needs_curve"),
            (Self::Network(keys), Some(key)) if keys.contains(&key) => Ok(Some(key)),
            (Self::Network(_), Some(_)) => Err("gossip_wrong_key"),
            (Self::Nodes { trusted, .. }, None) => trusted.owner_of(id).map(Some).ok_or("gossip_no_key"),
            (Self::Nodes { trusted, .. }, Some(key)) if trusted.contains(&key) => Ok(Some(key)),
            (Self::Nodes { .. }, Some(_)) => Err("gossip_untrusted_key"),
        }
    }

    /// Whether a key tells one peer from another.
    pub(super) const fn is_personal(&self) -> bool {
        matches!(self, Self::Nodes { .. })
    }
}

type Decide = dyn Fn(&Applicant) -> Result<(), String> + Send + Sync;

/// What the application says about an [`Applicant`]: `Err` has the reason why it is not let in.
#[derive(Clone)]
pub struct Authorize(Arc<Decide>);

impl Authorize {
    /// Wraps the application's function. For equal inputs to give equal outputs it has to be one, too.
    pub fn new(decide: impl Fn(&Applicant) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}

/// The application has refused a peer.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    until: Instant,
    backoff: Backoff,
}

impl Node {
    /// Whether a beacon is to be heard; counts it if not.
    pub(super) fn hears_beacon(
        &mut self,
        now: Instant,
        id: PeerId,
        key: Option<PublicKey>,
        source: IpAddr,
    ) -> bool {
        if let Err(counter) = self.config.trust.check_beacon(key) {
            self.count(counter);
            return false;
        }
        self.belongs(now, id, key, source)
    }

    /// The key by which to connect to a peer that gossip knows; `Err` if not at all, which is counted.
    pub(super) fn hears_gossip(
        &mut self,
        now: Instant,
        id: PeerId,
        key: Option<PublicKey>,
        at: IpAddr,
    ) -> Result<Option<PublicKey>, ()> {
        let key = self.config.trust.check_gossip(id, key).map_err(|counter| self.count(counter))?;
        if self.belongs(now, id, key, at) { Ok(key) } else { Err(()) }
    }

    /// Whether a UUID may be used with this key; reports it if not.
    fn belongs(&mut self, now: Instant, id: PeerId, key: Option<PublicKey>, address: IpAddr) -> bool {
        let Trust::Nodes { own, trusted } = &self.config.trust else { return true };
        let Some(key) = key else { return true };
        let proven = || self.peers.get(&id).filter(|peer| peer.key_proven)?.key;
        let owner = if id == self.me { Some(*own) } else { trusted.owner_of(id).or_else(proven) };
        if owner.is_none_or(|owner| owner == key) {
            return true;
        }
        self.report_mismatch(now, id, key, address);
        false
    }

    /// Judges what a HELLO or a connection that goes on shows: the key that was proven, the UUID, and the header. False: it is
    /// not let in, which has been counted.
    pub(super) fn judge_key(
        &mut self,
        now: Instant,
        id: PeerId,
        source: IpAddr,
        key: Option<PublicKey>,
        hello: Option<&HelloFields>,
    ) -> bool {
        if let Trust::Nodes { trusted, .. } = &self.config.trust
            && !key.is_some_and(|key| trusted.contains(&key))
        {
            // It was when the connection was opened, or its UUID would not be asked about.
            self.count("curve_untrusted_key");
            return false;
        }
        let Some(proven) = key else { return true };
        if hello.is_some_and(|hello| lies_about(hello, proven)) {
            self.report_mismatch(now, id, proven, source);
            return false;
        }
        self.belongs(now, id, key, source) && self.overrules_beacon(now, id, source, proven)
    }

    /// Compares what was proven with what a beacon or gossip said before. A peer that contradicts itself is not let in; where
    /// the two came from different addresses, or the first from gossip, it may have been slandered, and the proof counts.
    fn overrules_beacon(&mut self, now: Instant, id: PeerId, source: IpAddr, proven: PublicKey) -> bool {
        let Some(peer) = self.peers.get(&id).filter(|_| self.config.trust.is_personal()) else { return true };
        let Some(claimed) = peer.key.filter(|claimed| *claimed != proven) else { return true };
        let (itself, liar) = (peer.address == source && peer.beacon_at.is_some(), peer.address);
        self.report_mismatch(now, id, if itself { proven } else { claimed }, liar);
        self.forget(id);
        !itself
    }

    /// A peer is about to enter with this key. In a network with one key for all the latest counts for the next link.
    pub(super) fn note_key(&mut self, id: PeerId, key: Option<PublicKey>) {
        let personal = self.config.trust.is_personal();
        if let Some(peer) = self.peers.get_mut(&id)
            && key.is_some()
        {
            peer.key = key;
            peer.key_proven = personal;
        }
    }

    /// A beacon or gossip names a key for a peer. Until one is proven the latest counts.
    pub(super) fn hear_of_key(&mut self, now: Instant, id: PeerId, key: Option<PublicKey>) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.key_proven) else { return };
        if key.is_none() || peer.key == key || peer.link_is_up() {
            return;
        }
        peer.key = key;
        if peer.link.is_some() {
            // It would go on asking for the old one.
            peer.greet_at = Some(now + peer.connect_backoff.step(self.spread >> 20));
            self.close_link(id);
        }
    }

    /// Somebody else uses a UUID that is taken.
    pub(super) fn report_conflict(&mut self, now: Instant, peer: PeerId, address: IpAddr) {
        self.count("identity_conflicts");
        if self.conflict_at.is_none_or(|at| now >= at + REPORT_INTERVAL) {
            self.conflict_at = Some(now);
            self.emit(Event::IdentityConflict { peer, address });
        }
    }

    fn report_mismatch(&mut self, now: Instant, peer: PeerId, key: PublicKey, address: IpAddr) {
        self.count("key_mismatch");
        if self.mismatch_at.is_none_or(|at| now >= at + REPORT_INTERVAL) {
            self.mismatch_at = Some(now);
            self.emit(Event::KeyMismatch { peer, address, key });
        }
    }

    /// Trusts these from now on: peers that are no longer among them leave, and newcomers may enter.
    pub(super) fn trust(&mut self, now: Instant, list: TrustedKeys) {
        let Trust::Nodes { trusted, .. } = &mut self.config.trust else { return };
        *trusted = list.clone();
        let stays = |id: PeerId, key: Option<PublicKey>| {
            key.is_none_or(|key| list.contains(&key) && list.owner_of(id).is_none_or(|owner| owner == key))
        };
        let gone = self.peers.values().filter(|peer| !stays(peer.id, peer.key));
        let gone: Vec<PeerId> = gone.map(|peer| peer.id).collect();
        for id in gone {
            self.exit(id, ExitReason::Untrusted);
            self.forget(id);
        }
        for dial in self.dials.iter_mut().filter(|dial| dial.key.is_some_and(|key| !list.contains(&key))) {
            if let Some(link) = dial.link.take() {
                self.outputs.push_back(Output::Close(link.id));
                dial.retry_at = now + dial.backoff.step(0);
            }
        }
    }

    /// Whether the application lets a peer in that has said HELLO. It does not if it panics over it: that must not end the node.
    pub(super) fn authorize(&self, applicant: &Applicant) -> Result<(), String> {
        let Some(Authorize(decide)) = &self.config.authorize else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| decide(applicant)))
            .unwrap_or_else(|_| Err("the application panicked when it was asked".to_owned()))
    }

    /// The application does not want this peer: its connection is closed, and it is left alone for a while.
    pub(super) fn turn_away(&mut self, now: Instant, conn: ConnId, applicant: &Applicant, reason: String) {
        let spread = self.next_spread();
        let id = applicant.peer;
        self.count("authorization_refused");
        self.outputs.push_back(Output::TurnAway { conn, peer: id, name: applicant.name.clone(), reason });
        self.close_link(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let backoff = peer.refusal.take().map(|refusal| refusal.backoff);
        let mut backoff = backoff.unwrap_or_else(|| Backoff::new(REFUSED_FIRST, REFUSED_MAX));
        peer.refusal = Some(Box::new(Refusal { until: now + backoff.step(spread), backoff }));
        peer.mailbox = super::peer::Mailbox::None;
        peer.greet_at = None;
        peer.verify_by = None;
        if self.peers.values().filter(|peer| peer.refusal.is_some()).count() > MAX_REFUSED {
            self.forget(id);
        }
    }

    /// Whether a peer was refused so lately that it is neither asked about nor greeted.
    pub(super) fn is_turned_away(&self, now: Instant, id: PeerId) -> bool {
        let refusal = self.peers.get(&id).and_then(|peer| peer.refusal.as_ref());
        refusal.is_some_and(|refusal| now < refusal.until)
    }
}

/// Whether a HELLO shows another key than the one that was proven. Showing none is no lie.
fn lies_about(hello: &HelloFields, proven: PublicKey) -> bool {
    let is =
        |value: &[u8]| std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) == Some(proven);
    hello.headers.iter().any(|(key, value)| key == KEY_HEADER.as_bytes() && !is(value))
}
