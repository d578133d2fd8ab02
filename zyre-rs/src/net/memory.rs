//! A network in memory: connections and beacons without sockets, for tests that control time and faults.
//!
//! Invariant: nothing here sleeps or reads a clock, so under a paused clock time passes only where nodes wait for
//! it. What a full queue cannot take waits (connections) or is dropped (beacons), as on a real network.

mod pipe;
#[cfg(test)]
mod tests;

pub(crate) use pipe::Pipe;

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Connections that wait to be accepted, as a listener of the system's holds.
const MAX_BACKLOG: usize = 128;

/// Beacons that wait to be received; more are dropped.
const MAX_DATAGRAMS: usize = 1_024;

/// First port the network hands out, the first of ZRE's range.
const FIRST_PORT: u16 = 49_152;

/// A network in memory that nodes of one process share instead of the system's (feature `test-util`).
///
/// Every node on it is a host with an address of its own, `10.0.0.1` upwards in the order of starting. Beacons
/// reach every host, connections go between any two, and [`partition`](Self::partition) and
/// [`reset`](Self::reset) make faults. No socket is opened, so tests on it run under a paused clock
/// (`tokio::time::pause`) and beside each other. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork(Arc<Mutex<Network>>);

#[derive(Debug, Default)]
struct Network {
    hosts: u16,
    next_port: u16,
    listeners: BTreeMap<SocketAddr, Arc<Waiting<Pipe>>>,
    buses: BTreeMap<u64, (SocketAddr, Arc<Waiting<Datagram>>)>,
    next_bus: u64,
    wires: Vec<(IpAddr, IpAddr, pipe::Wire)>,
    /// Pairs of hosts between which nothing passes, the lower address first.
    partitions: BTreeSet<(IpAddr, IpAddr)>,
    healed: Arc<Notify>,
}

type Datagram = (Bytes, SocketAddr);

/// A queue whose owner waits for it.
#[derive(Debug)]
struct Waiting<T> {
    items: Mutex<VecDeque<T>>,
    arrived: Notify,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), arrived: Notify::new() }
    }
}

impl<T> Waiting<T> {
    /// Hands the item back when `max` wait already.
    fn push(&self, item: T, max: usize) -> Result<(), T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= max {
            return Err(item);
        }
        items.push_back(item);
        drop(items);
        self.arrived.notify_waiters();
        Ok(())
    }

    async fn pop(&self) -> T {
        loop {
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            if let Some(item) = self.items.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return item;
            }
            arrived.await;
        }
    }
}

fn pair(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    (one.min(other), one.max(other))
}

impl Network {
    fn port(&mut self) -> u16 {
        let port = FIRST_PORT.max(self.next_port);
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    fn between(&self, one: IpAddr, other: IpAddr) -> impl Iterator<Item = &pipe::Wire> {
        let wanted = pair(one, other);
        self.wires.iter().filter(move |(a, b, _)| pair(*a, *b) == wanted).map(|(_, _, wire)| wire)
    }
}

impl MemoryNetwork {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets nothing pass between two hosts until [`heal`](Self::heal): beacons are lost, connections stand still,
    /// new ones are neither made nor refused.
    pub fn partition(&self, one: IpAddr, other: IpAddr) {
        let mut network = self.lock();
        network.partitions.insert(pair(one, other));
        network.between(one, other).for_each(|wire| wire.freeze(true));
    }

    /// Ends a partition; what stood still goes on without a loss.
    pub fn heal(&self, one: IpAddr, other: IpAddr) {
        let mut network = self.lock();
        network.partitions.remove(&pair(one, other));
        network.between(one, other).for_each(|wire| wire.freeze(false));
        network.healed.notify_waiters();
    }

    /// Breaks all connections between two hosts; what was under way is lost. New ones can be made at once.
    pub fn reset(&self, one: IpAddr, other: IpAddr) {
        self.lock().between(one, other).for_each(pipe::Wire::reset);
    }

