//! Which of the host's addresses this node uses: those of its interfaces, and those from which it has dialled out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

/// Addresses with their prefix lengths, as the protocol machine wants them.
pub(crate) type Subnets = Vec<(IpAddr, u8)>;

/// Written by the driver and the links, read by the listener for each connection.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    subnets: RwLock<Subnets>,
    told: RwLock<BTreeSet<IpAddr>>,
}

impl Addresses {
    pub(crate) fn use_subnets(&self, subnets: Subnets) -> Subnets {
        self.subnets.write().unwrap_or_else(PoisonError::into_inner).clone_from(&subnets);
        subnets
    }

    pub(crate) fn subnets(&self) -> Subnets {
        self.subnets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A peer is told that this node is here, so it may come here.
    pub(crate) fn tell(&self, ip: IpAddr) {
        let known = self.told.read().unwrap_or_else(PoisonError::into_inner).contains(&ip);
        if !known {
            self.told.write().unwrap_or_else(PoisonError::into_inner).insert(ip);
        }
    }

    /// Whether a connection may come to this address; loopback is open to everyone on the host.
    pub(crate) fn is_welcome(&self, local: IpAddr) -> bool {
        let local = local.to_canonical();
        let own = |(ip, _): &(IpAddr, u8)| *ip == local;
        local.is_loopback()
            || self.subnets.read().unwrap_or_else(PoisonError::into_inner).iter().any(own)
            || self.told.read().unwrap_or_else(PoisonError::into_inner).contains(&local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_welcome_at_addresses_in_use_told_or_local_and_nowhere_else() {
        let addresses = Addresses::default();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        addresses.use_subnets(vec![(ip("10.0.0.5"), 24)]);
        addresses.tell(ip("10.9.0.1"));
        for (local, welcome) in [
            ("10.0.0.5", true),
            ("::ffff:10.0.0.5", true),
            ("10.9.0.1", true),
            ("127.0.0.1", true),
            ("10.0.0.6", false),
            ("192.168.1.1", false),
        ] {
            assert_eq!(addresses.is_welcome(ip(local)), welcome, "{local}");
        }
    }
}
