//! Sessions: everything but HELLO that arrives on a peer's mailbox connection, the connection's end, and Exit.

use super::bug::{Bug, bug};
use super::hello::ANSWER_WINDOW;
use super::node::{Node, PROBE_TIMEOUT};
use super::peer::Mailbox;
use super::sequence::Flavour;
use super::{ConnId, Output};
use crate::wire::Command;
use crate::{Event, ExitReason, PeerId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A peer whose connection has ended gets this long to come back before it is greeted anew.
const COME_BACK: Duration = Duration::from_secs(1);
/// A peer that broke the rules too often is not greeted before that.
const PENALTY: Duration = Duration::from_secs(30);

impl Node {
    /// libzmq reconnects in the middle of a session: the stream goes on where it ended. A number alone does not tell
    /// one session from another, so it counts only while nothing says that the peer has begun another one.
    pub(super) fn on_resume(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: PeerId,
        source: SocketAddr,
        sequence: u16,
    ) {
        // Another address neither takes a session over nor spoils it (attack row T9).
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.address == source.ip())
            && let Mailbox::Closed { expected } = peer.mailbox
            && peer.is_ready()
        {
            let next = expected == sequence || bug(Bug::ResumesAnywhere);
            if next && (!peer.broken_off || bug(Bug::ResumesBrokenOff)) {
                peer.mailbox = Mailbox::Open(conn);
                peer.latest = conn;
                peer.live.heard(now);
                peer.greet_at = None;
                let name = peer.name();
                self.count("sessions_resumed");
                return self.outputs.push_back(Output::Accept { conn, name });
            }
            // What it brought is lost, and one of the next tries might bring the expected number by chance.
            peer.broken_off = true;
        }
        self.outputs.push_back(Output::Refuse(conn));
    }

    pub(super) fn on_heard(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.live.heard(now);
        }
    }

    /// Whether this is the connection that speaks for the peer now.
    fn is_current(&self, conn: ConnId, id: PeerId) -> bool {
        let speaks = |mailbox| mailbox == Mailbox::Open(conn) || bug(Bug::StaleCommands);
        self.peers.get(&id).is_some_and(|peer| speaks(peer.mailbox) && peer.is_ready())
    }

    pub(super) fn on_command(&mut self, now: Instant, conn: ConnId, id: PeerId, command: Command) {
        if !self.is_current(conn, id) {
            return self.count("stale_connection");
        }
        self.on_heard(now, id);
        match command {
            Command::Join { group, .. } => self.on_peer_join(now, id, group),
            Command::Leave { group, .. } => self.on_peer_leave(now, id, group),
            Command::Ping if bug(Bug::PingUnanswered) => {}
            Command::Ping => self.send(id, Command::PingOk),
            Command::PingOk => self.on_ping_ok(now, id),
            Command::Elect { group, challenger } => {
                self.knows_elections(id);
                self.on_elect(now, id, &group, challenger);
            }
            Command::Leader { group, leader } => {
                self.knows_elections(id);
                self.on_leader(id, &group, leader);
            }
            Command::Goodbye => {
                self.exit(id, ExitReason::Goodbye);
                self.forget(id);
            }
            // Content and HELLO come another way, and unknown ids are counted where they are read.
            _ => {}
        }
    }

    fn on_ping_ok(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.answered_at = Some(now);
        if peer.verify_by.take().is_some() {
            peer.regreet_backoff.reset();
        }
        if now >= peer.rehello_at + PENALTY {
            peer.rehello_backoff.reset();
        }
        if !bug(Bug::GoodbyeNotDenied) && peer.goodbye_by.take().is_some() {
            self.count("goodbyes_denied");
        }
    }

    /// Only zyre C and this crate send these, and both count as the RFC does.
    fn knows_elections(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.elects = true;
        }
        self.learn_flavour(id, Flavour::Uint16);
    }

    pub(super) fn learn_flavour(&mut self, id: PeerId, flavour: Flavour) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.flavour == Flavour::Unknown && flavour != Flavour::Unknown {
            peer.flavour = flavour;
        }
        if let Some(link) = &peer.link
            && peer.flavour != Flavour::Unknown
        {
            self.outputs.push_back(Output::Flavour { link: link.id, flavour: peer.flavour });
        }
    }

    pub(super) fn on_gap(&mut self, now: Instant, conn: ConnId, id: PeerId, missing: u16) {
        if self.is_current(conn, id) && !bug(Bug::GapUntold) {
            self.exit(id, ExitReason::MessagesLost { count: missing });
            self.greet_after_exit(now, id, Duration::ZERO);
        }
        self.outputs.push_back(Output::Refuse(conn));
    }

    pub(super) fn on_misbehaved(&mut self, now: Instant, conn: ConnId, id: PeerId) {
        if self.is_current(conn, id) {
            self.exit(id, ExitReason::ProtocolErrors);
            self.greet_after_exit(now, id, PENALTY);
        }
        self.outputs.push_back(Output::Refuse(conn));
    }

    /// The peer will not say HELLO by itself: to it the session goes on.
    fn greet_after_exit(&mut self, now: Instant, id: PeerId, after: Duration) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let greeted_at = peer.link.as_ref().map_or(now, |link| link.greeted_at + ANSWER_WINDOW);
        peer.greet_at = Some((now + after).max(greeted_at));
    }

    pub(super) fn on_conn_closed(&mut self, now: Instant, conn: ConnId, id: PeerId, expected: u16) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.newcomer.as_ref().is_some_and(|newcomer| newcomer.conn == conn) {
            peer.newcomer = None;
            if !peer.has_mailbox() {
                // The session that it began is lost with it, and the one before is over.
                peer.greet_at.get_or_insert(now + COME_BACK);
            }
        }
        if peer.mailbox != Mailbox::Open(conn) {
            return;
        }
        peer.mailbox = if peer.is_ready() { Mailbox::Closed { expected } } else { Mailbox::None };
        if let Some(newcomer) = peer.newcomer.take() {
            if now >= peer.rehello_at {
                return self.admit(now, id, *newcomer);
            }
            peer.newcomer = Some(newcomer);
            return;
        }
        if peer.goodbye_at.is_some_and(|at| now < at + PROBE_TIMEOUT) {
            self.exit(id, ExitReason::Goodbye);
            return self.forget(id);
        }
        // Perhaps the process is gone: then the link says so at once. Perhaps the peer has dropped us.
        peer.greet_at = Some(peer.greet_at.unwrap_or(now + COME_BACK).min(now + COME_BACK));
    }

    /// Ready → gone, told exactly once. The peer stays known; [`forget`](Self::forget) it or greet it anew.
    pub(super) fn exit(&mut self, id: PeerId, reason: ExitReason) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(profile) = peer.profile.take() else { return };
        peer.profile = bug(Bug::ExitsTwice).then(|| profile.clone());
        if let Mailbox::Open(conn) = std::mem::replace(&mut peer.mailbox, Mailbox::None)
            && reason != ExitReason::Restarted
            && !bug(Bug::ExitKeepsConnection)
        {
            self.outputs.push_back(Output::Refuse(conn));
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.goodbye_by = None;
        peer.verify_by = None;
        peer.doubt = None;
        self.touch();
        self.emit(Event::Exit { peer: id, name: profile.name.clone(), reason });
        let now = self.now();
        profile.groups.iter().for_each(|group| self.on_member_gone(now, id, group));
    }

    /// A peer that is said to leave did not answer: it does leave, unless its answer waits because we do not read it.
    pub(super) fn decide_goodbye(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.goodbye_by = None;
        if !peer.live.is_stalled() {
            self.exit(id, ExitReason::Goodbye);
            self.forget(id);
        }
    }

    /// A peer was silent although it was asked: it is gone or has moved.
    pub(super) fn decide_doubt(&mut self, now: Instant, id: PeerId) {
        let Some(doubt) = self.peers.get_mut(&id).and_then(|peer| peer.doubt.as_mut()) else { return };
        doubt.decide_at = None;
        let doubt = **doubt;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let alive = peer.live.heard_since(doubt.asked_at);
        match doubt.moved_to {
            // What it says proves that it lives, what it answers that it is where our link goes.
            Some(_) if peer.live.is_stalled() || peer.answered_at >= Some(doubt.asked_at) => {}
            Some(endpoint) => {
                if !alive {
                    self.exit(id, ExitReason::Replaced);
                }
                if self.make_room_at(now, endpoint)
                    && let Some(peer) = self.peers.get_mut(&id)
                {
                    peer.endpoint = endpoint;
                    peer.address = endpoint.ip();
                    self.open_link(now, id);
                }
            }
            None if alive => {}
            None => {
                self.exit(id, ExitReason::Replaced);
                self.forget(id);
            }
        }
    }
}
