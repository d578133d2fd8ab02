//! What goes wrong, and how it ends.

use super::random::Random;
use super::{Happening, Machine, Scenario, World};
use crate::proto::Input;
use crate::wire::Beacon;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

impl World {
    fn good_hosts(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| !matches!(self.hosts[*host].machine, Machine::Hostile)).collect()
    }

    /// A fault at one host explains what happens between it and all others.
    pub(super) fn touch_host(&mut self, host: usize, until: Duration) {
        for other in 0..self.hosts.len() {
            self.check.touch(host, other, until);
        }
    }

    /// What is wrong all the time.
    pub(super) fn ambient(&mut self, loss: u64, doubles: u64, delay: u64, near_wrap: bool) {
        self.numbered(|world| {
            world.loss = loss;
            world.say_fault(|| format!("{loss} % of beacons are lost"));
        });
        self.numbered(|world| {
            world.doubles = doubles;
            world.say_fault(|| format!("{doubles} % of beacons are doubled"));
        });
        self.numbered(|world| {
            world.delay = delay;
            world.say_fault(|| format!("beacons take up to {delay} ms and overtake each other"));
        });
        self.numbered(|world| {
            world.near_wrap = near_wrap;
            if near_wrap {
                world.say_fault(|| "sessions begin near the wrap".to_owned());
            }
        });
    }

    /// Lets a fault happen, if the plan allows it, with a number and random numbers of its own: what is left out
    /// changes nothing in the others.
    pub(super) fn numbered(&mut self, happen: impl FnOnce(&mut Self)) {
        self.fault_number += 1;
        let own = Random::new(self.plan.seed ^ self.fault_number.wrapping_mul(0xd134_2543_de82_ef95));
        let random = std::mem::replace(&mut self.random, own);
        if self.plan.allows(self.fault_number) {
            happen(self);
        }
        self.random = random;
    }

    pub(super) fn say_fault(&mut self, line: impl FnOnce() -> String) {
        self.report.faults += 1;
        self.check.fault(self.now, self.fault_number, line);
    }

    pub(super) fn fault(&mut self) {
        if self.check.settling() {
            return;
        }
        // One at a time: two short silences in a row are a long one.
        let short = self.scenario == Scenario::ShortSilence;
        let (soonest, latest) = if short { (20_000, 25_000) } else { (500, 12_000) };
        self.after_millis(soonest, latest, Happening::Fault);
        self.numbered(Self::one_fault);
    }

    fn one_fault(&mut self) {
        let Some(host) = self.random.pick(&self.good_hosts()) else { return };
        if self.random.percent(5) {
            return self.set_clock();
        }
        let dice = self.random.below(6);
        let harm = self.random.below(10);
        match self.scenario {
            Scenario::Lossy | Scenario::Hostile => {}
            Scenario::ShortSilence if dice < 3 => self.pause(host, 9_000),
            Scenario::ShortSilence => self.partition(host, false, 9_000),
            Scenario::Cuts => self.harm_connection(harm),
            Scenario::Partitions if dice == 5 => self.isolate(host, 60_000),
            Scenario::Partitions => self.partition(host, dice < 3, 60_000),
            Scenario::Crashes => self.crash(host),
            Scenario::Pauses => self.pause(host, 60_000),
            Scenario::Moves => self.move_host(host),
            Scenario::Foreign if dice < 4 => self.harm_connection(harm),
            Scenario::Foreign if self.random.percent(50) => self.crash(host),
            Scenario::Foreign => self.pause(host, 40_000),
            Scenario::Mixed => match self.random.below(6) {
                0 => self.harm_connection(harm),
                1 if dice == 5 => self.isolate(host, 60_000),
                1 => self.partition(host, dice < 3, 60_000),
                2 | 3 => self.crash(host),
                4 => self.pause(host, 60_000),
                _ => self.move_host(host),
            },
        }
    }

    fn set_clock(&mut self) {
        // Times before the start do not occur: forward by a day, or back again.
        self.wall = if self.wall.is_zero() { super::DAY } else { Duration::ZERO };
        let ahead = self.wall;
        self.say_fault(|| format!("the wall clock is set {ahead:?} ahead"));
    }

    fn harm_connection(&mut self, dice: u64) {
        let hostile = |host: usize| matches!(self.hosts[host].machine, Machine::Hostile);
        let live: Vec<_> = (0..self.conns.len())
            .filter(|conn| {
                let conn = &self.conns[*conn];
                let here = conn.from_epoch == self.hosts[conn.from].epoch;
                here && !conn.closed && !conn.half_open && !hostile(conn.from) && !hostile(conn.to)
            })
            .collect();
        let Some(index) = self.random.pick(&live) else { return };
        let (a, b) = (self.conns[index].from, self.conns[index].to);
        let zyre = |host: usize| matches!(self.hosts[host].machine, Machine::Zyre(_));
        let (from_zyre, to_zyre) = (zyre(a), zyre(b));
        match dice {
            0..=2 => {
                self.check.touch(a, b, self.now);
                self.say_fault(|| format!("cut {a} -> {b}"));
                self.cut(index, false);
            }
            3 if from_zyre => {
                self.check.touch(a, b, self.now);
                self.say_fault(|| format!("overflow {a} -> {b}"));
                self.cut(index, true);
            }
            4 if from_zyre && to_zyre => {
                self.check.touch(a, b, self.now);
                self.say_fault(|| format!("{a} -> {b} dies without a word"));
                self.conns[index].half_open = true;
            }
            5 => {
                let lasts = self.random.millis(500, 8_000);
                self.check.touch(a, b, self.now + lasts);
                self.say_fault(|| format!("{a} -> {b} hangs for {lasts:?}"));
                self.hold(index, self.now + lasts);
            }
            6 => {
                let lasts = self.random.millis(500, 10_000);
                self.touch_host(b, self.now + lasts);
                self.say_fault(|| format!("{b} refuses connections for {lasts:?}"));
                self.hosts[b].refuses_until = self.now + lasts;
                self.cut(index, false);
            }
            // libzmq drops what goes over its mark; our own links tell what they drop.
            7 if !from_zyre && to_zyre => {
                self.check.touch(a, b, self.now);
                self.say_fault(|| format!("{a} forgets to send {b} a message"));
                self.forget_message(a, b);
            }
            // Who stands still anyway does not read slowly, and learns nothing.
            _ if to_zyre && !self.is_paused(b) => {
                // Slow reading is nobody's fault: no Exit.
                self.say_fault(|| format!("{b} does not read {a}"));
                self.conns[index].stalled = Some(self.now);
                let peer = self.conns[index].identity;
                self.feed(b, Input::Stalled { peer, stalled: true });
                self.after_millis(1_000, 40_000, Happening::Unstall { conn: index });
            }
            _ => {}
        }
    }

    fn forget_message(&mut self, from: usize, to: usize) {
        let id = self.hosts[to].id;
        let host = &mut self.hosts[from];
        let Machine::Foreign(foreign) = &host.machine else { return };
        if let Some(tx) = foreign.link_to(id).and_then(|link| host.links.get_mut(&link)) {
            tx.outbound.next(tx.flavour);
            host.sent.entry(id).and_modify(|sent| *sent += 1);
        }
    }

    fn cut(&mut self, index: usize, full: bool) {
        self.drop_tail(index);
        self.put(index, super::tcp::Item::End);
        self.after_millis(0, 20, Happening::Lost { conn: index, full });
    }

    /// Nothing comes through a connection before that.
    fn hold(&mut self, index: usize, until: Duration) {
        self.conns[index].held_until = until;
        self.at(until, Happening::Pump { conn: index });
    }

    pub(super) fn unstall(&mut self, index: usize) {
        let (host, peer) = (self.conns[index].to, self.conns[index].identity);
        let Some(since) = self.conns[index].stalled else { return };
        if self.hosts[host].epoch != self.conns[index].to_epoch {
            return;
        }
        if self.is_paused(host) {
            return self.hosts[host].backlog.push(Happening::Unstall { conn: index });
        }
        self.conns[index].stalled = None;
        self.check.unstalled(host, self.conns[index].from, since, self.now);
        self.feed(host, Input::Stalled { peer, stalled: false });
        self.pump(index);
    }

    fn partition(&mut self, a: usize, one_way: bool, longest: u64) {
        let others: Vec<_> = (0..self.hosts.len()).filter(|other| *other != a).collect();
        let Some(b) = self.random.pick(&others) else { return };
        let lasts = self.random.millis(500, longest);
        let until = self.now + lasts;
        self.say_fault(|| format!("{a} | {b} for {lasts:?}, one way: {one_way}"));
        if self.scenario != Scenario::ShortSilence {
            // A retransmission timer may have doubled to as much again.
            self.check.touch(a, b, until + lasts);
        }
        self.blocked.insert((a, b));
        if !one_way {
            self.blocked.insert((b, a));
        }
        self.at(until, Happening::Heal { a, b, lasted: lasts });
    }

    /// Nobody reaches a host, and it reaches nobody.
    fn isolate(&mut self, a: usize, longest: u64) {
        let lasts = self.random.millis(500, longest);
        let until = self.now + lasts;
        self.say_fault(|| format!("{a} | all for {lasts:?}"));
        self.touch_host(a, until + lasts);
        for b in (0..self.hosts.len()).filter(|b| *b != a) {
            self.blocked.extend([(a, b), (b, a)]);
            self.at(until, Happening::Heal { a, b, lasted: lasts });
        }
    }

    pub(super) fn heal(&mut self, a: usize, b: usize, lasted: Duration) {
        // The retransmission timer has doubled to at most as long as the outage.
        let longest = (lasted.as_millis() as u64).clamp(200, 6_400);
        // Another partition between the two may have ended this one already; TCP does not hang a second time for it.
        if !(self.blocked.remove(&(a, b)) | self.blocked.remove(&(b, a))) {
            return;
        }
        for index in 0..self.conns.len() {
            let conn = &self.conns[index];
            if [(a, b), (b, a)].contains(&(conn.from, conn.to)) && !conn.closed {
                let held = self.now + self.random.millis(0, longest);
                self.hold(index, held);
            }
        }
    }

    fn pause(&mut self, host: usize, longest: u64) {
        if !self.is_live(host) || self.is_paused(host) {
            return;
        }
        let lasts = self.random.millis(500, longest);
        let until = self.now + lasts;
        self.say_fault(|| format!("{host} pauses for {lasts:?}"));
        if lasts > Duration::from_secs(9) {
            self.check.paused(host, until);
        }
        self.hosts[host].paused_until = Some(until);
        self.at(until, Happening::Resume { host });
    }

    fn crash(&mut self, host: usize) {
        if !self.is_live(host) || self.is_paused(host) {
            return;
        }
        let back = self.random.millis(10, 20_000);
        self.touch_host(host, self.now + back);
        match self.random.below(4) {
            0 | 1 => {
                self.say_fault(|| format!("{host} is killed"));
                self.kill(host, true);
            }
            2 => {
                self.say_fault(|| format!("{host} loses power"));
                self.kill(host, false);
            }
            _ => {
                self.say_fault(|| format!("{host} stops"));
                self.feed(host, Input::Stop);
                if self.hosts[host].kind.is_some() {
                    let beacon = Beacon { id: self.hosts[host].id, port: 0, key: None };
                    self.broadcast(host, beacon);
                }
                let epoch = self.hosts[host].epoch;
                self.after_millis(80, 120, Happening::End { host, epoch });
            }
        }
        let same_id = self.random.percent(50);
        if self.random.percent(50) {
            self.hosts[host].port = 50_000 + self.random.below(10_000) as u16;
        }
        if self.random.percent(85) {
            let time = self.now + back + Duration::from_millis(200);
            self.at(time, Happening::Start { host, same_id });
        }
    }

    fn move_host(&mut self, host: usize) {
        if !matches!(self.hosts[host].machine, Machine::Zyre(_)) || self.is_paused(host) {
            return;
        }
        self.touch_host(host, self.now);
        self.say_fault(|| format!("{host} moves"));
        let epoch = self.hosts[host].epoch;
        // What ran over the old address hangs.
        self.hosts[host].ip =
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + 20 * host as u8 + self.random.below(20) as u8));
        for conn in &mut self.conns {
            let ends = [(conn.from, conn.from_epoch), (conn.to, conn.to_epoch)];
            conn.half_open |= ends.contains(&(host, epoch)) && !conn.closed;
        }
        let subnets = vec![(self.hosts[host].ip, 24)];
        self.feed(host, Input::Subnets(subnets));
    }

    /// Everything that can be mended is mended; what is off stays off.
    pub(super) fn end_faults(&mut self) {
        if self.check.is_broken() {
            return;
        }
        self.check.settle();
        self.check.say(self.now, || "faults end".to_owned());
        self.loss = 0;
        self.hosts.iter_mut().for_each(|host| host.refuses_until = Duration::ZERO);
        for (a, b) in self.blocked.clone() {
            self.heal(a, b, Duration::from_secs(2));
        }
        for host in 0..self.hosts.len() {
            if self.is_paused(host) {
                self.check.paused(host, self.now);
                self.hosts[host].paused_until = Some(self.now);
                self.resume(host);
            }
        }
        for conn in 0..self.conns.len() {
            self.unstall(conn);
        }
        let starts = self.queue.iter().filter(|(_, next)| matches!(next, Happening::Start { .. }));
        let starts: Vec<_> = starts.map(|(key, _)| *key).collect();
        for key in starts {
            if let Some(start) = self.queue.remove(&key) {
                self.at(self.now, start);
            }
        }
    }
}
