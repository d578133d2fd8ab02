//! A deterministic simulator of the protocol machine: many nodes, one thread, a virtual clock, and a seed from which
//! topology, workload and faults follow.
//!
//! It stands for the shell and the network: UDP that loses, doubles and reorders; TCP that keeps order, is cut with
//! the loss of its tail, refuses, hangs half-open; processes that crash, pause, move and read slowly; modelled nodes of
//! pyre, zyre C and zyre.js, and a hostile node. Bytes do not occur: messages travel decoded, numbered by the real
//! [`sequence`](super::sequence) code.
//!
//! [`run`] plays one seed and says the first invariant that broke (see `sim/check.rs`). The same seed plays the same run;
//! [`Plan::shrink`] looks for the fewest faults with which it still breaks.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "indices are made here and never removed; a slip is a failing test, not a crash of a user's node"
)]

mod check;
mod faults;
mod foreign;
mod hostile;
mod plan;
mod random;
mod shell;
mod tcp;
#[cfg(test)]
mod tests;

use super::bug::{Bug, bug};
use super::{Config, Input, LinkId, Node, Trust};
use crate::wire::Beacon;
use crate::{EndpointPolicy, GroupName, PeerId, Timers};
use check::Check;
use foreign::{Foreign, Kind};
pub use plan::{Plan, Report, Violation};
use random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tcp::{Conn, Tx};

/// What a seed may do to its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing but UDP loss, doubles and delay: nobody may exit.
    Lossy,
    /// Pauses and partitions shorter than 10 s: nobody may exit either.
    ShortSilence,
    /// Connections are cut or overflow, readers stall.
    Cuts,
    /// Partitions, also one-way, up to 60 s.
    Partitions,
    /// Processes are killed, lose power, stop, and come back with the same or another UUID and port.
    Crashes,
    /// Processes stand still for up to 60 s.
    Pauses,
    /// Nodes change their address or port.
    Moves,
    /// Modelled nodes of pyre, zyre C and zyre.js take part, with cuts, crashes and pauses.
    Foreign,
    /// A hostile node plays the attack table; the good nodes must not notice.
    Hostile,
    /// Everything at once.
    Mixed,
}

impl Scenario {
    const ALL: [Self; 10] = [
        Self::Lossy,
        Self::ShortSilence,
        Self::Cuts,
        Self::Partitions,
        Self::Crashes,
        Self::Pauses,
        Self::Moves,
        Self::Foreign,
        Self::Hostile,
        Self::Mixed,
    ];

    /// The scenario of a seed.
    pub fn of(seed: u64) -> Self {
        Self::ALL[(seed % Self::ALL.len() as u64) as usize]
    }
}

/// How long faults go on; afterwards everything has to come to rest.
const FAULTS_LAST: Duration = Duration::from_secs(60);
/// The time that a network without faults gets to come to rest (the expiry of 30 s and a session after it).
const REST_AFTER: Duration = Duration::from_secs(36);
/// What a hostile node has claimed lives on until it expires: who has just moved may find its new endpoint taken until then,
/// and its peers reach it only afterwards.
const CLAIMS_LAST: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);
/// At rest nothing happens for this long.
const REST_LASTS: Duration = Duration::from_secs(15);

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Happening {
    Wake {
        host: usize,
        epoch: u32,
    },
    Datagram {
        host: usize,
        source: SocketAddr,
        beacon: Beacon,
    },
    Connect {
        host: usize,
        epoch: u32,
        link: u64,
        started: Duration,
    },
    Pump {
        conn: usize,
    },
    Wrapped {
        host: usize,
        epoch: u32,
        link: u64,
    },
    Lost {
        conn: usize,
        full: bool,
    },
    /// A command that was read before its connection was refused, and is told after.
    Stale {
        host: usize,
        epoch: u32,
        input: Box<Input>,
    },
    Work {
        host: usize,
    },
    Fault,
    Heal {
        a: usize,
        b: usize,
        lasted: Duration,
    },
    Resume {
        host: usize,
    },
    Unstall {
        conn: usize,
    },
    Start {
        host: usize,
        same_id: bool,
    },
    End {
        host: usize,
        epoch: u32,
    },
    Tick {
        host: usize,
        epoch: u32,
    },
    Attack,
}

/// What runs on a host.
#[derive(Debug)]
enum Machine {
    /// Nothing; the host itself may be without power.
    Off {
        power: bool,
    },
    Zyre(Box<Node>),
    Foreign(Foreign),
    Hostile,
}

