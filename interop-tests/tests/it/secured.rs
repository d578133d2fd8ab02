//! A secured mesh of ours on the LAN of an open one: neither notices the other.

mod rotation;

use std::time::{Duration, Instant};

use serde_json::json;
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Peer, Spec};
use zyre_interop_tests::{Missing, or_return};

use crate::common::{figure, meet_all, sessions, talk};

/// Longer than a few beacon intervals of either side.
const TOGETHER: Duration = Duration::from_secs(5);
/// Where secured nodes beacon unless told otherwise.
const SECURED_PORT: u16 = 5669;

/// Two pyre, three secured.
struct Both {
    open: Vec<Peer>,
    secured: Vec<Peer>,
}

impl Both {
    /// Started in turn, so that either side finds the other one there.
    fn start<'a>(place: impl Fn(usize) -> &'a Host) -> Result<Self, Missing> {
        let secured = |name: &str| Spec::ours(name).group("G").option("keys", json!([7]));
        let open = |name: &str| Spec::pyre(name).group("G");
        let (first, second) = (secured("secured-1").spawn(place(0))?, open("pyre-1").spawn(place(1))?);
        let (third, fourth) = (secured("secured-2").spawn(place(2))?, open("pyre-2").spawn(place(3))?);
        let last = secured("secured-3").spawn(place(4))?;
        let both = Self { open: vec![second, fourth], secured: vec![first, third, last] };
        both.sides().into_iter().for_each(|side| meet_all(&side.iter().collect::<Vec<_>>()));
        Ok(both)
    }

    fn sides(&self) -> [&[Peer]; 2] {
        [&self.open, &self.secured]
    }

    /// Everybody talks among its own for a while.
    fn talk(&self) {
        let until = Instant::now() + TOGETHER;
        while Instant::now() < until {
            for side in self.sides() {
                for (index, one) in side.iter().enumerate() {
                    side.iter().skip(index + 1).for_each(|other| talk(one, other));
                }
            }
        }
    }

    /// Nobody has heard anything of the other side, or seen anyone of its own leave.
    fn is_untroubled(&self) {
        for side in self.sides() {
            for here in side {
                let mut own: Vec<_> =
                    side.iter().map(|peer| peer.id()).filter(|id| *id != here.id()).collect();
                for event in here.events() {
                    let known =
                        event.peer().is_empty() || event.peer() == here.id() || own.contains(&event.peer());
                    assert!(known, "{} sees {}", here.name(), event.json());
                    assert!(!event.is("DIED") && !event.is("STDERR"), "{}: {}", here.name(), event.json());
                }
                let mut peers = here.peers();
                peers.sort_unstable();
                own.sort_unstable();
                assert_eq!(peers, own, "at {}", here.name());
                for there in own {
                    assert_eq!(sessions(here, there), ["ENTER"], "{there} at {}", here.name());
                }
            }
        }
    }
}

/// What our node has refused, whoever it was; handshakes and HELLOs of its own kind may cross and are no refusals.
fn refusals(node: &Peer) -> Vec<(String, u64)> {
    let counters = node.counters();
    let counted = counters.as_object().into_iter().flatten();
    let counted = counted.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?)));
    let refused =
        ["beacon_", "greeting_", "handshake_", "curve_", "frame_", "link_", "hello_re", "newcomer_"];
    counted.filter(|(name, _)| refused.iter().any(|refused| name.starts_with(refused))).collect()
}

fn neither_notices_the_other<'a>(place: impl Fn(usize) -> &'a Host) {
    let both = or_return!(Both::start(place));
    both.talk();
    both.is_untroubled();
    for node in &both.secured {
        assert_eq!(refusals(node), [], "at {}", node.name());
    }
}

#[test]
fn open_pyre_nodes_and_a_secured_mesh_on_one_lan_do_not_notice_each_other() {
    let lan = or_return!(Lan::new(5));
    neither_notices_the_other(|index| lan.host(index));
}

#[test]
fn open_pyre_nodes_and_a_secured_mesh_on_one_host_do_not_notice_each_other() {
    let lan = or_return!(Lan::new(1));
    neither_notices_the_other(|_| lan.host(0));
}

/// Not pyre: a secured beacon on its port would end it.
#[test]
fn an_open_node_of_ours_on_the_port_of_a_secured_mesh_is_told_by_counters_alone() {
    let lan = or_return!(Lan::new(5));
    let both = or_return!(Both::start(|index| lan.host(index)));
    let lost = Spec::ours("lost").group("G").option("port", SECURED_PORT);
    let lost = or_return!(lost.spawn(lan.host(1)));
    both.talk();
    both.is_untroubled();
    for node in &both.secured {
        let [(name, n)] = &refusals(node)[..] else { panic!("{}: {:?}", node.name(), refusals(node)) };
        assert!(name == "beacon_unsecured" && *n > 2, "{name}: {n}");
        figure(&format!("{} counts {n} beacons of an open node", node.name()));
    }
    assert!(lost.peers().is_empty());
    let [(name, _)] = &refusals(&lost)[..] else { panic!("{:?}", refusals(&lost)) };
    assert_eq!(name, "beacon_secured");
}
