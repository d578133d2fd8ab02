//! The invariants, checked as events come and at rest.
//!
//! - I1 peers, newcomers and links stay within their caps, a machine does not ask again and again for the past, a run ends;
//! - I2 per peer: `Enter (Join | Leave | content | Evasive | Silent)* Exit`;
//! - I3 what is delivered was sent, in order and once, across sessions too;
//! - I4 within a session nothing is missing between two deliveries; a gap and an overflow are told at once;
//! - I5 at rest everybody sees everybody who lives, with equal groups and headers, and content passes;
//! - I6 no Exit between two nodes that no fault has touched within [`TOUCH_LASTS`] (this is I9 in the hostile scenario,
//!   where nobody is touched at all); an own pause explains no Exit of others as expired;
//! - I7 at most [`MAX_HELLOS`] HELLOs to one endpoint and [`MAX_RESTARTS`] new sessions of one peer in [`HELLO_WINDOW`],
//!   [`MAX_DIALS`] connects to one endpoint in [`DIAL_WINDOW`] and three per beacon that names a closed port; at rest
//!   nobody enters or exits;
//! - I9 nobody connects to itself or beyond its subnet, whatever a hostile node says;
//! - I10 once the rest has lasted no election runs, and all nodes of a group have the lowest that contests there for
//!   leader (not asked of one that is alone there, nor where a hostile node says it takes part).

use super::plan::Violation;
use super::{Machine, World, group};
use crate::wire::Endpoint;
use crate::{Event, ExitReason, GroupName, PeerId};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// How long after a fault has ended it still explains an Exit: the expiry, a pause that is no fault but puts it off, and a
/// session after it.
const TOUCH_LASTS: Duration = Duration::from_secs(45);
const HELLO_WINDOW: Duration = Duration::from_secs(20);
/// One HELLO per two seconds and a burst of five; twice that where a hostile node makes a node greet its victim.
const MAX_HELLOS: usize = 15;
/// The waits between them are 2, 4 and 8 s.
const MAX_RESTARTS: usize = 6;
const DIAL_WINDOW: Duration = Duration::from_secs(10);
/// Waits between tries double from 100 ms; a lost link and a beacon each begin anew.
const MAX_DIALS: usize = 30;
const TRACE: usize = 400;

/// A host in a message.
#[derive(Clone, Copy)]
struct Who(Option<usize>);

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(host) => write!(f, "host {host}"),
            None => f.write_str("nobody"),
        }
    }
}

#[derive(Debug, Default)]
struct Session {
    groups: BTreeSet<GroupName>,
    last: Option<u64>,
}

/// What the invariants need to remember.
#[derive(Debug, Default)]
pub(super) struct Check {
    broken: Option<String>,
    traced: bool,
    /// What went wrong, if it is traced.
    faults: Vec<(u64, String)>,
    trace: VecDeque<String>,
    noted: Option<(usize, &'static str)>,
    digest: u64,
    sessions: BTreeMap<(usize, PeerId), Session>,
    highest: BTreeMap<(usize, PeerId), u64>,
    hellos: BTreeMap<(usize, u32, SocketAddr), VecDeque<Duration>>,
    late: BTreeMap<usize, u32>,
    touched: BTreeMap<(usize, usize), Duration>,
    /// Until when a pause of a host explains what happens.
    paused: BTreeMap<usize, Duration>,
    restarts: BTreeMap<(usize, PeerId), VecDeque<Duration>>,
    dials: BTreeMap<(usize, Endpoint), VecDeque<Duration>>,
    /// Closed ports named by beacons: how many beacons, how many connects.
    bait: BTreeMap<(usize, Endpoint), (u64, u64)>,
    wraps: BTreeSet<(usize, usize)>,
    pub(super) hostile: bool,
    settling: bool,
    resting: bool,
    probes: BTreeMap<(usize, usize), u64>,
}

impl Check {
    pub(super) fn new(traced: bool) -> Self {
        Self { traced, ..Self::default() }
    }

