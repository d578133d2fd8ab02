//! From settings to a running node: everything is checked and every port opened before the first task starts,
//! so that a failure leaves nothing behind.

pub(crate) mod check;
pub(crate) mod open;

use super::addresses::Addresses;
use super::connection::Mailbox;
use super::counters::Counters;
use super::driver::{DriverTask, Gossiping, KeyedEndpoint, Parts};
use super::gossip::{Bind, Gossip, Hub, HubAddress, Leaf};
use super::groups::OwnGroups;
use super::inbox::{self, Events};
use super::link::LinkContext;
use super::listener;
use super::request::{Driver, Leash};
use super::security::Security;
use crate::config::Config;
use crate::membership;
use crate::node::Handle;
use crate::proto;
use crate::wire::Endpoint;
use crate::zmtp::Limits;
use crate::{PeerId, StartError};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};

/// Requests that may wait for the driver; askers wait when it is full.
const REQUESTS: usize = 1_024;

pub(crate) async fn start(config: Config) -> Result<(Handle, Events), StartError> {
    let security = Security::new(&config)?;
    let id = config.node_key.as_ref().map(|(key, _)| key.peer_id()).or(config.id);
    let id = id.unwrap_or_else(|| PeerId::from_bytes(uuid::Uuid::new_v4().into_bytes()));
    let name = config.name.clone().unwrap_or_else(|| id.short());
    check::name(&name)?;
    check::headers(&config)?;
    let headers = check::header_bytes(&config, &security);
    check::timers(&config)?;
    check::beacon_port(&config)?;
    let groups = check::group_names(&config.groups)?;
    let contest = check::group_names(&config.contest)?;
    let hello_room = check::hello(&headers, &name, &groups)?;
    let bind = parse_endpoint("endpoint", config.endpoint.as_deref())?;
    let advertised = parse_endpoint("advertised endpoint", config.advertise.as_deref())?;
    let mut dials = Vec::new();
    for text in &config.connect {
        let resolved = resolve(text, &security).await;
        dials.push(resolved.map_err(|problem| invalid("endpoint to connect to", text, problem))?);
    }

    let addresses = Arc::new(Addresses::default());
    let (transport, beaconing) = open::discovery(&config, bind, &addresses)?;
    let current = addresses.subnets();
    let mailboxes = open::mailboxes(&config, &transport, bind, &current).await?;
    let mailbox_port = mailboxes.first().map_or(0, |(_, address)| address.port());
    let endpoint = advertised.or(bind).map_or_else(|| open::public_endpoint(&current, mailbox_port), Ok)?;

    let (requests, queue) = mpsc::channel(REQUESTS);
    let driver = Driver(requests);
    let counters = Arc::new(Counters::default());
    let gossip = start_gossip(&config, &security, id, endpoint, &driver, &counters).await?;
    let gossip_addresses = gossip.iter().flat_map(|part| part.hubs.iter().map(Hub::local)).collect();
    let machine = proto::Node::new(
        tokio::time::Instant::now().into_std(),
        proto::Config {
            id,
            name: name.clone().into_bytes(),
            headers,
            groups: groups.clone(),
            contest,
            timers: config.timers,
            beacon: beaconing.is_on(),
            beacon_port: beaconing.port().unwrap_or_else(|| config.beacon_port()),
            mailbox_port,
            endpoint_policy: config.endpoint_policy,
            subnets: current,
            trust: security.trust(),
            authorize: config.authorize.clone(),
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
        security: security.clone(),
        foreign_shouts: config.foreign_shouts,
    });
    let door = Arc::new(Leash::default());
    let anywhere = bind.is_some() || transport.is_memory();
    for (listener, _) in mailboxes {
        let addresses = addresses.clone();
        let is_welcome = move |local: SocketAddr, _| anywhere || addresses.is_welcome(local.ip());
        tokio::spawn(listener::run(listener, mailbox.clone(), is_welcome, door.clone()));
    }
    let (membership, view) = membership::view();
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
            addresses,
            transport,
            security: security.clone(),
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
        hello_room,
        driver,
        membership: view,
        inbox,
        counters,
        gossip_addresses,
        security,
        abandoned,
    };
    Ok((handle, events))
}

async fn start_gossip(
    config: &Config,
    security: &Security,
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
    let parsed = |text: &String| {
        let (address, key) =
            security.split_endpoint(text).map_err(|problem| invalid("gossip hub", text, problem))?;
        let address = address.parse::<HubAddress>();
        address.map(|address| (address, key)).map_err(|error| invalid("gossip hub", text, error.to_string()))
    };
    let addresses = config.gossip_connect.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
    let (own, watched) = watch::channel((id, endpoint));
    let gossip = Gossip::start(watched, driver.clone(), counters.clone(), security.clone());
    let mut hubs = Vec::new();
    for (bind, text) in binds.into_iter().zip(&config.gossip_bind) {
        let hub = Hub::start(&gossip, bind).await;
        hubs.push(hub.map_err(|error| {
            invalid("gossip endpoint to bind", text, format!("{error}; choose another port"))
        })?);
    }
    let leaves = addresses.into_iter().map(|(address, key)| Leaf::start(&gossip, address, key)).collect();
    Ok(Some(Gossiping { gossip, _own: own, hubs, _leaves: leaves }))
}

fn parse_endpoint(what: &'static str, text: Option<&str>) -> Result<Option<Endpoint>, StartError> {
    let Some(text) = text else { return Ok(None) };
    Endpoint::decode(text.as_bytes()).map(Some).map_err(|error| invalid(what, text, error.to_string()))
}

fn invalid(what: &'static str, text: &str, problem: String) -> StartError {
    StartError::InvalidEndpoint { what, text: without_key(text), problem }
}

/// What an error repeats of an endpoint: what is behind the `|` may be a secret key by mistake.
pub(crate) fn without_key(text: &str) -> String {
    text.split_once('|').map_or_else(|| text.to_owned(), |(endpoint, _)| format!("{endpoint}|..."))
}

/// An endpoint to connect to, with the key of whoever is there, if one is given; its host may be a name.
pub(crate) async fn resolve(text: &str, security: &Security) -> Result<KeyedEndpoint, String> {
    let (text, key) = security.split_endpoint(text)?;
    Ok((resolve_host(text).await?, key))
}

async fn resolve_host(text: &str) -> Result<Endpoint, String> {
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
