//! Where a mailbox is: `tcp://IP:port` as text in HELLO and gossip (RFC 36 "endpoint").
//!
//! Invariant: an [`Endpoint`] is an IP address one can connect to and a port that is not 0. Nothing
//! is looked up: a host name from the network is refused, not resolved.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

const SCHEME: &str = "tcp://";

/// The address of a node's mailbox.
///
/// Written as zyre C writes it: `tcp://1.2.3.4:5`, and IPv6 **without brackets**,
/// `tcp://fd77::1:49152` (the port follows the last colon). Read with or without brackets. The scope
/// of a link-local address belongs to this host alone: it is kept and compared, never written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// Takes an address. An IPv4 address in IPv6 clothes (`::ffff:1.2.3.4`) becomes IPv4.
    ///
    /// # Errors
    /// When the port is 0 or the address unspecified.
    pub fn new(address: SocketAddr) -> Result<Self, EndpointError> {
        let ip = address.ip().to_canonical();
        if ip.is_unspecified() {
            return Err(EndpointError::Unspecified);
        }
        if address.port() == 0 {
            return Err(EndpointError::PortZero);
        }
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        Ok(Self(socket_address(ip, address.port(), scope)))
    }

    /// Reads the text of a HELLO or gossip tuple. A zone's name is dropped; use
    /// [`Endpoint::decode_with_zone`] to have it.
    ///
    /// # Errors
    /// When it is not `tcp://IP:port` with an address one can connect to.
    pub fn decode(text: &[u8]) -> Result<Self, EndpointError> {
        Self::decode_with_zone(text).map(|(endpoint, _)| endpoint)
    }

    /// As [`Endpoint::decode`], with the zone of an IPv6 address (`fe80::1%eth0`) when it is an
    /// interface's name, for the caller to turn into a scope ([`Endpoint::with_scope`]). A zone that
    /// is a number is the scope already.
    ///
    /// # Errors
    /// When it is not `tcp://IP:port` with an address one can connect to.
    pub fn decode_with_zone(text: &[u8]) -> Result<(Self, Option<String>), EndpointError> {
        let text = std::str::from_utf8(text).map_err(|_| EndpointError::NotText)?;
        let rest = text.strip_prefix(SCHEME).ok_or(EndpointError::Scheme)?;
        let (host, port, bracketed) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(EndpointError::NotAnAddress)?;
                (host, after.strip_prefix(':').ok_or(EndpointError::BadPort)?, true)
            }
            None => {
                let (host, port) = rest.rsplit_once(':').ok_or(EndpointError::BadPort)?;
                (host, port, false)
            }
        };
        let (ip, zone) = parse_host(host, bracketed)?;
        let port = parse_port(port)?;
        let scope = zone.and_then(|zone| zone.parse().ok());
        let endpoint = Self::new(socket_address(ip, port, scope.unwrap_or(0)))?;
        Ok((endpoint, zone.filter(|_| scope.is_none()).map(str::to_owned)))
    }

    /// The address to connect to.
    pub const fn address(&self) -> SocketAddr {
        self.0
    }

    /// The IP address.
    pub const fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// The port; never 0.
    pub const fn port(&self) -> u16 {
        self.0.port()
    }

    /// The same endpoint reached through the interface with this index; IPv4 has no scope and stays
    /// as it is. With 0 two endpoints compare as their text does.
    #[must_use]
    pub fn with_scope(mut self, scope: u32) -> Self {
        if let SocketAddr::V6(address) = &mut self.0 {
            address.set_scope_id(scope);
        }
        self
    }
}

/// Also forgets the IPv6 flow label, which says nothing about where the mailbox is.
fn socket_address(ip: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope)),
    }
}

fn parse_host(host: &str, bracketed: bool) -> Result<(IpAddr, Option<&str>), EndpointError> {
    let (address, zone) = match host.split_once('%') {
        Some((_, "")) => return Err(EndpointError::NotAnAddress),
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    if let Ok(v6) = address.parse::<Ipv6Addr>() {
        return Ok((v6.into(), zone));
    }
    match address.parse::<Ipv4Addr>() {
        Ok(v4) if zone.is_none() && !bracketed => Ok((v4.into(), None)),
        _ => Err(EndpointError::NotAnAddress),
    }
}

fn parse_port(port: &str) -> Result<u16, EndpointError> {
    // `u16::from_str` alone would take "+5".
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EndpointError::BadPort);
    }
    port.parse().map_err(|_| EndpointError::BadPort)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}", self.ip(), self.port())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With brackets and scope: what the logs of this host should say.
        write!(f, "{SCHEME}{}", self.0)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::decode(text.as_bytes())
    }
}

impl TryFrom<SocketAddr> for Endpoint {
    type Error = EndpointError;

    fn try_from(address: SocketAddr) -> Result<Self, EndpointError> {
        Self::new(address)
    }
}

