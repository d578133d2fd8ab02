//! The driver: the one task that owns the protocol machine. It hands inputs in and performs outputs, and decides nothing.
//!
//! Order kept here: the membership view is renewed before an event about it is handed out, and both before the task
//! that caused them goes on. So whoever sees ENTER can whisper, and nobody sees a shout before its JOIN.

#[cfg(test)]
mod tests;

use super::beaconing::Beaconing;
use super::counters::Counters;
use super::gossip;
use super::groups::OwnGroups;
use super::inbox::Inbox;
use super::line::Line;
use super::link::{self, LinkContext, LinkTask};
use super::outbox::Outbox;
use super::request::{Admission, Ask, Leash, Request};
use crate::membership::{Entry, Membership, Peer, Publisher};
use crate::proto::{self, ConnId, Input, LinkId, Output};
use crate::wire::{Beacon, Command, Endpoint};
use crate::zmtp::curve::PublicKey;
use crate::{Event, LinkLimit, Overflow, PeerId, printable};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info, trace};

/// Requests taken at once before their consequences are published.
const BATCH: usize = 32;
/// How often links are asked to give back what they do not need.
const RELAX_INTERVAL: Duration = Duration::from_secs(1);
/// The goodbye beacon is repeated, since a lost one leaves a ghost for 30 s.
const GOODBYES: u32 = 3;
const GOODBYE_INTERVAL: Duration = Duration::from_millis(30);

/// What the driver needs to begin with.
pub(crate) struct Parts {
    pub(crate) machine: proto::Node,
    pub(crate) name: String,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) beaconing: Beaconing,
    pub(crate) links: Arc<LinkContext>,
    pub(crate) inbox: Inbox,
    pub(crate) counters: Arc<Counters>,
    pub(crate) membership: Publisher,
    pub(crate) own_groups: Arc<OwnGroups>,
    pub(crate) abandoned: Arc<Notify>,
    /// Pulled to end the listeners and with them all connections.
    pub(crate) door: Arc<Leash>,
    pub(crate) gossip: Option<Gossiping>,
    pub(crate) link_limit: LinkLimit,
    pub(crate) overflow: Overflow,
}

/// Where to connect to and, where that is needed, the key of whoever is there.
pub(crate) type KeyedEndpoint = (Endpoint, Option<PublicKey>);

/// The node's part in gossip; ends when it is dropped.
pub(crate) struct Gossiping {
    pub(crate) gossip: gossip::Gossip,
    pub(crate) _own: watch::Sender<(PeerId, Endpoint)>,
    pub(crate) hubs: Vec<gossip::Hub>,
    pub(crate) _leaves: Vec<gossip::Leaf>,
}

/// What waits for the membership to be published.
enum Deferred {
    Event(Event),
    Admission(oneshot::Sender<Admission>, Admission),
    Acted(oneshot::Sender<()>),
}

pub(crate) struct DriverTask {
    parts: Parts,
    links: BTreeMap<LinkId, Arc<Outbox>>,
    lines: HashMap<PeerId, Weak<Line>>,
    leashes: HashMap<ConnId, Arc<Leash>>,
    waiting: HashMap<ConnId, (PeerId, oneshot::Sender<Admission>)>,
    stalled: BTreeSet<PeerId>,
    deferred: Vec<Deferred>,
    relax_at: std::time::Instant,
    published: u64,
    /// Peers whose PING-OK says that they have taken everything; only while the node drains.
    draining: Option<BTreeSet<PeerId>>,
}

