//! Modelled nodes of the other implementations, as protocol.md of each describes them: what they do about a HELLO from
//! a peer that is ready, a gap, the wrap, silence, and another peer at the same endpoint.
//!
//! All run on libzmq, which reconnects in the middle of a stream. They hear only our beacons: what they do to each
//! other is not ours to judge.

use super::tcp::{Item, Rx};
use super::{Happening, Machine, World, group};
use crate::proto::sequence::{Flavour, Inbound};
use crate::wire::{Beacon, Command, Endpoint, HelloFields};
use crate::{GroupName, PeerId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// EXIT and a new DEALER for a HELLO from a peer that is ready, EXIT for a gap, a count modulo 65535, a purge of
    /// peers with the same endpoint; dies of a wrong status.
    Pyre,
    /// A pyre that answers every HELLO with a HELLO, which makes storms with a peer that does the same.
    Answering,
    /// As pyre, but beacons are no life to it, it counts modulo 65536, and who has lost its endpoint to another stays
    /// until it expires.
    ZyreC,
    /// Drops a peer that says HELLO again and the HELLO with it, counts joins modulo 255, purges nobody, and sends
    /// beacons from any port.
    ZyreJs,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Pyre, Self::Answering, Self::ZyreC, Self::ZyreJs];

    fn flavour(self) -> Flavour {
        if self == Self::ZyreC { Flavour::Uint16 } else { Flavour::Mod65535 }
    }

    /// The number after this one.
    fn after(self, sequence: u16) -> u16 {
        if self == Self::ZyreC { sequence.wrapping_add(1) } else { (sequence + 1) % 65_535 }
    }

    /// Silence before a PING.
    fn quiet(self) -> Duration {
        Duration::from_secs(if matches!(self, Self::ZyreC | Self::ZyreJs) { 5 } else { 10 })
    }

    /// The UDP port of its beacons.
    pub(super) fn beacon_port(self) -> u16 {
        if self == Self::ZyreJs { 40_123 } else { 5670 }
    }

    fn default_name(self, id: PeerId) -> String {
        let digits = id.to_string();
        match self {
            Self::ZyreC => digits.get(..6).unwrap_or_default().to_owned(),
            Self::ZyreJs => digits.get(..12).unwrap_or_default().to_lowercase(),
            Self::Pyre | Self::Answering => digits.get(..6).unwrap_or_default().to_lowercase(),
        }
    }
}

#[derive(Debug)]
struct Known {
    endpoint: Endpoint,
    link: u64,
    ready: bool,
    want: u16,
    status: u8,
    heard_at: Duration,
    pinged: bool,
}

#[derive(Debug)]
pub(super) struct Foreign {
    kind: Kind,
    /// Not its default name, so that nothing tells how it counts.
    named: bool,
    groups: Vec<GroupName>,
    status: u8,
    peers: BTreeMap<PeerId, Known>,
    next_link: u64,
    tick_at: Duration,
    /// The latest connection of each identity.
    speaks: BTreeMap<PeerId, usize>,
}

impl Foreign {
    pub(super) fn new(kind: Kind, named: bool, groups: Vec<GroupName>) -> Self {
        Self {
            kind,
            named: named || kind == Kind::Answering,
            status: groups.len() as u8,
            groups,
            peers: BTreeMap::new(),
            next_link: 0,
            tick_at: Duration::ZERO,
            speaks: BTreeMap::new(),
        }
    }

    pub(super) fn sees(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.ready)
    }

    pub(super) fn link_to(&self, id: PeerId) -> Option<u64> {
        self.peers.get(&id).map(|peer| peer.link)
    }

    pub(super) fn groups(&self) -> &[GroupName] {
        &self.groups
    }

    fn change_group(&mut self, group: GroupName, joining: bool) -> Option<Command> {
        let known = self.groups.contains(&group);
        // zyre.js joins again what it is in, and lists it twice.
        if known == joining && !(joining && self.kind == Kind::ZyreJs) {
            return None;
        }
        let modulus = if self.kind == Kind::ZyreJs { 255 } else { 256 };
        self.status = ((u16::from(self.status) + 1) % modulus) as u8;
        let status = self.status;
        if joining {
            self.groups.push(group.clone());
            return Some(Command::Join { group, status });
        }
        self.groups.retain(|other| *other != group);
        Some(Command::Leave { group, status })
    }
}