    /// A new host with the next address.
    pub(crate) fn attach(&self) -> Host {
        let mut network = self.lock();
        network.hosts += 1;
        let [high, low] = network.hosts.to_be_bytes();
        Host { network: self.clone(), ip: Ipv4Addr::new(10, 0, high, low).into() }
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One host's place on the network. Clones are the same host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    network: MemoryNetwork,
    ip: IpAddr,
}

impl Host {
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Pipe> {
        loop {
            let healed = self.network.lock().healed.clone();
            let mut healed = pin!(healed.notified());
            healed.as_mut().enable();
            if let Some(result) = self.try_connect(address) {
                return result;
            }
            healed.await;
        }
    }

    fn try_connect(&self, address: SocketAddr) -> Option<io::Result<Pipe>> {
        let mut network = self.network.lock();
        if network.partitions.contains(&pair(self.ip, address.ip())) {
            return None;
        }
        let local = SocketAddr::new(self.ip, network.port());
        let refused = || Some(Err(io::ErrorKind::ConnectionRefused.into()));
        let Some(listener) = network.listeners.get(&address) else { return refused() };
        let (near, far, wire) = Pipe::pair(local, address);
        if listener.push(far, MAX_BACKLOG).is_err() {
            return refused();
        }
        network.wires.retain(|(_, _, wire)| !wire.is_gone());
        network.wires.push((self.ip, address.ip(), wire));
        Some(Ok(near))
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<Listener> {
        if !address.ip().is_unspecified() && address.ip() != self.ip {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let mut network = self.network.lock();
        let mut local = SocketAddr::new(self.ip, address.port());
        while local.port() == 0 || address.port() == 0 && network.listeners.contains_key(&local) {
            local.set_port(network.port());
        }
        if network.listeners.contains_key(&local) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let waiting = Arc::default();
        network.listeners.insert(local, Arc::clone(&waiting));
        Ok(Listener { network: self.network.clone(), local, waiting })
    }

    /// Takes part in the broadcasts on a UDP port.
    pub(crate) fn beacons(&self, port: u16) -> BeaconBus {
        let mut network = self.network.lock();
        let (key, waiting) = (network.next_bus, Arc::default());
        network.next_bus += 1;
        let local = SocketAddr::new(self.ip, port);
        network.buses.insert(key, (local, Arc::clone(&waiting)));
        BeaconBus { network: self.network.clone(), key, local, waiting }
    }
}

/// An open mailbox; dropping it refuses what comes then and resets what was not accepted.
#[derive(Debug)]
pub(crate) struct Listener {
    network: MemoryNetwork,
    local: SocketAddr,
    waiting: Arc<Waiting<Pipe>>,
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(Pipe, SocketAddr)> {
        let pipe = self.waiting.pop().await;
        let from = pipe.peer_addr()?;
        Ok((pipe, from))
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.network.lock().listeners.remove(&self.local);
    }
}

/// A host's UDP port for beacons: what is sent reaches every host with the same port, the sender included.
#[derive(Debug)]
pub(crate) struct BeaconBus {
    network: MemoryNetwork,
    key: u64,
    local: SocketAddr,
    waiting: Arc<Waiting<Datagram>>,
}

impl BeaconBus {
    pub(crate) fn send(&self, datagram: &[u8]) {
        let datagram = Bytes::copy_from_slice(datagram);
        let network = self.network.lock();
        for (to, waiting) in network.buses.values() {
            let cut = network.partitions.contains(&pair(self.local.ip(), to.ip()));
            if to.port() == self.local.port() && !cut {
                let _ = waiting.push((datagram.clone(), self.local), MAX_DATAGRAMS);
            }
        }
    }

    /// The next datagram and its sender. Cancel safe.
    pub(crate) async fn receive(&self) -> (Bytes, SocketAddr) {
        self.waiting.pop().await
    }
}

impl Drop for BeaconBus {
    fn drop(&mut self) {
        self.network.lock().buses.remove(&self.key);
    }
}
