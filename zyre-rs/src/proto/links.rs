//! Links: opened, tried again, lost; and dials, which are links to an endpoint whose peer is not known yet.

use super::budget::Backoff;
use super::node::{Node, PROBE_TIMEOUT};
use super::peer::{Link, LinkState, Peer};
use super::sequence::Flavour;
use super::{LinkId, LinkLoss, Output};
use crate::wire::Endpoint;
use crate::{ExitReason, PeerId};
use std::time::{Duration, Instant};

/// A peer wanted at an endpoint before its UUID is known.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) endpoint: Endpoint,
    pub(super) link: Option<Link>,
    pub(super) adopted: Option<PeerId>,
    pub(super) retry_at: Instant,
    pub(super) backoff: Backoff,
}

impl Node {
    /// Opens a session with a peer: a new link that says HELLO first.
    pub(super) fn open_link(&mut self, now: Instant, id: PeerId) {
        self.close_link(id);
        let hello = self.greeting.clone();
        let link = self.new_link(now);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.greet_at = None;
        let (endpoint, flavour) = (peer.endpoint, peer.flavour);
        // A link that a dial has opened there is as good, and a second one would be taken for a restart.
        let dialled = self.dials.iter_mut().find(|dial| dial.endpoint == endpoint && dial.adopted.is_none());
        if let Some(dial) = dialled {
            dial.adopted = Some(id);
            if let Some(open) = dial.link.take() {
                self.outputs.push_back(Output::Adopt { link: open.id, peer: id });
                peer.link = Some(open);
                return self.touch();
            }
        }
        self.outputs.push_back(Output::Open { link: link.id, peer: Some(id), endpoint, hello, flavour });
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

    pub(super) fn dial(&mut self, now: Instant, endpoint: Endpoint) {
        if !self.is_own(endpoint) && self.dials.iter().all(|dial| dial.endpoint != endpoint) {
            let holder = self.peers.values().find(|peer| peer.endpoint == endpoint).map(|peer| peer.id);
            let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
            self.dials.push(Dial { endpoint, link: None, adopted: holder, retry_at: now, backoff });
        }
    }

    /// Opens the links of dials that are due, and tries those again that failed.
    pub(super) fn run_dials(&mut self, now: Instant) {
        for index in 0..self.dials.len() {
            let link = self.new_link(now);
            let Some(dial) = self.dials.get_mut(index) else { return };
            match &mut dial.link {
                None if dial.adopted.is_none() && now >= dial.retry_at => {
                    let (endpoint, hello) = (dial.endpoint, self.greeting.clone());
                    let flavour = Flavour::Unknown;
                    self.outputs.push_back(Output::Open {
                        link: link.id,
                        peer: None,
                        endpoint,
                        hello,
                        flavour,
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
            let again = ready || link.tries_left > 0;
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
        let Some(peer) = self.peer_of_link(id) else { return };
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
        if cause == LinkLoss::Full {
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
