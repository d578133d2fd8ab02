//! Where the driver's beacons go and come from: UDP on the chosen interfaces, a network in memory, or nowhere.

use super::addresses::{Addresses, Subnets};
use super::beacon::{BeaconError, BeaconSockets, MAX_DATAGRAM};
use super::interface::{Watcher, enumerate};
use crate::wire::{Beacon, BeaconError as Malformed};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

/// How often the interfaces are looked at; they appear, vanish and change address while a node runs.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) enum Beaconing {
    Udp(Box<Udp>),
    #[cfg(feature = "test-util")]
    Memory(super::memory::BeaconBus),
}

pub(crate) struct Udp {
    /// `None` where beacons are off; the interfaces still say whom to believe.
    sockets: Option<BeaconSockets>,
    watcher: Watcher,
    addresses: Arc<Addresses>,
    refresh_at: Instant,
}

impl Udp {
    pub(crate) fn new(sockets: Option<BeaconSockets>, watcher: Watcher, addresses: Arc<Addresses>) -> Self {
        Self { sockets, watcher, addresses, refresh_at: Instant::now() + REFRESH_INTERVAL }
    }
}

impl Beaconing {
    pub(crate) fn is_on(&self) -> bool {
        match self {
            Self::Udp(udp) => udp.sockets.is_some(),
            #[cfg(feature = "test-util")]
            Self::Memory(_) => true,
        }
    }

    /// The UDP port, where there is one.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Udp(udp) => udp.sockets.as_ref().map(BeaconSockets::port),
            #[cfg(feature = "test-util")]
            Self::Memory(_) => None,
        }
    }

    /// The next beacon, or the name under which a datagram that is none is counted. Cancel safe.
    pub(crate) async fn heard(&self) -> Result<(SocketAddr, Beacon), &'static str> {
        match self {
            Self::Udp(udp) => {
                let Some(sockets) = &udp.sockets else { return std::future::pending().await };
                let mut buffer = [0; MAX_DATAGRAM];
                let datagram = sockets.recv(&mut buffer).await.map_err(|error| {
                    debug!(%error, "cannot receive beacons at present");
                    "beacon_receive_errors"
                })?;
                let bytes = buffer.get(..datagram.length).unwrap_or_default();
                Ok((datagram.source, decode(bytes)?))
            }
            #[cfg(feature = "test-util")]
            Self::Memory(bus) => {
                let (bytes, source) = bus.receive().await;
                Ok((source, decode(&bytes)?))
            }
        }
    }

    /// Sends on every interface; returns on how many that failed.
    pub(crate) fn send(&mut self, beacon: &Beacon) -> u64 {
        let bytes = beacon.encode();
        match self {
            Self::Udp(udp) => {
                let Some(sockets) = &mut udp.sockets else { return 0 };
                let before = sockets.failed_sends();
                sockets.send(|_| &bytes);
                sockets.failed_sends() - before
            }
            #[cfg(feature = "test-util")]
            Self::Memory(bus) => {
                bus.send(&bytes);
                0
            }
        }
    }

    /// Completes when it is time to [`refresh`](Self::refresh). Cancel safe.
    pub(crate) async fn tick(&self) {
        match self {
            Self::Udp(udp) => tokio::time::sleep_until(udp.refresh_at).await,
            #[cfg(feature = "test-util")]
            Self::Memory(_) => std::future::pending().await,
        }
    }

    /// Looks at the interfaces again; `Some` if the addresses in use have changed.
    pub(crate) fn refresh(&mut self) -> Option<Subnets> {
        match self {
            Self::Udp(udp) => udp.refresh(),
            #[cfg(feature = "test-util")]
            Self::Memory(_) => None,
        }
    }
}

impl Udp {
    fn refresh(&mut self) -> Option<Subnets> {
        self.refresh_at = Instant::now() + REFRESH_INTERVAL;
        let existing = enumerate().inspect_err(|error| debug!(%error, "cannot list interfaces")).ok()?;
        let before = self.watcher.subnets();
        if !self.watcher.refresh(existing).is_empty()
            && let Some(sockets) = &mut self.sockets
            && let Err(error) = sockets.update(self.watcher.current())
        {
            warn!(%error, "beacons work on fewer interfaces than wanted");
        }
        let subnets = self.watcher.subnets();
        (subnets != before).then(|| self.addresses.use_subnets(subnets))
    }
}

/// Exactly one beacon of any mode (attack row B1).
fn decode(bytes: &[u8]) -> Result<Beacon, &'static str> {
    Beacon::decode(bytes).map_err(|malformed| match malformed {
        Malformed::WrongSize { .. } => "beacon_wrong_size",
        Malformed::WrongPrefix => "beacon_wrong_prefix",
        Malformed::WrongVersion { .. } => "beacon_wrong_version",
    })
}

impl From<BeaconError> for crate::StartError {
    fn from(error: BeaconError) -> Self {
        match error {
            BeaconError::PortInUse { port } => Self::BeaconPort {
                port,
                source: std::io::ErrorKind::AddrInUse.into(),
                remedy: "a program that does not share it holds it: stop that program (`ss -lunp` names it) or choose another beacon port for all nodes",
            },
            BeaconError::Listen { port, source } => Self::BeaconPort {
                port,
                source,
                remedy: "choose another beacon port for all nodes, or allow this one",
            },
        }
    }
}
