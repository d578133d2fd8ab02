//! The shell of a simulated node: hands inputs in, performs outputs, starts and ends processes, and works.

use super::foreign::Foreign;
use super::tcp::{Item, Tx};
use super::{Happening, Machine, World, group};
use crate::proto::sequence::Outbound;
use crate::proto::{ConnId, Input, LinkId, Node, Output};
use crate::wire::{Beacon, Endpoint, HelloFields};
use crate::{GroupName, PeerId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// Hands one input to the machine of a host and does what it wants.
    pub(super) fn feed(&mut self, host: usize, input: Input) {
        let now = self.instant();
        let Machine::Zyre(node) = &mut self.hosts[host].machine else { return };
        node.handle(now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| node.poll_output()).collect();
        let (peers, dials, deadline) = (node.peers.len(), node.dials.len(), node.next_deadline());
        let wake_at = deadline.saturating_duration_since(self.base);
        if peers > super::super::node::MAX_PEERS || dials > 16 {
            self.check.broken(self.now, &format!("I1: host {host} knows {peers} peers"));
        }
        let unready = |node: &Node| node.peers.values().filter(|peer| !peer.is_ready()).count();
        if peers > 256 && unready(node) > 256 {
            self.check.broken(self.now, &format!("I1: host {host} keeps hundreds that never said HELLO"));
        }
        if wake_at <= self.now {
            self.check.woken_late(self.now, host);
        } else {
            self.check.woken_in_time(host);
        }
        if wake_at < self.hosts[host].wake_at {
            self.hosts[host].wake_at = wake_at;
            let epoch = self.hosts[host].epoch;
            // A real timer is late rather than early.
            let late = Duration::from_micros(self.random.below(1_500));
            self.at(wake_at + late, Happening::Wake { host, epoch });
        }
        outputs.into_iter().for_each(|output| self.perform(host, output));
        if let Machine::Zyre(node) = &self.hosts[host].machine
            && self.hosts[host].links.len() > node.peers.len() + node.dials.len()
        {
            self.check.broken(self.now, &format!("I1: host {host} has links that it does not know"));
        }
    }

    fn perform(&mut self, host: usize, output: Output) {
        match output {
            Output::Open { link, endpoint, hello, flavour, .. } => {
                self.check_connect(host, endpoint);
                let tx = self.new_tx(endpoint, &hello, flavour, false);
                self.open(host, link.0, tx);
                self.say_hello(host, link.0);
            }
            Output::Greet(LinkId(link)) => self.say_hello(host, link),
            Output::Retry(LinkId(link)) => {
                if let Some(endpoint) = self.hosts[host].links.get(&link).map(|tx| tx.endpoint) {
                    self.check_connect(host, endpoint);
                }
                self.retry(host, link);
            }
            Output::Close(LinkId(link)) => {
                let flushed = self.random.percent(50);
                self.close_link(host, link, flushed);
            }
            Output::Adopt { .. } => {}
            Output::Flavour { link, flavour } => {
                if let Some(tx) = self.hosts[host].links.get_mut(&link.0) {
                    tx.flavour = flavour;
                }
            }
            Output::Send { link, command, hello } => {
                self.queue_message(host, link.0, |sequence| Item::Command(sequence, command));
                if let (Some(hello), Some(tx)) = (hello, self.hosts[host].links.get_mut(&link.0)) {
                    tx.hello = (*hello).clone();
                }
            }
            Output::Accept { conn, .. } => self.answer_conn(conn.0 as usize, true),
            Output::Refuse(ConnId(conn)) | Output::TurnAway { conn: ConnId(conn), .. } => {
                self.answer_conn(conn as usize, false)
            }
            Output::Beacon { leaving } => {
                let port = if leaving { 0 } else { self.hosts[host].port };
                let beacon = Beacon { id: self.hosts[host].id, port, key: None };
                for _ in 0..if leaving { 3 } else { 1 } {
                    self.broadcast(host, beacon);
                }
            }
            Output::Emit(event) => {
                self.report.exits += u64::from(matches!(event, crate::Event::Exit { .. }));
                self.report.enters += u64::from(matches!(event, crate::Event::Enter { .. }));
                let about = self.host_of(event.peer());
                let dead = about.is_some_and(|about| !self.is_live(about));
                self.check.event(self.now, host, about, dead, event);
            }
            Output::Count(name) => self.check.note(self.now, host, name),
        }
    }

    /// Nodes connect to neighbours, and never to themselves.
    fn check_connect(&mut self, host: usize, endpoint: Endpoint) {
        let (at, own) = (endpoint.address(), SocketAddr::new(self.hosts[host].ip, self.hosts[host].port));
        let near = crate::proto::node::same_prefix(self.hosts[host].ip, at.ip(), 24);
        self.check.connects(self.now, host, endpoint, near && at != own);
    }

    pub(super) fn new_tx(
        &self,
        endpoint: Endpoint,
        hello: &Arc<HelloFields>,
        flavour: crate::proto::sequence::Flavour,
        resumes: bool,
    ) -> Tx {
        let outbound = Outbound::after_hello();
        Tx { endpoint, hello: (**hello).clone(), outbound, flavour, waiting: Vec::new(), conn: None, resumes }
    }

    /// A process starts on a host.
    pub(super) fn start(&mut self, host: usize, same_id: bool) {
        if self.is_live(host) {
            return;
        }
        if !same_id {
            self.hosts[host].id = self.random.id();
        }
        let config = self.config(host);
        self.hosts[host].epoch += 1;
        if let Some(kind) = self.hosts[host].kind {
            let foreign = Foreign::new(kind, self.random.percent(30), config.groups.into_iter().collect());
            self.hosts[host].machine = Machine::Foreign(foreign);
            return self.start_foreign(host);
        }
        self.hosts[host].wake_at = Duration::MAX;
        self.hosts[host].machine = Machine::Zyre(Box::new(Node::new(self.instant(), config)));
        self.check.started(host);
        self.feed(host, Input::Timeout);
        self.after_millis(100, 2_000, Happening::Work { host });
    }

    /// A process ends without a word; the kernel closes its sockets unless the power is gone too.
    pub(super) fn kill(&mut self, host: usize, power: bool) {
        self.hosts[host].machine = Machine::Off { power };
        self.forget_process(host, !power);
    }

    /// The last of a clean stop: everything is flushed, sockets close.
    pub(super) fn end(&mut self, host: usize) {
        let links: Vec<_> = self.hosts[host].links.keys().copied().collect();
        links.into_iter().for_each(|link| self.close_link(host, link, true));
        self.hosts[host].machine = Machine::Off { power: true };
        self.forget_process(host, false);
    }

    fn forget_process(&mut self, host: usize, silently: bool) {
        self.check.ended(host);
        let entry = &mut self.hosts[host];
        entry.links.clear();
        entry.paused_until = None;
        entry.backlog.clear();
        let epoch = entry.epoch;
        entry.epoch += 1;
        for index in 0..self.conns.len() {
            let conn = &self.conns[index];
            let (outgoing, incoming) =
                (conn.from == host && conn.from_epoch == epoch, conn.to == host && conn.to_epoch == epoch);
            if conn.closed || !(outgoing || incoming) {
                continue;
            }
            if silently {
                self.conns[index].half_open = true;
            } else if outgoing {
                let ended = matches!(self.conns[index].wire.back(), Some((_, Item::End)));
                if !ended {
                    self.drop_tail(index);
                    self.put(index, Item::End);
                }
            } else {
                self.close_conn(index);
            }
        }
    }

    pub(super) fn resume(&mut self, host: usize) {
        if self.hosts[host].paused_until.is_none_or(|until| until > self.now) {
            return;
        }
        self.hosts[host].paused_until = None;
        let backlog = std::mem::take(&mut self.hosts[host].backlog);
        let epoch = self.hosts[host].epoch;
        self.hosts[host].wake_at = self.now;
        let timer_first = self.random.percent(50);
        if timer_first {
            self.at(self.now, Happening::Wake { host, epoch });
        }
        let streams: Vec<_> = (0..self.conns.len()).filter(|conn| self.conns[*conn].to == host).collect();
        let streams_first = self.random.percent(50);
        if streams_first {
            streams.iter().for_each(|conn| self.at(self.now, Happening::Pump { conn: *conn }));
        }
        backlog.into_iter().for_each(|happening| self.at(self.now, happening));
        if !streams_first {
            streams.iter().for_each(|conn| self.at(self.now, Happening::Pump { conn: *conn }));
        }
        if !timer_first {
            self.at(self.now, Happening::Wake { host, epoch });
        }
        if matches!(self.hosts[host].machine, Machine::Foreign(_)) {
            self.at(self.now, Happening::Tick { host, epoch });
        }
    }

    /// The application of a host does something.
    pub(super) fn work(&mut self, host: usize) {
        if !self.is_live(host) {
            return;
        }
        self.after_millis(50, 800, Happening::Work { host });
        if self.is_paused(host) || self.check.settling() {
            return;
        }
        match self.random.below(10) {
            0 | 1 => {
                let group = group(self.random.below(4));
                let join = self.random.percent(55);
                self.feed(host, if join { Input::Join(group) } else { Input::Leave(group) });
            }
            2..=5 => {
                let group = group(self.random.below(4));
                self.shout(host, &group);
            }
            _ => {
                let ids = self.reachable(host, None);
                let burst = if self.random.percent(10) { 50 } else { 1 + self.random.below(3) };
                if let Some((peer, link)) = self.random.pick(&ids) {
                    (0..burst).for_each(|_| self.content(host, peer, link, None));
                }
            }
        }
    }

    /// Peers to which content can be sent, with their links.
    pub(super) fn reachable(&self, host: usize, group: Option<&GroupName>) -> Vec<(PeerId, u64)> {
        let Machine::Zyre(node) = &self.hosts[host].machine else { return Vec::new() };
        let wanted = node.peers().filter(|peer| group.is_none_or(|group| peer.groups.contains(group)));
        wanted.filter_map(|peer| Some((peer.id, peer.link?.0))).collect()
    }

    fn shout(&mut self, host: usize, group: &GroupName) {
        for (peer, link) in self.reachable(host, Some(group)) {
            self.content(host, peer, link, Some(group.clone()));
        }
    }

    pub(super) fn content(&mut self, host: usize, peer: PeerId, link: u64, group: Option<GroupName>) {
        if !self.hosts[host].links.contains_key(&link) {
            return;
        }
        let count = self.hosts[host].sent.entry(peer).or_default();
        *count += 1;
        let number = *count;
        self.queue_message(host, link, |sequence| Item::Content { sequence, receiver: peer, group, number });
    }

    /// Content has come to its receiver.
    pub(super) fn delivered(&mut self, host: usize, peer: PeerId, group: Option<GroupName>, number: u64) {
        let Some(from) = self.host_of(peer) else { return };
        let sent = self.hosts[from].sent.get(&self.hosts[host].id).copied().unwrap_or(0);
        let Machine::Zyre(node) = &self.hosts[host].machine else { return };
        let wanted = group.is_none_or(|group| node.own_groups().contains(&group));
        self.report.delivered += u64::from(wanted);
        self.check.delivered(self.now, host, from, peer, number, sent);
    }
}
