//! One peer: what is known of it, its link, its mailbox connection and the questions that are open about it.
//!
//! ```text
//! unknown --beacon | gossip | dial--> Greeting (link opening, our HELLO first)
//!    |                                   |
//!    +------------- their HELLO ---------+--> Ready: Enter, a Join per group
//! Ready --no TCP traffic: PING--> Evasive --> Silent --any message--> Ready
//! Ready --goodbye | gap | gone | replaced | link full | expired--> Exit, exactly once
//! ```

use super::budget::Backoff;
use super::liveness::Liveness;
use super::node::PROBE_TIMEOUT;
use super::sequence::Flavour;
use super::trust::Refusal;
use super::{ConnId, LinkId};
use crate::wire::{Endpoint, HelloFields};
use crate::zmtp::curve::PublicKey;
use crate::{GroupName, Headers, PeerId};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connection tries that one received beacon buys (attack row B3).
pub(super) const TRIES_PER_BEACON: u8 = 3;
const CONNECT_FIRST: Duration = Duration::from_millis(100);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Between two accepted HELLOs of a peer that is ready (attack row T7). The limit stays below the time after which
/// a mute peer is greeted anew, or two peers that recover from a bad hour would put each other off.
const REHELLO_FIRST: Duration = Duration::from_secs(2);
pub(super) const REHELLO_MAX: Duration = Duration::from_secs(8);
/// Between two tries to wake a peer that does not answer.
const REGREET_MAX: Duration = Duration::from_secs(30);

/// What a peer that is ready has said of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Profile {
    pub(super) name: Arc<str>,
    pub(super) endpoint: Endpoint,
    pub(super) headers: Headers,
    pub(super) version: Option<Arc<str>>,
    /// Shared with the application's view of the peer.
    pub(super) groups: Arc<BTreeSet<GroupName>>,
}

/// A peer as others may see it; only peers that are ready are shown.
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    /// Its UUID.
    pub id: PeerId,
    /// Its name.
    pub name: &'a Arc<str>,
    /// Where its mailbox is.
    pub endpoint: Endpoint,
    /// Its headers.
    pub headers: &'a Headers,
    /// Which version of this crate it is made with; `None` for other implementations.
    pub version: Option<&'a Arc<str>>,
    /// The groups it is in.
    pub groups: &'a Arc<BTreeSet<GroupName>>,
    /// The link that carries what is sent to it.
    pub link: Option<LinkId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Connecting,
    /// Failed; tried again then. `None`: not before the next beacon.
    Waiting(Option<Instant>),
    Up,
}

/// Our link to the peer.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) state: LinkState,
    pub(super) tries_left: u8,
    pub(super) refused: bool,
    /// When its HELLO was said, or is about to be.
    pub(super) greeted_at: Instant,
    /// Whether a HELLO of the peer has been taken for the answer to that one. A second would be no answer.
    pub(super) answered: bool,
}

impl Link {
    pub(super) fn opening(id: LinkId, now: Instant) -> Self {
        let tries_left = TRIES_PER_BEACON - 1;
        Self {
            id,
            state: LinkState::Connecting,
            tries_left,
            refused: false,
            greeted_at: now,
            answered: false,
        }
    }

    /// Whether a link that is not up is given up for another address. One that has only just begun to connect is
    /// not: a host with two interfaces beacons from both. One that hangs is: its address may not exist any more.
    pub(super) fn gives_way(&self, now: Instant) -> bool {
        self.refused || self.state != LinkState::Connecting || now >= self.greeted_at + PROBE_TIMEOUT
    }
}

/// What a beacon or gossip says of a peer.
pub(super) struct Sighting {
    pub(super) endpoint: Endpoint,
    pub(super) key: Option<PublicKey>,
    /// How it counts.
    pub(super) guess: Flavour,
    /// Whether it has said so itself just now, which is a sign of life.
    pub(super) beacon: bool,
}

/// The peer's connection to our mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mailbox {
    /// It has never sent a HELLO that counted.
    None,
    Open(ConnId),
    /// Its last connection ended; one that goes on with this sequence is taken.
    Closed {
        expected: u16,
    },
}

/// A connection with a HELLO for a UUID that is in use waits for its turn.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) conn: ConnId,
    pub(super) source: SocketAddr,
    pub(super) hello: HelloFields,
    pub(super) decide_at: Instant,
    /// Whether it comes from where the peer is: then it takes over in any case once the old one is read.
    pub(super) same_source: bool,
    pub(super) asked_at: Instant,
}

