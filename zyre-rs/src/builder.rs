//! The settings of a node, in the order a user meets them, and `start`.

use crate::config::Config;
use crate::proto::Authorize;
use crate::{
    Applicant, EndpointPolicy, Events, LinkLimit, NetworkKey, Node, NodeKey, Overflow, PeerId, StartError,
    Timers, TrustedKeys,
};
use std::time::Duration;

/// Settings for a node that has not started yet; made by [`Node::builder`](crate::Node::builder).
///
/// Every setting is checked by [`start`](Self::start), so setters can be chained. Defaults suit a LAN: nothing has to be set.
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
    /// Keys have 1–255 bytes, values at most 128 KiB, both without NUL; all headers and groups together fit into 256 KiB.
    /// `X-ZYRE-RS` is taken: by it nodes of this crate know each other.
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.config.headers.retain(|(known, _)| *known != key);
        self.config.headers.push((key, value.into()));
        self
    }

    /// Joins a group from the start, so that the first HELLO already names it; none by default.
    ///
    /// Names have at most 255 bytes; a node is in at most 1,024 groups. [`Node::join`](crate::Node::join) joins later.
    pub fn join(mut self, group: impl Into<String>) -> Self {
        self.config.groups.push(group.into());
        self
    }

    /// Stands for leader in a group (zyre's election); in none by default.
    ///
    /// The lowest UUID among those who stand wins, and [`Event::Leader`](crate::Event::Leader) tells. The node has to join
    /// the group as well. Peers that do not know elections (pyre, zyre.js, gyre) are left out of it.
    pub fn contest(mut self, group: impl Into<String>) -> Self {
        self.config.contest.push(group.into());
        self
    }

    /// Lets in only nodes with this key, and encrypts everything sent to them; open to everybody by default.
    ///
    /// Every connection is secured by CURVE (RFC 26) with a key pair made of the network's key. Nodes without it, also those of
    /// other implementations in open mode, neither see this node's groups and messages nor can send it any; each kind of attempt
    /// is counted ([`Node::stats`](crate::Node::stats)). UUIDs, addresses and the fact that a secured network is there stay visible.
    pub fn network_key(mut self, key: NetworkKey) -> Self {
        self.config.network_key = Some(key);
        self
    }

    /// Gives this node a key of its own and lets in only nodes whose keys are in the list; everything sent is encrypted.
    ///
    /// Every connection is secured by CURVE (RFC 26) with this node's pair; a peer proves its own. The node's UUID is
    /// [`NodeKey::peer_id`], so it survives restarts and nobody else can take it: a UUID that belongs to a trusted key is used with
    /// that key or not at all, and any other UUID (zyre C makes random ones) stays with the key that first proved it for as
    /// long as the peer is known. Who breaks that is refused, and [`Event::KeyMismatch`](crate::Event::KeyMismatch) tells.
    ///
    /// Excludes [`network_key`](Self::network_key), and an [`id`](Self::id) other than the key's. Endpoints given to
    /// [`connect`](Self::connect) and [`gossip_connect`](Self::gossip_connect) need the other side's public key behind a `|` then.
    ///
    /// # Example
    /// ```
    /// # use zyre_rs::{Node, NodeKey, TrustedKeys};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (cam_key, viewer_key) = (NodeKey::generate()?, NodeKey::generate()?); // each made and kept on its own machine
    /// let network = zyre_rs::MemoryNetwork::new(); // leave `network` out to use the LAN
    /// let trusted = TrustedKeys::from_iter([viewer_key.public_key()]);
    /// let (cam, _) = Node::builder("cam-1").node_key(cam_key.clone(), trusted).network(&network).start().await?;
    /// let trusted = TrustedKeys::from_iter([cam_key.public_key()]);
    /// let (viewer, _) = Node::builder("viewer").node_key(viewer_key, trusted).network(&network).start().await?;
    /// assert!(viewer.wait_until(|members| members.peer(cam_key.peer_id()).is_some()).await);
    /// assert_eq!(cam.id(), cam_key.peer_id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn node_key(mut self, key: NodeKey, trusted: TrustedKeys) -> Self {
        self.config.node_key = Some((key, trusted));
        self
    }

    /// Asks the application about every peer before its [`Enter`](crate::Event::Enter): `Ok` lets it in, `Err` says why not;
    /// everybody is let in by default.
    ///
    /// Asked once per session, in open mode too (where nothing an applicant says is proven). It **must not block**: the whole
    /// node waits for it, so look something up that is in memory. The connection of a peer that is refused is closed and nothing of it reaches the
    /// application; it is counted (`authorization_refused`), logged at info with the reason, and left alone for 2 s, then longer
    /// with each refusal up to 60 s, before it may ask again. A panic refuses.
    ///
    /// What it decides is who reaches this node, not who knows of it: a peer that is refused may have met this node's HELLO with
    /// its name, headers and groups, and takes it for a peer that is silent. Keys keep others from that as well.
    ///
    /// # Example
    /// ```
    /// # use zyre_rs::Node;
    /// let builder = Node::builder("vault").authorize(|applicant| match applicant.headers.get("X-ROLE") {
    ///     Some("camera") => Ok(()),
    ///     other => Err(format!("role {other:?} has no business here")),
    /// });
    /// ```
    pub fn authorize(
        mut self,
        decide: impl Fn(&Applicant) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.config.authorize = Some(Authorize::new(decide));
        self
    }

    /// Uses this UUID instead of a random one; for identities that survive a restart.
    ///
    /// No two nodes may share one: [`Event::IdentityConflict`](crate::Event::IdentityConflict) tells if they do. With a
    /// [`node_key`](Self::node_key) the key decides.
    pub fn id(mut self, id: PeerId) -> Self {
        self.config.id = Some(id);
        self
    }

    /// UDP port of the beacons; 5670 by default, 5669 with a [`network_key`](Self::network_key) or [`node_key`](Self::node_key).
    /// Nodes on different ports do not see each other.
    ///
    /// Keep secured networks away from the port of open ones: their beacons are longer, and one of them ends a pyre node. So
    /// 5670 with a key is refused.
    pub fn beacon_port(mut self, port: u16) -> Self {
        self.config.beacon_port = Some(port);
        self
    }

    /// Switches UDP beacons off (`false`), sending and hearing alike; on by default.
    ///
    /// Peers come from gossip, from endpoints to connect to, and by connecting to this node then.
    pub fn beacon(mut self, enabled: bool) -> Self {
        self.config.beacon = enabled;
        self
    }

    /// Interfaces to use: a name, an address, several separated by commas, or `*` for all.
    ///
    /// Without it `ZSYS_INTERFACE` counts, then every running interface that can broadcast except point-to-point links,
    /// then loopback. A name that does not exist, or an address that cannot broadcast (a /31 or /32), fails the start.
    /// Beacons and connections by other interfaces are refused.
    pub fn interface(mut self, interface: impl Into<String>) -> Self {
        self.config.interface = Some(interface.into());
        self
    }

    /// Sends beacons by IPv6 link-local multicast (`ff02::1`, or `ZSYS_IPV6_MCAST_ADDRESS`) beside IPv4; off by default.
    ///
    /// `ZSYS_IPV6=1` in the environment does the same, as with zyre.
    pub fn ipv6(mut self, enabled: bool) -> Self {
        self.config.ipv6 = enabled;
        self
    }

    /// Opens the mailbox on this TCP port instead of one chosen by the system (0, the default); for firewalls.
    ///
    /// [`endpoint`](Self::endpoint) goes before it.
    pub fn tcp_port(mut self, port: u16) -> Self {
        self.config.tcp_port = port;
        self
    }

    /// Opens the mailbox at exactly this endpoint (`tcp://192.168.1.5:9000`), an IP address of this host.
    ///
    /// Unless [`interface`](Self::interface) says otherwise, beacons go out on the interface of that address only. Unlike
    /// zyre's `zyre_set_endpoint` it does not switch beacons off.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.config.endpoint = Some(endpoint.into());
        self
    }

    /// Tells peers this endpoint (`tcp://203.0.113.7:9000`, an IP address) instead of the one the mailbox is bound to; for NAT.
    ///
    /// HELLO and gossip carry it. Beacons cannot: they name the mailbox's own port, so switch them off where that misleads
    /// ([`beacon`](Self::beacon)).
    pub fn advertise(mut self, endpoint: impl Into<String>) -> Self {
        self.config.advertise = Some(endpoint.into());
        self
    }

    /// Connects to a peer's endpoint (`tcp://192.168.1.5:9000` or with a host name) without discovery, and again whenever
    /// it is lost. May be given several times.
    ///
    /// A host name is looked up once, at the start, for an IPv4 address. One of the two sides is enough. With a
    /// [`node_key`](Self::node_key) the other node's public key follows: `tcp://192.168.1.5:9000|KEY`.
    pub fn connect(mut self, endpoint: impl Into<String>) -> Self {
        self.config.connect.push(endpoint.into());
        self
    }

    /// Serves zyre's gossip at this endpoint (a hub): `tcp://*:9999`, or one address of this host. May be given several times.
    ///
    /// Unlike in zyre, beacons stay on beside it.
    pub fn gossip_bind(mut self, endpoint: impl Into<String>) -> Self {
        self.config.gossip_bind.push(endpoint.into());
        self
    }

    /// Publishes this node to the gossip hub at this endpoint (`tcp://hub.local:9999`) and learns of others there. May be
    /// given several times. A hub that is not there yet or goes away is tried again, every 2 s at the latest. With a
    /// [`node_key`](Self::node_key) the hub's public key follows: `tcp://hub.local:9999|KEY`.
    pub fn gossip_connect(mut self, endpoint: impl Into<String>) -> Self {
        self.config.gossip_connect.push(endpoint.into());
        self
    }

    /// Time between beacons; 1 s by default. Above 3 s gyre nodes give this one up.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.config.timers.interval = interval;
        self
    }

    /// Quiet time after which a peer is evasive, pinged from four fifths of it on; 5 s by default. `silent` follows one second later unless set.
    pub fn evasive_timeout(mut self, timeout: Duration) -> Self {
        let gap = self.config.timers.silent.saturating_sub(self.config.timers.evasive);
        self.config.timers.evasive = timeout;
        self.config.timers.silent = timeout.saturating_add(gap);
        self
    }

    /// Quiet time after which a peer counts as silent; 6 s by default. Not shorter than the evasive timeout.
    pub fn silent_timeout(mut self, timeout: Duration) -> Self {
        self.config.timers.silent = timeout;
        self
    }

    /// Time without any sign of life (TCP or beacon) after which a peer exits; 30 s by default. Longer than the evasive timeout.
    pub fn expired_timeout(mut self, timeout: Duration) -> Self {
        self.config.timers.expired = timeout;
        self
    }

    /// All four timers at once; see [`Timers`] for their defaults.
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

    /// Largest message sent and taken, in bytes of all its frames; 64 MiB by default, 2 GiB at most for taking.
    ///
    /// A peer that sends more is disconnected, so give the same value to all nodes.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.config.max_message = bytes;
        self
    }

    /// Which endpoints in a peer's HELLO to connect to; [`EndpointPolicy::SameSubnet`] by default.
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
