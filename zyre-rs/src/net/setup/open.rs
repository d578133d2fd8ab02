//! Opens what a node listens on: beacon sockets on the chosen interfaces, and the mailbox.

use super::invalid;
use crate::StartError;
use crate::config::Config;
use crate::net::addresses::{Addresses, Subnets};
use crate::net::beacon::{BeaconChannel, BeaconSockets};
use crate::net::beaconing::{Beaconing, Udp};
use crate::net::interface::{Family, InterfaceAddr, InterfaceChoice, SelectError, Watcher, enumerate};
use crate::net::transport::{Listener, Transport};
use crate::wire::Endpoint;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Chooses interfaces and opens the beacon sockets on them.
pub(super) fn discovery(
    config: &Config,
    bind: Option<Endpoint>,
    addresses: &Arc<Addresses>,
) -> Result<(Transport, Beaconing), StartError> {
    #[cfg(feature = "test-util")]
    if let Some(network) = &config.network {
        let host = network.attach();
        addresses.use_subnets(vec![(host.ip(), 24)]);
        let bus = host.beacons(config.beacon_port());
        return Ok((Transport::Memory(host), Beaconing::Memory(bus)));
    }
    let environment = std::env::var("ZSYS_INTERFACE").ok();
    // A mailbox at one address can only be reached there, so beacons from elsewhere would mislead.
    let bound = bind.map(|endpoint| endpoint.ip().to_string()).filter(|_| config.interface.is_none());
    let explicit = config.interface.as_deref().or(bound.as_deref());
    let choice = InterfaceChoice::from_settings(explicit, environment.as_deref());
    let unusable = |error: SelectError| StartError::UnknownInterface(error.to_string());
    let existing = list_interfaces()?;
    let family = if config.beacon { Family::for_beacons(config.ipv6) } else { Family::Any };
    let (watcher, beacon) = match Watcher::new(choice.clone(), family, &existing) {
        // The address of a tunnel, say: it was named for the mailbox, not for beacons.
        Err(SelectError::CannotBeacon { .. }) if bound.is_some() => {
            (Watcher::new(choice, Family::Any, &existing).map_err(unusable)?, false)
        }
        selected => (selected.map_err(unusable)?, config.beacon),
    };
    addresses.use_subnets(watcher.subnets());
    let channel = BeaconChannel::from_environment(config.beacon_port());
    let sockets = beacon.then(|| BeaconSockets::open(channel, watcher.current())).transpose()?;
    Ok((Transport::System, Beaconing::Udp(Box::new(Udp::new(sockets, watcher, addresses.clone())))))
}

/// What the host has.
pub(crate) fn list_interfaces() -> Result<Vec<InterfaceAddr>, StartError> {
    enumerate().map_err(|error| StartError::UnknownInterface(format!("cannot list the interfaces: {error}")))
}

/// Opens the mailbox: at the endpoint asked for, else on all addresses (the listener refuses those not in use).
pub(super) async fn mailboxes(
    config: &Config,
    transport: &Transport,
    bind: Option<Endpoint>,
    subnets: &Subnets,
) -> Result<Vec<(Listener, SocketAddr)>, StartError> {
    if let Some(endpoint) = bind {
        return Ok(vec![mailbox(transport, endpoint.address()).await?]);
    }
    let any_v4 = if transport.is_memory() { first_ip(subnets) } else { Ipv4Addr::UNSPECIFIED.into() };
    let v4 = mailbox(transport, SocketAddr::new(any_v4, config.tcp_port)).await?;
    let port = v4.1.port();
    let mut mailboxes = vec![v4];
    if subnets.iter().any(|(ip, _)| ip.is_ipv6()) {
        let any_v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        mailboxes.push(mailbox(transport, any_v6).await?);
    }
    Ok(mailboxes)
}

async fn mailbox(transport: &Transport, address: SocketAddr) -> Result<(Listener, SocketAddr), StartError> {
    let failed = |source: io::Error| {
        let remedy = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has this port: choose another, or 0 to let the system choose"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address: to be reached through NAT, bind a local one and advertise the public one"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "choose another address or port",
        };
        StartError::Mailbox { address, source, remedy }
    };
    let listener = transport.bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn first_ip(subnets: &Subnets) -> IpAddr {
    subnets.first().map_or(Ipv4Addr::LOCALHOST.into(), |(ip, _)| *ip)
}

/// What peers are told when nothing else is set; each is told the address it is reached from.
pub(super) fn public_endpoint(subnets: &Subnets, port: u16) -> Result<Endpoint, StartError> {
    let address = SocketAddr::new(first_ip(subnets), port);
    Endpoint::new(address).map_err(|error| invalid("mailbox", &address.to_string(), error.to_string()))
}