/// One process and the address it lives at.
#[derive(Debug)]
struct Host {
    ip: IpAddr,
    port: u16,
    id: PeerId,
    /// Grows with each start: news of an earlier life is void.
    epoch: u32,
    /// Which other implementation it runs, if not ours.
    kind: Option<Kind>,
    machine: Machine,
    links: BTreeMap<u64, Tx>,
    paused_until: Option<Duration>,
    refuses_until: Duration,
    backlog: Vec<Happening>,
    wake_at: Duration,
    /// Content numbered per receiver, through all lives of this host.
    sent: BTreeMap<PeerId, u64>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
struct World {
    base: Instant,
    now: Duration,
    /// By how much somebody has set the clock on the wall, which nothing may depend on.
    wall: Duration,
    plan: Plan,
    scenario: Scenario,
    random: Random,
    queue: BTreeMap<(Duration, u64), Happening>,
    ticket: u64,
    hosts: Vec<Host>,
    conns: Vec<Conn>,
    /// From whom to whom nothing passes.
    blocked: BTreeSet<(usize, usize)>,
    loss: u64,
    doubles: u64,
    delay: u64,
    near_wrap: bool,
    /// The fault that happens now, or happened last.
    fault_number: u64,
    check: Check,
    report: Report,
}

/// Plays one seed.
///
/// # Errors
/// The first invariant that broke.
pub fn run(seed: u64) -> Result<Report, Violation> {
    Plan::of(seed).play()
}

fn group(number: u64) -> GroupName {
    GroupName::from_bytes(format!("g{number}").as_bytes()).expect("short")
}

impl World {
    fn run(mut self) -> Result<Report, Violation> {
        self.play(FAULTS_LAST);
        self.end_faults();
        let claims_last = if self.scenario == Scenario::Mixed { CLAIMS_LAST } else { Duration::ZERO };
        let rest_at = FAULTS_LAST + claims_last + REST_AFTER;
        self.play(rest_at);
        self.check_rest();
        self.play(rest_at + REST_LASTS);
        self.check_rest_lasted();
        self.report.digest = self.check.digest();
        match self.check.violation() {
            Some(violation) => Err(violation),
            None => Ok(self.report),
        }
    }

