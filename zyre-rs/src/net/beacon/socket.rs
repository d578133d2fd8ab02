//! How each beacon socket is made: the options that let nodes share a port, and the multicast groups.
//!
//! On Linux a socket bound to one address takes the unicast datagrams for it and nothing else: broadcasts still
//! reach the wildcard socket, so senders bound beside the receiver hide nothing from it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tracing::debug;

use super::BeaconChannel;
use crate::net::interface::InterfaceAddr;

/// Where gyre sends its beacons unless told to broadcast.
const GYRE_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 250);

/// Hears broadcasts and [`GYRE_GROUP`] on all IPv4 interfaces.
pub(super) fn receiver_v4(port: u16) -> io::Result<UdpSocket> {
    bind((Ipv4Addr::UNSPECIFIED, port).into())
}

/// Hears the IPv6 group on the interfaces it joins.
pub(super) fn receiver_v6(port: u16) -> io::Result<UdpSocket> {
    bind((Ipv6Addr::UNSPECIFIED, port).into())
}

/// Sends from the beacon port, as zyre C and pyre do; from any port when that one is refused, which all accept.
pub(super) fn sender(interface: &InterfaceAddr, port: u16) -> io::Result<UdpSocket> {
    let address = |port| match interface.ip {
        IpAddr::V4(ip) => SocketAddr::from((ip, port)),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, interface.index).into(),
    };
    let socket = bind(address(port)).or_else(|error| {
        debug!(%interface, port, %error, "cannot send from the beacon port");
        bind(address(0))
    })?;
    if interface.ip.is_ipv6() {
        SockRef::from(&socket).set_multicast_if_v6(interface.index)?;
    }
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // The IPv4 receiver has the same port.
        socket.set_only_v6(true)?;
    } else {
        socket.set_broadcast(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Joins the groups beacons may come by on this interface. A refusal costs only those peers, and is not an error.
pub(super) fn join_groups(
    v4: &UdpSocket,
    v6: Option<&UdpSocket>,
    channel: &BeaconChannel,
    interface: &InterfaceAddr,
) {
    let joined = match (interface.ip, v6) {
        (IpAddr::V4(ip), _) => SockRef::from(v4).join_multicast_v4_n(&GYRE_GROUP, &place(interface, ip)),
        (IpAddr::V6(_), Some(v6)) => v6.join_multicast_v6(&channel.ipv6_group, interface.index),
        (IpAddr::V6(_), None) => Ok(()),
    };
    // "In use": joined before, or by another address of the same device.
    if let Err(error) = joined
        && error.kind() != io::ErrorKind::AddrInUse
    {
        debug!(%interface, %error, "cannot join the multicast group");
    }
}

/// Undoes [`join_groups`]. When the device is gone, the system has done so already.
pub(super) fn leave_groups(
    v4: &UdpSocket,
    v6: Option<&UdpSocket>,
    channel: &BeaconChannel,
    interface: &InterfaceAddr,
) {
    let left = match (interface.ip, v6) {
        (IpAddr::V4(ip), _) => SockRef::from(v4).leave_multicast_v4_n(&GYRE_GROUP, &place(interface, ip)),
        (IpAddr::V6(_), Some(v6)) => v6.leave_multicast_v6(&channel.ipv6_group, interface.index),
        (IpAddr::V6(_), None) => Ok(()),
    };
    if let Err(error) = left {
        debug!(%interface, %error, "cannot leave the multicast group");
    }
}

/// The index when there is one: it stays right when the address does not.
fn place(interface: &InterfaceAddr, ip: Ipv4Addr) -> InterfaceIndexOrAddress {
    match interface.index {
        0 => InterfaceIndexOrAddress::Address(ip),
        index => InterfaceIndexOrAddress::Index(index),
    }
}
