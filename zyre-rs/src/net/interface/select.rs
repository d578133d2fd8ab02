//! Which addresses a node works on: what the user may write, and what it means on a given host.
//!
//! Invariant: the result is never empty, holds at most one address per device and subnet (two would make
//! one node look like one that moves back and forth), and every entry can carry a beacon.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;

use super::InterfaceAddr;

/// The interfaces a user asks for.
///
/// Its text form, as in `ZSYS_INTERFACE`: empty for [`Auto`](Self::Auto), `*` for [`All`](Self::All), otherwise
/// names and addresses separated by commas (`eth0`, `10.0.0.5`, `eth0,wlan0`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum InterfaceChoice {
    /// Every running interface with a broadcast medium; 169.254/16 only when there is no other, and loopback
    /// only when there is not even that.
    #[default]
    Auto,
    /// As `Auto`, with 169.254/16 and point-to-point links too.
    All,
    /// These names or addresses, running or not: whoever names one means it.
    Listed(Vec<Pick>),
}

/// One item of [`InterfaceChoice::Listed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// All addresses of the interface called so.
    Name(String),
    /// This address, of whichever interface and family.
    Address(IpAddr),
}

/// The address families that beacon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 broadcast, which every implementation speaks.
    #[default]
    V4,
    /// IPv6 multicast from link-local addresses, as zyre C does under `ZSYS_IPV6=1`.
    V6,
    /// Both at once.
    Both,
    /// Any address will do, since no beacon is sent.
    Any,
}

/// No address fits what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SelectError {
    /// Nothing has this name or address. Name one of those listed.
    #[error("no interface \"{wanted}\"; there are: {existing}")]
    Unknown {
        /// The item as the user wrote it.
        wanted: String,
        /// What the host has, as `lo (127.0.0.1), eth0 (10.0.0.5)`.
        existing: String,
    },
    /// The interface exists, and none of its addresses can carry a beacon: a subnet of one or two hosts, or no address
    /// of the family in use. Name another, or do without beacons.
    #[error(
        "interface \"{wanted}\" has no address that can beacon; choose another (there are: {existing}), \
         or connect to static endpoints or gossip"
    )]
    CannotBeacon {
        /// The item as the user wrote it.
        wanted: String,
        /// What the host has.
        existing: String,
    },
    /// Not even loopback is usable. Bring an interface up.
    #[error("no interface is up that can beacon; bring one up, at least loopback (there are: {existing})")]
    NoneUsable {
        /// What the host has.
        existing: String,
    },
}

impl FromStr for InterfaceChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        Ok(if items.is_empty() {
            Self::Auto
        } else if items.contains(&"*") {
            Self::All
        } else {
            Self::Listed(items.into_iter().map(Pick::from).collect())
        })
    }
}

impl From<&str> for Pick {
    fn from(item: &str) -> Self {
        // A scope (`fe80::1%eth0`) adds nothing: the address is looked up among our own.
        let address = item.split_once('%').map_or(item, |(address, _)| address);
        address.parse().map_or_else(|_| Self::Name(item.to_owned()), Self::Address)
    }
}

impl Pick {
    fn names(&self, interface: &InterfaceAddr) -> bool {
        match self {
            Self::Address(ip) => interface.ip == *ip,
            Self::Name(name) => {
                // `eth0:1` is a labelled address of the device `eth0`.
                let device =
                    interface.name.split_once(':').map_or(interface.name.as_str(), |(device, _)| device);
                interface.name == *name || device == name
            }
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(ip) => ip.to_string(),
        }
    }
}

impl Family {
    /// What beacons use: IPv4, and IPv6 where asked for here or by `ZSYS_IPV6=1`.
    pub(crate) fn for_beacons(ipv6: bool) -> Self {
        let ipv6 = ipv6 || std::env::var("ZSYS_IPV6").is_ok_and(|value| value == "1");
        if ipv6 { Self::Both } else { Self::V4 }
    }

    fn can_beacon(self, interface: &InterfaceAddr) -> bool {
        match interface.ip {
            _ if self == Self::Any => true,
            IpAddr::V4(_) => self != Self::V6 && interface.broadcast().is_some(),
            // The group ff02::1 reaches the link, and only a link-local source is sure to be answerable there.
            IpAddr::V6(_) => self != Self::V4 && interface.is_link_local(),
        }
    }
}

