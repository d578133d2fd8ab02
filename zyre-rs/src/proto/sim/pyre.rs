//! A modelled pyre: EXIT and a new DEALER for a HELLO from a peer that is ready, EXIT for a gap, a count modulo
//! 65535, a purge of peers with the same endpoint, libzmq's reconnect in the middle of a stream. With `always`
//! it answers every HELLO, which makes storms with a peer that does the same.

use super::tcp::{Item, Rx};
use super::{Happening, Machine, World};
use crate::PeerId;
use crate::proto::sequence::{Flavour, Inbound};
use crate::wire::{Beacon, Command, Endpoint, HelloFields};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Known {
    endpoint: Endpoint,
    link: u64,
    ready: bool,
    want: u16,
    status: u8,
    heard_at: Duration,
}

#[derive(Debug)]
pub(super) struct Pyre {
    always: bool,
    peers: BTreeMap<PeerId, Known>,
    next_link: u64,
    tick_at: Duration,
    /// The latest connection of each identity.
    speaks: BTreeMap<PeerId, usize>,
}

impl Pyre {
    pub(super) fn new(always: bool) -> Self {
        Self {
            always,
            peers: BTreeMap::new(),
            next_link: 0,
            tick_at: Duration::ZERO,
            speaks: BTreeMap::new(),
        }
    }

    pub(super) fn always(&self) -> bool {
        self.always
    }

    pub(super) fn sees(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.ready)
    }
}

impl World {
    fn pyre(&mut self, host: usize) -> Option<&mut Pyre> {
        match &mut self.hosts[host].machine {
            Machine::Pyre(pyre) => Some(pyre),
            _ => None,
        }
    }

    pub(super) fn start_pyre(&mut self, host: usize) {
        let epoch = self.hosts[host].epoch;
        self.at(self.now, Happening::Tick { host, epoch });
    }

    pub(super) fn tick_pyre(&mut self, host: usize, epoch: u32) {
        let now = self.now;
        if self.is_paused(host) || self.hosts[host].epoch != epoch {
            return;
        }
        let Some(pyre) = self.pyre(host) else { return };
        if now < pyre.tick_at {
            return;
        }
        pyre.tick_at = now + Duration::from_secs(1);
        let at = pyre.tick_at;
        let quiet = |peer: &Known, secs| now > peer.heard_at + Duration::from_secs(secs);
        let expired: Vec<_> =
            pyre.peers.iter().filter(|(_, peer)| quiet(peer, 30)).map(|(id, _)| *id).collect();
        let pinged: Vec<_> =
            pyre.peers.values().filter(|peer| quiet(peer, 10)).map(|peer| peer.link).collect();
        let ready: Vec<_> =
            pyre.peers.iter().filter(|(_, peer)| peer.ready).map(|(id, peer)| (*id, peer.link)).collect();
        self.at(at, Happening::Tick { host, epoch });
        let beacon = Beacon { id: self.hosts[host].id, port: self.hosts[host].port, key: None };
        self.broadcast(host, beacon);
        for link in pinged {
            self.queue_message(host, link, |sequence| Item::Command(sequence, Command::Ping));
        }
        expired.into_iter().for_each(|id| self.pyre_exit(host, id));
        for (id, link) in ready {
            if self.random.percent(40) && !self.check.settling() {
                self.content(host, id, link, None);
            }
        }
    }

    fn pyre_exit(&mut self, host: usize, id: PeerId) {
        if let Some(peer) = self.pyre(host).and_then(|pyre| pyre.peers.remove(&id)) {
            self.check.say(self.now, || format!("{host}: pyre drops {id:?}"));
            self.close_link(host, peer.link, false);
        }
    }

