//! The UDP side of discovery (RFC 36, beacons): one receiver for everything, one sender per interface.
//!
//! All sockets share their port (SO_REUSEADDR and SO_REUSEPORT), so nodes of any implementation live side by side on
//! a host: each gets every broadcast. What a datagram *says* is not looked at here. Invariant: no state of
//! the network ends beaconing or listening; what cannot be sent now is counted and tried again next time.

mod socket;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tracing::{debug, info, warn};

use super::interface::{InterfaceAddr, interface_of};

/// Bytes read of a datagram: above the largest beacon (54), so a longer one shows as 64 and is no beacon.
pub(crate) const MAX_DATAGRAM: usize = 64;

/// Where beacons go: every node of a network uses the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BeaconChannel {
    /// UDP port, 5670 by ZRE's registration; 0 lets the system choose (see [`BeaconSockets::port`]).
    pub(crate) port: u16,
    /// Group for IPv6 beacons, `ff02::1` (all nodes of the link) in zyre C unless `ZSYS_IPV6_MCAST_ADDRESS` is set.
    pub(crate) ipv6_group: Ipv6Addr,
}

impl BeaconChannel {
    /// The usual groups on this UDP port.
    pub(crate) const fn on_port(port: u16) -> Self {
        Self { port, ipv6_group: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) }
    }

    /// On this UDP port, with the IPv6 group of `ZSYS_IPV6_MCAST_ADDRESS` where that is set.
    pub(crate) fn from_environment(port: u16) -> Self {
        let mut channel = Self::on_port(port);
        let group = std::env::var("ZSYS_IPV6_MCAST_ADDRESS").ok().and_then(|text| text.parse().ok());
        channel.ipv6_group = group.unwrap_or(channel.ipv6_group);
        channel
    }
}

/// The port for beacons cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BeaconError {
    /// A program that does not share the port holds it. Stop that program, or move every node to another port.
    #[error(
        "UDP port {port} is held by a program that does not share it; stop it (`ss -lunp` shows its name) \
         or choose another port for all nodes"
    )]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// The system refused for another reason, such as a port below 1024 without the right to it.
    #[error("cannot listen for beacons on UDP port {port}: {source}; choose another port or allow it")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// One datagram, as read into the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Bytes in the buffer; [`MAX_DATAGRAM`] stands for "that many or more".
    pub(crate) length: usize,
    /// Who sent it: the host of the beacon's mailbox. The port means nothing.
    pub(crate) source: SocketAddr,
    /// Our address on the subnet it came from; `None` when it is from another subnet and not to be believed.
    pub(crate) local: Option<IpAddr>,
}

/// The open sockets. One task owns them.
#[derive(Debug)]
pub(crate) struct BeaconSockets {
    channel: BeaconChannel,
    listens_only: bool,
    receiver: UdpSocket,
    receiver_v6: Option<UdpSocket>,
    lanes: Vec<Lane>,
    failed_sends: u64,
    /// Rotates which socket is asked first, so that a flood on one cannot starve the others.
    turn: AtomicUsize,
}

/// An interface and the socket that sends there.
#[derive(Debug)]
struct Lane {
    interface: InterfaceAddr,
    /// Closed after an error and reopened for the next beacon: a socket outlives the address it is bound to.
    socket: Option<UdpSocket>,
    failing: bool,
}

impl BeaconSockets {
    /// Opens the receiver, and a sender for each interface. Needs the context of a tokio runtime.
    ///
    /// # Errors
    /// When the port cannot be listened on. An interface that cannot be sent on is no error.
    pub(crate) fn open(channel: BeaconChannel, interfaces: &[InterfaceAddr]) -> Result<Self, BeaconError> {
        Self::open_as(channel, interfaces, false)
    }