/// Why a text or address is not the endpoint of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not even UTF-8; the peer cannot be connected to.
    #[error("an endpoint is text of the form tcp://IP:port")]
    NotText,
    /// It does not begin with `tcp://`; other transports (`ipc://`, `inproc://`) are not connected to.
    #[error("an endpoint begins with tcp://; other transports are not supported")]
    Scheme,
    /// The host is not an IP address; names are not looked up. Give the address itself.
    #[error("an endpoint names its host by IP address; host names and wildcards are not looked up")]
    NotAnAddress,
    /// There is no port, or it is not a number up to 65535. Append `:port`.
    #[error("an endpoint ends with a colon and a port from 1 to 65535")]
    BadPort,
    /// Port 0 cannot be connected to. Give the port the mailbox is bound to.
    #[error("port 0 cannot be connected to; give the port the mailbox is bound to")]
    PortZero,
    /// `0.0.0.0` or `::` names no host. Give the address of an interface.
    #[error("an unspecified address names no host; give the address of an interface")]
    Unspecified,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(endpoint: Endpoint) -> u32 {
        match endpoint.address() {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        }
    }

    #[test]
    fn every_form_seen_is_read_and_written_as_zyre_c_writes_it() {
        for (read, written) in [
            ("tcp://1.2.3.4:5", "tcp://1.2.3.4:5"),
            ("tcp://127.0.0.1:65535", "tcp://127.0.0.1:65535"),
            ("tcp://[fd77::1]:49152", "tcp://fd77::1:49152"),
            ("tcp://fd77::1:49152", "tcp://fd77::1:49152"),
            ("tcp://fe80::14e0:27ff:fe90:4716:49152", "tcp://fe80::14e0:27ff:fe90:4716:49152"),
            ("tcp://1:2:3:4:5:6:7:8:9", "tcp://1:2:3:4:5:6:7:8:9"),
            ("tcp://[::ffff:1.2.3.4]:5", "tcp://1.2.3.4:5"),
            ("tcp://::1:00080", "tcp://::1:80"),
        ] {
            let endpoint: Endpoint = read.parse().unwrap();
            assert_eq!(endpoint.to_string(), written);
            assert_eq!(written.parse(), Ok(endpoint), "{written} reads back");
        }
    }

    #[test]
    fn a_zone_stays_local_as_scope_or_name() {
        for (text, expected_scope, name) in [
            ("tcp://fe80::1%3:49152", 3, None),
            ("tcp://[fe80::1%3]:49152", 3, None),
            ("tcp://fe80::1%eth0:49152", 0, Some("eth0")),
            ("tcp://[fe80::1%eth0:1]:49152", 0, Some("eth0:1")),
            ("tcp://fe80::1%eth0:1:49152", 0, Some("eth0:1")),
            ("tcp://fe80::1%4294967296:49152", 0, Some("4294967296")),
        ] {
            let (endpoint, zone) = Endpoint::decode_with_zone(text.as_bytes()).unwrap();
            assert_eq!((scope(endpoint), zone.as_deref()), (expected_scope, name), "{text}");
            assert_eq!(endpoint.to_string(), "tcp://fe80::1:49152");
        }
        let scoped = "tcp://fe80::1:5".parse::<Endpoint>().unwrap().with_scope(7);
        assert_eq!(scope(scoped), 7);
        assert_eq!(scoped.with_scope(0), "tcp://fe80::1:5".parse().unwrap());
        assert_eq!(scope("tcp://1.2.3.4:5".parse::<Endpoint>().unwrap().with_scope(7)), 0);
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused_by_its_reason() {
        use EndpointError::*;
        for (text, error) in [
            (&b""[..], Scheme),
            (b"garbage", Scheme),
            (b"ipc:///tmp/socket", Scheme),
            (b"inproc://x", Scheme),
            (b"TCP://1.2.3.4:5", Scheme),
            (b" tcp://1.2.3.4:5", Scheme),
            (b"tcp://localhost:5", NotAnAddress),
            (b"tcp://*:5", NotAnAddress),
            (b"tcp://:5", NotAnAddress),
            (b"tcp://fd77::1", NotAnAddress),
            (b"tcp://[fd77::1:5", NotAnAddress),
            (b"tcp://[1.2.3.4]:5", NotAnAddress),
            (b"tcp://1.2.3.4%eth0:5", NotAnAddress),
            (b"tcp://fe80::1%:5", NotAnAddress),
            (b"tcp://1.2.3.4\0:5", NotAnAddress),
            (b"tcp://", BadPort),
            (b"tcp://1.2.3.4", BadPort),
            (b"tcp://1.2.3.4:", BadPort),
            (b"tcp://1.2.3.4:+5", BadPort),
            (b"tcp://1.2.3.4:65536", BadPort),
            (b"tcp://1.2.3.4:5/", BadPort),
            (b"tcp://1.2.3.4:5|key", BadPort),
            (b"tcp://[fd77::1]49152", BadPort),
            (b"tcp://1.2.3.4:0", PortZero),
            (b"tcp://fd77::1:0", PortZero),
            (b"tcp://0.0.0.0:5", Unspecified),
            (b"tcp://:::5", Unspecified),
            (b"tcp://[::]:5", Unspecified),
            (b"tcp://[::ffff:0.0.0.0]:5", Unspecified),
            (b"tcp://\xff\xfe:5", NotText),
        ] {
            assert_eq!(Endpoint::decode(text), Err(error), "{}", String::from_utf8_lossy(text));
        }
    }
}
