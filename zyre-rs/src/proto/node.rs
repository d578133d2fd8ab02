//! The machine itself: its state, its entry point, and discovery (beacons, gossip, dials).

use super::budget::NewcomerBudget;
use super::bug::{Bug, bug};
use super::groups::Elections;
use super::links::Dial;
use super::liveness::Due;
use super::peer::{Doubt, LinkState, Mailbox, Peer, Sighting, TRIES_PER_BEACON};
use super::sequence::Flavour;
use super::trust::{Authorize, Trust};
use super::{Input, Output, PeerView};
use crate::wire::{Beacon, Command, Endpoint, HelloFields};
use crate::zmtp::curve::PublicKey;
use crate::{EndpointPolicy, Event, ExitReason, GroupName, PeerId, Timers};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Peers known at most (attack row B2).
pub(super) const MAX_PEERS: usize = 1_024;
/// Of these, peers that have not said HELLO.
const MAX_GREETING: usize = 256;
/// Of these, at one address: a flood from one host leaves places for others.
const MAX_GREETING_PER_ADDRESS: usize = 128;
/// How long a peer that is asked for a sign of life has to give one.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// A peer seen at two addresses is asked no more often than this.
const MOVE_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// A goodbye is believed at once if the connection closes, else after this (attack row B5).
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);
/// The header by which this crate's nodes know each other. Its value is the crate's version.
pub(super) const NATIVE_HEADER: &[u8] = b"X-ZYRE-RS";

/// What the machine is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's UUID.
    pub id: PeerId,
    /// Its name.
    pub name: Vec<u8>,
    /// Its headers, without the one by which nodes of this crate know each other.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Groups it is in from the start.
    pub groups: BTreeSet<GroupName>,
    /// Groups in which it stands for leader.
    pub contest: BTreeSet<GroupName>,
    /// Its timers.
    pub timers: Timers,
    /// Whether to send beacons.
    pub beacon: bool,
    /// UDP port of the beacons.
    pub beacon_port: u16,
    /// TCP port of the own mailbox, by which a beacon or HELLO that names it is known for a lie.
    pub mailbox_port: u16,
    /// Which endpoints in a HELLO to connect to.
    pub endpoint_policy: EndpointPolicy,
    /// Own addresses with their prefix lengths; beacons from elsewhere are refused.
    pub subnets: Vec<(IpAddr, u8)>,
    /// Whose keys are welcome.
    pub trust: Trust,
    /// What the application says about newcomers; without it everybody is let in.
    pub authorize: Option<Authorize>,
}

/// The ZRE protocol machine of one node; see the [module's](super) rule of use.
#[derive(Debug)]
pub struct Node {
    pub(super) config: Config,
    pub(super) me: PeerId,
    /// What a HELLO says now.
    pub(super) greeting: Arc<HelloFields>,
    /// Boxed: the tree would else keep room for as many again.
    pub(super) peers: BTreeMap<PeerId, Box<Peer>>,
    pub(super) elections: Elections,
    pub(super) dials: Vec<Dial>,
    pub(super) outputs: VecDeque<Output>,
    budget: NewcomerBudget,
    beacon_at: Instant,
    handled_at: Instant,
    pub(super) conflict_at: Option<Instant>,
    pub(super) mismatch_at: Option<Instant>,
    pub(super) next_link: u64,
    pub(super) spread: u64,
    revision: u64,
    stopped: bool,
}

