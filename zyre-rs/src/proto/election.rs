//! Leader election as zyre does it: echo waves with extinction, the lowest UUID wins.
//!
//! Only members that understand ELECT and LEADER take part, since others drop a peer that sends them. A deadline
//! ends an election that a lost message or a departed member would hang; zyre has none.

use super::bug::{Bug, bug};
use crate::PeerId;
use crate::wire::Command;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// After this an unfinished election is given up (and started anew by those who contest).
const ELECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// One running election in one group.
///
/// zyre counts one ELECT and one LEADER from every other member, so each member is sent exactly one of each, also one
/// that shows only by its ELECT that it understands elections. Who has sent what is kept by name, so that a member
/// that goes is no longer waited for.
#[derive(Clone, Debug)]
pub(super) struct Election {
    /// The lowest challenger seen: the wave this node is part of.
    challenger: PeerId,
    /// From whom that wave came, and who gets our ELECT last, as the echo; `None` if it is our own.
    father: Option<PeerId>,
    /// To whom ELECT went, and from whom it came.
    asked: BTreeSet<PeerId>,
    echoed: BTreeSet<PeerId>,
    /// Who has already echoed the next round of the same challenger.
    ahead: BTreeSet<PeerId>,
    /// To whom LEADER went, and from whom it came.
    told: BTreeSet<PeerId>,
    led: BTreeSet<PeerId>,
    /// Who has said itself that it leads, by the end of a wave that this one has overtaken.
    overtaken: Option<PeerId>,
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
    fn new(now: Instant, challenger: PeerId, father: Option<PeerId>) -> Self {
        Self {
            challenger,
            father,
            asked: BTreeSet::new(),
            echoed: father.into_iter().collect(),
            ahead: BTreeSet::new(),
            told: BTreeSet::new(),
            led: BTreeSet::new(),
            overtaken: None,
            deadline: now + if bug(Bug::ElectionsHang) { ELECTION_TIMEOUT * 1_000 } else { ELECTION_TIMEOUT },
        }
    }

    /// Starts our own wave.
    pub(super) fn start(now: Instant, me: PeerId, members: &BTreeSet<PeerId>) -> (Self, Vec<Step>) {
        let mut election = Self::new(now, me, None);
        let steps = election.advance(members);
        (election, steps)
    }

    /// Whether a candidate has to answer this challenger with a wave of its own.
    pub(super) fn calls_for_own(running: Option<&Self>, me: PeerId, challenger: PeerId) -> bool {
        !bug(Bug::NeverStands) && me < challenger && running.is_none_or(|election| me < election.challenger)
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
        let election = match running {
            // The echo of a wave of ours that is over: whoever took it for a new one would be answered for ever.
            _ if challenger == me && running.as_ref().is_none_or(|election| election.challenger != me) => {
                return Vec::new();
            }
            Some(election) if challenger > election.challenger => {
                // One that has echoed this wave and now runs a higher one has started over: it needs this one again.
                if election.echoed.contains(&from) {
                    election.forget(from);
                }
                election
            }
            Some(election) if challenger == election.challenger => {
                if election.echoed.insert(from) {
                    if from == challenger {
                        // It reached us by others first. Without this, our deadline might pass just after each start
                        // of the challenger's, which would undo every one of them.
                        election.deadline = now + ELECTION_TIMEOUT;
                    }
                    election
                } else if from == challenger {
                    // Only the challenger itself can start a wave over: nodes that took each other's ELECT for a new
                    // start would answer each other for ever.
                    let (ahead, overtaken) = (std::mem::take(&mut election.ahead), election.overtaken);
                    *election = Self { overtaken, ..Self::new(now, challenger, Some(from)) };
                    election.echoed.extend(ahead);
                    election
                } else {
                    election.ahead.insert(from);
                    return Vec::new();
                }
            }
            _ => {
                let overtaken = running.as_ref().and_then(Self::outcome);
                running.insert(Self { overtaken, ..Self::new(now, challenger, Some(from)) })
            }
        };
        election.advance(members)
    }

