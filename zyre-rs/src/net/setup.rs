//! From settings to a running node: everything is checked and every port opened before the first task starts,
//! so that a failure leaves nothing behind.

use super::beacon::{BeaconChannel, BeaconSockets};
use super::beaconing::{Beaconing, SharedSubnets, Udp, subnets_of};
use super::connection::Mailbox;
use super::counters::Counters;
use super::driver::{DriverTask, Gossiping, Parts, Subnets, is_welcome};
use super::gossip::{Bind, Gossip, Hub, HubAddress, Leaf};
use super::groups::OwnGroups;
use super::inbox::{self, Events};
use super::interface::{Family, InterfaceChoice, Watcher, enumerate};
use super::link::LinkContext;
use super::listener;
use super::request::{Driver, Leash};
use super::transport::{Listener, Transport};
use crate::config::Config;
use crate::membership::Membership;
use crate::node::Handle;
use crate::proto;
use crate::wire::{Endpoint, Hello, HelloFields, MAX_GROUPS, MAX_HEADER_VALUE, MAX_STRING};
use crate::zmtp::Limits;
use crate::{GroupName, PeerId, StartError};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use tokio::sync::{Notify, mpsc, watch};

/// Requests that may wait for the driver; askers wait when it is full.
const REQUESTS: usize = 1_024;
/// The header by which nodes of this crate know each other; not the user's to set.
const RESERVED_HEADER: &str = "X-ZYRE-RS";

pub(crate) async fn start(config: Config) -> Result<(Handle, Events), StartError> {
    let id = config.id.unwrap_or_else(|| PeerId::from_bytes(uuid::Uuid::new_v4().into_bytes()));
    let name = config.name.clone().unwrap_or_else(|| id.short());
    check_name(&name)?;
    check_headers(&config)?;
    check_timers(&config)?;
    let groups = group_names(&config.groups)?;
    let contest = group_names(&config.contest)?;
    check_hello(&config, &name, &groups)?;
    let bind = parse_endpoint("endpoint", config.endpoint.as_deref())?;
    let advertised = parse_endpoint("advertised endpoint", config.advertise.as_deref())?;
    let mut dials = Vec::new();
    for text in &config.connect {
        dials.push(resolve(text).await.map_err(|problem| invalid("endpoint to connect to", text, problem))?);
    }

    let subnets: SharedSubnets = SharedSubnets::default();
    let (transport, beaconing) = open_discovery(&config, bind, &subnets)?;
    let current = subnets.read().unwrap_or_else(PoisonError::into_inner).clone();
    let mailboxes = open_mailboxes(&config, &transport, bind, &current).await?;
    let mailbox_port = mailboxes.first().map_or(0, |(_, address)| address.port());
    let endpoint = advertised.or(bind).map_or_else(|| public_endpoint(&current, mailbox_port), Ok)?;

    let (requests, queue) = mpsc::channel(REQUESTS);
    let driver = Driver(requests);
    let counters = Arc::new(Counters::default());
    let gossip = start_gossip(&config, id, endpoint, &driver, &counters).await?;
    let gossip_addresses = gossip.iter().flat_map(|part| part.hubs.iter().map(Hub::local)).collect();
    let machine = proto::Node::new(
        tokio::time::Instant::now().into_std(),
        proto::Config {
            id,
            name: name.clone().into_bytes(),
            headers: header_bytes(&config),
            groups: groups.clone(),
            contest,
            timers: config.timers,
            beacon: beaconing.is_on(),
            beacon_port: beaconing.port().unwrap_or(config.beacon_port),
            endpoint_policy: config.endpoint_policy,
            subnets: current,
        },
    );
    let (inbox, events) = inbox::inbox(counters.clone(), config.max_message);
    let own_groups = Arc::new(OwnGroups::new(groups));
    let mailbox = Arc::new(Mailbox {
        driver: driver.clone(),
        inbox: inbox.clone(),
        counters: counters.clone(),
        groups: own_groups.clone(),
        // Room for the frame that says what the content is.
        limits: Limits { max_message: config.max_message.saturating_add(512), ..Limits::default() },
        foreign_shouts: config.foreign_shouts,
    });
    let door = Arc::new(Leash::default());
    let anywhere = bind.is_some() || transport.is_memory();
    for (listener, _) in mailboxes {
        let subnets = subnets.clone();
        let is_welcome = move |local, _| {
            anywhere || is_welcome(&subnets.read().unwrap_or_else(PoisonError::into_inner), local)
        };
        tokio::spawn(listener::run(listener, mailbox.clone(), is_welcome, door.clone()));
    }
    let (membership, watched) = watch::channel(Arc::new(Membership::default()));
    let abandoned = Arc::new(Notify::new());
    let task = DriverTask::new(Parts {
        machine,
        name: name.clone(),
        requests: queue,
        beaconing,
        links: Arc::new(LinkContext {
            id,
            advertised: advertised.or(bind),
            mailbox_port,
            transport,
            driver: driver.clone(),
            counters: counters.clone(),
        }),
        inbox: inbox.clone(),
        counters: counters.clone(),
        membership,
        own_groups,
        abandoned: abandoned.clone(),
        door,
        gossip,
        link_limit: config.link_limit,
        overflow: config.overflow,
    });
    tokio::spawn(task.run(dials));
    let (overflow, max_message) = (config.overflow, config.max_message);
    let handle = Handle {
        id,
        name,
        endpoint,
        overflow,
        max_message,
        driver,
        membership: watched,
        inbox,
        counters,
        gossip_addresses,
        abandoned,
    };
    Ok((handle, events))
}

