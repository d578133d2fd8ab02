//! TCP as far as the protocol sees it: ordered, cut with the loss of its tail, refused, hanging, half-open.

use super::{Happening, Machine, Scenario, World};
use crate::proto::peer::Mailbox;
use crate::proto::sequence::{FIRST, Flavour, Inbound, Next, Outbound};
use crate::proto::{ConnId, Input, LinkId, LinkLoss};
use crate::wire::{Command, Endpoint, Hello, HelloFields};
use crate::{GroupName, PeerId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// A message in flight.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The receiver counts on from `then`, which is the RFC's 1 unless the run starts near the wrap.
    Hello {
        hello: Hello,
        then: u16,
    },
    Command(u16, Command),
    Content {
        sequence: u16,
        /// For whom: the endpoint may have passed to another node meanwhile.
        receiver: PeerId,
        group: Option<GroupName>,
        number: u64,
    },
    /// The end of the stream.
    End,
}

/// The sending side of a link.
#[derive(Clone, Debug)]
pub(super) struct Tx {
    pub(super) endpoint: Endpoint,
    pub(super) hello: HelloFields,
    pub(super) outbound: Outbound,
    pub(super) flavour: Flavour,
    /// What waits for the connection.
    pub(super) waiting: Vec<Item>,
    pub(super) conn: Option<usize>,
    /// libzmq's way: reconnects by itself and goes on in the middle of the stream.
    pub(super) resumes: bool,
}

/// How far the receiving side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rx {
    /// Nothing has come yet.
    Fresh,
    /// The machine has not yet said whether to read on; then it goes on with this number.
    Waiting(u16),
    Reading(Inbound),
    /// No longer read.
    Dead,
}

/// One TCP connection.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) from: usize,
    pub(super) from_epoch: u32,
    pub(super) link: u64,
    pub(super) identity: PeerId,
    pub(super) source: SocketAddr,
    pub(super) to: usize,
    pub(super) to_epoch: u32,
    pub(super) wire: VecDeque<(Duration, Item)>,
    pub(super) last_at: Duration,
    /// Until when a retransmission timer holds everything back.
    pub(super) held_until: Duration,
    pub(super) rx: Rx,
    /// Since when the receiver does not read it.
    pub(super) stalled: Option<Duration>,
    /// One side is gone without a word; nothing passes.
    pub(super) half_open: bool,
    /// The receiving side has closed or seen the end.
    pub(super) closed: bool,
}

impl World {
    pub(super) fn open(&mut self, host: usize, link: u64, tx: Tx) {
        self.hosts[host].links.insert(link, tx);
        self.retry(host, link);
    }

    pub(super) fn retry(&mut self, host: usize, link: u64) {
        let (epoch, started) = (self.hosts[host].epoch, self.now);
        self.after_millis(1, 10, Happening::Connect { host, epoch, link, started });
    }

    pub(super) fn connect(&mut self, host: usize, epoch: u32, link: u64, started: Duration) {
        if self.hosts[host].epoch != epoch {
            return;
        }
        let Some(tx) = self.hosts[host].links.get(&link) else { return };
        if tx.conn.is_some() {
            return;
        }
        let address = tx.endpoint.address();
        let machine = self.hosts.iter().position(|other| {
            other.ip == address.ip() && !matches!(other.machine, Machine::Off { power: false })
        });
        let passes = machine.filter(|to| !self.are_cut_off(host, *to));
        let hangs = match passes {
            None => true,
            Some(to) => self.is_paused(to) || self.is_paused(host),
        };
        if hangs {
            if self.now >= started + Duration::from_secs(5) && !self.is_paused(host) {
                return self.link_failed(host, link, false);
            }
            return self.after_millis(50, 60, Happening::Connect { host, epoch, link, started });
        }
        let to = passes.expect("it does not hang");
        let refuses = self.hosts[to].port != address.port() || self.now < self.hosts[to].refuses_until;
        if refuses || !self.is_live(to) {
            return self.link_failed(host, link, true);
        }
        let source = SocketAddr::new(self.hosts[host].ip, 40_000 + (self.conns.len() % 20_000) as u16);
        let conn = self.conns.len();
        self.conns.push(Conn {
            from: host,
            from_epoch: epoch,
            link,
            identity: self.hosts[host].id,
            source,
            to,
            to_epoch: self.hosts[to].epoch,
            wire: VecDeque::new(),
            last_at: self.now,
            held_until: Duration::ZERO,
            rx: Rx::Fresh,
            stalled: None,
            half_open: false,
            closed: false,
        });
        let tx = self.hosts[host].links.get_mut(&link).expect("seen above");
        tx.conn = Some(conn);
        let waiting = std::mem::take(&mut tx.waiting);
        if waiting.iter().any(|item| matches!(item, Item::Hello { .. })) {
            self.greeted(host, address);
        }
        waiting.into_iter().for_each(|item| self.put(conn, item));
        self.feed(host, Input::LinkUp { link: LinkId(link) });
    }

