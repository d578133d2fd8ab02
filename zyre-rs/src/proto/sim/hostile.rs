//! A node that plays the attack table: it hears all beacons, may forge any UDP source, and connects from its own
//! address only. What it says is drawn from a [`grammar`].

mod grammar;

use super::tcp::{Conn, Item, Rx, Tx};
use super::{Happening, Machine, Scenario, World, group};
use crate::PeerId;
use crate::proto::node::NATIVE_HEADER;
use crate::proto::sequence::{Flavour, Outbound};
use crate::wire::{Beacon, Command, Endpoint, Hello, HelloFields};
use grammar::{End, Place, Port, Row, Who, Word};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Who takes part in an attack.
#[derive(Clone, Copy)]
struct Cast {
    hostile: usize,
    victim: usize,
    other: usize,
    /// The UUID that was new last.
    before: PeerId,
}

impl World {
    pub(super) fn attack(&mut self) {
        if self.check.settling() {
            return;
        }
        self.after_millis(100, 1_500, Happening::Attack);
        self.numbered(Self::one_attack);
    }

    fn one_attack(&mut self) {
        let hostile = self.hosts.iter().position(|host| matches!(host.machine, Machine::Hostile));
        let good: Vec<_> = (0..self.hosts.len())
            .filter(|host| matches!(self.hosts[*host].machine, Machine::Zyre(_)) && !self.is_paused(*host))
            .collect();
        let (Some(hostile), Some(victim), Some(other)) =
            (hostile, self.random.pick(&good), self.random.pick(&good))
        else {
            return;
        };
        let id = self.hosts[other].id;
        let strangers = !self.reachable(victim, None).iter().any(|(known, _)| *known == id);
        if self.scenario == Scenario::Mixed || strangers {
            // Who does not know a peer yet, or is cut off from it, cannot tell it from one that claims to be it.
            self.check.touch(victim, other, self.now);
        }
        let rows = grammar::attack(&mut self.random);
        self.say_fault(|| format!("attack on {victim} about {other}: {rows:?}"));
        let mut cast = Cast { hostile, victim, other, before: self.random.id() };
        for row in rows {
            self.play_row(&mut cast, row);
        }
    }

    fn play_row(&mut self, cast: &mut Cast, row: Row) {
        match row {
            Row::Beacon { place, who, port } => {
                let (ip, id) = (self.place(cast, place), self.who(cast, who));
                let port = self.port(cast, port);
                self.forge(cast.victim, ip, id, port);
            }
            Row::Bait { times } => {
                let own = self.hosts[cast.hostile].ip;
                for _ in 0..times {
                    let (id, port) = (self.random.id(), 5_000 + self.random.below(20_000) as u16);
                    if let Ok(endpoint) = Endpoint::new(SocketAddr::new(own, port)) {
                        self.check.bait(cast.victim, endpoint);
                        self.forge(cast.victim, own, id, port);
                    }
                }
            }
            Row::Session { who, times, words, end } => {
                let identity = self.who(cast, who);
                for _ in 0..times {
                    self.session(cast, identity, &words, end);
                }
            }
        }
    }

    fn who(&mut self, cast: &mut Cast, who: Who) -> PeerId {
        match who {
            Who::New => cast.before = self.random.id(),
            Who::Before => {}
            Who::Other => return self.hosts[cast.other].id,
            Who::Victim => return self.hosts[cast.victim].id,
        }
        cast.before
    }

    fn place(&self, cast: &Cast, place: Place) -> IpAddr {
        match place {
            Place::Own => self.hosts[cast.hostile].ip,
            Place::Other => self.hosts[cast.other].ip,
            Place::Victim => self.hosts[cast.victim].ip,
            Place::Far => IpAddr::V4(Ipv4Addr::new(192, 168, 7, 7)),
        }
    }

    fn port(&mut self, cast: &Cast, port: Port) -> u16 {
        match port {
            Port::Goodbye => 0,
            // No port of bait, whose tries are counted.
            Port::Closed => 30_000 + self.random.below(1_000) as u16,
            Port::Other => self.hosts[cast.other].port,
            Port::Victim => self.hosts[cast.victim].port,
            Port::Own => self.hosts[cast.hostile].port,
        }
    }

    fn forge(&mut self, host: usize, ip: IpAddr, id: PeerId, port: u16) {
        let (source, beacon) = (SocketAddr::new(ip, 5670), Beacon { id, port, key: None });
        self.after_millis(0, 5, Happening::Datagram { host, source, beacon });
    }

    /// A connection under any identity.
    fn session(&mut self, cast: &mut Cast, identity: PeerId, words: &[Word], end: End) {
        let Some(conn) = self.raw(cast, identity) else { return };
        let mut sequence = 1_u16;
        for &word in words {
            let command = match word {
                Word::Hello { times, .. } => {
                    if let Some(hello) = self.hostile_hello(cast, word) {
                        for _ in 0..times {
                            self.put(conn, Item::Hello { hello: hello.clone(), then: 1 });
                        }
                        sequence = 1;
                    }
                    continue;
                }
                Word::Skip => {
                    sequence = sequence.wrapping_add(1);
                    continue;
                }
                Word::Repeat => {
                    sequence = sequence.saturating_sub(1);
                    continue;
                }
                Word::Content => None,
                Word::Ping => Some(Command::Ping),
                Word::PingOk => Some(Command::PingOk),
                Word::Join { status } => Some(Command::Join { group: group(2), status }),
                Word::Leave { status } => Some(Command::Leave { group: group(3), status }),
                Word::Elect(who) => Some(Command::Elect { group: group(0), challenger: self.who(cast, who) }),
                Word::Leader(who) => Some(Command::Leader { group: group(0), leader: self.who(cast, who) }),
                Word::Goodbye => Some(Command::Goodbye),
                Word::Unknown => Some(Command::Unknown { id: 99 }),
            };
            sequence = sequence.wrapping_add(1);
            let receiver = self.hosts[cast.victim].id;
            self.put(
                conn,
                match command {
                    Some(command) => Item::Command(sequence, command),
                    None => Item::Content { sequence, receiver, group: Some(group(1)), number: 1 },
                },
            );
        }
        match end {
            End::Open => {}
            End::Closed => self.put(conn, Item::End),
            // What is under way still arrives.
            End::Dead => self.hosts[cast.hostile].links.retain(|_, tx| tx.conn != Some(conn)),
        }
    }

    fn hostile_hello(&mut self, cast: &Cast, word: Word) -> Option<Hello> {
        let Word::Hello { place, port, native, groups, status, .. } = word else { return None };
        let (ip, port) = (self.place(cast, place), self.port(cast, port));
        let mut headers = vec![(b"X-HOSTILE".to_vec(), b"yes".to_vec())];
        if native {
            headers.push((NATIVE_HEADER.to_vec(), b"0".to_vec()));
        }
        let fields = HelloFields {
            endpoint: format!("tcp://{ip}:{port}").into_bytes(),
            groups: (0..groups).map(|number| group(number as u64)).collect(),
            status,
            name: b"mallory".to_vec(),
            headers,
        };
        Hello::new(fields).ok()
    }

    fn raw(&mut self, cast: &Cast, identity: PeerId) -> Option<usize> {
        let Cast { hostile, victim, .. } = *cast;
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
        Some(conn)
    }
}
