//! A node that plays the attack table: it hears all beacons, may forge any UDP source, and connects from its own
//! address only.

use super::tcp::{Conn, Item, Rx, Tx};
use super::{Happening, Machine, Scenario, World, group};
use crate::PeerId;
use crate::proto::sequence::{Flavour, Outbound};
use crate::wire::{Beacon, Command, Endpoint, Hello, HelloFields};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

impl World {
    pub(super) fn attack(&mut self) {
        if self.check.settling() {
            return;
        }
        self.after_millis(100, 1_500, Happening::Attack);
        let hostile = self.hosts.iter().position(|host| matches!(host.machine, Machine::Hostile));
        let good: Vec<_> = (0..self.hosts.len())
            .filter(|host| matches!(self.hosts[*host].machine, Machine::Zyre(_)) && !self.is_paused(*host))
            .collect();
        let (Some(hostile), Some(victim), Some(other)) =
            (hostile, self.random.pick(&good), self.random.pick(&good))
        else {
            return;
        };
        let own = self.hosts[hostile].ip;
        let (id, at) = (self.hosts[other].id, SocketAddr::new(self.hosts[other].ip, self.hosts[other].port));
        let attack = self.random.below(11);
        let strangers = !self.reachable(victim, None).iter().any(|(known, _)| *known == id);
        if self.scenario == Scenario::Mixed || strangers {
            // Who does not know a peer yet, or is cut off from it, cannot tell it from one that claims to be it.
            self.check.touch(victim, other, self.now);
        }
        self.check.say(self.now, || format!("attack {attack} on {victim} about {other}"));
        match attack {
            // Forged goodbyes, from elsewhere and from the right address.
            0 => self.forge(victim, own, id, 0),
            1 => self.forge(victim, at.ip(), id, 0),
            // Floods of new UUIDs, and one, at closed ports.
            2 | 3 => {
                // A flood is dear to simulate: few runs have one.
                let flood = attack == 2 && self.random.percent(4);
                for _ in 0..if flood { 300 } else { 1 } {
                    let (id, port) = (self.random.id(), 5_000 + self.random.below(30_000) as u16);
                    if let Ok(endpoint) = Endpoint::new(SocketAddr::new(own, port)) {
                        (0..self.hosts.len()).for_each(|_| self.check.bait(endpoint));
                        self.forge(victim, own, id, port);
                    }
                }
            }
            // A live UUID claimed from another address.
            4 => drop(self.raw(hostile, victim, id, &[at, SocketAddr::new(own, 9)])),
            // A new UUID at a live peer's endpoint, by HELLO and by beacon.
            5 => {
                let id = self.random.id();
                self.raw(hostile, victim, id, &[at]);
            }
            6 => {
                let id = self.random.id();
                self.forge(victim, at.ip(), id, at.port());
            }
            // HELLO after HELLO on one connection, and on many.
            7 => {
                let id = self.random.id();
                self.raw(hostile, victim, id, &[SocketAddr::new(own, self.hosts[hostile].port); 30]);
            }
            8 => {
                let id = self.random.id();
                for _ in 0..10 {
                    self.raw(hostile, victim, id, &[SocketAddr::new(own, self.hosts[hostile].port)]);
                }
            }
            // A live UUID that seems to move.
            9 => {
                let (ip, port) = if self.random.percent(50) { (own, 4_000) } else { (at.ip(), 4_000) };
                self.forge(victim, ip, id, port);
            }
            // Commands that make no sense.
            _ => {
                let id = self.random.id();
                let Some(conn) = self.raw(hostile, victim, id, &[SocketAddr::new(own, 9)]) else { return };
                let leader = self.hosts[other].id;
                let nonsense = [
                    Command::Elect { group: group(0), challenger: leader },
                    Command::Leader { group: group(0), leader },
                    Command::Leave { group: group(3), status: 77 },
                    Command::Unknown { id: 99 },
                    Command::PingOk,
                    Command::Goodbye,
                ];
                for sequence in 2..2 + self.random.below(12) as u16 {
                    if let Some(command) = self.random.pick(&nonsense) {
                        let skip = u16::from(self.random.percent(5));
                        self.put(conn, Item::Command(sequence + skip, command));
                    }
                }
            }
        }
    }

    fn forge(&mut self, host: usize, ip: std::net::IpAddr, id: PeerId, port: u16) {
        let (source, beacon) = (SocketAddr::new(ip, 5670), Beacon { id, port, key: None });
        self.after_millis(0, 5, Happening::Datagram { host, source, beacon });
    }

    /// A connection under any identity, with a HELLO for each endpoint.
    fn raw(
        &mut self,
        hostile: usize,
        victim: usize,
        identity: PeerId,
        endpoints: &[SocketAddr],
    ) -> Option<usize> {
        let source = SocketAddr::new(self.hosts[hostile].ip, 30_000);
        let (conn, link) = (self.conns.len(), 1_000_000 + self.conns.len() as u64);
        let at = SocketAddr::new(self.hosts[victim].ip, self.hosts[victim].port);
        let tx = Tx {
            endpoint: Endpoint::new(at).ok()?,
            hello: HelloFields::default(),
            outbound: Outbound::after_hello(),
            flavour: Flavour::Uint16,
            waiting: Vec::new(),
            conn: Some(conn),
            resumes: false,
        };
        self.hosts[hostile].links.insert(link, tx);
        self.conns.push(Conn {
            from: hostile,
            from_epoch: self.hosts[hostile].epoch,
            link,
            identity,
            source,
            to: victim,
            to_epoch: self.hosts[victim].epoch,
            wire: VecDeque::new(),
            last_at: self.now,
            held_until: Duration::ZERO,
            rx: Rx::Fresh,
            stalled: None,
            half_open: false,
            closed: false,
        });
        for endpoint in endpoints {
            let native = self.random.percent(50);
            let mut headers = vec![(b"X-HOSTILE".to_vec(), b"yes".to_vec())];
            if native {
                headers.push((super::super::node::NATIVE_HEADER.to_vec(), b"0".to_vec()));
            }
            let fields = HelloFields {
                endpoint: format!("tcp://{endpoint}").into_bytes(),
                groups: vec![group(self.random.below(4))],
                status: 1,
                name: b"mallory".to_vec(),
                headers,
            };
            let Ok(hello) = Hello::new(fields) else { continue };
            self.put(conn, Item::Hello { hello, then: 1 });
        }
        Some(conn)
    }
}
