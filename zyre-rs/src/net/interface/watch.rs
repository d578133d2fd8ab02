//! What changes while a node runs: interfaces that appear, vanish or change their address.
//!
//! The caller lists the interfaces at its own pace (once a second is cheap) and is told the difference.
//! Invariant: replaying all changes onto an empty list gives [`Watcher::current`].

use super::{Family, InterfaceAddr, InterfaceChoice, SelectError};
use std::net::IpAddr;

/// One difference between two looks at the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceChange {
    /// Work on this address from now on.
    Added(InterfaceAddr),
    /// This address is gone, or a better one took its place.
    Removed(InterfaceAddr),
}

/// Keeps the selection of a node up to date.
#[derive(Debug)]
pub(crate) struct Watcher {
    choice: InterfaceChoice,
    family: Family,
    current: Vec<InterfaceAddr>,
    beside: Vec<InterfaceAddr>,
}

/// The further IPv6 addresses of interfaces used by their link-local one. This node beacons from that alone, but zyre
/// beacons from a wider one where it has it, and is as near.
fn beside(current: &[InterfaceAddr], existing: &[InterfaceAddr]) -> Vec<InterfaceAddr> {
    let used = |found: &&InterfaceAddr| {
        found.ip.is_ipv6()
            && current.iter().any(|known| {
                known.index == found.index
                    && known.ip.is_ipv6()
                    && known.is_link_local()
                    && known.ip != found.ip
            })
    };
    existing.iter().filter(used).cloned().collect()
}

impl Watcher {
    /// Makes the first selection from the addresses the host has now.
    ///
    /// # Errors
    /// As [`InterfaceChoice::select`]; later on the same state only means "nothing for now".
    pub(crate) fn new(
        choice: InterfaceChoice,
        family: Family,
        existing: &[InterfaceAddr],
    ) -> Result<Self, SelectError> {
        let current = choice.select(family, existing)?;
        let beside = beside(&current, existing);
        Ok(Self { choice, family, current, beside })
    }

    /// The addresses to work on now; empty while everything chosen is gone.
    pub(crate) fn current(&self) -> &[InterfaceAddr] {
        &self.current
    }

    /// The subnets in which peers are near, each with this host's address there; those to beacon in come first.
    pub(crate) fn subnets(&self) -> Vec<(IpAddr, u8)> {
        self.current.iter().chain(&self.beside).map(|near| (near.ip, near.prefix_len)).collect()
    }

    /// Compares with the addresses the host has now and says what changed, removals first.
    ///
    /// A link that goes down but keeps its address is no change: a pulled cable must not move a node to
    /// loopback and back, TCP outlives it, and failing beacons are retried anyway.
    pub(crate) fn refresh(&mut self, mut existing: Vec<InterfaceAddr>) -> Vec<InterfaceChange> {
        for interface in &mut existing {
            interface.is_up |= self.current.iter().any(|known| known.same_place(interface));
        }
        let next = self.select_each(&existing);
        let absent = |interface: &InterfaceAddr, list: &[InterfaceAddr]| {
            !list.iter().any(|other| other.same_place(interface))
        };
        let gone = self.current.iter().filter(|known| absent(known, &next)).cloned();
        let new = next.iter().filter(|found| absent(found, &self.current)).cloned();
        let changes =
            gone.map(InterfaceChange::Removed).chain(new.map(InterfaceChange::Added)).collect::<Vec<_>>();
        self.beside = beside(&next, &existing);
        self.current = next;
        changes
    }

