//! Which names are offered to a shell. They come from peers and go into a command line that somebody is about to run:
//! only those that no shell reads as anything but one word are.

use crate::hidden::is_listed;
use std::collections::{BTreeMap, BTreeSet};
use zyre_rs::{Membership, Peer, PeerId};

const SERVICE: &str = "svc/";
const POOL: &str = "pool/";

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Peers,
    Groups,
    Methods,
    Pools,
}

/// What of these is there. Methods are known to their providers only; see [`methods`].
pub(super) fn of(wanted: Wanted, membership: &Membership) -> BTreeSet<String> {
    match wanted {
        Wanted::Peers => {
            let listed = membership.peers().filter(|peer| is_listed(peer, false));
            peers(listed.map(|peer| (peer.id, &*peer.name)))
        }
        Wanted::Groups => groups(membership).filter(|group| stripped(group).is_none()).collect(),
        Wanted::Pools => {
            groups(membership).filter_map(|group| Some(group.strip_prefix(POOL)?.to_owned())).collect()
        }
        Wanted::Methods => methods(membership, &[]),
    }
}

/// The peers in the groups of services and pools.
pub(super) fn providers(membership: &Membership) -> impl Iterator<Item = PeerId> {
    membership.peers().filter(|peer| services(peer).next().is_some()).map(|peer| peer.id)
}

/// The methods that were told and, of providers that have told none, their services with a dot behind.
pub(super) fn methods(membership: &Membership, told: &[(PeerId, Vec<String>)]) -> BTreeSet<String> {
    let silent = membership.peers().filter(|peer| told.iter().all(|(teller, _)| *teller != peer.id));
    let services = silent.flat_map(services).map(|service| service + ".");
    // What every node answers needs --peer, and stands in no list.
    let told = told.iter().flat_map(|(_, methods)| methods).filter(|name| !name.starts_with("rpc."));
    services.chain(told.cloned()).filter(|name| is_plain(name)).collect()
}

fn services(peer: &Peer) -> impl Iterator<Item = String> {
    peer.groups.iter().filter_map(|group| stripped(&group.to_str_lossy()).map(str::to_owned))
}

fn stripped(group: &str) -> Option<&str> {
    group.strip_prefix(SERVICE).or_else(|| group.strip_prefix(POOL))
}

fn groups(membership: &Membership) -> impl Iterator<Item = String> {
    membership.peer_groups().map(|group| group.to_str_lossy().into_owned()).filter(|group| is_plain(group))
}

/// A name that stands for one peer is that peer; the others are called by the digits that lists show.
fn peers<'a>(peers: impl Iterator<Item = (PeerId, &'a str)>) -> BTreeSet<String> {
    let mut called: BTreeMap<&str, Vec<PeerId>> = BTreeMap::new();
    peers.for_each(|(id, name)| called.entry(name).or_default().push(id));
    let offered = called.into_iter().flat_map(|(name, ids)| match ids.as_slice() {
        [_] if is_plain(name) => vec![name.to_owned()],
        ids => ids.iter().map(PeerId::to_string).collect(),
    });
    offered.collect()
}

/// Whether every shell takes it for one word as it stands. A colon parts words where bash completes.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | '+' | ',');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId::from_bytes([0xAA; 16]);
    const B: PeerId = PeerId::from_bytes([0xBB; 16]);

    #[test]
    fn names_that_a_shell_could_run_are_not_offered() {
        for name in ["cam-1", "svc/calc", "tür_2", "a.b@c+d,e"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            "-rf",
            "a b",
            "$(reboot)",
            "a;b",
            "a`b`",
            "a\nb",
            "a\u{1b}[2J",
            "a:b",
            "~",
            "*",
            "a'b",
            "a\\",
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }

    #[test]
    fn a_peer_whose_name_will_not_do_is_offered_by_its_uuid() {
        let offered = |names: [&'static str; 2]| peers([A, B].into_iter().zip(names));
        assert_eq!(offered(["cam-1", "cam-2"]), ["cam-1", "cam-2"].map(str::to_owned).into());
        assert_eq!(offered(["cam-1", "$(x)"]), [B.to_string(), "cam-1".to_owned()].into());
        assert_eq!(offered(["twin", "twin"]), [A.to_string(), B.to_string()].into());
    }

    #[test]
    fn a_service_is_what_stands_behind_its_groups_prefix() {
        assert_eq!(stripped("svc/calc"), Some("calc"));
        assert_eq!(stripped("pool/calc"), Some("calc"));
        assert_eq!(stripped("CHAT"), None);
    }
}
