//! Own groups, the groups of peers, and who leads them.

use super::Output;
use super::bug::{Bug, bug};
use super::election::{Election, Step};
use super::node::Node;
use super::peer::Peer;
use crate::wire::{Command, HelloFields};
use crate::{Event, GroupName, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Elections that run, and their results.
#[derive(Debug)]
pub(super) struct Elections {
    pub(super) contested: BTreeSet<GroupName>,
    pub(super) running: BTreeMap<GroupName, Election>,
    pub(super) leaders: BTreeMap<GroupName, PeerId>,
}

impl Elections {
    pub(super) fn new(contested: BTreeSet<GroupName>) -> Self {
        Self { contested, running: BTreeMap::new(), leaders: BTreeMap::new() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.values().map(|election| election.deadline).min()
    }
}

impl Node {
    /// This node joins or leaves a group: counted, told to every peer, and said in every HELLO from now on.
    pub(super) fn change_group(&mut self, now: Instant, group: GroupName, joining: bool) {
        let known = self.greeting.groups.binary_search(&group);
        let mut hello: HelloFields = (*self.greeting).clone();
        match (known, joining) {
            (Err(place), true) => hello.groups.insert(place, group.clone()),
            (Ok(place), false) => drop(hello.groups.remove(place)),
            _ => return,
        }
        hello.status = hello.status.wrapping_add(u8::from(joining || !bug(Bug::LeavesUncounted)));
        let status = hello.status;
        self.greeting = Arc::new(hello);
        self.touch();
        let links = self.peers.values().filter_map(|peer| peer.link.as_ref());
        let links = links.chain(self.dials.iter().filter_map(|dial| dial.link.as_ref()));
        for link in links {
            let group = group.clone();
            let command =
                if joining { Command::Join { group, status } } else { Command::Leave { group, status } };
            let hello = (!bug(Bug::StaleHello)).then(|| self.greeting.clone());
            self.outputs.push_back(Output::Send { link: link.id, command, hello });
        }
        if joining {
            self.start_election(now, &group);
        } else {
            self.elections.running.remove(&group);
            self.elections.leaders.remove(&group);
        }
    }

    pub(super) fn is_member(&self, group: &GroupName) -> bool {
        self.greeting.groups.binary_search(group).is_ok()
    }

    /// A peer is in a group from now on. A repeated JOIN is told again, as zyre does.
    pub(super) fn on_peer_join(&mut self, now: Instant, id: PeerId, group: GroupName) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let name = peer.name();
        let Some(profile) = &mut peer.profile else { return };
        if profile.groups.len() >= crate::wire::MAX_GROUPS && !profile.groups.contains(&group) {
            return self.count("peer_groups_over_limit");
        }
        Arc::make_mut(&mut profile.groups).insert(group.clone());
        self.touch();
        self.emit(Event::Join { peer: id, name, group: group.clone() });
        if self.is_member(&group) {
            self.start_election(now, &group);
        }
    }

    pub(super) fn on_peer_leave(&mut self, now: Instant, id: PeerId, group: GroupName) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let name = peer.name();
        let Some(profile) = &mut peer.profile else { return };
        Arc::make_mut(&mut profile.groups).remove(&group);
        self.touch();
        self.emit(Event::Leave { peer: id, name, group: group.clone() });
        self.on_member_gone(now, id, &group);
    }

    /// A leader that goes, or a challenger that goes in the middle of its election, means electing anew. Any other
    /// member that goes is not waited for.
    pub(super) fn on_member_gone(&mut self, now: Instant, id: PeerId, group: &GroupName) {
        let voters = self.voters(group);
        let led = self.elections.leaders.get(group) == Some(&id) && !bug(Bug::LeaderKept);
        if led {
            self.elections.leaders.remove(group);
        }
        if let Some(election) = self.elections.running.get_mut(group) {
            if let Some(steps) = election.on_gone(&voters, id) {
                return self.perform(group, steps);
            }
            let outcome = election.outcome();
            self.elections.running.remove(group);
            if let Some(leader) = outcome.filter(|_| !self.elections.contested.contains(group)) {
                return self.elected(group.clone(), leader);
            }
        } else if !led {
            return;
        }
        if voters.is_empty() && self.elections.contested.contains(group) && self.is_member(group) {
            self.elected(group.clone(), self.me);
        } else {
            self.start_election(now, group);
        }
    }

    pub(super) fn contest(&mut self, now: Instant, group: GroupName) {
        self.elections.contested.insert(group.clone());
        self.start_election(now, &group);
    }

    /// A peer that is told HELLO again may take it for a new session, which ends its part in elections, and only those
    /// who contest start one.
    pub(super) fn elect_with(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.elects) else { return };
        let shared: Vec<_> =
            self.elections.contested.iter().filter(|group| peer.is_in(group)).cloned().collect();
        shared.iter().for_each(|group| self.start_election(now, group));
    }

    /// Members that understand elections; others would drop us for an ELECT.
    fn voters(&self, group: &GroupName) -> BTreeSet<PeerId> {
        let elects = |peer: &Peer| peer.elects || bug(Bug::ElectsWithAll);
        self.peers.values().filter(|peer| elects(peer) && peer.is_in(group)).map(|peer| peer.id).collect()
    }

    fn start_election(&mut self, now: Instant, group: &GroupName) {
        if !self.elections.contested.contains(group) || !self.is_member(group) {
            return;
        }
        let voters = self.voters(group);
        if voters.is_empty() {
            return;
        }
        let (election, steps) = Election::start(now, self.me, &voters);
        self.elections.leaders.remove(group);
        self.elections.running.insert(group.clone(), election);
        self.perform(group, steps);
    }

    pub(super) fn on_elect(&mut self, now: Instant, from: PeerId, group: &GroupName, challenger: PeerId) {
        if !self.is_member(group) {
            return;
        }
        // The wave of one that is not here (any more) has nobody to end it.
        if challenger != self.me && !self.peers.get(&challenger).is_some_and(|peer| peer.is_in(group)) {
            return self.count("elect_for_a_stranger");
        }
        // zyre starts when a candidate comes; that this peer knows elections may have shown only by this ELECT.
        let contested = self.elections.contested.contains(group);
        if contested && Election::calls_for_own(self.elections.running.get(group), self.me, challenger) {
            self.start_election(now, group);
        }
        let voters = self.voters(group);
        let mut running = self.elections.running.remove(group);
        let steps = Election::on_elect(&mut running, now, self.me, &voters, from, challenger);
        if let Some(election) = running {
            self.elections.running.insert(group.clone(), election);
        }
        self.perform(group, steps);
    }

    pub(super) fn on_leader(&mut self, from: PeerId, group: &GroupName, leader: PeerId) {
        let voters = self.voters(group);
        let Some(election) = self.elections.running.get_mut(group) else {
            self.count("leader_without_election");
            // It comes late to an election that we gave up, but it comes from the leader itself.
            let late = from == leader && voters.contains(&from) && self.is_member(group);
            if late
                && !self.elections.contested.contains(group)
                && !self.elections.leaders.contains_key(group)
            {
                self.elected(group.clone(), leader);
            }
            return;
        };
        let steps = election.on_leader(&voters, from, leader);
        self.perform(group, steps);
    }

    fn perform(&mut self, group: &GroupName, steps: Vec<Step>) {
        for step in steps {
            match (step.message(group), step) {
                (Some((to, command)), _) => self.send(to, command),
                (None, Step::Elected(leader)) => self.elected(group.clone(), leader),
                (None, _) => {}
            }
        }
    }

    fn elected(&mut self, group: GroupName, leader: PeerId) {
        self.elections.running.remove(&group);
        self.elections.leaders.insert(group.clone(), leader);
        let name = if leader == self.me {
            String::from_utf8_lossy(&self.greeting.name).into()
        } else {
            self.peers.get(&leader).map_or_else(|| Arc::from(""), |peer| peer.name())
        };
        self.emit(Event::Leader { peer: leader, name, group });
    }

    /// Elections that a lost message hangs end with what is known, or are given up and started anew where we contest.
    pub(super) fn run_elections(&mut self, now: Instant) {
        let late = self.elections.running.iter().filter(|(_, election)| now >= election.deadline);
        let late: Vec<_> = late.map(|(group, election)| (group.clone(), election.outcome())).collect();
        for (group, outcome) in late {
            self.count("elections_timed_out");
            self.elections.running.remove(&group);
            match outcome {
                Some(leader) => self.elected(group, leader),
                None => self.start_election(now, &group),
            }
        }
    }
}