impl Node {
    /// A machine at `now`; its first beacon is due at once.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut headers = config.headers.clone();
        headers.push((NATIVE_HEADER.to_vec(), crate::VERSION.into()));
        let groups: Vec<_> = config.groups.iter().cloned().collect();
        let greeting = HelloFields {
            // The count of joins so far; what does not fit into the byte is cut off, as in every implementation.
            status: groups.len() as u8,
            groups,
            name: config.name.clone(),
            headers,
            ..HelloFields::default()
        };
        let spread =
            config.id.as_bytes().iter().fold(0, |sum: u64, byte| sum.rotate_left(8) ^ u64::from(*byte));
        Self {
            me: config.id,
            greeting: Arc::new(greeting),
            peers: BTreeMap::new(),
            elections: Elections::new(config.contest.clone()),
            dials: Vec::new(),
            outputs: VecDeque::new(),
            budget: NewcomerBudget::new(now),
            beacon_at: now,
            handled_at: now,
            conflict_at: None,
            mismatch_at: None,
            next_link: 0,
            spread,
            revision: 0,
            stopped: false,
            config,
        }
    }

    /// Takes one input. Outputs wait in [`poll_output`](Self::poll_output) afterwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.stopped {
            return self.handle_stopped(input);
        }
        self.forgive_own_pause(now);
        match input {
            Input::Beacon { source, beacon } => self.on_beacon(now, source, &beacon),
            Input::Gossip { peer, endpoint, key } => self.on_gossip(now, peer, endpoint, key),
            Input::Hello { conn, peer, source, hello, key } => {
                self.on_hello(now, conn, peer, source, hello.into_fields(), key);
            }
            Input::Resume { conn, peer, source, sequence, key } => {
                if self.judge_key(now, peer, source.ip(), key, None) {
                    self.on_resume(now, conn, peer, source, sequence);
                } else {
                    self.outputs.push_back(Output::Refuse(conn));
                }
            }
            Input::Command { conn, peer, command } => self.on_command(now, conn, peer, command),
            Input::Heard { peer } => self.on_heard(now, peer),
            Input::Stalled { peer, stalled } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.live.set_stalled(now, stalled);
                }
            }
            Input::Gap { conn, peer, missing } => self.on_gap(now, conn, peer, missing),
            Input::Misbehaved { conn, peer } => self.on_misbehaved(now, conn, peer),
            Input::ConnClosed { conn, peer, expected } => self.on_conn_closed(now, conn, peer, expected),
            Input::LinkUp { link } => self.on_link_up(now, link),
            Input::LinkFailed { link, refused } => self.on_link_failed(now, link, refused),
            Input::LinkLost { link, cause } => self.on_link_lost(now, link, cause),
            Input::Join(group) => self.change_group(now, group, true),
            Input::Leave(group) => self.change_group(now, group, false),
            Input::Contest(group) => self.contest(now, group),
            Input::Dial { endpoint, key } => self.dial(now, endpoint, key),
            Input::Trust(trusted) => self.trust(now, trusted),
            Input::Subnets(subnets) => self.config.subnets = subnets,
            Input::Timeout => {}
            Input::Stop => return self.stop(),
        }
        self.run_timers(now);
    }

    /// What to do next, in order. Drain it after every [`handle`](Self::handle).
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`].
    pub fn next_deadline(&self) -> Instant {
        if self.stopped {
            return self.handled_at + Duration::from_secs(3_600);
        }
        let gone_after = self.gone_after();
        let peers = self.peers.values().map(|peer| peer.next_deadline(&self.config.timers, gone_after));
        let dials = self.dials.iter().filter(|dial| dial.link.is_none() && dial.adopted.is_none());
        let dials = dials.map(|dial| dial.retry_at);
        let waiting = self.dials.iter().filter_map(|dial| match dial.link.as_ref()?.state {
            LinkState::Waiting(at) => at,
            _ => None,
        });
        peers.chain(dials).chain(waiting).chain(self.elections.deadline()).fold(self.beacon_at, Instant::min)
    }

    /// Peers that have said HELLO, by UUID.
    pub fn peers(&self) -> impl Iterator<Item = PeerView<'_>> {
        self.peers.values().filter_map(|peer| peer.view())
    }

    /// A peer that has said HELLO.
    pub fn peer(&self, id: PeerId) -> Option<PeerView<'_>> {
        self.peers.get(&id)?.view()
    }

    /// The groups this node is in.
    pub fn own_groups(&self) -> &[GroupName] {
        &self.greeting.groups
    }

    /// Grows whenever [`peers`](Self::peers) or [`own_groups`](Self::own_groups) may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The time of the input being handled.
    pub(super) fn now(&self) -> Instant {
        self.handled_at
    }

    pub(super) fn touch(&mut self) {
        self.revision += 1;
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    pub(super) fn count(&mut self, name: &'static str) {
        self.outputs.push_back(Output::Count(name));
    }

    /// Queues a message for a peer, if there is a link to queue it on.
    pub(super) fn send(&mut self, peer: PeerId, command: Command) {
        if let Some(link) = self.peers.get(&peer).and_then(|peer| peer.link.as_ref()) {
            self.outputs.push_back(Output::Send { link: link.id, command, hello: None });
        }
    }

    /// Numbers that differ from call to call and node to node, and are the same in every run.
    pub(super) fn next_spread(&mut self) -> u64 {
        self.spread =
            self.spread.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.spread >> 33
    }

    /// Without a beacon for this long, a peer whose mailbox refuses connections is gone.
    pub(super) fn gone_after(&self) -> Duration {
        self.config.timers.interval.mul_f64(1.2).clamp(Duration::from_millis(300), Duration::from_secs(10))
    }

    /// If this process did not run for a while (stopped, suspended), its peers are not to blame for the silence.
    fn forgive_own_pause(&mut self, now: Instant) {
        let away = now.saturating_duration_since(self.handled_at);
        self.handled_at = now;
        let usual = self.config.timers.interval + Duration::from_secs(2);
        if away > usual && !bug(Bug::BlamesOwnPause) {
            self.count("own_pauses");
            self.peers.values_mut().for_each(|peer| peer.forgive(away, now));
        }
    }

    fn on_beacon(&mut self, now: Instant, source: SocketAddr, beacon: &Beacon) {
        let key = beacon.key.map(PublicKey::from_bytes);
        if !self.hears_beacon(now, beacon.id, key, source.ip()) {
            return;
        }
        if beacon.id == self.me {
            let own = self.config.subnets.iter().any(|(ip, _)| *ip == source.ip());
            if !own {
                self.report_conflict(now, self.me, source.ip());
            }
            return;
        }
        if !self.on_our_subnets(source.ip()) {
            return self.count("beacon_foreign_subnet");
        }
        if beacon.is_leaving() {
            return self.on_goodbye_beacon(now, source.ip(), beacon.id);
        }
        let Ok(endpoint) = Endpoint::new(SocketAddr::new(source.ip(), beacon.port)) else {
            return self.count("beacon_bad_address");
        };
        let endpoint = match source {
            SocketAddr::V6(v6) => endpoint.with_scope(v6.scope_id()),
            SocketAddr::V4(_) => endpoint,
        };
        let guess = Flavour::guess_by_beacon(source.port(), self.config.beacon_port, beacon.port);
        self.on_sighting(now, beacon.id, &Sighting { endpoint, key, guess, beacon: true });
    }

    fn on_gossip(&mut self, now: Instant, id: PeerId, endpoint: Endpoint, key: Option<PublicKey>) {
        if id != self.me
            && let Ok(key) = self.hears_gossip(now, id, key, endpoint.ip())
        {
            // Only zyre C and gyre gossip, besides us, and all of them count as the RFC does.
            let guess = Flavour::Uint16;
            self.on_sighting(now, id, &Sighting { endpoint, key, guess, beacon: false });
        }
    }

    /// Something says that a node is at an endpoint.
    fn on_sighting(&mut self, now: Instant, id: PeerId, seen: &Sighting) {
        let Sighting { endpoint, key, guess, beacon } = *seen;
        // Gossip is what others say: a key that the peer's own beacon shows is not changed by it.
        if beacon || self.peers.get(&id).is_none_or(|peer| peer.beacon_at.is_none()) {
            self.hear_of_key(now, id, key);
        }
        if self.peers.get(&id).is_some_and(|peer| peer.flavour != peer.flavour.or(guess)) {
            self.learn_flavour(id, guess);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return self.on_newcomer(now, id, seen) };
        if beacon {
            peer.beacon_at = Some(now);
            peer.live.seen(now);
        }
        if peer.endpoint != endpoint {
            self.on_moved(now, id, endpoint);
        } else if let Some(link) = &mut peer.link
            && !matches!(link.state, LinkState::Up)
        {
            link.tries_left = TRIES_PER_BEACON;
            if link.state == LinkState::Waiting(None) {
                let wait = peer.connect_backoff.step(self.spread >> 20);
                link.state = LinkState::Waiting(Some(now + wait));
                link.tries_left -= 1;
            }
        }
    }

    fn on_newcomer(&mut self, now: Instant, id: PeerId, seen: &Sighting) {
        let Sighting { endpoint, key, guess, beacon } = *seen;
        let greeting = self.peers.values().filter(|peer| !peer.is_ready() && peer.refusal.is_none());
        let (all, here) = greeting.fold((0, 0), |(all, here), peer| {
            (all + 1, here + usize::from(peer.endpoint.ip() == endpoint.ip()))
        });
        let full = self.peers.len() >= MAX_PEERS || all >= MAX_GREETING || here >= MAX_GREETING_PER_ADDRESS;
        if full && !bug(Bug::NewcomersUnbounded) {
            return self.count("newcomer_no_room");
        }
        if !self.budget.take(now, endpoint.ip()) && !bug(Bug::NewcomersUnbounded) {
            return self.count("newcomer_over_budget");
        }
        if !self.make_room_at(now, endpoint) {
            return;
        }
        let mut peer = Peer::new(now, id, endpoint, endpoint.ip());
        peer.flavour = guess;
        peer.key = key;
        peer.beacon_at = beacon.then_some(now);
        self.peers.insert(id, Box::new(peer));
        self.open_link(now, id);
    }

    /// Whether nobody alive holds this endpoint. One whose connection has ended makes room at once, another
    /// is asked for a sign of life first (attack row T10); the newcomer's next beacon comes in a second.
    pub(super) fn make_room_at(&mut self, now: Instant, endpoint: Endpoint) -> bool {
        if self.is_own(endpoint) {
            self.count("endpoint_is_ours");
            return false;
        }
        let Some(holder) = self.peers.values_mut().find(|peer| peer.endpoint == endpoint) else {
            return true;
        };
        let id = holder.id;
        if !holder.has_mailbox() || bug(Bug::PurgesUnasked) {
            self.exit(id, ExitReason::Replaced);
            self.forget(id);
            return true;
        }
        self.doubt(now, id, None);
        self.count("endpoint_in_use");
        false
    }

    /// Whether an endpoint is this node's own mailbox.
    pub(super) fn is_own(&self, endpoint: Endpoint) -> bool {
        !bug(Bug::ConnectsToItself)
            && endpoint.port() == self.config.mailbox_port
            && self.config.subnets.iter().any(|(own, _)| *own == endpoint.ip())
    }

    /// A beacon names another address for a known node: it moved, has two interfaces, or somebody lies.
    fn on_moved(&mut self, now: Instant, id: PeerId, endpoint: Endpoint) {
        if self.is_own(endpoint) {
            return self.count("endpoint_is_ours");
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.link_is_up() && (peer.has_mailbox() || !peer.is_ready()) && !bug(Bug::MovesUnasked) {
            self.doubt(now, id, Some(endpoint));
        } else if peer.link.as_ref().is_none_or(|link| link.gives_way(now)) {
            if !self.make_room_at(now, endpoint) {
                return;
            }
            let Some(peer) = self.peers.get_mut(&id) else { return };
            peer.endpoint = endpoint;
            peer.address = endpoint.ip();
            peer.greet_at = Some(now);
            self.close_link(id);
        }
    }

    /// Asks a peer for a sign of life; silence ends its session.
    pub(super) fn doubt(&mut self, now: Instant, id: PeerId, moved_to: Option<Endpoint>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let recently = |doubt: &Doubt| now < doubt.asked_at + MOVE_PROBE_INTERVAL;
        if peer.doubt.as_deref().is_some_and(recently) {
            return;
        }
        peer.doubt = Some(Box::new(Doubt { asked_at: now, decide_at: Some(now + PROBE_TIMEOUT), moved_to }));
        self.send(id, Command::Ping);
    }

    fn on_goodbye_beacon(&mut self, now: Instant, source: IpAddr, id: PeerId) {
        let secured = !matches!(self.config.trust, Trust::Open);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if source != peer.address && source != peer.endpoint.ip() {
            return self.count("goodbye_foreign_address");
        }
        if !peer.is_ready() {
            // What the application said of it stays: a goodbye is no way to be asked about again at once.
            if peer.refusal.is_none() {
                self.forget(id);
            }
            return;
        }
        peer.goodbye_at = Some(now);
        // With keys, a link that never came up says nothing of the peer; one that has just ended was with the peer itself.
        let believed = |lost_at: Instant| !secured || now < lost_at + PROBE_TIMEOUT;
        if !peer.has_mailbox() || peer.lost_at.is_some_and(believed) || bug(Bug::GoodbyeUnasked) {
            self.exit(id, ExitReason::Goodbye);
            return self.forget(id);
        }
        if secured {
            // Anybody can send a datagram. Only a connection whose key was proven can take it back, by closing.
            self.count("goodbye_unproven");
        } else {
            peer.goodbye_by = Some(now + GOODBYE_TIMEOUT);
            self.send(id, Command::Ping);
        }
    }

    /// Addresses are compared by the prefix of each of ours.
    pub(super) fn on_our_subnets(&self, ip: IpAddr) -> bool {
        self.config.subnets.iter().any(|(own, prefix)| same_prefix(*own, ip, *prefix))
    }

    /// Drops what is known of a peer. Its Exit has been told, if it is owed.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.close_link(id);
        if let Some(peer) = self.peers.remove(&id) {
            if let Mailbox::Open(conn) = peer.mailbox {
                self.outputs.push_back(Output::Refuse(conn));
            }
            if let Some(newcomer) = peer.newcomer {
                self.outputs.push_back(Output::Refuse(newcomer.conn));
            }
        }
        for dial in self.dials.iter_mut().filter(|dial| dial.adopted == Some(id)) {
            dial.adopted = None;
            dial.backoff.reset();
            dial.retry_at = self.handled_at + Duration::from_millis(100);
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        let told: Vec<_> = self.peers.values().filter(|peer| peer.is_ready() && peer.elects).collect();
        let told: Vec<_> = told.into_iter().map(|peer| peer.id).collect();
        told.into_iter().for_each(|id| self.send(id, Command::Goodbye));
        if self.config.beacon {
            self.outputs.push_back(Output::Beacon { leaving: true });
        }
    }

    /// Nobody enters a node that is leaving.
    fn handle_stopped(&mut self, input: Input) {
        match input {
            Input::Hello { conn, .. } | Input::Resume { conn, .. } => {
                self.outputs.push_back(Output::Refuse(conn));
            }
            _ => {}
        }
    }

    pub(super) fn run_beacon(&mut self, now: Instant) {
        if now >= self.beacon_at {
            // Late beacons are not made up for.
            let earliest = if bug(Bug::MakesUpBeacons) { self.beacon_at } else { now };
            self.beacon_at = (self.beacon_at + self.config.timers.interval).max(earliest);
            if self.config.beacon {
                self.outputs.push_back(Output::Beacon { leaving: false });
            }
        }
    }

    /// Performs what liveness says is due for a peer.
    pub(super) fn on_due(&mut self, now: Instant, id: PeerId, due: Due) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name();
        match due {
            Due::Ping if bug(Bug::NeverPings) => {}
            Due::Ping => self.send(id, Command::Ping),
            Due::KeepAlive => self.send(id, Command::PingOk),
            Due::Evasive => self.emit(Event::Evasive { peer: id, name }),
            Due::Silent => self.emit(Event::Silent { peer: id, name }),
            Due::Regreet => {
                self.count("regreeted_mute_peer");
                self.open_link(now, id);
            }
            Due::Expire => {
                self.exit(id, ExitReason::Expired);
                self.forget(id);
            }
        }
    }
}

/// Whether an address lies in the subnet of another one.
pub(crate) fn same_prefix(own: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let differs = match (own, other.to_canonical()) {
        (IpAddr::V4(own), IpAddr::V4(other)) => u128::from(own.to_bits() ^ other.to_bits()).checked_shl(96),
        (IpAddr::V6(own), IpAddr::V6(other)) => Some(own.to_bits() ^ other.to_bits()),
        _ => None,
    };
    differs.is_some_and(|bits| bits.leading_zeros() >= prefix.into())
}
