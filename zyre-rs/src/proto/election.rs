//! Leader election as zyre does it: echo waves with extinction, the lowest UUID wins.
//!
//! Only members that understand ELECT and LEADER take part, since others drop a peer that sends them. A deadline
//! ends an election that a lost message or a departed member would hang; zyre has none.

use crate::PeerId;
use crate::wire::Command;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// After this an unfinished election is given up (and started anew by those who contest).
const ELECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// One running election in one group.
#[derive(Clone, Debug)]
pub(super) struct Election {
    /// The lowest challenger seen: the wave this node is part of.
    challenger: PeerId,
    /// From whom that wave came; `None` if it is our own.
    father: Option<PeerId>,
    elects: usize,
    leaders: usize,
    pub(super) deadline: Instant,
}

/// What an election wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send ELECT for this challenger.
    Elect { to: PeerId, challenger: PeerId },
    /// Send LEADER.
    Leader { to: PeerId, leader: PeerId },
    /// The election is over.
    Elected(PeerId),
}

impl Step {
    /// The message to send and its receiver, for the steps that are messages.
    pub(super) fn message(self, group: &crate::GroupName) -> Option<(PeerId, Command)> {
        match self {
            Self::Elect { to, challenger } => Some((to, Command::Elect { group: group.clone(), challenger })),
            Self::Leader { to, leader } => Some((to, Command::Leader { group: group.clone(), leader })),
            Self::Elected(_) => None,
        }
    }
}

impl Election {
    /// Starts our own wave.
    pub(super) fn start(now: Instant, me: PeerId, members: &BTreeSet<PeerId>) -> (Self, Vec<Step>) {
        let election =
            Self { challenger: me, father: None, elects: 0, leaders: 0, deadline: now + ELECTION_TIMEOUT };
        (election, members.iter().map(|to| Step::Elect { to: *to, challenger: me }).collect())
    }

    /// Takes an ELECT; `running` is this group's election, if there is one.
    pub(super) fn on_elect(
        running: &mut Option<Self>,
        now: Instant,
        me: PeerId,
        members: &BTreeSet<PeerId>,
        from: PeerId,
        challenger: PeerId,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        if running.as_ref().is_none_or(|election| challenger < election.challenger) {
            *running = Some(Self {
                challenger,
                father: Some(from),
                elects: 0,
                leaders: 0,
                deadline: now + ELECTION_TIMEOUT,
            });
            let others = members.iter().filter(|member| **member != from);
            steps.extend(others.map(|to| Step::Elect { to: *to, challenger }));
        }
        let Some(election) = running.as_mut().filter(|election| election.challenger == challenger) else {
            return steps;
        };
        election.elects += 1;
        if election.elects == members.len() {
            match election.father {
                Some(father) => steps.push(Step::Elect { to: father, challenger }),
                None => steps.extend(members.iter().map(|to| Step::Leader { to: *to, leader: me })),
            }
        }
        steps
    }

    /// Takes a LEADER; the election is over when the steps say so.
    pub(super) fn on_leader(&mut self, me: PeerId, members: &BTreeSet<PeerId>, leader: PeerId) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.leaders == 0 && leader != me {
            steps.extend(members.iter().map(|to| Step::Leader { to: *to, leader: self.challenger }));
        }
        self.leaders += 1;
        if self.leaders >= members.len() {
            steps.push(Step::Elected(leader));
        }
        steps
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may begin at the present")]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, VecDeque};

    fn id(n: u8) -> PeerId {
        PeerId::from_bytes([n; 16])
    }

    /// Runs a full mesh in which `contesting` start, delivering in order per pair, and says whom each elected.
    fn elect(ids: &[u8], contesting: &[u8], rotate: usize) -> BTreeMap<PeerId, PeerId> {
        let now = Instant::now();
        let members =
            |me: PeerId| -> BTreeSet<PeerId> { ids.iter().map(|n| id(*n)).filter(|m| *m != me).collect() };
        let mut running: BTreeMap<PeerId, Option<Election>> = ids.iter().map(|n| (id(*n), None)).collect();
        let mut wires: BTreeMap<(PeerId, PeerId), VecDeque<Step>> = BTreeMap::new();
        let mut elected = BTreeMap::new();
        let mut send = |from: PeerId, steps: Vec<Step>, wires: &mut BTreeMap<_, VecDeque<Step>>| {
            for step in steps {
                match step {
                    Step::Elect { to, .. } | Step::Leader { to, .. } => {
                        wires.entry((from, to)).or_default().push_back(step);
                    }
                    Step::Elected(leader) => {
                        elected.insert(from, leader);
                    }
                }
            }
        };
        for n in contesting {
            let (election, steps) = Election::start(now, id(*n), &members(id(*n)));
            running.insert(id(*n), Some(election));
            send(id(*n), steps, &mut wires);
        }
        let mut turn = rotate;
        loop {
            let busy: Vec<_> =
                wires.iter().filter(|(_, wire)| !wire.is_empty()).map(|(key, _)| *key).collect();
            if busy.is_empty() {
                return elected;
            }
            let (from, to) = busy[turn % busy.len()];
            turn = turn.wrapping_mul(31).wrapping_add(7);
            let step = wires.get_mut(&(from, to)).and_then(VecDeque::pop_front);
            let slot = running.get_mut(&to).expect("every receiver is a member");
            let steps = match step {
                Some(Step::Elect { challenger, .. }) => {
                    Election::on_elect(slot, now, to, &members(to), from, challenger)
                }
                Some(Step::Leader { leader, .. }) => {
                    slot.as_mut().map_or(Vec::new(), |e| e.on_leader(to, &members(to), leader))
                }
                _ => Vec::new(),
            };
            send(to, steps, &mut wires);
        }
    }

    #[test]
    fn everybody_elects_the_lowest_contestant_whatever_the_order_of_arrival() {
        for rotate in 0..50 {
            let everyone = elect(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], rotate);
            assert_eq!(everyone.len(), 5);
            assert!(everyone.values().all(|leader| *leader == id(1)), "{everyone:?}");
            let some = elect(&[1, 2, 3, 4], &[3, 4], rotate);
            assert_eq!(some.len(), 4, "{some:?}");
            assert!(some.values().all(|leader| *leader == id(3)), "{some:?}");
        }
    }
}