    #[cfg_attr(
        not(test),
        expect(clippy::disallowed_methods, reason = "any instant will do as the origin of virtual time")
    )]
    fn new(plan: &Plan, traced: bool) -> Self {
        let Plan { seed, scenario, .. } = *plan;
        let mut random = Random::new(seed);
        let lossy = random.percent(60);
        let loss = if lossy { random.below(61) } else { 0 };
        let (doubles, delay) = (random.below(20), [1, 5, 50, 1_500][random.index(4)]);
        let near_wrap = random.percent(25);
        let mut world = Self {
            // The wall clock may be set back by a day.
            base: Instant::now() + 10 * DAY,
            now: Duration::ZERO,
            wall: Duration::ZERO,
            plan: plan.clone(),
            scenario,
            queue: BTreeMap::new(),
            ticket: 0,
            hosts: Vec::new(),
            conns: Vec::new(),
            blocked: BTreeSet::new(),
            loss: 0,
            doubles: 0,
            delay: 1,
            near_wrap: false,
            fault_number: 0,
            check: Check::new(traced),
            report: Report::default(),
            random,
        };
        world.ambient(loss, doubles, delay, near_wrap);
        let good = 2 + world.random.index(4);
        for index in 0..good {
            let foreign = match scenario {
                Scenario::Foreign => index > 0 && world.random.percent(60),
                Scenario::Mixed => index > 1 && world.random.percent(30),
                _ => false,
            };
            let kind = if foreign { world.random.pick(&Kind::ALL) } else { None };
            world.add_host(kind);
        }
        for host in 0..world.hosts.len() {
            if world.hosts[host].kind == Some(Kind::Answering) {
                // Its HELLOs on new connections are new sessions, and it asks for them.
                world.touch_host(host, Duration::from_secs(10_000));
            }
        }
        if matches!(scenario, Scenario::Hostile | Scenario::Mixed) {
            let host = world.add_host(None);
            world.check.hostile = true;
            world.hosts[host].machine = Machine::Hostile;
            world.after_millis(500, 3_000, Happening::Attack);
        }
        if plan.variant > 0 {
            world.random = Random::new(seed ^ plan.variant.rotate_left(32));
        }
        for host in 0..world.hosts.len() {
            if !matches!(world.hosts[host].machine, Machine::Hostile) {
                world.after_millis(0, 2_000, Happening::Start { host, same_id: true });
            }
        }
        if !matches!(scenario, Scenario::Lossy | Scenario::Hostile) {
            world.after_millis(3_000, 10_000, Happening::Fault);
        }
        world
    }

    fn add_host(&mut self, kind: Option<Kind>) -> usize {
        let number = self.hosts.len();
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number as u8 + 1));
        let id = self.random.id();
        self.hosts.push(Host {
            ip,
            port: 49_152 + number as u16,
            id,
            epoch: 0,
            kind,
            machine: Machine::Off { power: true },
            links: BTreeMap::new(),
            paused_until: None,
            refuses_until: Duration::ZERO,
            backlog: Vec::new(),
            wake_at: Duration::MAX,
            sent: BTreeMap::new(),
            headers: vec![(b"X-HOST".to_vec(), number.to_string().into_bytes())],
        });
        number
    }

    fn config(&mut self, host: usize) -> Config {
        let groups: BTreeSet<_> = (0..4).filter(|_| self.random.percent(40)).map(group).collect();
        let contest = if self.random.percent(30) { BTreeSet::from([group(0)]) } else { BTreeSet::new() };
        let host_ = &self.hosts[host];
        Config {
            id: host_.id,
            name: format!("host-{host}").into_bytes(),
            headers: host_.headers.clone(),
            groups,
            contest,
            timers: Timers::default(),
            beacon: true,
            beacon_port: 5670,
            mailbox_port: host_.port,
            endpoint_policy: EndpointPolicy::SameSubnet,
            subnets: vec![(host_.ip, 24)],
            trust: Trust::Open,
            authorize: None,
        }
    }

    fn at(&mut self, time: Duration, happening: Happening) {
        self.ticket += 1;
        self.queue.insert((time.max(self.now), self.ticket), happening);
    }

    fn after_millis(&mut self, low: u64, high: u64, happening: Happening) {
        let time = self.now + self.random.millis(low, high);
        self.at(time, happening);
    }

    /// The time that machines are told.
    fn instant(&self) -> Instant {
        let wall = if bug(Bug::WallClock) { self.wall } else { Duration::ZERO };
        self.base + self.now + wall
    }

    fn play(&mut self, until: Duration) {
        while let Some(entry) = self.queue.first_entry() {
            let time = entry.key().0;
            if time > until || self.check.is_broken() {
                break;
            }
            let happening = entry.remove();
            self.now = time;
            self.report.happenings += 1;
            if self.report.happenings > 2_000_000 {
                return self.check.broken(self.now, "I1: the run does not end (a busy loop or a storm)");
            }
            self.happen(happening);
        }
        self.now = until;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake { host, epoch } => {
                let due = self.hosts[host].epoch == epoch && self.hosts[host].wake_at <= self.now;
                if due && !self.is_paused(host) {
                    self.hosts[host].wake_at = Duration::MAX;
                    self.feed(host, Input::Timeout);
                }
            }
            Happening::Datagram { host, source, beacon } => {
                if self.is_paused(host) {
                    let backlog = &mut self.hosts[host].backlog;
                    if backlog.len() < 500 {
                        backlog.push(Happening::Datagram { host, source, beacon });
                    }
                } else {
                    self.on_datagram(host, source, beacon);
                }
            }
            Happening::Connect { host, epoch, link, started } => self.connect(host, epoch, link, started),
            Happening::Pump { conn } => self.pump(conn),
            Happening::Wrapped { host, epoch, link } => {
                if self.hosts[host].epoch == epoch && !self.is_paused(host) {
                    self.feed(host, Input::LinkUp { link: LinkId(link) });
                }
            }
            Happening::Lost { conn, full } => self.on_lost(conn, full),
            Happening::Stale { host, epoch, input } => {
                if self.hosts[host].epoch == epoch && !self.is_paused(host) {
                    self.feed(host, *input);
                }
            }
            Happening::Work { host } => self.work(host),
            Happening::Fault => self.fault(),
            Happening::Heal { a, b, lasted } => self.heal(a, b, lasted),
            Happening::Resume { host } => self.resume(host),
            Happening::Unstall { conn } => self.unstall(conn),
            Happening::Start { host, same_id } => self.start(host, same_id),
            Happening::End { host, epoch } => {
                if self.hosts[host].epoch == epoch {
                    self.end(host);
                }
            }
            Happening::Tick { host, epoch } => self.tick_foreign(host, epoch),
            Happening::Attack => self.attack(),
        }
    }

    fn is_paused(&self, host: usize) -> bool {
        self.hosts[host].paused_until.is_some()
    }

    fn is_live(&self, host: usize) -> bool {
        !matches!(self.hosts[host].machine, Machine::Off { .. })
    }

    fn are_cut_off(&self, a: usize, b: usize) -> bool {
        self.blocked.contains(&(a, b)) || self.blocked.contains(&(b, a))
    }

    /// Sends a beacon to everybody on the subnet.
    fn broadcast(&mut self, from: usize, beacon: Beacon) {
        let foreign = self.hosts[from].kind;
        let source = SocketAddr::new(self.hosts[from].ip, foreign.map_or(5670, Kind::beacon_port));
        for host in 0..self.hosts.len() {
            let strangers = foreign.is_some() && self.hosts[host].kind.is_some();
            if host == from || strangers || self.blocked.contains(&(from, host)) {
                continue;
            }
            let copies = 1 + u64::from(self.random.percent(self.doubles));
            for _ in 0..copies {
                if !self.random.percent(self.loss) {
                    let delay = self.delay;
                    self.after_millis(0, delay, Happening::Datagram { host, source, beacon });
                }
            }
        }
    }

    fn on_datagram(&mut self, host: usize, source: SocketAddr, beacon: Beacon) {
        match self.hosts[host].machine {
            Machine::Zyre(_) => self.feed(host, Input::Beacon { source, beacon }),
            Machine::Foreign(_) => self.foreign_beacon(host, source, beacon),
            Machine::Off { .. } | Machine::Hostile => {}
        }
    }

    fn host_of(&self, id: PeerId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == id)
    }
}