    /// Selects item by item, so that one listed interface that is away does not take the others with it.
    fn select_each(&self, existing: &[InterfaceAddr]) -> Vec<InterfaceAddr> {
        let present = match &self.choice {
            InterfaceChoice::Listed(picks) => {
                let alone = |pick: &_| InterfaceChoice::Listed(vec![Clone::clone(pick)]);
                let present = |pick: &&_| alone(pick).select(self.family, existing).is_ok();
                let present: Vec<_> = picks.iter().filter(present).cloned().collect();
                if present.is_empty() {
                    // An empty list would fall back to loopback, which nobody asked for.
                    return Vec::new();
                }
                &InterfaceChoice::Listed(present)
            }
            choice => choice,
        };
        present.select(self.family, existing).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::InterfaceChange::{Added, Removed};
    use super::*;

    fn watch(choice: &str, existing: &[InterfaceAddr]) -> Watcher {
        let Ok(choice) = choice.parse();
        Watcher::new(choice, Family::V4, existing).unwrap()
    }

    #[test]
    fn a_link_that_flaps_is_no_change_and_one_that_loses_its_address_is() {
        let (lo, eth) = (example("lo", 1, "127.0.0.1/8"), example("eth0", 2, "10.0.0.5/24"));
        let down = InterfaceAddr { is_up: false, ..eth.clone() };
        let mut watcher = watch("", &[lo.clone(), eth.clone()]);
        assert_eq!(watcher.refresh(vec![lo.clone(), down.clone()]), []);
        assert_eq!(watcher.refresh(vec![lo.clone(), down]), []);
        assert_eq!(watcher.refresh(vec![lo.clone(), eth.clone()]), []);
        assert_eq!(watcher.refresh(vec![lo.clone()]), [Removed(eth.clone()), Added(lo.clone())]);
        assert_eq!(watcher.current(), std::slice::from_ref(&lo));
        assert_eq!(watcher.refresh(vec![lo.clone(), eth.clone()]), [Removed(lo), Added(eth)]);
    }

    #[test]
    fn a_new_address_on_the_same_interface_replaces_the_old_one() {
        let (old, new) = (example("eth0", 2, "10.0.0.5/24"), example("eth0", 2, "10.0.0.9/24"));
        let mut watcher = watch("eth0", std::slice::from_ref(&old));
        assert_eq!(watcher.refresh(vec![new.clone()]), [Removed(old), Added(new)]);
    }

    #[test]
    fn peers_are_near_at_every_ipv6_address_of_an_interface_that_beacons_by_ipv6() {
        let (v4, link) = (example("eth0", 2, "10.0.0.5/24"), example("eth0", 2, "fe80::5/64"));
        let (unique, elsewhere) = (example("eth0", 2, "fd77::5/64"), example("usb0", 3, "fd78::5/64"));
        let existing = vec![unique.clone(), v4.clone(), link.clone(), elsewhere];
        let subnet = |near: &InterfaceAddr| (near.ip, near.prefix_len);
        let mut watcher = Watcher::new(InterfaceChoice::Auto, Family::Both, &existing).unwrap();
        assert_eq!(watcher.subnets(), [&v4, &link, &unique].map(subnet));
        assert_eq!(watcher.refresh(vec![v4.clone(), link.clone()]), []);
        assert_eq!(watcher.subnets(), [&v4, &link].map(subnet));
        assert_eq!(watcher.refresh(existing.clone()), []);
        assert_eq!(watcher.subnets(), [&v4, &link, &unique].map(subnet));
        let watcher = Watcher::new(InterfaceChoice::Auto, Family::V4, &existing).unwrap();
        assert_eq!(watcher.subnets(), [subnet(&v4)]);
    }

    #[test]
    fn a_listed_interface_may_go_and_come_back_while_the_others_stay() {
        let (lo, eth) = (example("lo", 1, "127.0.0.1/8"), example("eth0", 2, "10.0.0.5/24"));
        let usb = example("usb0", 3, "10.1.0.5/24");
        let mut watcher = watch("eth0,usb0", &[lo.clone(), eth.clone(), usb.clone()]);
        assert_eq!(watcher.refresh(vec![lo.clone(), eth.clone()]), [Removed(usb.clone())]);
        assert_eq!(watcher.refresh(vec![lo.clone()]), [Removed(eth.clone())]);
        assert_eq!(watcher.current(), []);
        let back = InterfaceAddr { index: 7, ..usb };
        assert_eq!(watcher.refresh(vec![lo, eth.clone(), back.clone()]), [Added(eth), Added(back)]);
    }
}