impl World {
    fn foreign(&mut self, host: usize) -> Option<&mut Foreign> {
        match &mut self.hosts[host].machine {
            Machine::Foreign(foreign) => Some(foreign),
            _ => None,
        }
    }

    pub(super) fn start_foreign(&mut self, host: usize) {
        let epoch = self.hosts[host].epoch;
        self.at(self.now, Happening::Tick { host, epoch });
    }

    pub(super) fn tick_foreign(&mut self, host: usize, epoch: u32) {
        let now = self.now;
        if self.is_paused(host) || self.hosts[host].epoch != epoch {
            return;
        }
        let Some(foreign) = self.foreign(host) else { return };
        if now < foreign.tick_at {
            return;
        }
        foreign.tick_at = now + Duration::from_secs(1);
        let (at, kind) = (foreign.tick_at, foreign.kind);
        let quiet = |peer: &Known, time| now > peer.heard_at + time;
        let expiry = Duration::from_secs(30);
        let expired = foreign.peers.iter().filter(|(_, peer)| quiet(peer, expiry));
        let expired: Vec<_> = expired.map(|(id, _)| *id).collect();
        let mut pinged = Vec::new();
        for peer in foreign.peers.values_mut().filter(|peer| quiet(peer, kind.quiet())) {
            // zyre.js asks once.
            if !std::mem::replace(&mut peer.pinged, kind == Kind::ZyreJs) {
                pinged.push(peer.link);
            }
        }
        let ready = foreign.peers.iter().filter(|(_, peer)| peer.ready);
        let ready: Vec<_> = ready.map(|(id, peer)| (*id, peer.link)).collect();
        self.at(at, Happening::Tick { host, epoch });
        let beacon = Beacon { id: self.hosts[host].id, port: self.hosts[host].port, key: None };
        self.broadcast(host, beacon);
        for link in pinged {
            self.queue_message(host, link, |sequence| Item::Command(sequence, Command::Ping));
        }
        expired.into_iter().for_each(|id| self.foreign_exit(host, id));
        if self.check.settling() {
            return;
        }
        for (id, link) in ready {
            if self.random.percent(40) {
                self.content(host, id, link, None);
            }
        }
        if self.random.percent(15) {
            self.foreign_group(host);
        }
    }

    /// It joins or leaves a group and tells everybody it knows.
    fn foreign_group(&mut self, host: usize) {
        let (group, joining) = (group(self.random.below(4)), self.random.percent(55));
        let Some(foreign) = self.foreign(host) else { return };
        let Some(command) = foreign.change_group(group, joining) else { return };
        let links: Vec<_> = foreign.peers.values().map(|peer| peer.link).collect();
        for link in links {
            self.queue_message(host, link, |sequence| Item::Command(sequence, command.clone()));
        }
    }

    fn foreign_exit(&mut self, host: usize, id: PeerId) {
        if let Some(peer) = self.foreign(host).and_then(|foreign| foreign.peers.remove(&id)) {
            self.check.say(self.now, || format!("{host}: drops {id:?}"));
            self.close_link(host, peer.link, false);
        }
    }

    fn foreign_require(&mut self, host: usize, id: PeerId, endpoint: Endpoint) {
        let (now, own) = (self.now, self.hosts[host].id);
        let Some(foreign) = self.foreign(host) else { return };
        if foreign.peers.contains_key(&id) {
            return;
        }
        let same = foreign.peers.iter().filter(|(_, peer)| peer.endpoint == endpoint);
        let same: Vec<_> = same.map(|(id, peer)| (*id, peer.link)).collect();
        foreign.next_link += 1;
        let (kind, link) = (foreign.kind, foreign.next_link);
        let name = if foreign.named { "named".to_owned() } else { kind.default_name(own) };
        let (groups, status) = (foreign.groups.clone(), foreign.status);
        let known = Known { endpoint, link, ready: false, want: 2, status: 0, heard_at: now, pinged: false };
        foreign.peers.insert(id, known);
        for (id, link) in same {
            match kind {
                Kind::Pyre | Kind::Answering => self.foreign_exit(host, id),
                Kind::ZyreC => self.close_link(host, link, false),
                Kind::ZyreJs => {}
            }
        }
        let hello = HelloFields { name: name.into_bytes(), groups, status, ..HelloFields::default() };
        let tx = self.new_tx(endpoint, &Arc::new(hello), kind.flavour(), true);
        self.check.say(now, || format!("{host}: {kind:?} greets {endpoint}"));
        self.open(host, link, tx);
        self.say_hello(host, link);
    }