    fn link_failed(&mut self, host: usize, link: u64, refused: bool) {
        if self.hosts[host].links.get(&link).is_some_and(|tx| tx.resumes) {
            let (epoch, started) = (self.hosts[host].epoch, self.now);
            return self.after_millis(100, 200, Happening::Connect { host, epoch, link, started });
        }
        self.feed(host, Input::LinkFailed { link: LinkId(link), refused });
    }

    fn greeted(&mut self, host: usize, to: SocketAddr) {
        if matches!(self.hosts[host].machine, Machine::Zyre(_)) {
            let epoch = self.hosts[host].epoch;
            self.check.greeted(self.now, host, epoch, to);
        }
    }

    /// A link says HELLO, first or in the middle of its stream, and counts anew.
    pub(super) fn say_hello(&mut self, host: usize, link: u64) {
        let start = if self.near_wrap && self.random.percent(50) {
            65_480 + self.random.below(50) as u16
        } else {
            FIRST
        };
        let text = format!("tcp://{}:{}", self.hosts[host].ip, self.hosts[host].port);
        let Some(tx) = self.hosts[host].links.get_mut(&link) else { return };
        let mut fields = tx.hello.clone();
        fields.endpoint = text.into_bytes();
        tx.outbound = Outbound::starting_after(start);
        let (address, up) = (tx.endpoint.address(), tx.conn.is_some());
        if up {
            self.greeted(host, address);
        }
        let hello = Hello::new(fields).expect("what a node says is within the limits");
        self.queue_item(host, link, Item::Hello { hello, then: start });
    }

    /// Numbers a message and queues it.
    pub(super) fn queue_message(&mut self, host: usize, link: u64, make: impl FnOnce(u16) -> Item) {
        loop {
            let Some(tx) = self.hosts[host].links.get_mut(&link) else { return };
            match tx.outbound.next(tx.flavour) {
                Next::Number(number) => return self.queue_item(host, link, make(number)),
                Next::Wrap => {
                    // A HELLO in the stream costs the peer of unknown flavour a session.
                    let to = tx.endpoint.ip();
                    if let Some(to) = self.hosts.iter().position(|host| host.ip == to) {
                        self.check.touch(host, to, self.now);
                        self.check.wrapped(host, to);
                    }
                    let epoch = self.hosts[host].epoch;
                    self.at(self.now, Happening::Wrapped { host, epoch, link });
                    self.say_hello(host, link);
                }
            }
        }
    }

    fn queue_item(&mut self, host: usize, link: u64, item: Item) {
        let Some(tx) = self.hosts[host].links.get_mut(&link) else { return };
        match tx.conn {
            Some(conn) => self.put(conn, item),
            None => tx.waiting.push(item),
        }
    }

    pub(super) fn put(&mut self, index: usize, item: Item) {
        let delay = self.random.millis(0, 3);
        let conn = &mut self.conns[index];
        if conn.half_open {
            // A host that has restarted answers with a reset.
            let (from, to) = (conn.from, conn.to);
            let on = !matches!(self.hosts[to].machine, Machine::Off { power: false });
            let there = self.hosts[to].epoch != conn.to_epoch;
            if on && there && !self.are_cut_off(from, to) {
                self.after_millis(1, 10, Happening::Lost { conn: index, full: false });
            }
            return;
        }
        if conn.closed {
            return;
        }
        conn.last_at = (self.now + delay).max(conn.last_at);
        let at = conn.last_at;
        conn.wire.push_back((at, item));
        self.at(at, Happening::Pump { conn: index });
    }

