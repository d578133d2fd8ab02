//! Where a hub listens and where a leaf connects, as users write it: the texts zyre takes for BIND and CONNECT.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

const SCHEME: &str = "tcp://";

/// Longest host name in bytes (RFC 1035).
const MAX_HOST: usize = 253;

/// Where a hub listens: `tcp://*:6000`, `tcp://0.0.0.0:6000`, `tcp://[::]:6000`, or one address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bind(pub(crate) SocketAddr);

/// A hub to connect to: `tcp://192.168.1.1:6000` or `tcp://hub.local:6000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubAddress {
    host: String,
    port: u16,
}

/// Why a text is no place to listen at or to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BindError {
    /// It does not begin with `tcp://`; gossip runs over TCP only.
    #[error("a gossip endpoint begins with tcp://; other transports are not supported")]
    Scheme,
    /// There is no port, or it is not a number up to 65535.
    #[error("a gossip endpoint ends with a colon and a port, as in tcp://*:6000")]
    Port,
    /// A hub listens at addresses; names are not looked up for that.
    #[error("a gossip hub listens at * or an IP address of this host, as in tcp://*:6000")]
    Address,
    /// A wildcard or a malformed name, which names no host to connect to.
    #[error("connect to a gossip hub by its address or host name, as in tcp://192.168.1.1:6000")]
    Host,
}

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let (host, port) = split(text)?;
        // As in libzmq, `*` is every IPv4 address, and a port `*` any that is free.
        let ip = if host == "*" { Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) } else { host.parse() };
        let port = if port == "*" { 0 } else { number(port)? };
        Ok(Self(SocketAddr::new(ip.map_err(|_| BindError::Address)?, port)))
    }
}

impl FromStr for HubAddress {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let (host, port) = split(text)?;
        let port = number(port)?;
        if port == 0 {
            return Err(BindError::Port);
        }
        let is_name = |host: &str| {
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(byte)
        };
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => Err(BindError::Host),
            Err(_) if !is_name(host) => Err(BindError::Host),
            _ => Ok(Self { host: host.to_owned(), port }),
        }
    }
}

impl HubAddress {
    /// Every address the host has now; asked anew for each try, as a host may move.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect())
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}", self.host, self.port)
    }
}

/// Host, without the brackets an IPv6 address may have, and port.
fn split(text: &str) -> Result<(&str, &str), BindError> {
    let rest = text.strip_prefix(SCHEME).ok_or(BindError::Scheme)?;
    let (host, port) = rest.rsplit_once(':').ok_or(BindError::Port)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Ok((inner.unwrap_or(host), port))
}

fn number(port: &str) -> Result<u16, BindError> {
    // `u16::from_str` alone would take "+5".
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BindError::Port);
    }
    port.parse().map_err(|_| BindError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_listens_where_zyre_would() {
        for (text, address) in [
            ("tcp://*:6000", Ok("0.0.0.0:6000")),
            ("tcp://*:*", Ok("0.0.0.0:0")),
            ("tcp://0.0.0.0:6000", Ok("0.0.0.0:6000")),
            ("tcp://127.0.0.1:0", Ok("127.0.0.1:0")),
            ("tcp://[::]:6000", Ok("[::]:6000")),
            ("tcp://::1:6000", Ok("[::1]:6000")),
            ("ipc:///run/hub", Err(BindError::Scheme)),
            ("tcp://*", Err(BindError::Port)),
            ("tcp://*:70000", Err(BindError::Port)),
            ("tcp://*:+1", Err(BindError::Port)),
            ("tcp://*:", Err(BindError::Port)),
            ("tcp://eth0:6000", Err(BindError::Address)),
        ] {
            assert_eq!(text.parse(), address.map(|address| Bind(address.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn a_leaf_connects_to_an_address_or_a_name() {
        for (text, shown) in [
            ("tcp://hub.local:6000", Ok("tcp://hub.local:6000")),
            ("tcp://10.0.0.1:6000", Ok("tcp://10.0.0.1:6000")),
            ("tcp://[fd77::1]:6000", Ok("tcp://fd77::1:6000")),
            ("tcp://*:6000", Err(BindError::Host)),
            ("tcp://0.0.0.0:6000", Err(BindError::Host)),
            ("tcp://:6000", Err(BindError::Host)),
            ("tcp://a b:6000", Err(BindError::Host)),
            ("tcp://hub:0", Err(BindError::Port)),
            ("tcp://hub", Err(BindError::Port)),
            ("hub:6000", Err(BindError::Scheme)),
        ] {
            let parsed = text.parse::<HubAddress>().map(|hub| hub.to_string());
            assert_eq!(parsed, shown.map(str::to_owned), "{text}");
        }
    }
}