    pub(super) fn foreign_beacon(&mut self, host: usize, source: SocketAddr, beacon: Beacon) {
        if beacon.id == self.hosts[host].id {
            return;
        }
        if beacon.is_leaving() {
            return self.foreign_exit(host, beacon.id);
        }
        let now = self.now;
        let Some(foreign) = self.foreign(host) else { return };
        if let Some(peer) = foreign.peers.get_mut(&beacon.id) {
            if foreign.kind != Kind::ZyreC {
                peer.heard_at = now;
                peer.pinged = false;
            }
        } else if let Ok(endpoint) = Endpoint::new(SocketAddr::new(source.ip(), beacon.port)) {
            self.foreign_require(host, beacon.id, endpoint);
        }
    }

    pub(super) fn arrive_foreign(&mut self, index: usize, item: Item) {
        let (host, id) = (self.conns[index].to, self.conns[index].identity);
        if self.conns[index].rx == Rx::Fresh {
            // ROUTER_HANDOVER: the latest connection of an identity speaks.
            self.conns[index].rx = Rx::Reading(Inbound::after_hello());
            if let Some(older) = self.foreign(host).and_then(|foreign| foreign.speaks.insert(id, index)) {
                self.close_conn(older);
            }
        }
        let (sequence, command) = match item {
            Item::End => return self.conns[index].closed = true,
            Item::Hello { hello, then } => {
                let endpoint = Endpoint::decode(&hello.endpoint);
                return if let Ok(endpoint) = endpoint {
                    self.foreign_hello(host, id, endpoint, hello.status, then);
                };
            }
            Item::Command(sequence, command) => (sequence, Some(command)),
            Item::Content { sequence, .. } => (sequence, None),
        };
        let now = self.now;
        let Some(foreign) = self.foreign(host) else { return };
        let kind = foreign.kind;
        let Some(peer) = foreign.peers.get_mut(&id).filter(|peer| peer.ready) else { return };
        if sequence != peer.want {
            self.check.say(now, || format!("{host}: {kind:?} has a gap before {sequence}"));
            return self.foreign_exit(host, id);
        }
        peer.want = kind.after(sequence);
        peer.heard_at = now;
        peer.pinged = false;
        if let Some(command) = command {
            self.foreign_command(host, id, kind, command);
        }
    }

    fn foreign_hello(&mut self, host: usize, id: PeerId, endpoint: Endpoint, status: u8, then: u16) {
        let now = self.now;
        let Some(foreign) = self.foreign(host) else { return };
        let (kind, ready) = (foreign.kind, foreign.sees(id));
        if ready || kind == Kind::Answering {
            self.foreign_exit(host, id);
        }
        if ready && kind == Kind::ZyreJs {
            return;
        }
        self.foreign_require(host, id, endpoint);
        if let Some(peer) = self.foreign(host).and_then(|foreign| foreign.peers.get_mut(&id)) {
            peer.ready = true;
            peer.heard_at = now;
            peer.status = status;
            peer.want = kind.after(then);
        }
    }

    fn foreign_command(&mut self, host: usize, id: PeerId, kind: Kind, command: Command) {
        let Some(peer) = self.foreign(host).and_then(|foreign| foreign.peers.get_mut(&id)) else { return };
        match command {
            Command::Ping => {
                let link = peer.link;
                self.queue_message(host, link, |sequence| Item::Command(sequence, Command::PingOk));
            }
            Command::Join { status, .. } | Command::Leave { status, .. } => {
                let right = peer.status.wrapping_add(1);
                peer.status = status;
                if status != right && kind != Kind::ZyreJs {
                    self.check
                        .broken(self.now, &format!("{kind:?} dies: status {status} instead of {right}"));
                }
            }
            Command::PingOk => {}
            Command::Elect { .. } | Command::Leader { .. } | Command::Goodbye if kind == Kind::ZyreC => {}
            other => self.check.broken(self.now, &format!("{kind:?} does not know {other:?}")),
        }
    }
}