    /// Drops an arbitrary tail of what is in flight.
    pub(super) fn drop_tail(&mut self, index: usize) {
        let keep = self.random.index(self.conns[index].wire.len() + 1);
        self.conns[index].wire.truncate(keep);
    }

    /// The sending side ends a link.
    pub(super) fn close_link(&mut self, host: usize, link: u64, flushed: bool) {
        if let Some(Tx { conn: Some(conn), .. }) = self.hosts[host].links.remove(&link) {
            if !flushed {
                self.drop_tail(conn);
            }
            self.put(conn, Item::End);
        }
    }

    /// The receiving side closes a connection.
    pub(super) fn close_conn(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        if !conn.closed {
            conn.closed = true;
            conn.rx = Rx::Dead;
            conn.wire.clear();
            let (half_open, stalled) = (conn.half_open, conn.stalled);
            if stalled.is_some() {
                // Nobody waits any longer for the application to read it.
                self.at(self.now, Happening::Unstall { conn: index });
            }
            if !half_open {
                self.after_millis(0, 5, Happening::Lost { conn: index, full: false });
            }
        }
    }

    pub(super) fn on_lost(&mut self, index: usize, full: bool) {
        let conn = &self.conns[index];
        let (from, to, link) = (conn.from, conn.to, conn.link);
        let current = self.hosts[from].links.get(&link).is_some_and(|tx| tx.conn == Some(index));
        if conn.from_epoch != self.hosts[from].epoch || !current {
            return;
        }
        if self.is_paused(from) {
            return self.hosts[from].backlog.push(Happening::Lost { conn: index, full });
        }
        if !full && self.are_cut_off(from, to) {
            return self.after_millis(100, 110, Happening::Lost { conn: index, full });
        }
        let Some(tx) = self.hosts[from].links.get_mut(&link) else { return };
        if tx.resumes {
            tx.conn = None;
            let (epoch, started) = (self.hosts[from].epoch, self.now);
            return self.after_millis(100, 200, Happening::Connect { host: from, epoch, link, started });
        }
        self.hosts[from].links.remove(&link);
        let cause = if full { LinkLoss::Full } else { LinkLoss::Closed };
        let peer = match &mut self.hosts[from].machine {
            Machine::Zyre(node) if full => node.peer_of_link(LinkId(link)).map(|peer| peer.id),
            _ => None,
        };
        self.feed(from, Input::LinkLost { link: LinkId(link), cause });
        if let Some(peer) = peer {
            self.check.overflowed(self.now, from, peer);
        }
    }

    /// Hands the receiver what has arrived, as far as it reads.
    pub(super) fn pump(&mut self, index: usize) {
        loop {
            let conn = &self.conns[index];
            let (to, now) = (conn.to, self.now);
            if conn.closed
                || conn.half_open
                || conn.stalled.is_some()
                || self.hosts[to].epoch != conn.to_epoch
            {
                return;
            }
            if self.is_paused(to) || self.are_cut_off(conn.from, to) {
                return;
            }
            if matches!(conn.rx, Rx::Waiting(_)) {
                return;
            }
            let Some((at, _)) = conn.wire.front() else { return };
            let at = (*at).max(conn.held_until);
            if at > now {
                if conn.held_until > now {
                    self.at(at, Happening::Pump { conn: index });
                }
                return;
            }
            if let Some((_, item)) = self.conns[index].wire.pop_front() {
                self.arrive(index, item);
            }
        }
    }

    fn arrive(&mut self, index: usize, item: Item) {
        let to = self.conns[index].to;
        match self.hosts[to].machine {
            Machine::Zyre(_) => self.arrive_zyre(index, item),
            Machine::Foreign(_) => self.arrive_foreign(index, item),
            Machine::Hostile | Machine::Off { .. } => {}
        }
    }