impl DriverTask {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            links: BTreeMap::new(),
            lines: HashMap::new(),
            leashes: HashMap::new(),
            waiting: HashMap::new(),
            stalled: BTreeSet::new(),
            deferred: Vec::new(),
            relax_at: Instant::now().into_std() + RELAX_INTERVAL,
            // Differs from any revision, so that the first look publishes.
            published: u64::MAX,
            draining: None,
        }
    }

    /// Runs until the node is stopped or its last handle is dropped.
    pub(crate) async fn run(mut self, dials: Vec<KeyedEndpoint>) {
        self.feed(Input::Timeout);
        dials.into_iter().for_each(|(endpoint, key)| self.feed(Input::Dial { endpoint, key }));
        self.publish();
        let (timeout, done) = self.serve(None).await;
        self.stop(timeout).await;
        for done in done {
            let _ = done.send(());
        }
    }

    /// Serves requests, beacons and timers until somebody wants the node to stop, or (while draining) until the
    /// deadline or the last PING-OK.
    async fn serve(&mut self, until: Option<Instant>) -> (Duration, Vec<oneshot::Sender<()>>) {
        let mut requests = Vec::with_capacity(BATCH);
        let mut done = Vec::new();
        let abandoned = self.parts.abandoned.clone();
        loop {
            let mut deadline = Instant::from_std(self.parts.machine.next_deadline());
            if let Some(until) = until {
                deadline = deadline.min(until);
                if Instant::now() >= until || self.draining.as_ref().is_none_or(BTreeSet::is_empty) {
                    return (Duration::ZERO, done);
                }
            }
            tokio::select! {
                taken = self.parts.requests.recv_many(&mut requests, BATCH) => {
                    // All of them, also those behind a stop: their senders wait.
                    let mut stop = None;
                    for (timeout, sender) in requests.drain(..taken).filter_map(|request| self.on_request(request)) {
                        stop.get_or_insert(timeout);
                        done.push(sender);
                    }
                    if let Some(timeout) = stop.filter(|_| until.is_none()) {
                        self.publish();
                        return (timeout, done);
                    }
                }
                heard = self.parts.beaconing.heard() => match heard {
                    Ok((source, beacon)) => self.feed(Input::Beacon { source, beacon }),
                    Err(counter) => self.parts.counters.count(counter),
                },
                () = self.parts.beaconing.tick() => {
                    if let Some(subnets) = self.parts.beaconing.refresh() {
                        self.feed(Input::Subnets(subnets));
                    }
                }
                () = tokio::time::sleep_until(deadline) => self.feed(Input::Timeout),
                () = abandoned.notified(), if until.is_none() => return (Duration::from_secs(1), done),
            }
            self.publish();
        }
    }

    fn on_request(&mut self, request: Request) -> Option<(Duration, oneshot::Sender<()>)> {
        match request {
            Request::Tell(input) => self.feed(input),
            Request::Ordered(input, done) => {
                if let Input::Command { peer, command: Command::PingOk, .. } = &input {
                    self.on_ping_ok(*peer);
                }
                let trusts = matches!(input, Input::Trust(_));
                if let Input::Trust(trusted) = &input {
                    // Here, where calls have an order: connections and the machine go by the same list.
                    self.parts.links.security.set_trusted(trusted);
                }
                self.feed(input);
                if let Some(part) = self.parts.gossip.as_ref().filter(|_| trusts) {
                    part.gossip.trust_changed();
                }
                self.deferred.push(Deferred::Acted(done));
            }
            Request::Admit(input, leash, reply) => {
                if let Input::Hello { conn, peer, .. } | Input::Resume { conn, peer, .. } = &input {
                    self.leashes.insert(*conn, leash);
                    self.waiting.insert(*conn, (*peer, reply));
                }
                self.feed(input);
            }
            Request::Ask(Ask::Stop { timeout, done }) => return Some((timeout, done)),
        }
        None
    }

    /// An earlier PING may have been on its way when the last one went out: only that one's answer ends the drain.
    fn on_ping_ok(&mut self, peer: PeerId) {
        let link = self.parts.machine.peer(peer).and_then(|view| view.link);
        let Some(outbox) = link.and_then(|link| self.links.get(&link)) else { return };
        outbox.on_ping_ok();
        if let Some(draining) = &mut self.draining
            && outbox.is_answered()
        {
            draining.remove(&peer);
        }
    }

    /// Hands an input to the machine and performs what it wants.
    fn feed(&mut self, input: Input) {
        let now = Instant::now().into_std();
        match &input {
            Input::ConnClosed { conn, .. } => {
                self.leashes.remove(conn);
                self.waiting.remove(conn);
            }
            Input::LinkLost { link, .. } => drop(self.links.remove(link)),
            _ => {}
        }
        if now >= self.parts.machine.next_deadline() {
            self.tell_what_lines_heard(now);
        }
        if now >= self.relax_at {
            self.relax_at = now + RELAX_INTERVAL;
            self.links.values().for_each(|outbox| outbox.relax());
        }
        trace!(?input, "input");
        self.parts.machine.handle(now, input);
        if self.perform_all() {
            // Content that was read before the question is no answer to it: it counts as heard now, not later.
            self.tell_what_lines_heard(now);
            self.perform_all();
        }
    }

    /// Performs what the machine wants; says whether it asked a peer for a sign of life.
    fn perform_all(&mut self) -> bool {
        let mut asked = false;
        while let Some(output) = self.parts.machine.poll_output() {
            trace!(?output, "output");
            asked |= matches!(output, Output::Send { command: Command::Ping, .. });
            self.perform(output);
        }
        asked
    }

    /// Content goes past the driver; before time decides anything, the machine learns who was heard.
    fn tell_what_lines_heard(&mut self, now: std::time::Instant) {
        // One that has ended while it was stalled is still to be told of: the machine would spare the peer for ever.
        self.lines.retain(|peer, line| line.strong_count() > 0 || self.stalled.contains(peer));
        for (peer, line) in &self.lines {
            let line = line.upgrade();
            if line.as_ref().is_some_and(|line| line.take_heard()) {
                self.parts.machine.handle(now, Input::Heard { peer: *peer });
            }
            let stalled = line.is_some_and(|line| line.is_stalled());
            if stalled != self.stalled.contains(peer) {
                self.parts.machine.handle(now, Input::Stalled { peer: *peer, stalled });
                if stalled {
                    self.stalled.insert(*peer)
                } else {
                    self.stalled.remove(peer)
                };
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Open { link, peer, endpoint, hello, flavour, key } => {
                let line = peer.map_or_else(Arc::default, |peer| self.line(peer));
                line.learn(flavour);
                let outbox = Outbox::new(line, hello, self.parts.link_limit, self.parts.overflow);
                debug!(peer = ?peer, %endpoint, link = link.0, "opening a link");
                self.links.insert(link, outbox.clone());
                tokio::spawn(link::run(LinkTask {
                    link,
                    address: endpoint.address(),
                    key,
                    outbox,
                    context: self.parts.links.clone(),
                }));
            }
            Output::Greet(link) => self.with_link(link, Outbox::ask_to_greet),
            Output::Retry(link) => self.with_link(link, Outbox::retry),
            Output::Close(link) => {
                if let Some(outbox) = self.links.remove(&link) {
                    outbox.close();
                }
            }
            Output::Adopt { link, peer } => {
                if let Some(outbox) = self.links.get(&link) {
                    self.lines.insert(peer, Arc::downgrade(outbox.line()));
                }
            }
            Output::Flavour { link, flavour } => self.with_link(link, |outbox| outbox.line().learn(flavour)),
            Output::Send { link, command, hello } => {
                self.with_link(link, |outbox| outbox.send_control(&command, hello));
            }
            Output::Accept { conn, name } => {
                if let Some((peer, reply)) = self.waiting.remove(&conn) {
                    let admission = Admission { name, line: self.line(peer) };
                    self.deferred.push(Deferred::Admission(reply, admission));
                }
            }
            Output::Refuse(conn) => self.refuse(conn),
            Output::TurnAway { conn, peer, name, reason } => {
                let (name, reason) = (printable(&name), printable(&reason));
                info!(node = %self.parts.name, %peer, %name, %reason, "not let in");
                self.refuse(conn);
            }
            Output::Beacon { leaving } => self.send_beacon(leaving),
            Output::Emit(event) => self.deferred.push(Deferred::Event(event)),
            Output::Count(name) => self.parts.counters.count(name),
        }
    }

    fn refuse(&mut self, conn: ConnId) {
        // Dropping the reply refuses a connection that waits; the leash ends one that does not.
        if self.waiting.remove(&conn).is_none()
            && let Some(leash) = self.leashes.remove(&conn)
        {
            leash.pull();
        }
    }

    fn with_link(&self, link: LinkId, action: impl FnOnce(&Outbox)) {
        if let Some(outbox) = self.links.get(&link) {
            action(outbox);
        }
    }

    /// The line of a peer; it lives as long as its link or its connection does.
    fn line(&mut self, peer: PeerId) -> Arc<Line> {
        let known = self.lines.get(&peer).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let line = Arc::new(Line::default());
            self.lines.insert(peer, Arc::downgrade(&line));
            line
        })
    }

    fn send_beacon(&mut self, leaving: bool) {
        let port = if leaving { 0 } else { self.parts.links.mailbox_port };
        let LinkContext { id, security, .. } = &*self.parts.links;
        let key = security.public_key().map(|key| *key.as_bytes());
        let failed = self.parts.beaconing.send(&Beacon { id: *id, port, key });
        self.parts.counters.add("beacon_send_failed", failed);
    }

    /// Renews the membership if it has changed, then lets out what waited for that.
    fn publish(&mut self) {
        let revision = self.parts.machine.revision();
        if revision != self.published {
            self.published = revision;
            let own: BTreeSet<_> = self.parts.machine.own_groups().iter().cloned().collect();
            self.parts.own_groups.replace(own.clone());
            let entries = self.parts.machine.peers().map(|view| Entry {
                peer: Peer {
                    id: view.id,
                    name: view.name.clone(),
                    endpoint: view.endpoint,
                    headers: view.headers.clone(),
                    version: view.version.cloned(),
                    groups: view.groups.clone(),
                },
                link: view.link.and_then(|link| self.links.get(&link).cloned()),
            });
            self.parts.membership.publish(Membership::new(entries, own));
        }
        for deferred in self.deferred.drain(..) {
            match deferred {
                Deferred::Event(event) => {
                    debug!(node = %self.parts.name, kind = event.kind(), peer = %event.peer(), name = event.name(), "event");
                    match (&event, &self.parts.gossip) {
                        (Event::Enter { peer, .. }, Some(part)) => part.gossip.alive(*peer),
                        (Event::Exit { peer, .. }, Some(part)) => part.gossip.forget(*peer),
                        _ => {}
                    }
                    if let (Event::Exit { peer, .. }, Some(draining)) = (&event, &mut self.draining) {
                        // Who is gone takes nothing any more.
                        draining.remove(peer);
                    }
                    self.parts.inbox.push_event(event.peer(), event);
                }
                Deferred::Admission(reply, admission) => drop(reply.send(admission)),
                Deferred::Acted(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    /// Delivers what is queued, says goodbye, closes.
    async fn stop(mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.drain(deadline).await;
        self.feed(Input::Stop);
        self.publish();
        let _ = tokio::time::timeout_at(Instant::now() + GOODBYE_INTERVAL, self.flush()).await;
        self.parts.door.pull();
        for outbox in self.links.values() {
            outbox.close();
        }
        self.parts.inbox.close();
        for _ in 1..GOODBYES {
            if !self.parts.beaconing.is_on() {
                break;
            }
            tokio::time::sleep(GOODBYE_INTERVAL).await;
            self.send_beacon(true);
        }
        debug!(node = %self.parts.name, "stopped");
    }

    /// A peer drops a node at its goodbye beacon, which may overtake messages that it has not read yet. So each
    /// peer answers a last PING first.
    async fn drain(&mut self, deadline: Instant) {
        if tokio::time::timeout_at(deadline, self.flush()).await.is_err() {
            self.parts.counters.count("stop_unflushed");
        }
        let views = self.parts.machine.peers().filter_map(|view| Some((view.id, view.link?)));
        let asked: Vec<_> = views.collect();
        let mut waiting = BTreeSet::new();
        for (peer, link) in asked {
            if let Some(outbox) = self.links.get(&link)
                && outbox.has_sent_content()
            {
                outbox.send_control(&Command::Ping, None);
                waiting.insert(peer);
            }
        }
        self.draining = Some(waiting);
        let (_, late) = self.serve(Some(deadline)).await;
        for done in late {
            let _ = done.send(());
        }
        let left = self.draining.take().map_or(0, |left| left.len());
        self.parts.counters.add("stop_unacknowledged", left as u64);
    }

    async fn flush(&self) {
        for outbox in self.links.values() {
            outbox.flushed().await;
        }
    }
}
