//! What a doctor sees and hears: gathered once, for all checks.

use super::holders::{self, Holder, Protocol};
use crate::args::{OPEN_PORT, Options, SECURED_PORT};
use crate::credentials::Credentials;
use crate::session::ignore;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use zyre_rs::{Endpoint, Interface, Node, NodeBuilder, Peer, PeerId, PublicKey, Scout, Sighting, StartError};

/// Nodes remembered per port; a flood of made-up beacons must not fill the memory.
const MAX_HEARD: usize = 4_096;

/// A node that runs already beacons at least once in this time, unless it was told otherwise.
const TWIN_WAIT: Duration = Duration::from_millis(1_500);

/// Why no node may be started, though it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Its beacons would end open pyre nodes, which take 22 bytes and no more.
    Harm,
    /// A node with this very key runs at this address, and two cannot have one UUID.
    Twin(IpAddr),
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) credentials: Credentials,
    /// UDP port of our beacons.
    pub(super) port: u16,
    pub(super) listened: Duration,
    /// The addresses of this host, or why none is usable.
    pub(super) interfaces: Result<Vec<Interface>, String>,
    /// Our port, and the other of the two usual ones if ours is usual.
    pub(super) ears: Vec<Ear>,
    /// Who has our UDP port open beside us.
    pub(super) udp_holders: Vec<Holder>,
    /// Who has the TCP port open that was asked for with `--endpoint`, if it could not be ours.
    pub(super) tcp_holders: Vec<Holder>,
    pub(super) hindrance: Option<Hindrance>,
    /// Our node, or why it did not start.
    pub(super) node: Result<Joined, String>,
}

/// A UDP port that was listened on.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) port: u16,
    /// Whose beacons came, from which address; or why the port cannot be listened on.
    pub(super) heard: Result<BTreeMap<(PeerId, IpAddr), Heard>, String>,
    /// Beacons of nodes beyond those that are remembered.
    pub(super) overlooked: u64,
}

/// A node that beacons.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) endpoint: Endpoint,
    /// What its beacon shows; `None` in open mode.
    pub(super) key: Option<PublicKey>,
    /// How long before the end it was heard first.
    pub(super) since: Duration,
}

/// What our node has met.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
    pub(super) peers: Vec<Peer>,
    pub(super) counters: BTreeMap<&'static str, u64>,
}

impl Findings {
    /// Nodes other than ours that beacon, each with the port.
    pub(super) fn others(&self) -> impl Iterator<Item = (u16, PeerId, IpAddr, &Heard)> {
        let me = self.node.as_ref().ok().map(|joined| joined.id).or(self.credentials.peer_id());
        let heard = self.ears.iter().flat_map(|ear| ear.heard.iter().map(move |heard| (ear.port, heard)));
        let all = heard.flat_map(|(port, heard)| heard.iter().map(move |(who, heard)| (port, who, heard)));
        all.filter(move |(_, (id, _), _)| Some(*id) != me)
            .map(|(port, (id, ip), heard)| (port, *id, *ip, heard))
    }

    /// The ear on our own port.
    pub(super) fn own_ear(&self) -> Option<&Ear> {
        self.ears.iter().find(|ear| ear.port == self.port)
    }
}

/// Listens and takes part for a while. What fails is a finding too.
pub(super) async fn gather(
    options: &Options,
    credentials: Credentials,
    builder: NodeBuilder,
    listened: Duration,
) -> Findings {
    let port = options.port;
    let bound = options.endpoint.as_deref().and_then(|text| Endpoint::decode(text.as_bytes()).ok());
    // As for a node: who binds one address can only be reached there.
    let choice = options.interface.clone().or_else(|| bound.map(|endpoint| endpoint.ip().to_string()));
    let mut findings = Findings {
        credentials,
        port,
        listened,
        interfaces: zyre_rs::interfaces(choice.as_deref()).map_err(|error| error.to_string()),
        ears: Vec::new(),
        udp_holders: holders::of(Protocol::Udp, port),
        tcp_holders: Vec::new(),
        hindrance: None,
        node: Err("a node was not started".to_owned()),
    };
    // The ears are open before the node sends its first beacon, and closed before its last.
    let [mut own, other] = ports(port).map(|port| Some((port?, Scout::listen(port?, choice.as_deref()))));
    findings.hindrance = hindrance(&findings.credentials, own.as_mut()).await;
    let mut node = None;
    if findings.hindrance.is_none() {
        match builder.start().await {
            Ok((started, events)) => {
                ignore(events);
                node = Some(started);
            }
            Err(error) => findings.node = Err(error.to_string()),
        }
    }
    let until = Instant::now() + listened;
    let (own, other) = tokio::join!(listen(own, until), listen(other, until));
    findings.ears = own.into_iter().chain(other).collect();
    if let Some(node) = node {
        findings.node = Ok(Joined::of(&node));
        node.stop().await;
    } else if let Some(endpoint) = bound {
        findings.tcp_holders = holders::of(Protocol::Tcp, endpoint.address().port());
    }
    findings
}

async fn hindrance(
    credentials: &Credentials,
    ear: Option<&mut (u16, Result<Scout, StartError>)>,
) -> Option<Hindrance> {
    let (port, scout) = ear?;
    if credentials.public_key().is_some() && *port == OPEN_PORT {
        return Some(Hindrance::Harm);
    }
    let (me, scout) = (credentials.peer_id()?, scout.as_mut().ok()?);
    let until = Instant::now() + TWIN_WAIT;
    while let Ok(Some(sighting)) = timeout_at(until, scout.next()).await {
        if sighting.id == me && sighting.endpoint.is_some() {
            return Some(Hindrance::Twin(sighting.source.ip()));
        }
    }
    None
}

/// Where to listen: on our port, and among the usual ones also where nodes of the other mode are.
fn ports(port: u16) -> [Option<u16>; 2] {
    let other = match port {
        OPEN_PORT => Some(SECURED_PORT),
        SECURED_PORT => Some(OPEN_PORT),
        _ => None,
    };
    [Some(port), other]
}

/// Only listens: nothing is ever sent to a port that is not ours.
async fn listen(opened: Option<(u16, Result<Scout, StartError>)>, until: Instant) -> Option<Ear> {
    let (port, mut scout) = match opened? {
        (port, Ok(scout)) => (port, scout),
        (port, Err(error)) => return Some(Ear { port, heard: Err(error.to_string()), overlooked: 0 }),
    };
    let (mut heard, mut overlooked) = (BTreeMap::new(), 0);
    while let Ok(Some(sighting)) = timeout_at(until, scout.next()).await {
        let Sighting { id, endpoint, source, key } = sighting;
        let who = (id, source.ip());
        match endpoint {
            Some(_) if heard.len() >= MAX_HEARD && !heard.contains_key(&who) => overlooked += 1,
            Some(endpoint) => {
                let since = until.saturating_duration_since(Instant::now());
                let first = heard.entry(who).or_insert(Heard { endpoint, key, since });
                (first.endpoint, first.key) = (endpoint, key);
            }
            None => drop(heard.remove(&who)),
        }
    }
    Some(Ear { port, heard: Ok(heard), overlooked })
}

impl Joined {
    fn of(node: &Node) -> Self {
        Self {
            id: node.id(),
            name: node.name().to_owned(),
            endpoint: node.endpoint(),
            peers: node.membership().peers().cloned().collect(),
            counters: node.stats().counters,
        }
    }
}