    fn arrive_zyre(&mut self, index: usize, item: Item) {
        let conn = &mut self.conns[index];
        let (to, peer, source, id) = (conn.to, conn.identity, conn.source, ConnId(index as u64));
        let sequence = match item {
            Item::End => {
                let expected = match conn.rx {
                    Rx::Reading(inbound) => inbound.expected(),
                    _ => FIRST,
                };
                let known = conn.rx != Rx::Fresh;
                conn.closed = true;
                if known {
                    self.feed(to, Input::ConnClosed { conn: id, peer, expected });
                }
                return;
            }
            _ if conn.rx == Rx::Dead => return,
            Item::Hello { hello, then } => {
                conn.rx = Rx::Waiting(then.wrapping_add(1));
                self.claimed(index);
                return self.feed(to, Input::Hello { conn: id, peer, source, hello, key: None });
            }
            Item::Command(sequence, _) | Item::Content { sequence, .. } => sequence,
        };
        let Rx::Reading(inbound) = &mut conn.rx else {
            // A stream that goes on after a reset: the message waits for the answer.
            conn.rx = Rx::Waiting(sequence);
            conn.wire.push_front((self.now, item));
            return self.feed(to, Input::Resume { conn: id, peer, source, sequence, key: None });
        };
        if let Err(gap) = inbound.check(sequence) {
            conn.rx = Rx::Dead;
            let speaks = matches!(&self.hosts[to].machine, Machine::Zyre(node) if node.peers.get(&peer).is_some_and(|peer| peer.mailbox == Mailbox::Open(id)));
            self.feed(to, Input::Gap { conn: id, peer, missing: gap.missing });
            return if speaks {
                self.check.gap(self.now, to, peer);
            };
        }
        match item {
            Item::Command(_, Command::Unknown { .. }) => self.feed(to, Input::Heard { peer }),
            Item::Command(_, command) => self.feed(to, Input::Command { conn: id, peer, command }),
            Item::Content { receiver, group, number, .. } => {
                let hostile = matches!(self.hosts[self.conns[index].from].machine, Machine::Hostile);
                if hostile {
                    // No books are kept of what it says.
                } else if receiver == self.hosts[to].id {
                    self.delivered(to, peer, group, number);
                } else {
                    self.report.strayed += 1;
                }
                self.feed(to, Input::Heard { peer });
            }
            Item::Hello { .. } | Item::End => {}
        }
    }

    /// A HELLO that claims another node's UUID is a fault when it comes, which a partition may put off.
    fn claimed(&mut self, index: usize) {
        let Conn { from, to, identity, .. } = self.conns[index];
        let hostile = matches!(self.hosts[from].machine, Machine::Hostile);
        if let Some(owner) = self.host_of(identity).filter(|_| hostile && self.scenario == Scenario::Mixed) {
            self.check.touch(to, owner, self.now);
        }
    }

    /// The shell reads ahead of the machine: what it has read of a connection that is refused is told all the same.
    fn tell_late(&mut self, index: usize) {
        let Conn { to, to_epoch, identity, .. } = self.conns[index];
        if !matches!(self.conns[index].rx, Rx::Reading(_)) || !self.random.percent(30) {
            return;
        }
        let read = self.conns[index].wire.iter().map_while(|(_, item)| match item {
            Item::Command(_, command) => Some(command.clone()),
            _ => None,
        });
        for command in read.take(2).collect::<Vec<_>>() {
            let input = Box::new(Input::Command { conn: ConnId(index as u64), peer: identity, command });
            self.at(self.now, Happening::Stale { host: to, epoch: to_epoch, input });
        }
    }

    /// The machine says what becomes of a connection that waits.
    pub(super) fn answer_conn(&mut self, index: usize, accept: bool) {
        if !accept {
            self.tell_late(index);
            return self.close_conn(index);
        }
        if let Rx::Waiting(next) = self.conns[index].rx {
            self.conns[index].rx = Rx::Reading(Inbound::resuming(next));
            self.at(self.now, Happening::Pump { conn: index });
        }
    }
}
