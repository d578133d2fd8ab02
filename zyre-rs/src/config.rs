//! Everything that can be set on a builder, before it is checked.

use crate::proto::Authorize;
use crate::{EndpointPolicy, LinkLimit, NetworkKey, NodeKey, Overflow, PeerId, Timers, TrustedKeys};

/// Everything set on a [`NodeBuilder`](crate::NodeBuilder), validated when the node starts.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<PeerId>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) groups: Vec<String>,
    pub(crate) contest: Vec<String>,
    pub(crate) timers: Timers,
    pub(crate) beacon: bool,
    /// The usual one of the mode unless set.
    pub(crate) beacon_port: Option<u16>,
    pub(crate) network_key: Option<NetworkKey>,
    pub(crate) node_key: Option<(NodeKey, TrustedKeys)>,
    pub(crate) authorize: Option<Authorize>,
    pub(crate) interface: Option<String>,
    pub(crate) ipv6: bool,
    pub(crate) tcp_port: u16,
    pub(crate) endpoint: Option<String>,
    pub(crate) advertise: Option<String>,
    pub(crate) connect: Vec<String>,
    pub(crate) gossip_bind: Vec<String>,
    pub(crate) gossip_connect: Vec<String>,
    pub(crate) endpoint_policy: EndpointPolicy,
    pub(crate) link_limit: LinkLimit,
    pub(crate) overflow: Overflow,
    pub(crate) max_message: usize,
    pub(crate) foreign_shouts: bool,
    #[cfg(feature = "test-util")]
    pub(crate) network: Option<crate::MemoryNetwork>,
}

impl Config {
    /// UDP port of ZRE beacons (RFC 36).
    pub(crate) const BEACON_PORT: u16 = 5670;
    /// UDP port of a secured network. Not the one of ZRE: a secured beacon ends pyre's node thread.
    pub(crate) const SECURED_BEACON_PORT: u16 = 5669;
    /// Largest message taken or sent by default.
    pub(crate) const MAX_MESSAGE: usize = 64 << 20;

    pub(crate) fn new(name: Option<String>) -> Self {
        Self {
            name,
            id: None,
            headers: Vec::new(),
            groups: Vec::new(),
            contest: Vec::new(),
            timers: Timers::default(),
            beacon: true,
            beacon_port: None,
            network_key: None,
            node_key: None,
            authorize: None,
            interface: None,
            ipv6: false,
            tcp_port: 0,
            endpoint: None,
            advertise: None,
            connect: Vec::new(),
            gossip_bind: Vec::new(),
            gossip_connect: Vec::new(),
            endpoint_policy: EndpointPolicy::default(),
            link_limit: LinkLimit::default(),
            overflow: Overflow::default(),
            max_message: Self::MAX_MESSAGE,
            foreign_shouts: false,
            #[cfg(feature = "test-util")]
            network: None,
        }
    }

    pub(crate) fn beacon_port(&self) -> u16 {
        let usual = if self.is_secured() { Self::SECURED_BEACON_PORT } else { Self::BEACON_PORT };
        self.beacon_port.unwrap_or(usual)
    }

    pub(crate) const fn is_secured(&self) -> bool {
        self.network_key.is_some() || self.node_key.is_some()
    }
}