    /// Opens what it takes to hear others without ever sending; [`send`](Self::send) reaches nobody.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn listen_only(
        channel: BeaconChannel,
        interfaces: &[InterfaceAddr],
    ) -> Result<Self, BeaconError> {
        Self::open_as(channel, interfaces, true)
    }

    fn open_as(
        mut channel: BeaconChannel,
        interfaces: &[InterfaceAddr],
        listens_only: bool,
    ) -> Result<Self, BeaconError> {
        let refused = |error| refusal(channel.port, error);
        let receiver = socket::receiver_v4(channel.port).map_err(refused)?;
        channel.port = receiver.local_addr().map_err(refused)?.port();
        let mut sockets = Self {
            channel,
            listens_only,
            receiver,
            receiver_v6: None,
            lanes: Vec::new(),
            failed_sends: 0,
            turn: AtomicUsize::new(0),
        };
        sockets.update(interfaces)?;
        Ok(sockets)
    }

    /// Works on these interfaces from now on. Those that stay keep their socket, and the receiver stays open.
    ///
    /// # Errors
    /// When the first IPv6 interface came and its receiver cannot be opened; all else is done then, and the
    /// next `update` tries it again.
    pub(crate) fn update(&mut self, interfaces: &[InterfaceAddr]) -> Result<(), BeaconError> {
        let stays = |lane: &Lane| interfaces.iter().any(|interface| interface.same_place(&lane.interface));
        for lane in self.lanes.extract_if(.., |lane| !stays(lane)) {
            info!(interface = %lane.interface, "no more beacons here");
            socket::leave_groups(&self.receiver, self.receiver_v6.as_ref(), &self.channel, &lane.interface);
        }
        for interface in interfaces {
            if !self.lanes.iter().any(|lane| lane.interface.same_place(interface)) {
                info!(%interface, "beacons here");
                self.lanes.push(Lane { interface: interface.clone(), socket: None, failing: false });
            }
        }
        let opened = self.open_receiver_v6();
        for lane in &mut self.lanes {
            // Joining twice is harmless, and a device keeps its membership when one of two addresses has left.
            socket::join_groups(&self.receiver, self.receiver_v6.as_ref(), &self.channel, &lane.interface);
            if !self.listens_only && lane.socket.is_none() {
                // A failure shows, is counted and is repaired by the next `send`.
                lane.socket = socket::sender(&lane.interface, self.channel.port).ok();
            }
        }
        opened
    }

    fn open_receiver_v6(&mut self) -> Result<(), BeaconError> {
        if self.receiver_v6.is_none() && self.lanes.iter().any(|lane| lane.interface.ip.is_ipv6()) {
            let port = self.channel.port;
            self.receiver_v6 = Some(socket::receiver_v6(port).map_err(|error| refusal(port, error))?);
        }
        Ok(())
    }

    /// The UDP port in use.
    pub(crate) fn port(&self) -> u16 {
        self.channel.port
    }

    /// How many beacons could not be sent since the start, over all interfaces.
    pub(crate) fn failed_sends(&self) -> u64 {
        self.failed_sends
    }

    /// Waits for the next datagram on any of the sockets.
    ///
    /// # Errors
    /// What the system reports for one socket; the others and the next call are not affected.
    ///
    /// # Cancel safety
    /// Dropping the future loses no datagram. One task at a time may wait.
    pub(crate) async fn recv(&self, buffer: &mut [u8; MAX_DATAGRAM]) -> io::Result<Datagram> {
        let senders = self.lanes.iter().filter_map(|lane| lane.socket.as_ref());
        let sockets: Vec<&UdpSocket> =
            [&self.receiver].into_iter().chain(&self.receiver_v6).chain(senders).collect();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % sockets.len();
        let (length, source) = poll_fn(|cx| {
            for socket in sockets.iter().cycle().skip(first).take(sockets.len()) {
                let mut read = ReadBuf::new(buffer);
                if let Poll::Ready(result) = socket.poll_recv_from(cx, &mut read) {
                    return Poll::Ready(result.map(|source| (read.filled().len(), source)));
                }
            }
            Poll::Pending
        })
        .await?;
        let near = interface_of(source, self.lanes.iter().map(|lane| &lane.interface));
        let local = near.map(|interface| interface.ip);
        Ok(Datagram { length, source, local })
    }

    /// Sends one beacon on every interface, without waiting, and says on how many it went out.
    ///
    /// An interface that fails is counted, logged when it begins and when it ends, and does not hold up the others.
    pub(crate) fn send<B: AsRef<[u8]>>(&mut self, beacon_for: impl Fn(&InterfaceAddr) -> B) -> usize {
        if self.listens_only {
            return 0;
        }
        let mut sent = 0;
        for lane in &mut self.lanes {
            match lane.send(&self.channel, beacon_for(&lane.interface).as_ref()) {
                Ok(()) => sent += 1,
                Err(_) => self.failed_sends += 1,
            }
        }
        sent
    }
}

impl Lane {
    fn send(&mut self, channel: &BeaconChannel, beacon: &[u8]) -> io::Result<()> {
        let result = self.try_send(channel, beacon);
        match &result {
            Ok(()) if self.failing => info!(interface = %self.interface, "beacons go out again"),
            Err(error) if !self.failing => {
                warn!(interface = %self.interface, %error, "cannot send beacons here, will try again");
            }
            _ => {}
        }
        self.failing = result.is_err();
        if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.socket = None;
        }
        result
    }

    fn try_send(&mut self, channel: &BeaconChannel, beacon: &[u8]) -> io::Result<()> {
        let target = self.target(channel).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(socket::sender(&self.interface, channel.port)?),
        };
        // Past tokio: its `try_send_to` refuses on a new socket until the reactor has seen it, and a beacon
        // that the kernel has no room for is better skipped than waited for.
        socket2::SockRef::from(socket).send_to(beacon, &target.into()).map(drop)
    }

    fn target(&self, channel: &BeaconChannel) -> Option<SocketAddr> {
        match self.interface.ip {
            IpAddr::V4(_) => self.interface.broadcast().map(|ip| SocketAddr::from((ip, channel.port))),
            IpAddr::V6(_) => {
                Some(SocketAddrV6::new(channel.ipv6_group, channel.port, 0, self.interface.index).into())
            }
        }
    }
}

fn refusal(port: u16, source: io::Error) -> BeaconError {
    debug!(port, error = %source, "cannot open the beacon receiver");
    match source.kind() {
        io::ErrorKind::AddrInUse => BeaconError::PortInUse { port },
        _ => BeaconError::Listen { port, source },
    }
}
