//! Listening for beacons without taking part: who is there, as far as beacons tell.

use crate::net::beacon::{BeaconChannel, BeaconSockets, MAX_DATAGRAM};
use crate::net::setup::open::list_interfaces;
use crate::wire::{Beacon, Endpoint};
use crate::zmtp::curve::PublicKey;
use crate::{PeerId, StartError, interfaces};
use std::net::SocketAddr;

/// Listens for beacons and sends nothing.
///
/// A beacon carries a UUID and a port; names and headers are only told to nodes that take part.
///
/// # Example
/// ```no_run
/// # async fn example() -> Result<(), zyre_rs::StartError> {
/// let mut scout = zyre_rs::Scout::listen(5670, None)?;
/// while let Some(sighting) = scout.next().await {
///     println!("{} is at {:?}", sighting.id, sighting.endpoint);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Scout {
    sockets: BeaconSockets,
}

/// A beacon that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Whose it is.
    pub id: PeerId,
    /// The node's mailbox; `None` when it is leaving.
    pub endpoint: Option<Endpoint>,
    /// Where the beacon came from.
    pub source: SocketAddr,
    /// The public key it shows; `None` for a node in open mode.
    pub key: Option<PublicKey>,
}

impl Scout {
    /// Listens on a beacon port (5670 is the usual one) on the interfaces that [`NodeBuilder::interface`] would take.
    /// Needs the context of a tokio runtime. `ZSYS_IPV6=1` makes it listen for IPv6 beacons (`ff02::1`) as well.
    ///
    /// [`NodeBuilder::interface`]: crate::NodeBuilder::interface
    ///
    /// # Errors
    /// When there is no such interface or the port cannot be listened on.
    pub fn listen(port: u16, interface: Option<&str>) -> Result<Self, StartError> {
        let chosen = interfaces::select(interface, &list_interfaces()?)?;
        let sockets = BeaconSockets::listen_only(BeaconChannel::from_environment(port), &chosen)?;
        Ok(Self { sockets })
    }

    /// The next beacon from one of the interfaces' subnets. Every node beacons about once a second, so each comes again
    /// and again; it never ends by itself.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Sighting> {
        loop {
            let mut buffer = [0; MAX_DATAGRAM];
            let Ok(datagram) = self.sockets.recv(&mut buffer).await else { continue };
            let Some(Ok(beacon)) = buffer.get(..datagram.length).map(Beacon::decode) else { continue };
            if datagram.local.is_none() {
                continue;
            }
            let endpoint = Endpoint::new(SocketAddr::new(datagram.source.ip(), beacon.port)).ok();
            let key = beacon.key.map(PublicKey::from_bytes);
            return Some(Sighting { id: beacon.id, endpoint, source: datagram.source, key });
        }
    }
}
