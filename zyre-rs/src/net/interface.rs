//! The addresses of this host a node may work on: what they are, and which peers are near them.
//!
//! One entry is one address, not one device: a device with addresses in two subnets is two entries.
//! Which of them are used is decided in [`select`]; what changes while a node runs, in [`watch`].
//! Everything but [`enumerate`] is a pure function over the list.

mod select;
mod watch;

use crate::proto::same_prefix;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) use select::{Family, InterfaceChoice, SelectError};
pub(crate) use watch::Watcher;

/// One address of one network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceAddr {
    /// The name the system shows: `eth0`, or `eth0:1` for a labelled address.
    pub(crate) name: String,
    /// The system's number of the interface; 0 when it has none.
    pub(crate) index: u32,
    /// The address itself.
    pub(crate) ip: IpAddr,
    /// Leading bits of `ip` that name its subnet.
    pub(crate) prefix_len: u8,
    /// The link is running (cable in, radio associated).
    pub(crate) is_up: bool,
    /// A tunnel or dial-up link: one peer at the far end and no broadcast medium.
    pub(crate) is_point_to_point: bool,
}

impl InterfaceAddr {
    /// The directed broadcast address of its subnet; `None` for IPv6 and for subnets of one or two hosts.
    ///
    /// Computed rather than asked for: loopback is given none by the system yet takes 127.255.255.255,
    /// and pyre binds to the computed one and hears nothing else.
    pub(crate) fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.ip {
            IpAddr::V4(ip) if self.prefix_len <= 30 => {
                let host_bits = u32::MAX.checked_shr(self.prefix_len.into()).unwrap_or(0);
                Some(Ipv4Addr::from_bits(ip.to_bits() | host_bits))
            }
            _ => None,
        }
    }

    /// The address reaches this host only.
    pub(crate) fn is_loopback(&self) -> bool {
        self.ip.is_loopback()
    }

    /// The address was made up on the spot: 169.254/16 or fe80::/10.
    pub(crate) fn is_link_local(&self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }
    }

    /// Whether `ip` lies in the subnet of this address.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        same_prefix(self.ip, ip, self.prefix_len)
    }

    /// The same address at the same place, whatever the state of the link.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        (self.index, self.ip, self.prefix_len) == (other.index, other.ip, other.prefix_len)
    }
}

impl fmt::Display for InterfaceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.ip)
    }
}

/// The interface a datagram or connection from `source` came by: the narrowest subnet that holds it.
///
/// `None` means another subnet, from where no broadcast can have come.
/// IPv6 link-local subnets all look alike, so there the scope of the source decides.
pub(crate) fn interface_of<'a>(
    source: SocketAddr,
    interfaces: impl IntoIterator<Item = &'a InterfaceAddr>,
) -> Option<&'a InterfaceAddr> {
    let scope = match source {
        SocketAddr::V6(source) if source.ip().is_unicast_link_local() => source.scope_id(),
        _ => 0,
    };
    interfaces
        .into_iter()
        .filter(|interface| scope == 0 || scope == interface.index)
        .filter(|interface| interface.contains(source.ip()))
        .reduce(|best, other| if other.prefix_len > best.prefix_len { other } else { best })
}

/// Asks the system for all addresses of all interfaces.
pub(crate) fn enumerate() -> io::Result<Vec<InterfaceAddr>> {
    let listed = if_addrs::get_if_addrs()?;
    Ok(listed.into_iter().map(InterfaceAddr::from).collect())
}

impl From<if_addrs::Interface> for InterfaceAddr {
    fn from(listed: if_addrs::Interface) -> Self {
        Self {
            index: listed.index.unwrap_or(0),
            ip: listed.ip(),
            prefix_len: match &listed.addr {
                if_addrs::IfAddr::V4(addr) => addr.prefixlen,
                if_addrs::IfAddr::V6(addr) => addr.prefixlen,
            },
            is_up: listed.is_oper_up(),
            is_point_to_point: listed.is_p2p(),
            name: listed.name,
        }
    }
}

/// Builds `name index ip/prefix`, running and not point-to-point, for tables.
#[cfg(test)]
pub(crate) fn example(name: &str, index: u32, cidr: &str) -> InterfaceAddr {
    let (ip, prefix_len) = cidr.split_once('/').expect("address/prefix");
    InterfaceAddr {
        name: name.to_owned(),
        index,
        ip: ip.parse().expect("an address"),
        prefix_len: prefix_len.parse().expect("a prefix length"),
        is_up: true,
        is_point_to_point: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_has_all_host_bits_set() {
        for (cidr, broadcast) in [
            ("10.77.0.5/24", Some([10, 77, 0, 255])),
            ("10.77.3.5/22", Some([10, 77, 3, 255])),
            ("127.0.0.1/8", Some([127, 255, 255, 255])),
            ("10.0.0.1/30", Some([10, 0, 0, 3])),
            ("10.0.0.1/0", Some([255, 255, 255, 255])),
            ("10.0.0.1/31", None),
            ("10.0.0.1/32", None),
            ("fe80::1/64", None),
        ] {
            assert_eq!(example("x", 1, cidr).broadcast(), broadcast.map(Ipv4Addr::from), "{cidr}");
        }
    }

    #[test]
    fn a_subnet_holds_its_own_addresses_and_no_others() {
        for (cidr, ip, inside) in [
            ("10.77.0.5/24", "10.77.0.9", true),
            ("10.77.0.5/24", "::ffff:10.77.0.9", true),
            ("10.77.0.5/24", "10.77.1.9", false),
            ("10.77.0.5/32", "10.77.0.5", true),
            ("10.77.0.5/32", "10.77.0.4", false),
            ("10.77.0.5/0", "203.0.113.1", true),
            ("10.77.0.5/0", "fe80::1", false),
            ("fe80::1/64", "fe80::2", true),
            ("fe80::1/64", "fd00::2", false),
            ("::1/128", "::1", true),
            ("::1/128", "::2", false),
        ] {
            assert_eq!(example("x", 1, cidr).contains(ip.parse().unwrap()), inside, "{ip} in {cidr}");
        }
    }

    #[test]
    fn a_source_belongs_to_the_narrowest_subnet_and_link_local_to_its_scope() {
        let interfaces = [
            example("wide", 1, "10.0.0.1/8"),
            example("narrow", 2, "10.77.0.1/24"),
            example("a", 3, "fe80::1/64"),
            example("b", 4, "fe80::2/64"),
        ];
        for (source, name) in [
            ("10.77.0.9:5670", Some("narrow")),
            ("10.78.0.9:5670", Some("wide")),
            ("[fe80::9%4]:5670", Some("b")),
            ("[fe80::9%5]:5670", None),
            ("203.0.113.1:5670", None),
        ] {
            let found = interface_of(source.parse().unwrap(), &interfaces);
            assert_eq!(found.map(|interface| interface.name.as_str()), name, "{source}");
        }
    }

    #[test]
    fn the_system_lists_loopback_with_its_broadcast_address() {
        let listed = enumerate().unwrap();
        let lo = listed.iter().find(|interface| interface.ip == Ipv4Addr::LOCALHOST).expect("loopback is up");
        assert_eq!(lo.broadcast(), Some(Ipv4Addr::new(127, 255, 255, 255)));
        assert!(lo.is_up && lo.is_loopback() && lo.index != 0);
    }
}
