//! Links: opened, tried again, lost; and dials, which are links to an endpoint whose peer is not known yet.

use super::budget::Backoff;
use super::bug::{Bug, bug};
use super::node::{Node, PROBE_TIMEOUT};
use super::peer::{Link, LinkState, Peer};
use super::sequence::Flavour;
use super::{LinkId, LinkLoss, Output};
use crate::wire::Endpoint;
use crate::zmtp::curve::PublicKey;
use crate::{ExitReason, PeerId};
use std::time::{Duration, Instant};

/// A peer wanted at an endpoint before its UUID is known.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) endpoint: Endpoint,
    /// What the peer there has to prove, where that is needed.
    pub(super) key: Option<PublicKey>,
    pub(super) link: Option<Link>,
    pub(super) adopted: Option<PeerId>,
    pub(super) retry_at: Instant,
    pub(super) backoff: Backoff,
}

impl Node {
    /// Opens a session with a peer: a new link that says HELLO first.
    pub(super) fn open_link(&mut self, now: Instant, id: PeerId) {
        if !bug(Bug::LeaksLinks) {
            self.close_link(id);
        }
        let hello = self.greeting.clone();
        let link = self.new_link(now);
        let (turned_away, personal) = (self.is_turned_away(now, id), self.config.trust.is_personal());
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.greet_at = None;
        if turned_away {
            return;
        }
        let (endpoint, flavour, key) = (peer.endpoint, peer.flavour, peer.key);
        // A link that a dial has opened there is as good, and a second one would be taken for a restart.
        let own = |dial: &&mut Dial| !personal || dial.key == key;
        let mut free = self.dials.iter_mut().filter(|dial| dial.adopted.is_none());
        let dialled = free.find(|dial| dial.endpoint == endpoint && own(dial));
        if let Some(dial) = dialled {
            dial.adopted = Some(id);
            if let Some(open) = dial.link.take() {
                self.outputs.push_back(Output::Adopt { link: open.id, peer: id });
                peer.link = Some(open);
                return self.touch();
            }
        }
        self.outputs.push_back(Output::Open { link: link.id, peer: Some(id), endpoint, hello, flavour, key });
        peer.link = Some(link);
        self.touch();
        self.elect_with(now, id);
    }

    fn new_link(&mut self, now: Instant) -> Link {
        self.next_link += 1;
        Link::opening(LinkId(self.next_link), now)
    }

    pub(super) fn close_link(&mut self, id: PeerId) {
        if let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.link.take()) {
            self.outputs.push_back(Output::Close(link.id));
            self.touch();
        }
    }

    pub(super) fn dial(&mut self, now: Instant, endpoint: Endpoint, key: Option<PublicKey>) {
        let personal = self.config.trust.is_personal();
        // Where keys are per node, another key is another node: the one there may have been given a new one.
        let same = |dial: &Dial| dial.endpoint == endpoint && (!personal || dial.key == key);
        if !self.is_own(endpoint) && !self.dials.iter().any(same) {
            let mut there = self.peers.values().filter(|peer| peer.endpoint == endpoint);
            let holder = there.find(|peer| !personal || peer.key == key).map(|peer| peer.id);
            let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
            self.dials.push(Dial { endpoint, key, link: None, adopted: holder, retry_at: now, backoff });
        }
    }

    /// Opens the links of dials that are due, and tries those again that failed.
    pub(super) fn run_dials(&mut self, now: Instant) {
        for index in 0..self.dials.len() {
            let link = self.new_link(now);
            let Some(dial) = self.dials.get_mut(index) else { return };
            match &mut dial.link {
                None if dial.adopted.is_none() && now >= dial.retry_at => {
                    let (endpoint, key, hello) = (dial.endpoint, dial.key, self.greeting.clone());
                    let flavour = Flavour::Unknown;
                    self.outputs.push_back(Output::Open {
                        link: link.id,
                        peer: None,
                        endpoint,
                        hello,
                        flavour,
                        key,
                    });
                    dial.link = Some(link);
                }
                Some(open) if matches!(open.state, LinkState::Waiting(Some(at)) if now >= at) => {
                    open.state = LinkState::Connecting;
                    self.outputs.push_back(Output::Retry(open.id));
                }
                _ => {}
            }
        }
    }

    pub(super) fn on_link_up(&mut self, now: Instant, id: LinkId) {
        if let Some(link) = self.link_mut(id) {
            link.state = LinkState::Up;
            link.refused = false;
            link.greeted_at = now;
            link.answered = false;
        }
        if let Some(peer) = self.peer_of_link(id) {
            // It proves that somebody listens there, not that it is the peer: no sign of its life.
            peer.lost_at = None;
        }
    }

    pub(super) fn on_link_failed(&mut self, now: Instant, id: LinkId, refused: bool) {
        let spread = self.next_spread();
        if let Some(dial) =
            self.dials.iter_mut().find(|dial| dial.link.as_ref().is_some_and(|link| link.id == id))
        {
            let wait = dial.backoff.step(spread);
            if let Some(link) = &mut dial.link {
                link.state = LinkState::Waiting(Some(now + wait));
            }
            return;
        }
        let Some(peer) = self.peer_of_link(id) else { return };
        let ready = peer.is_ready();
        let wait = peer.connect_backoff.step(spread);
        if let Some(link) = &mut peer.link {
            link.refused = refused;
            // Each beacon buys a few tries; a peer that was here is worth trying until it expires.
            let again = ready || link.tries_left > 0 || bug(Bug::RetriesForever);
            link.tries_left = link.tries_left.saturating_sub(1);
            link.state = LinkState::Waiting(again.then(|| now + wait));
        }
        if ready {
            peer.lost_at.get_or_insert(now);
        }
    }

    pub(super) fn on_link_lost(&mut self, now: Instant, id: LinkId, cause: LinkLoss) {
        if let Some(dial) =
            self.dials.iter_mut().find(|dial| dial.link.as_ref().is_some_and(|link| link.id == id))
        {
            dial.link = None;
            dial.retry_at = now + dial.backoff.step(self.spread >> 20);
            return;
        }
        let spread = self.next_spread();
        let Some(peer) = self.peer_of_link(id).filter(|_| !bug(Bug::LostLinkStays)) else { return };
        let peer_id = peer.id;
        let lasted = peer.link.take().is_some_and(|link| now >= link.greeted_at + Duration::from_secs(2));
        if lasted {
            peer.connect_backoff.reset();
        }
        peer.lost_at = Some(now);
        let wait = if lasted { Duration::ZERO } else { peer.connect_backoff.step(spread) };
        peer.greet_at = Some(now + wait);
        let said_goodbye = peer.goodbye_at.is_some_and(|at| now < at + PROBE_TIMEOUT);
        self.touch();
        if cause == LinkLoss::Full && !bug(Bug::FullLinkUntold) {
            self.exit(peer_id, ExitReason::LinkFull);
            if let Some(peer) = self.peers.get_mut(&peer_id) {
                peer.greet_at = Some(now + Duration::from_secs(2));
            }
        } else if said_goodbye {
            self.exit(peer_id, ExitReason::Goodbye);
            self.forget(peer_id);
        }
    }

    pub(super) fn peer_of_link(&mut self, id: LinkId) -> Option<&mut Peer> {
        self.peers
            .values_mut()
            .map(|peer| &mut **peer)
            .find(|peer| peer.link.as_ref().is_some_and(|link| link.id == id))
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let peers = self.peers.values_mut().filter_map(|peer| peer.link.as_mut());
        peers.chain(self.dials.iter_mut().filter_map(|dial| dial.link.as_mut())).find(|link| link.id == id)
    }
}