async fn start_gossip(
    config: &Config,
    id: PeerId,
    endpoint: Endpoint,
    driver: &Driver,
    counters: &Arc<Counters>,
) -> Result<Option<Gossiping>, StartError> {
    if config.gossip_bind.is_empty() && config.gossip_connect.is_empty() {
        return Ok(None);
    }
    let parsed = |text: &String| {
        text.parse::<Bind>().map_err(|e| invalid("gossip endpoint to bind", text, e.to_string()))
    };
    let binds = config.gossip_bind.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
    let parsed =
        |text: &String| text.parse::<HubAddress>().map_err(|e| invalid("gossip hub", text, e.to_string()));
    let addresses = config.gossip_connect.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
    let (own, watched) = watch::channel((id, endpoint));
    let gossip = Gossip::start(watched, driver.clone(), counters.clone());
    let mut hubs = Vec::new();
    for (bind, text) in binds.into_iter().zip(&config.gossip_bind) {
        let hub = Hub::start(&gossip, bind).await;
        hubs.push(hub.map_err(|error| {
            invalid("gossip endpoint to bind", text, format!("{error}; choose another port"))
        })?);
    }
    let leaves = addresses.into_iter().map(|address| Leaf::start(&gossip, address)).collect();
    Ok(Some(Gossiping { gossip, _own: own, hubs, _leaves: leaves }))
}

/// Chooses interfaces and opens the beacon sockets on them.
fn open_discovery(
    config: &Config,
    bind: Option<Endpoint>,
    subnets: &SharedSubnets,
) -> Result<(Transport, Beaconing), StartError> {
    #[cfg(feature = "test-util")]
    if let Some(network) = &config.network {
        let host = network.attach();
        *subnets.write().unwrap_or_else(PoisonError::into_inner) = vec![(host.ip(), 24)];
        let bus = host.beacons(config.beacon_port);
        return Ok((Transport::Memory(host), Beaconing::Memory(bus)));
    }
    let environment = std::env::var("ZSYS_INTERFACE").ok();
    // A mailbox at one address can only be reached there, so beacons from elsewhere would mislead.
    let bound = bind.map(|endpoint| endpoint.ip().to_string()).filter(|_| config.interface.is_none());
    let explicit = config.interface.as_deref().or(bound.as_deref());
    let choice = InterfaceChoice::from_settings(explicit, environment.as_deref());
    let ipv6 = config.ipv6 || std::env::var("ZSYS_IPV6").is_ok_and(|value| value == "1");
    let family = if ipv6 { Family::Both } else { Family::V4 };
    let existing = enumerate()
        .map_err(|error| StartError::UnknownInterface(format!("cannot list interfaces: {error}")))?;
    let watcher = Watcher::new(choice, family, &existing)
        .map_err(|error| StartError::UnknownInterface(error.to_string()))?;
    let chosen = watcher.current();
    *subnets.write().unwrap_or_else(PoisonError::into_inner) = subnets_of(chosen);
    let mut channel = BeaconChannel::on_port(config.beacon_port);
    if let Some(group) = std::env::var("ZSYS_IPV6_MCAST_ADDRESS").ok().and_then(|text| text.parse().ok()) {
        channel.ipv6_group = group;
    }
    let sockets = config.beacon.then(|| BeaconSockets::open(channel, chosen)).transpose()?;
    Ok((Transport::System, Beaconing::Udp(Box::new(Udp::new(sockets, watcher, subnets.clone())))))
}

/// Opens the mailbox: at the endpoint asked for, else on all addresses (the listener refuses those not in use).
async fn open_mailboxes(
    config: &Config,
    transport: &Transport,
    bind: Option<Endpoint>,
    subnets: &Subnets,
) -> Result<Vec<(Listener, SocketAddr)>, StartError> {
    if let Some(endpoint) = bind {
        return Ok(vec![open_mailbox(transport, endpoint.address()).await?]);
    }
    let any_v4 = if transport.is_memory() { first_ip(subnets) } else { Ipv4Addr::UNSPECIFIED.into() };
    let v4 = open_mailbox(transport, SocketAddr::new(any_v4, config.tcp_port)).await?;
    let port = v4.1.port();
    let mut mailboxes = vec![v4];
    if subnets.iter().any(|(ip, _)| ip.is_ipv6()) {
        let any_v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        mailboxes.push(open_mailbox(transport, any_v6).await?);
    }
    Ok(mailboxes)
}