impl InterfaceChoice {
    /// The user's setting, else the environment's (`ZSYS_INTERFACE`), else automatic; blank counts as not set.
    pub(crate) fn from_settings(explicit: Option<&str>, environment: Option<&str>) -> Self {
        [explicit, environment]
            .into_iter()
            .flatten()
            .filter_map(|text| text.parse().ok())
            .find(|choice| *choice != Self::Auto)
            .unwrap_or_default()
    }

    /// Picks the addresses to work on from those the host has.
    ///
    /// # Errors
    /// When a listed item does not exist or cannot beacon, or when nothing at all is usable.
    pub(crate) fn select(
        &self,
        family: Family,
        existing: &[InterfaceAddr],
    ) -> Result<Vec<InterfaceAddr>, SelectError> {
        let chosen = match self {
            Self::Listed(picks) => {
                let mut chosen = Vec::new();
                for pick in picks {
                    chosen.extend(pick_from(pick, family, existing)?);
                }
                chosen
            }
            Self::All => usable(family, existing, |interface| !interface.is_loopback()),
            Self::Auto => usable(family, existing, |interface| {
                let made_up = interface.ip.is_ipv4() && interface.is_link_local();
                !interface.is_loopback()
                    && (!interface.is_point_to_point || family == Family::Any)
                    && !made_up
            }),
        };
        // What `Auto` leaves for want of better: 169.254/16, then loopback.
        let wider: [fn(&InterfaceAddr) -> bool; 2] = [
            |interface| !interface.is_loopback() && !interface.is_point_to_point,
            InterfaceAddr::is_loopback,
        ];
        let chosen = wider.into_iter().fold(chosen, |chosen, wanted| {
            if chosen.is_empty() { usable(family, existing, wanted) } else { chosen }
        });
        if chosen.is_empty() {
            return Err(SelectError::NoneUsable { existing: list(existing) });
        }
        Ok(one_per_subnet(chosen))
    }
}

fn usable(
    family: Family,
    existing: &[InterfaceAddr],
    wanted: impl Fn(&InterfaceAddr) -> bool,
) -> Vec<InterfaceAddr> {
    let usable =
        |interface: &&InterfaceAddr| interface.is_up && family.can_beacon(interface) && wanted(interface);
    existing.iter().filter(usable).cloned().collect()
}

fn pick_from(
    pick: &Pick,
    family: Family,
    existing: &[InterfaceAddr],
) -> Result<Vec<InterfaceAddr>, SelectError> {
    let named: Vec<&InterfaceAddr> = existing.iter().filter(|interface| pick.names(interface)).collect();
    if named.is_empty() {
        return Err(SelectError::Unknown { wanted: pick.to_text(), existing: list(existing) });
    }
    // An address says its family itself.
    let family = match pick {
        Pick::Address(_) if family != Family::Any => Family::Both,
        _ => family,
    };
    let able: Vec<InterfaceAddr> =
        named.into_iter().filter(|interface| family.can_beacon(interface)).cloned().collect();
    if able.is_empty() {
        return Err(SelectError::CannotBeacon { wanted: pick.to_text(), existing: list(existing) });
    }
    Ok(able)
}

fn one_per_subnet(chosen: Vec<InterfaceAddr>) -> Vec<InterfaceAddr> {
    let mut kept: Vec<InterfaceAddr> = Vec::new();
    for interface in chosen {
        if !kept.iter().any(|first| first.index == interface.index && first.contains(interface.ip)) {
            kept.push(interface);
        }
    }
    kept
}