    fn pyre_require(&mut self, host: usize, id: PeerId, endpoint: Endpoint) {
        let now = self.now;
        let Some(pyre) = self.pyre(host) else { return };
        if pyre.peers.contains_key(&id) {
            return;
        }
        let same: Vec<_> =
            pyre.peers.iter().filter(|(_, peer)| peer.endpoint == endpoint).map(|(id, _)| *id).collect();
        pyre.next_link += 1;
        let link = pyre.next_link;
        let name = if pyre.always { "pyre".to_owned() } else { String::new() };
        pyre.peers.insert(id, Known { endpoint, link, ready: false, want: 2, status: 0, heard_at: now });
        same.into_iter().for_each(|id| self.pyre_exit(host, id));
        let name = if name.is_empty() { self.hosts[host].id.short().to_lowercase() } else { name };
        let hello = Arc::new(HelloFields { name: name.into_bytes(), ..HelloFields::default() });
        let tx = self.new_tx(endpoint, &hello, Flavour::Mod65535, true);
        self.check.say(now, || format!("{host}: pyre greets {endpoint}"));
        self.open(host, link, tx);
        self.say_hello(host, link);
    }

    pub(super) fn pyre_beacon(&mut self, host: usize, source: SocketAddr, beacon: Beacon) {
        if beacon.id == self.hosts[host].id {
            return;
        }
        if beacon.is_leaving() {
            return self.pyre_exit(host, beacon.id);
        }
        let now = self.now;
        if let Some(peer) = self.pyre(host).and_then(|pyre| pyre.peers.get_mut(&beacon.id)) {
            peer.heard_at = now;
        } else if let Ok(endpoint) = Endpoint::new(SocketAddr::new(source.ip(), beacon.port)) {
            self.pyre_require(host, beacon.id, endpoint);
        }
    }

    pub(super) fn arrive_pyre(&mut self, index: usize, item: Item) {
        let (host, id) = (self.conns[index].to, self.conns[index].identity);
        if self.conns[index].rx == Rx::Fresh {
            // ROUTER_HANDOVER: the latest connection of an identity speaks.
            self.conns[index].rx = Rx::Reading(Inbound::after_hello());
            if let Some(older) = self.pyre(host).and_then(|pyre| pyre.speaks.insert(id, index)) {
                self.close_conn(older);
            }
        }
        let now = self.now;
        let (sequence, command) = match item {
            Item::End => return self.conns[index].closed = true,
            Item::Hello { hello, then } => {
                let Ok(endpoint) = Endpoint::decode(&hello.endpoint) else { return };
                let Some(pyre) = self.pyre(host) else { return };
                let again = pyre.always || pyre.sees(id);
                if again {
                    self.pyre_exit(host, id);
                }
                self.pyre_require(host, id, endpoint);
                if let Some(peer) = self.pyre(host).and_then(|pyre| pyre.peers.get_mut(&id)) {
                    peer.ready = true;
                    peer.heard_at = now;
                    peer.status = hello.status;
                    peer.want = then.wrapping_add(1) % 65_535;
                }
                return;
            }
            Item::Command(sequence, command) => (sequence, Some(command)),
            Item::Content { sequence, .. } => (sequence, None),
        };
        let Some(peer) = self.pyre(host).and_then(|pyre| pyre.peers.get_mut(&id)) else { return };
        if !peer.ready {
            return;
        }
        if sequence != peer.want {
            self.check.say(now, || format!("{host}: pyre has a gap before {sequence}"));
            return self.pyre_exit(host, id);
        }
        peer.want = (sequence + 1) % 65_535;
        peer.heard_at = now;
        let link = peer.link;
        match command {
            Some(Command::Ping) => {
                self.queue_message(host, link, |sequence| Item::Command(sequence, Command::PingOk));
            }
            Some(Command::Join { status, .. } | Command::Leave { status, .. }) => {
                let right = peer.status.wrapping_add(1);
                peer.status = status;
                if status != right {
                    self.check.broken(now, &format!("pyre dies: status {status} instead of {right}"));
                }
            }
            Some(Command::PingOk) | None => {}
            Some(other) => self.check.broken(now, &format!("pyre does not know {other:?}")),
        }
    }
}