async fn open_mailbox(
    transport: &Transport,
    address: SocketAddr,
) -> Result<(Listener, SocketAddr), StartError> {
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

fn public_endpoint(subnets: &Subnets, port: u16) -> Result<Endpoint, StartError> {
    let address = SocketAddr::new(first_ip(subnets), port);
    Endpoint::new(address).map_err(|error| invalid("mailbox", &address.to_string(), error.to_string()))
}

fn check_name(name: &str) -> Result<(), StartError> {
    let usable = (1..=MAX_STRING).contains(&name.len()) && !name.contains('\0');
    if usable { Ok(()) } else { Err(StartError::InvalidName { length: name.len() }) }
}

fn check_headers(config: &Config) -> Result<(), StartError> {
    for (key, value) in &config.headers {
        let problem = if key.is_empty() || key.len() > MAX_STRING {
            "a key has 1 to 255 bytes; choose another key"
        } else if key == RESERVED_HEADER {
            "this key is set by the node itself; choose another key"
        } else if key.contains('\0') || value.contains('\0') {
            "zyre peers cut text at a NUL; leave it out"
        } else if value.len() > MAX_HEADER_VALUE {
            "a value has at most 128 KiB; send larger data as a message"
        } else {
            continue;
        };
        return Err(StartError::InvalidHeader { key: key.clone(), problem });
    }
    Ok(())
}

fn header_bytes(config: &Config) -> Vec<(Vec<u8>, Vec<u8>)> {
    config.headers.iter().map(|(key, value)| (key.clone().into(), value.clone().into())).collect()
}

fn check_timers(config: &Config) -> Result<(), StartError> {
    let timers = &config.timers;
    if timers.interval.is_zero() || timers.evasive.is_zero() {
        return Err(StartError::InvalidTimeout(
            "beacon interval and evasive timeout must be longer than zero",
        ));
    }
    if timers.silent < timers.evasive {
        return Err(StartError::InvalidTimeout(
            "the silent timeout must not be shorter than the evasive timeout",
        ));
    }
    if timers.expired <= timers.evasive {
        return Err(StartError::InvalidTimeout(
            "the expired timeout must be longer than the evasive timeout; shorten `evasive` or lengthen `expired`",
        ));
    }
    Ok(())
}

fn group_names(names: &[String]) -> Result<BTreeSet<GroupName>, StartError> {
    names.iter().map(|name| GroupName::try_from(name.as_str()).map_err(StartError::from)).collect()
}

/// What fits piece by piece may still be too much for one HELLO.
fn check_hello(config: &Config, name: &str, groups: &BTreeSet<GroupName>) -> Result<(), StartError> {
    if groups.len() > MAX_GROUPS {
        return Err(StartError::InvalidHeader {
            key: String::new(),
            problem: "a node is in at most 1,024 groups; join fewer",
        });
    }
    let headers = header_bytes(config);
    let fields = HelloFields {
        endpoint: vec![b'x'; MAX_STRING],
        groups: groups.iter().cloned().collect(),
        status: 0,
        name: name.into(),
        headers,
    };
    Hello::new(fields).map(drop).map_err(|_| StartError::InvalidHeader {
        key: String::new(),
        problem: "all headers and groups together exceed the 256 KiB of a HELLO; use fewer or shorter ones",
    })
}

fn parse_endpoint(what: &'static str, text: Option<&str>) -> Result<Option<Endpoint>, StartError> {
    let Some(text) = text else { return Ok(None) };
    Endpoint::decode(text.as_bytes()).map(Some).map_err(|error| invalid(what, text, error.to_string()))
}

fn invalid(what: &'static str, text: &str, problem: String) -> StartError {
    StartError::InvalidEndpoint { what, text: text.to_owned(), problem }
}

/// An endpoint to connect to; its host may be a name.
pub(crate) async fn resolve(text: &str) -> Result<Endpoint, String> {
    let problem = match Endpoint::decode(text.as_bytes()) {
        Ok(endpoint) => return Ok(endpoint),
        Err(error) => error.to_string(),
    };
    let Some(host) =
        text.strip_prefix("tcp://").filter(|host| host.contains(|c: char| c.is_ascii_alphabetic()))
    else {
        return Err(format!("{problem}; an endpoint looks like tcp://192.168.1.5:9000"));
    };
    let mut addresses = tokio::net::lookup_host(host).await.map_err(|error| format!("{host}: {error}"))?;
    let address = addresses.find(SocketAddr::is_ipv4).ok_or_else(|| format!("{host} has no IPv4 address"))?;
    Endpoint::new(address).map_err(|error| error.to_string())
}
