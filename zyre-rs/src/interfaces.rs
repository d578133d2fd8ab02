//! What this host has to talk on, and what of it a node would take: for those who look for a fault.

use crate::StartError;
use crate::net::interface::{Family, InterfaceAddr, InterfaceChoice};
use crate::net::setup::open::list_interfaces;
use std::net::{IpAddr, Ipv4Addr};

/// One address of one of this host's interfaces, as [`interfaces`] lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// The name the system shows, such as `eth0`.
    pub name: String,
    /// The address.
    pub ip: IpAddr,
    /// Leading bits of the address that name its subnet.
    pub prefix_len: u8,
    /// Where beacons for its subnet go; `None` for IPv6 and for subnets of one or two hosts.
    pub broadcast: Option<Ipv4Addr>,
    /// Whether the link is running.
    pub is_up: bool,
    /// Whether a node would work here.
    pub is_used: bool,
}

/// Lists the addresses of this host, and which of them a node would use whose [`NodeBuilder::interface`] is `choice`.
///
/// Without a choice `ZSYS_INTERFACE` counts, and `ZSYS_IPV6`, as for a node.
///
/// [`NodeBuilder::interface`]: crate::NodeBuilder::interface
///
/// # Errors
/// When the choice names no interface there is, or none is usable; the text lists what there is.
///
/// # Example
/// ```
/// let loopback = zyre_rs::interfaces(Some("127.0.0.1"))?.into_iter().find(|interface| interface.is_used);
/// assert!(loopback.is_some_and(|interface| interface.ip.is_loopback()));
/// # Ok::<(), zyre_rs::StartError>(())
/// ```
pub fn interfaces(choice: Option<&str>) -> Result<Vec<Interface>, StartError> {
    let existing = list_interfaces()?;
    let used = select(choice, &existing)?;
    let describe = |address: InterfaceAddr| Interface {
        ip: address.ip,
        prefix_len: address.prefix_len,
        broadcast: address.broadcast(),
        is_up: address.is_up,
        is_used: used.contains(&address),
        name: address.name,
    };
    Ok(existing.into_iter().map(describe).collect())
}

/// Those of the addresses on which beacons are heard.
pub(crate) fn select(
    choice: Option<&str>,
    existing: &[InterfaceAddr],
) -> Result<Vec<InterfaceAddr>, StartError> {
    let environment = std::env::var("ZSYS_INTERFACE").ok();
    InterfaceChoice::from_settings(choice, environment.as_deref())
        .select(Family::for_beacons(false), existing)
        .map_err(|error| StartError::UnknownInterface(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_marked_and_the_rest_is_listed_too() {
        let listed = interfaces(Some("127.0.0.1")).unwrap();
        let used: Vec<_> = listed.iter().filter(|interface| interface.is_used).collect();
        assert_eq!(used.len(), 1, "{listed:?}");
        assert_eq!((used[0].ip, used[0].prefix_len), (Ipv4Addr::LOCALHOST.into(), 8));
        assert_eq!(used[0].broadcast, Some(Ipv4Addr::new(127, 255, 255, 255)));
        assert_eq!(listed.len(), list_interfaces().unwrap().len());
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error_that_lists_those_that_are() {
        let error = interfaces(Some("nosuch0")).unwrap_err().to_string();
        assert!(error.contains("nosuch0") && error.contains("127.0.0.1"), "{error}");
    }
}