    /// Takes a LEADER; the election is over when the steps say so.
    pub(super) fn on_leader(
        &mut self,
        members: &BTreeSet<PeerId>,
        from: PeerId,
        leader: PeerId,
    ) -> Vec<Step> {
        if leader != self.challenger {
            // The end of a wave that this one has overtaken; it counts if this one comes to nothing.
            if from == leader && members.contains(&from) {
                self.overtaken = Some(leader);
            }
            return Vec::new();
        }
        self.led.insert(from);
        self.advance(members)
    }

    /// A member is gone. `None` if it was the challenger or the last one: this election cannot end.
    pub(super) fn on_gone(&mut self, members: &BTreeSet<PeerId>, gone: PeerId) -> Option<Vec<Step>> {
        self.forget(gone);
        let lost = self.challenger == gone || members.is_empty();
        (!lost).then(|| self.advance(members))
    }

    /// What was said to a member and by it is void. It echoes to nobody any more: the challenger has our ELECT.
    fn forget(&mut self, member: PeerId) {
        for said in [&mut self.asked, &mut self.echoed, &mut self.ahead, &mut self.told, &mut self.led] {
            said.remove(&member);
        }
        self.overtaken = self.overtaken.filter(|leader| *leader != member);
        if self.father == Some(member) {
            self.father = Some(self.challenger);
        }
    }

    /// What can be done with what has come so far.
    fn advance(&mut self, members: &BTreeSet<PeerId>) -> Vec<Step> {
        let challenger = self.challenger;
        let complete = members.is_subset(&self.echoed);
        let ends = !self.led.is_empty() || self.father.is_none() && complete;
        let mut steps = Vec::new();
        for &to in members {
            if (self.father != Some(to) || complete) && self.asked.insert(to) {
                steps.push(Step::Elect { to, challenger });
            }
        }
        for &to in members {
            if ends && self.told.insert(to) {
                steps.push(Step::Leader { to, leader: challenger });
            }
        }
        // Only the challenger ends a wave, so one that it no longer knows of cannot go round for ever.
        if (self.father.is_none() || self.led.contains(&challenger)) && members.is_subset(&self.led) {
            steps.push(Step::Elected(challenger));
        }
        steps
    }