    pub(super) fn broken(&mut self, now: Duration, what: &str) {
        if self.broken.is_none() {
            self.broken = Some(format!("{:.3} s: {what}", now.as_secs_f64()));
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(super) fn violation(self) -> Option<Violation> {
        let (faults, trace) = (self.faults, self.trace.into());
        self.broken.map(|what| Violation { what, faults, trace })
    }

    pub(super) fn fault(&mut self, now: Duration, number: u64, line: impl FnOnce() -> String) {
        if self.traced && !self.is_broken() {
            let line = line();
            self.say(now, || format!("fault {number}: {line}"));
            self.faults.push((number, format!("{:.3} s: {line}", now.as_secs_f64())));
        }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn settling(&self) -> bool {
        self.settling
    }

    pub(super) fn say(&mut self, now: Duration, line: impl FnOnce() -> String) {
        if !self.traced {
            return;
        }
        if self.trace.len() >= TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:8.3} {}", now.as_secs_f64(), line()));
    }

    pub(super) fn note(&mut self, now: Duration, host: usize, name: &'static str) {
        if self.noted == Some((host, name)) {
            return;
        }
        self.noted = Some((host, name));
        self.say(now, || format!("{host}: ({name})"));
    }

    pub(super) fn started(&mut self, host: usize) {
        self.highest.retain(|(at, _), _| *at != host);
        self.sessions.retain(|(at, _), _| *at != host);
    }

    pub(super) fn ended(&mut self, host: usize) {
        self.sessions.retain(|(at, _), _| *at != host);
        self.late.remove(&host);
    }

    /// A fault between two hosts explains what happens until some time after `until`.
    pub(super) fn touch(&mut self, a: usize, b: usize, until: Duration) {
        let entry = self.touched.entry((a.min(b), a.max(b))).or_default();
        *entry = (*entry).max(until + TOUCH_LASTS);
    }

    /// Who stands still may be taken for gone. Who wakes up has no reason to take the others for gone.
    pub(super) fn paused(&mut self, host: usize, until: Duration) {
        let entry = self.paused.entry(host).or_default();
        *entry = (*entry).max(until + TOUCH_LASTS);
    }

    /// Until when something explains that `host` gives `about` up for `reason`.
    fn explained(&self, host: usize, about: usize, reason: ExitReason) -> Option<Duration> {
        let touched = self.touched.get(&(host.min(about), host.max(about)));
        let own = self.paused.get(&host).filter(|_| reason != ExitReason::Expired);
        touched.max(self.paused.get(&about)).max(own).copied()
    }

    /// Who does not read a peer does not hold its silence against it, so that a fault which met the two meanwhile shows
    /// only when the silence counts again.
    pub(super) fn unstalled(&mut self, a: usize, b: usize, since: Duration, now: Duration) {
        if self.explained(a, b, ExitReason::Restarted).is_some_and(|until| until >= since) {
            self.touch(a, b, now);
        }
    }

    /// A count of unknown flavour wrapped between two hosts, which may cost them a session even at rest.
    pub(super) fn wrapped(&mut self, a: usize, b: usize) {
        self.wraps.insert((a.min(b), a.max(b)));
    }

    pub(super) fn woken_late(&mut self, now: Duration, host: usize) {
        let late = self.late.entry(host).or_default();
        *late += 1;
        if *late > 3 {
            self.broken(now, &format!("I1: host {host} asks for the past again and again"));
        }
    }

    pub(super) fn woken_in_time(&mut self, host: usize) {
        self.late.remove(&host);
    }

    pub(super) fn greeted(&mut self, now: Duration, host: usize, epoch: u32, to: SocketAddr) {
        let times = self.hellos.entry((host, epoch, to)).or_default();
        times.push_back(now);
        while times.front().is_some_and(|at| *at + HELLO_WINDOW < now) {
            times.pop_front();
        }
        let count = times.len();
        self.say(now, || format!("{host}: HELLO to {to}"));
        let most = if self.hostile { 2 * MAX_HELLOS } else { MAX_HELLOS };
        if count > most {
            self.broken(now, &format!("I7: host {host} said {count} HELLOs to {to} in {HELLO_WINDOW:?}"));
        }
    }

    pub(super) fn bait(&mut self, host: usize, endpoint: Endpoint) {
        self.bait.entry((host, endpoint)).or_default().0 += 1;
    }

    /// `welcome`: whether the node may connect there at all.
    pub(super) fn connects(&mut self, now: Duration, host: usize, endpoint: Endpoint, welcome: bool) {
        if !welcome {
            self.broken(now, &format!("I9: host {host} lets itself be sent to {endpoint}"));
        }
        let times = self.dials.entry((host, endpoint)).or_default();
        times.push_back(now);
        times.retain(|at| *at + DIAL_WINDOW >= now);
        if times.len() > MAX_DIALS {
            self.broken(now, &format!("I7: host {host} connects to {endpoint} again and again"));
        }
        if let Some((beacons, connects)) = self.bait.get_mut(&(host, endpoint)) {
            *connects += 1;
            let (beacons, connects) = (*beacons, *connects);
            if connects > 3 * beacons {
                self.broken(now, &format!("I7: {connects} connects to {endpoint} for {beacons} beacons"));
            }
        }
    }

    pub(super) fn event(
        &mut self,
        now: Duration,
        host: usize,
        about: Option<usize>,
        dead: bool,
        event: Event,
    ) {
        let mut hasher = DefaultHasher::new();
        let group = event.group().map(GroupName::as_bytes);
        (self.digest, now, host, event.kind(), event.peer().as_bytes(), group).hash(&mut hasher);
        self.digest = hasher.finish();
        let who = Who(about);
        let reason = match &event {
            Event::Exit { reason, .. } => reason.as_str(),
            _ => "",
        };
        self.say(now, || format!("{host}: {} {who} {:?} {reason}", event.kind(), event.group()));
        let key = (host, event.peer());
        let entered = self.sessions.contains_key(&key);
        let wrapped = about.is_some_and(|about| self.wraps.contains(&(host.min(about), host.max(about))));
        let restful = self.resting && !wrapped && matches!(event, Event::Enter { .. } | Event::Exit { .. });
        if restful && about.is_some() {
            self.broken(now, &format!("I7: at rest, host {host}: {} {who} {reason}", event.kind()));
        }
        match &event {
            Event::Enter { .. } => {
                if entered {
                    self.broken(now, &format!("I2: host {host} entered {who} twice"));
                }
                self.sessions.insert(key, Session::default());
            }
            Event::Exit { reason, .. } => {
                if !entered {
                    self.broken(now, &format!("I2: host {host} told an Exit of {who} without an Enter"));
                }
                self.sessions.remove(&key);
                match reason {
                    ExitReason::Restarted => self.restarted(now, key),
                    ExitReason::MessagesLost { .. } => {}
                    // Who has been forgotten is as good as new.
                    _ => drop(self.restarts.remove(&key)),
                }
                let free = dead
                    || about.is_none_or(|about| {
                        self.explained(host, about, *reason).is_some_and(|until| now <= until)
                    });
                if !free {
                    self.broken(
                        now,
                        &format!("I6: host {host} told an Exit ({reason}) of {who} without cause"),
                    );
                }
                if *reason == ExitReason::ProtocolErrors && about.is_some() {
                    self.broken(now, &format!("I9: host {host} holds {who} for hostile"));
                }
            }
            Event::Leader { .. } | Event::IdentityConflict { .. } => {}
            _ if !entered => {
                self.broken(now, &format!("I2: host {host} told {} of {who} before Enter", event.kind()));
            }
            _ => {}
        }
        if let Some(session) = self.sessions.get_mut(&key) {
            match event {
                Event::Join { group, .. } => drop(session.groups.insert(group)),
                Event::Leave { group, .. } => drop(session.groups.remove(&group)),
                _ => {}
            }
        }
    }

    pub(super) fn delivered(
        &mut self,
        now: Duration,
        host: usize,
        from: usize,
        peer: PeerId,
        number: u64,
        sent: u64,
    ) {
        if number > sent {
            self.broken(now, &format!("I3: host {host} got {number} from host {from}, which sent {sent}"));
        }
        let highest = self.highest.entry((host, peer)).or_default();
        let before = std::mem::replace(highest, number);
        if number <= before {
            self.broken(now, &format!("I3: host {host} got {number} from host {from} after {before}"));
        }
        let Some(session) = self.sessions.get_mut(&(host, peer)) else {
            return self.broken(now, &format!("I2: host {host} got content from host {from} before Enter"));
        };
        let last = session.last.replace(number);
        if let Some(last) = last.filter(|last| last + 1 != number) {
            self.broken(
                now,
                &format!("I4: host {host} missed {} to {} of host {from} unreported", last + 1, number - 1),
            );
        }
        if self.probes.get(&(from, host)) == Some(&number) {
            self.probes.remove(&(from, host));
        }
    }

    /// Sessions that HELLOs replace are few, whoever says them.
    fn restarted(&mut self, now: Duration, key: (usize, PeerId)) {
        let times = self.restarts.entry(key).or_default();
        times.push_back(now);
        times.retain(|at| *at + HELLO_WINDOW >= now);
        if times.len() > MAX_RESTARTS {
            self.broken(now, &format!("I7: host {} lets {} begin anew again and again", key.0, key.1));
        }
    }

    /// Messages were missing on the connection that spoke for a peer.
    pub(super) fn gap(&mut self, now: Duration, host: usize, peer: PeerId) {
        if self.sessions.contains_key(&(host, peer)) {
            self.broken(now, &format!("I4: host {host} says nothing of messages of {peer} that are missing"));
        }
    }

    /// What a full link dropped is told by an Exit.
    pub(super) fn overflowed(&mut self, now: Duration, host: usize, peer: PeerId) {
        if self.sessions.contains_key(&(host, peer)) {
            self.broken(now, &format!("I4: host {host} dropped messages to {peer} and says nothing"));
        }
    }

    pub(super) fn settle(&mut self) {
        self.settling = true;
    }
}

impl World {
    /// The network has had its time: everybody sees everybody.
    pub(super) fn check_rest(&mut self) {
        if self.check.is_broken() {
            return;
        }
        let live: Vec<_> = (0..self.hosts.len())
            .filter(|host| matches!(self.hosts[*host].machine, Machine::Zyre(_) | Machine::Foreign(_)))
            .collect();
        for &host in &live {
            if let Some(what) = live.iter().find_map(|peer| self.unlike(host, *peer)) {
                self.check.broken(self.now, &format!("I5: {what}"));
                return;
            }
            let ids: Vec<_> = live.iter().map(|peer| self.hosts[*peer].id).collect();
            if let Machine::Zyre(node) = &self.hosts[host].machine {
                let ghost = node.peers().find(|peer| {
                    let good = !peer.headers.iter().any(|(key, _)| key == "X-HOSTILE");
                    good && !ids.contains(&peer.id)
                });
                if let Some(ghost) = ghost.map(|peer| peer.id) {
                    let ghost = self.host_of(ghost);
                    self.check.broken(self.now, &format!("I5: host {host} sees a ghost ({ghost:?})"));
                }
            }
        }
        self.check.resting = true;
        for &host in &live {
            for (peer, link) in self.reachable(host, None) {
                if let Some(to) = self.host_of(peer) {
                    self.content(host, peer, link, None);
                    let number = self.hosts[host].sent.get(&peer).copied().unwrap_or(0);
                    if matches!(self.hosts[to].machine, Machine::Zyre(_)) {
                        self.check.probes.insert((host, to), number);
                    }
                }
            }
        }
    }

    pub(super) fn check_rest_lasted(&mut self) {
        if let Some((from, to)) = self.check.probes.keys().next().copied() {
            self.check
                .broken(self.now, &format!("I5: a whisper from host {from} to host {to} did not arrive"));
        }
        if let Some(what) = (0..4).find_map(|number| self.ill_led(&group(number)))
            && !self.check.hostile
        {
            self.check.broken(self.now, &format!("I10: {what}"));
        }
    }

    /// Who in a group has another leader than the lowest that contests there.
    fn ill_led(&self, group: &GroupName) -> Option<String> {
        let members: Vec<_> = self
            .hosts
            .iter()
            .filter_map(|host| match &host.machine {
                Machine::Zyre(node) if node.is_member(group) => Some(&**node),
                _ => None,
            })
            .collect();
        let contesting = members.iter().filter(|node| node.elections.contested.contains(group));
        let lowest = contesting.map(|node| node.me).min().filter(|_| members.len() > 1);
        members.iter().find_map(|node| {
            let host = self.host_of(node.me);
            if node.elections.running.contains_key(group) {
                return Some(format!("host {host:?} still elects in {group:?}"));
            }
            let leader = node.elections.leaders.get(group).copied();
            let wrong = lowest.is_some() && leader != lowest;
            let name = |id: Option<PeerId>| id.and_then(|id| self.host_of(id));
            wrong.then(|| {
                format!("host {host:?} has {:?} lead {group:?}, not {:?}", name(leader), name(lowest))
            })
        })
    }

    /// How `host` sees `peer` otherwise than it is.
    fn unlike(&self, host: usize, peer: usize) -> Option<String> {
        if host == peer {
            return None;
        }
        let id = self.hosts[peer].id;
        let (groups, headers) = match &self.hosts[peer].machine {
            Machine::Zyre(node) => (node.own_groups().iter().cloned().collect(), true),
            Machine::Foreign(foreign) => (foreign.groups().iter().cloned().collect(), false),
            _ => (BTreeSet::new(), false),
        };
        match &self.hosts[host].machine {
            Machine::Zyre(node) => {
                let seen: Vec<_> = node.peers().filter(|view| view.id == id).collect();
                let [view] = seen.as_slice() else {
                    return Some(format!("host {host} sees host {peer} {} times", seen.len()));
                };
                if !view.groups.iter().eq(groups.iter()) {
                    return Some(format!(
                        "host {host} sees host {peer} in {:?}, not {groups:?}",
                        view.groups
                    ));
                }
                let number = peer.to_string();
                if headers && (view.headers.get("X-HOST") != Some(number.as_str()) || view.headers.len() != 1)
                {
                    return Some(format!("host {host} sees headers {:?} of host {peer}", view.headers));
                }
                let told = self.check.sessions.get(&(host, id)).map(|session| &session.groups);
                if told != Some(view.groups) {
                    return Some(format!("host {host} was told {told:?} of host {peer}, not {groups:?}"));
                }
                view.link.is_none().then(|| format!("host {host} has no link to host {peer}"))
            }
            Machine::Foreign(foreign) if headers => (!foreign.sees(id))
                .then(|| format!("the foreign node on host {host} does not see host {peer}")),
            _ => None,
        }
    }
}
