//! Everything that happens because time passes, peer by peer.

use super::Output;
use super::hello::VERIFY_TIMEOUT;
use super::node::Node;
use super::peer::{LinkState, Peer, REHELLO_MAX};
use crate::wire::Command;
use crate::{ExitReason, PeerId};
use std::time::Instant;

impl Node {
    /// Performs all that is due at `now`; cheap when nothing is.
    pub(super) fn run_timers(&mut self, now: Instant) {
        self.run_beacon(now);
        self.run_elections(now);
        let gone_after = self.gone_after();
        let timers = self.config.timers;
        let due = self.peers.values().filter(|peer| peer.next_deadline(&timers, gone_after) <= now);
        let due: Vec<PeerId> = due.map(|peer| peer.id).collect();
        due.into_iter().for_each(|id| self.run_peer(now, id));
        self.run_dials(now);
    }

    fn run_peer(&mut self, now: Instant, id: PeerId) {
        let reached = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if self.asks(id, |peer| reached(peer.newcomer.as_ref().map(|newcomer| newcomer.decide_at))) {
            self.decide_newcomer(now, id);
        }
        if self.asks(id, |peer| reached(peer.goodbye_by)) {
            return self.decide_goodbye(id);
        }
        if self.asks(id, |peer| reached(peer.doubt.as_ref().and_then(|doubt| doubt.decide_at))) {
            self.decide_doubt(now, id);
        }
        let gone_after = self.gone_after();
        if self.asks(id, |peer| reached(peer.gone_check_at(gone_after))) {
            self.exit(id, ExitReason::Gone);
            return self.forget(id);
        }
        self.retry_link(now, id);
        if self.asks(id, |peer| reached(peer.greet_at)) {
            self.greet_anew(now, id);
        }
        if self.asks(id, |peer| reached(peer.verify_by)) {
            self.on_hello_not_taken(now, id);
        }
        while let Some(peer) = self.peers.get_mut(&id) {
            let ready = peer.is_ready();
            let Some(due) = peer.live.due(now, &self.config.timers, ready) else { return };
            self.on_due(now, id, due);
        }
    }

    fn asks(&self, id: PeerId, question: impl Fn(&Peer) -> bool) -> bool {
        self.peers.get(&id).is_some_and(|peer| question(peer))
    }

    fn retry_link(&mut self, now: Instant, id: PeerId) {
        if let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.link.as_mut())
            && matches!(link.state, LinkState::Waiting(Some(at)) if now >= at)
        {
            link.state = LinkState::Connecting;
            self.outputs.push_back(Output::Retry(link.id));
        }
    }

    /// No PING-OK followed our HELLO: the link may hang without our knowing, so the next HELLO takes another one. It
    /// may also wait for its turn at the peer, so the one after that comes later than any turn.
    fn on_hello_not_taken(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.verify_by = Some(now + REHELLO_MAX + VERIFY_TIMEOUT);
        if peer.link_is_up() {
            self.count("hello_not_taken");
            self.open_link(now, id);
            self.send(id, Command::Ping);
        }
    }

    /// Says HELLO now; and again later, ever more rarely, unless something is heard that makes it needless.
    fn greet_anew(&mut self, now: Instant, id: PeerId) {
        let spread = self.next_spread();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let wait = peer.regreet_backoff.step(spread);
        self.greet(now, id);
        if let Some(peer) = self.peers.get_mut(&id)
            && !peer.has_mailbox()
            && peer.link_is_up()
        {
            peer.greet_at = Some(now + wait);
        }
    }
}
