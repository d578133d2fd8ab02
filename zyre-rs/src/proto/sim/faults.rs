//! What goes wrong, and how it ends.

use super::{Happening, Machine, Scenario, World};
use crate::proto::Input;
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

    pub(super) fn fault(&mut self) {
        if self.check.settling() {
            return;
        }
        self.after_millis(500, 12_000, Happening::Fault);
        let Some(host) = self.random.pick(&self.good_hosts()) else { return };
        let dice = self.random.below(6);
        match self.scenario {
            Scenario::Lossy | Scenario::Hostile => {}
            Scenario::ShortSilence => {
                // One at a time: two short silences in a row are a long one.
                let next = self
                    .queue
                    .iter()
                    .rev()
                    .find(|(_, next)| matches!(next, Happening::Fault))
                    .map(|(key, _)| *key);
                if let Some(key) = next {
                    self.queue.remove(&key);
                }
                self.after_millis(20_000, 25_000, Happening::Fault);
                if dice < 3 { self.pause(host, 9_000) } else { self.partition(host, false, 9_000) }
            }
            Scenario::Cuts => self.harm_connection(dice),
            Scenario::Partitions => self.partition(host, dice < 3, 60_000),
            Scenario::Crashes => self.crash(host),
            Scenario::Pauses => self.pause(host, 60_000),
            Scenario::Moves => self.move_host(host),
            Scenario::Foreign if dice < 4 => self.harm_connection(dice),
            Scenario::Foreign => self.pause(host, 40_000),
            Scenario::Mixed => match self.random.below(6) {
                0 => self.harm_connection(dice),
                1 => self.partition(host, dice < 3, 60_000),
                2 | 3 => self.crash(host),
                4 => self.pause(host, 60_000),
                _ => self.move_host(host),
            },
        }
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
                self.check.say(self.now, || format!("fault: cut {a} -> {b}"));
                self.cut(index, false);
            }
            3 if from_zyre => {
                self.check.touch(a, b, self.now);
                self.check.say(self.now, || format!("fault: overflow {a} -> {b}"));
                self.cut(index, true);
            }
            // Who stands still anyway does not read slowly, and learns nothing.
            _ if to_zyre && !self.is_paused(b) => {
                // Slow reading is nobody's fault: no Exit.
                self.check.say(self.now, || format!("fault: {b} does not read {a}"));
                self.conns[index].stalled = Some(self.now);
                let peer = self.conns[index].identity;
                self.feed(b, Input::Stalled { peer, stalled: true });
                self.after_millis(1_000, 40_000, Happening::Unstall { conn: index });
            }
            _ => {}
        }
    }

    fn cut(&mut self, index: usize, full: bool) {
        self.drop_tail(index);
        self.put(index, super::tcp::Item::End);
        self.after_millis(0, 20, Happening::Lost { conn: index, full });
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
        self.check.say(self.now, || format!("fault: {a} | {b} for {lasts:?}, one way: {one_way}"));
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
                self.conns[index].held_until = held;
                self.at(held, Happening::Pump { conn: index });
            }
        }
    }

    fn pause(&mut self, host: usize, longest: u64) {
        if !self.is_live(host) || self.is_paused(host) {
            return;
        }
        let lasts = self.random.millis(500, longest);
        let until = self.now + lasts;
        self.check.say(self.now, || format!("fault: {host} pauses for {lasts:?}"));
        if lasts > Duration::from_secs(9) {
            self.touch_host(host, until);
        }
        self.hosts[host].paused_until = Some(until);
        self.at(until, Happening::Resume { host });
    }

    fn crash(&mut self, host: usize) {
        if !matches!(self.hosts[host].machine, Machine::Zyre(_)) || self.is_paused(host) {
            return;
        }
        let back = self.random.millis(10, 20_000);
        self.touch_host(host, self.now + back);
        match self.random.below(4) {
            0 | 1 => {
                self.check.say(self.now, || format!("fault: {host} is killed"));
                self.kill(host, true);
            }
            2 => {
                self.check.say(self.now, || format!("fault: {host} loses power"));
                self.kill(host, false);
            }
            _ => {
                self.check.say(self.now, || format!("fault: {host} stops"));
                self.feed(host, Input::Stop);
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
        self.check.say(self.now, || format!("fault: {host} moves"));
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
        if self.check.violation.is_some() {
            return;
        }
        self.check.settle();
        self.check.say(self.now, || "faults end".to_owned());
        self.loss = 0;
        for (a, b) in self.blocked.clone() {
            self.heal(a, b, Duration::from_secs(2));
        }
        for host in 0..self.hosts.len() {
            if self.is_paused(host) {
                self.touch_host(host, self.now);
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