/// The peer was asked for a sign of life, because something says that it is no longer where it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) asked_at: Instant,
    /// When silence decides; `None` once it has been decided (and is remembered so as not to ask too often).
    pub(super) decide_at: Option<Instant>,
    /// Where a beacon says it is now, if that is the reason.
    pub(super) moved_to: Option<Endpoint>,
}

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) endpoint: Endpoint,
    /// Where its beacons, else its connection come from.
    pub(super) address: IpAddr,
    /// The key by which links to it are opened: the one it has proven, else one that a beacon or gossip names.
    pub(super) key: Option<PublicKey>,
    /// Whether that key is its own and no other is believed any more.
    pub(super) key_proven: bool,
    /// The application does not want it.
    pub(super) refusal: Option<Box<Refusal>>,
    pub(super) profile: Option<Profile>,
    pub(super) link: Option<Link>,
    pub(super) mailbox: Mailbox,
    /// The latest connection on which it said HELLO, or went on without one.
    pub(super) latest: ConnId,
    /// Whether the session of the mailbox cannot go on after its connection: the peer has said HELLO since, or came
    /// back with another number than the next.
    pub(super) broken_off: bool,
    pub(super) newcomer: Option<Box<Newcomer>>,
    pub(super) doubt: Option<Box<Doubt>>,
    pub(super) live: Liveness,
    pub(super) beacon_at: Option<Instant>,
    pub(super) goodbye_at: Option<Instant>,
    pub(super) goodbye_by: Option<Instant>,
    /// Since when its link has been lost.
    pub(super) lost_at: Option<Instant>,
    /// When to open a new session.
    pub(super) greet_at: Option<Instant>,
    /// Until when it has to answer the PING that followed a repeated HELLO.
    pub(super) verify_by: Option<Instant>,
    /// When it last answered a PING.
    pub(super) answered_at: Option<Instant>,
    pub(super) connect_backoff: Backoff,
    pub(super) regreet_backoff: Backoff,
    pub(super) rehello_backoff: Backoff,
    pub(super) rehello_at: Instant,
    pub(super) flavour: Flavour,
    /// Whether it is one of this crate's nodes.
    pub(super) native: bool,
    /// Whether it knows ELECT, LEADER and GOODBYE.
    pub(super) elects: bool,
}

impl Peer {
    pub(super) fn new(now: Instant, id: PeerId, endpoint: Endpoint, address: IpAddr) -> Self {
        Self {
            id,
            endpoint,
            address,
            key: None,
            key_proven: false,
            refusal: None,
            profile: None,
            link: None,
            mailbox: Mailbox::None,
            latest: ConnId(0),
            broken_off: false,
            newcomer: None,
            doubt: None,
            live: Liveness::new(now),
            beacon_at: None,
            goodbye_at: None,
            goodbye_by: None,
            lost_at: None,
            greet_at: None,
            verify_by: None,
            answered_at: None,
            connect_backoff: Backoff::new(CONNECT_FIRST, CONNECT_MAX),
            regreet_backoff: Backoff::new(REHELLO_FIRST, REGREET_MAX),
            rehello_backoff: Backoff::new(REHELLO_FIRST, REHELLO_MAX),
            rehello_at: now,
            flavour: Flavour::Unknown,
            native: false,
            elects: false,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.profile.is_some()
    }

    pub(super) fn name(&self) -> Arc<str> {
        self.profile.as_ref().map_or_else(|| Arc::from(""), |profile| profile.name.clone())
    }

    pub(super) fn is_in(&self, group: &GroupName) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.groups.contains(group))
    }

    pub(super) fn has_mailbox(&self) -> bool {
        matches!(self.mailbox, Mailbox::Open(_))
    }

    pub(super) fn link_is_up(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.state == LinkState::Up)
    }

    /// Whether our last HELLO was so recent that one from the peer counts as its answer (attack row T8).
    pub(super) fn was_greeted_within(&self, now: Instant, window: Duration) -> bool {
        self.link.as_ref().is_some_and(|link| now.saturating_duration_since(link.greeted_at) < window)
    }

    /// Takes a HELLO for the answer to ours. False the second time: a peer that says HELLO once more, on yet another
    /// connection, wants another of ours, since zyre.js drops one that it takes for a repeated one.
    pub(super) fn take_answer(&mut self) -> bool {
        self.link.as_mut().is_some_and(|link| !std::mem::replace(&mut link.answered, true))
    }

    pub(super) fn view(&self) -> Option<PeerView<'_>> {
        self.profile.as_ref().map(|profile| PeerView {
            id: self.id,
            name: &profile.name,
            endpoint: profile.endpoint,
            headers: &profile.headers,
            version: profile.version.as_ref(),
            groups: &profile.groups,
            link: self.link.as_ref().map(|link| link.id),
        })
    }

    /// This process did not run for so long: whoever was asked gets that time to answer.
    pub(super) fn forgive(&mut self, away: Duration, now: Instant) {
        self.live.forgive(away, now);
        let doubt = self.doubt.as_mut().and_then(|doubt| doubt.decide_at.as_mut());
        let newcomer = self.newcomer.as_mut().map(|newcomer| &mut newcomer.decide_at);
        let pending =
            [doubt, newcomer, self.goodbye_by.as_mut(), self.verify_by.as_mut(), self.lost_at.as_mut()];
        pending.into_iter().flatten().for_each(|at| *at += away);
    }

    /// The earliest time at which something is due.
    pub(super) fn next_deadline(&self, timers: &crate::Timers, gone_after: Duration) -> Instant {
        let retry_at = self.link.as_ref().and_then(|link| match link.state {
            LinkState::Waiting(at) => at,
            _ => None,
        });
        [
            Some(self.live.next_deadline(timers, self.is_ready())),
            retry_at,
            self.newcomer.as_ref().map(|newcomer| newcomer.decide_at),
            self.doubt.as_ref().and_then(|doubt| doubt.decide_at),
            self.goodbye_by,
            self.greet_at,
            self.verify_by,
            self.gone_check_at(gone_after),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or_else(|| self.live.next_deadline(timers, self.is_ready()))
    }

    /// When refused connections and missing beacons together mean that the process is gone.
    pub(super) fn gone_check_at(&self, gone_after: Duration) -> Option<Instant> {
        let lost_at = self.lost_at?;
        let refused = self.link.as_ref().is_some_and(|link| link.refused && link.state != LinkState::Up);
        let beaconed = self.beacon_at.is_some_and(|at| at > lost_at);
        (self.is_ready() && refused && !beaconed && !self.has_mailbox()).then(|| lost_at + gone_after)
    }
}