    /// Who is leader although not everybody has said so in time: another challenger that has said so itself, be it in a
    /// wave that this one has overtaken without coming to an end.
    pub(super) fn outcome(&self) -> Option<PeerId> {
        let said = self.father.is_some() && self.led.contains(&self.challenger);
        if said { Some(self.challenger) } else { self.overtaken }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may begin at the present")]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, VecDeque};

    const ME: PeerId = PeerId::from_bytes([0; 16]);

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
                    slot.as_mut().map_or(Vec::new(), |e| e.on_leader(&members(to), from, leader))
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

    #[test]
    fn a_member_that_shows_late_that_it_elects_gets_one_elect_and_one_leader() {
        let now = Instant::now();
        let mut running = None;
        let (a, b) = (id(1), id(2));
        let known = BTreeSet::from([a]);
        let echo = Step::Elect { to: a, challenger: a };
        assert_eq!(Election::on_elect(&mut running, now, ME, &known, a, a), [echo]);
        let both = BTreeSet::from([a, b]);
        let late = Election::on_elect(&mut running, now, ME, &both, b, a);
        assert_eq!(late, [Step::Elect { to: b, challenger: a }]);
        let election = running.as_mut().unwrap();
        let told = [a, b].map(|to| Step::Leader { to, leader: a });
        assert_eq!(election.on_leader(&both, a, a), told);
        assert_eq!(election.on_leader(&both, b, a), [Step::Elected(a)]);
    }

    #[test]
    fn a_candidate_answers_a_higher_challenger_but_not_within_a_lower_wave() {
        let now = Instant::now();
        assert!(Election::calls_for_own(None, id(1), id(2)));
        assert!(!Election::calls_for_own(None, id(3), id(2)));
        let (own, _) = Election::start(now, id(1), &BTreeSet::from([id(2)]));
        assert!(!Election::calls_for_own(Some(&own), id(1), id(2)));
        assert!(!Election::calls_for_own(Some(&own), id(2), id(3)));
    }

    #[test]
    fn a_wave_survives_a_member_that_goes_and_ends_with_its_challenger() {
        let now = Instant::now();
        let mut running = None;
        let (old_leader, challenger) = (id(1), id(2));
        let members = BTreeSet::from([old_leader, challenger]);
        Election::on_elect(&mut running, now, ME, &members, challenger, challenger);
        let election = running.as_mut().unwrap();
        let rest = BTreeSet::from([challenger]);
        let echo = Step::Elect { to: challenger, challenger };
        assert_eq!(election.on_gone(&rest, old_leader), Some(vec![echo]));
        assert_eq!(election.on_gone(&BTreeSet::from([old_leader]), challenger), None);
    }

    #[test]
    fn a_leader_of_a_wave_that_was_overtaken_is_not_counted() {
        let (a, b, c) = (id(1), id(2), id(3));
        let members = BTreeSet::from([a, b]);
        let mut running = None;
        Election::on_elect(&mut running, Instant::now(), ME, &members, b, b);
        Election::on_elect(&mut running, Instant::now(), ME, &members, a, a);
        let election = running.as_mut().unwrap();
        assert_eq!(election.on_leader(&members, b, b), []);
        assert_eq!(election.on_leader(&members, b, c), []);
        assert!(election.led.is_empty() && election.told.is_empty());
    }

    #[test]
    fn only_the_challenger_starts_a_wave_over_and_nobody_answers_a_repeated_echo() {
        let now = Instant::now();
        let (a, b) = (id(1), id(2));
        let members = BTreeSet::from([a, b]);
        let mut running = None;
        let forward = Step::Elect { to: b, challenger: a };
        let echo = Step::Elect { to: a, challenger: a };
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, a, a), [forward]);
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, b, a), [echo]);
        // b has heard of the new round before we do; what it says is kept for that round.
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, b, a), []);
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, a, a), [echo, forward]);
    }

    #[test]
    fn a_member_that_has_echoed_and_starts_a_higher_wave_is_asked_again() {
        let now = Instant::now();
        let (me, b) = (ME, id(2));
        let members = BTreeSet::from([b, id(3)]);
        let (election, _) = Election::start(now, me, &members);
        let mut running = Some(election);
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, b, b), [], "it has not seen ours yet");
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, b, me), []);
        let again = Step::Elect { to: b, challenger: me };
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, b, b), [again]);
        assert_eq!(Election::on_elect(&mut running, now, ME, &members, b, b), [], "once");
    }

    #[test]
    fn an_echo_of_our_own_wave_that_is_over_starts_nothing() {
        let members = BTreeSet::from([id(1)]);
        let mut running = None;
        assert_eq!(Election::on_elect(&mut running, Instant::now(), ME, &members, id(1), ME), []);
        assert!(running.is_none());
    }

    #[test]
    fn a_hung_election_ends_with_the_challenger_if_that_has_said_so() {
        let (a, b, c) = (id(1), id(2), id(3));
        let members = BTreeSet::from([a, b, c]);
        let mut running = None;
        Election::on_elect(&mut running, Instant::now(), ME, &members, a, a);
        let election = running.as_mut().unwrap();
        election.on_leader(&members, b, a);
        election.on_leader(&members, c, a);
        assert_eq!(election.outcome(), None, "only others have");
        assert_eq!(election.on_leader(&members, a, a), [Step::Elected(a)]);
        assert_eq!(election.outcome(), Some(a));
    }

    #[test]
    fn a_wave_goes_on_without_the_member_that_brought_it() {
        let now = Instant::now();
        let (a, b, c) = (id(1), id(2), id(3));
        let mut running = None;
        let first = Election::on_elect(&mut running, now, ME, &BTreeSet::from([a, b, c]), b, a);
        assert_eq!(first, [a, c].map(|to| Step::Elect { to, challenger: a }));
        let rest = BTreeSet::from([a, c]);
        let election = running.as_mut().unwrap();
        assert_eq!(election.on_gone(&rest, b), Some(vec![]));
        assert_eq!(Election::on_elect(&mut running, now, ME, &rest, c, a), []);
        assert_eq!(Election::on_elect(&mut running, now, ME, &rest, a, a), []);
        let told = [a, c].map(|to| Step::Leader { to, leader: a });
        assert_eq!(running.as_mut().unwrap().on_leader(&rest, a, a), told);
    }
}
