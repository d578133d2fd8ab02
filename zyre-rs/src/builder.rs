//! The settings of a node, in the order a user meets them, and `start`.

use crate::config::Config;
use crate::{EndpointPolicy, Events, LinkLimit, Node, Overflow, PeerId, StartError, Timers};
use std::time::Duration;

/// Settings for a node that has not started yet; made by [`Node::builder`](crate::Node::builder).
///
/// Every setting is checked by [`start`](Self::start), so setters can be chained.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct NodeBuilder {
    pub(crate) config: Config,
}

impl NodeBuilder {
    pub(crate) fn new(name: Option<String>) -> Self {
        Self { config: Config::new(name) }
    }

    /// Adds a header that peers see when they meet this node. A later value for the same key replaces it.
    ///
    /// Keys have 1–255 bytes, values at most 128 KiB.
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.config.headers.retain(|(known, _)| *known != key);
        self.config.headers.push((key, value.into()));
        self
    }

    /// Joins a group from the start, so that the first HELLO already names it.
    pub fn join(mut self, group: impl Into<String>) -> Self {
        self.config.groups.push(group.into());
        self
    }

    /// Stands for leader in a group (zyre's election). Peers that do not know elections are left out of it.
    pub fn contest(mut self, group: impl Into<String>) -> Self {
        self.config.contest.push(group.into());
        self
    }

    /// Uses this UUID instead of a random one; for identities that survive a restart.
    pub fn id(mut self, id: PeerId) -> Self {
        self.config.id = Some(id);
        self
    }

    /// UDP port of the beacons; 5670 by default. Nodes on different ports do not see each other.
    pub fn beacon_port(mut self, port: u16) -> Self {
        self.config.beacon_port = port;
        self
    }

    /// Switches UDP beacons off (`false`): peers come from gossip or static endpoints only.
    pub fn beacon(mut self, enabled: bool) -> Self {
        self.config.beacon = enabled;
        self
    }

    /// Interfaces to use: a name, an address, several separated by commas, or `*` for all.
    ///
    /// Without it `ZSYS_INTERFACE` counts, then every interface that can broadcast, then loopback.
    pub fn interface(mut self, interface: impl Into<String>) -> Self {
        self.config.interface = Some(interface.into());
        self
    }

    /// Sends beacons by IPv6 link-local multicast as well, as zyre does with `ZSYS_IPV6=1`.
    pub fn ipv6(mut self, enabled: bool) -> Self {
        self.config.ipv6 = enabled;
        self
    }

    /// Opens the mailbox on this TCP port instead of one chosen by the system; for firewalls.
    pub fn tcp_port(mut self, port: u16) -> Self {
        self.config.tcp_port = port;
        self
    }

    /// Opens the mailbox at exactly this endpoint (`tcp://192.168.1.5:9000`).
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.config.endpoint = Some(endpoint.into());
        self
    }

    /// Tells peers this endpoint instead of the one the mailbox is bound to; for NAT.
    pub fn advertise(mut self, endpoint: impl Into<String>) -> Self {
        self.config.advertise = Some(endpoint.into());
        self
    }

    /// Connects to a peer's endpoint without discovery, and again whenever it is lost.
    pub fn connect(mut self, endpoint: impl Into<String>) -> Self {
        self.config.connect.push(endpoint.into());
        self
    }

    /// Serves zyre's gossip at this endpoint (a hub). Usable together with beacons.
    pub fn gossip_bind(mut self, endpoint: impl Into<String>) -> Self {
        self.config.gossip_bind.push(endpoint.into());
        self
    }

    /// Publishes this node to a gossip hub and learns of others there.
    pub fn gossip_connect(mut self, endpoint: impl Into<String>) -> Self {
        self.config.gossip_connect.push(endpoint.into());
        self
    }

    /// Time between beacons; 1 s by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.config.timers.interval = interval;
        self
    }

    /// Quiet time after which a peer is pinged; 5 s by default. `silent` follows one second later unless set.
    pub fn evasive_timeout(mut self, timeout: Duration) -> Self {
        let gap = self.config.timers.silent.saturating_sub(self.config.timers.evasive);
        self.config.timers.evasive = timeout;
        self.config.timers.silent = timeout.saturating_add(gap);
        self
    }

    /// Quiet time after which a peer counts as silent; 6 s by default.
    pub fn silent_timeout(mut self, timeout: Duration) -> Self {
        self.config.timers.silent = timeout;
        self
    }

    /// Time without any sign of life after which a peer exits; 30 s by default.
    pub fn expired_timeout(mut self, timeout: Duration) -> Self {
        self.config.timers.expired = timeout;
        self
    }

    /// All four timers at once.
    pub fn timers(mut self, timers: Timers) -> Self {
        self.config.timers = timers;
        self
    }

    /// How much may wait for one peer: 10,000 messages and 8 MiB by default.
    pub fn link_limit(mut self, limit: LinkLimit) -> Self {
        self.config.link_limit = limit;
        self
    }

    /// What happens to a message for a peer whose link is full; `Block(5 s)` by default.
    pub fn overflow(mut self, policy: Overflow) -> Self {
        self.config.overflow = policy;
        self
    }

    /// Largest message sent and taken, in bytes; 64 MiB by default. A peer that sends more is disconnected.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.config.max_message = bytes;
        self
    }

    /// Which endpoints in a peer's HELLO to connect to.
    pub fn endpoint_policy(mut self, policy: EndpointPolicy) -> Self {
        self.config.endpoint_policy = policy;
        self
    }

    /// Delivers shouts for groups this node is not in as well (dropped and counted by default).
    pub fn foreign_shouts(mut self, deliver: bool) -> Self {
        self.config.foreign_shouts = deliver;
        self
    }

    /// Runs the node on a network in memory instead of sockets; for tests.
    #[cfg(feature = "test-util")]
    pub fn network(mut self, network: &crate::MemoryNetwork) -> Self {
        self.config.network = Some(network.clone());
        self
    }

    /// Starts the node: opens its mailbox, sends the first beacon and returns its handle and its events.
    ///
    /// Must be called inside a tokio runtime; [`blocking`](crate::blocking) is for programs without one.
    ///
    /// # Errors
    /// When a setting is not usable or a port cannot be opened; nothing is left behind then.
    ///
    /// # Cancel safety
    /// Dropping the future before it is done leaves nothing behind.
    pub async fn start(self) -> Result<(Node, Events), StartError> {
        Node::start(self.config).await
    }
}