fn list(existing: &[InterfaceAddr]) -> String {
    if existing.is_empty() {
        return "none".to_owned();
    }
    existing.iter().map(InterfaceAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    fn host() -> Vec<InterfaceAddr> {
        let mut list = vec![
            example("lo", 1, "127.0.0.1/8"),
            example("lo", 1, "::1/128"),
            example("eth0", 2, "10.0.0.5/24"),
            example("eth0:1", 2, "10.0.0.6/24"),
            example("eth0", 2, "10.9.0.5/24"),
            example("eth0", 2, "fe80::5/64"),
            example("wlan0", 3, "169.254.7.7/16"),
            example("docker0", 4, "172.17.0.1/16"),
            example("tun0", 5, "10.8.0.2/24"),
            example("wg0", 6, "10.7.0.2/32"),
        ];
        list[7].is_up = false;
        list[8].is_point_to_point = true;
        list[9].is_point_to_point = true;
        list
    }

    /// The selected addresses, or the error, as text.
    fn outcome(choice: &str, family: Family, existing: &[InterfaceAddr]) -> String {
        let Ok(choice) = choice.parse::<InterfaceChoice>();
        match choice.select(family, existing) {
            Ok(chosen) => chosen.iter().map(|i| i.ip.to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_choice_selects_what_its_documentation_says() {
        for (choice, family, expected) in [
            ("", Family::V4, "10.0.0.5 10.9.0.5"),
            ("", Family::V6, "fe80::5"),
            ("", Family::Both, "10.0.0.5 10.9.0.5 fe80::5"),
            ("*", Family::V4, "10.0.0.5 10.9.0.5 169.254.7.7 10.8.0.2"),
            ("eth0", Family::V4, "10.0.0.5 10.9.0.5"),
            ("eth0:1", Family::V4, "10.0.0.6"),
            ("10.0.0.6", Family::V4, "10.0.0.6"),
            ("fe80::5%eth0", Family::V4, "fe80::5"),
            ("docker0", Family::V4, "172.17.0.1"),
            ("tun0", Family::V4, "10.8.0.2"),
            ("lo", Family::V4, "127.0.0.1"),
            (" eth0 , wlan0,", Family::V4, "10.0.0.5 10.9.0.5 169.254.7.7"),
            ("eth0,10.0.0.5", Family::V4, "10.0.0.5 10.9.0.5"),
        ] {
            assert_eq!(outcome(choice, family, &host()), expected, "{choice:?} {family:?}");
        }
    }

    #[test]
    fn auto_takes_made_up_addresses_and_then_loopback_only_for_want_of_better() {
        let host = host();
        let (lo, wlan, docker, tun) = (host[0].clone(), host[6].clone(), host[7].clone(), host[8].clone());
        for choice in ["", "*"] {
            assert_eq!(outcome(choice, Family::V4, &[lo.clone(), wlan.clone()]), "169.254.7.7");
            assert_eq!(outcome(choice, Family::V4, &[lo.clone(), docker.clone()]), "127.0.0.1");
        }
        assert_eq!(outcome("", Family::V4, &[lo, tun]), "127.0.0.1");
    }

    #[test]
    fn a_refusal_names_what_exists_and_what_to_do() {
        let two = [example("lo", 1, "127.0.0.1/8"), example("eth0", 2, "10.0.0.5/32")];
        for (choice, family, existing, expected) in [
            (
                "eth7",
                Family::V4,
                &two[..],
                "no interface \"eth7\"; there are: lo (127.0.0.1), eth0 (10.0.0.5)",
            ),
            (
                "lo,10.1.1.1",
                Family::V4,
                &two,
                "no interface \"10.1.1.1\"; there are: lo (127.0.0.1), eth0 (10.0.0.5)",
            ),
            (
                "eth0",
                Family::V4,
                &two,
                "interface \"eth0\" has no address that can beacon; choose another (there are: lo (127.0.0.1), \
                 eth0 (10.0.0.5)), or connect to static endpoints or gossip",
            ),
            (
                "",
                Family::V4,
                &[],
                "no interface is up that can beacon; bring one up, at least loopback (there are: none)",
            ),
        ] {
            assert_eq!(outcome(choice, family, existing), expected);
        }
    }

    #[test]
    fn the_setting_comes_before_the_environment_and_blank_is_not_set() {
        let named = |name: &str| InterfaceChoice::Listed(vec![Pick::Name(name.to_owned())]);
        for (explicit, environment, expected) in [
            (Some("eth0"), Some("wlan0"), named("eth0")),
            (None, Some("wlan0"), named("wlan0")),
            (Some(" "), Some("wlan0"), named("wlan0")),
            (Some("*"), Some("wlan0"), InterfaceChoice::All),
            (None, Some(""), InterfaceChoice::Auto),
            (None, None, InterfaceChoice::Auto),
        ] {
            assert_eq!(InterfaceChoice::from_settings(explicit, environment), expected);
        }
    }
}
