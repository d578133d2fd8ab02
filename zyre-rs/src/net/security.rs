//! Whether a node talks to everybody or only to those whose keys it knows: what connections are opened and accepted with.
//! Whose keys those are, and who may use which UUID, the protocol machine decides (`proto::Trust`).
//!
//! Invariant: a secured node never falls back to open mode, for no peer and in no direction.

use crate::config::Config;
use crate::proto::Trust;
use crate::zmtp::curve::{Client, CurveError, Denied, Fresh, Gate, KeyPair, PublicKey, Server};
use crate::zmtp::{HandshakeError, Mechanism};
use crate::{StartError, TrustedKeys};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// How the connections of a node are secured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) enum Security {
    /// Not at all, as pyre and zyre without certificates.
    #[default]
    Open,
    /// By CURVE with keys that the network shares. The first pair is shown in both roles; peers may show any.
    Network(Arc<[KeyPair]>),
    /// By CURVE with a pair of this node's own.
    Node {
        /// The one; the slice has no other.
        pair: Arc<[KeyPair]>,
        /// Its public half.
        own: PublicKey,
        /// Whom to let in and to talk to, as of now.
        trusted: Arc<watch::Sender<TrustedKeys>>,
    },
}

/// Why no connection is opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error("no random numbers for a secured connection: {0}")]
    Random(#[from] io::Error),
    #[error("the other side's key is not known or not trusted")]
    Untrusted,
}

impl NoClient {
    pub(crate) const fn counter(&self) -> &'static str {
        match self {
            Self::Random(_) => "random_unavailable",
            Self::Untrusted => "link_untrusted_key",
        }
    }
}

impl Security {
    /// # Errors
    /// When the settings contradict each other.
    pub(crate) fn new(config: &Config) -> Result<Self, StartError> {
        match (&config.network_key, &config.node_key) {
            (None, None) => Ok(Self::Open),
            (Some(key), None) => Ok(Self::Network(key.pairs())),
            (Some(_), Some(_)) => Err(StartError::Keys(
                "a node has a network key or a key of its own, not both; leave one of them out",
            )),
            (None, Some((key, _))) if !key.is_usable() => Err(StartError::Keys(
                "the public key of this node begins with byte 0, which ends zyre C nodes; make another with `zyre key new --node`",
            )),
            (None, Some((key, _))) if config.id.is_some_and(|id| id != key.peer_id()) => {
                Err(StartError::Keys(
                    "the UUID of a node with a key of its own comes from that key; leave `id` out",
                ))
            }
            (None, Some((key, trusted))) => Ok(Self::Node {
                pair: Arc::new([key.pair().clone()]),
                own: key.public_key(),
                trusted: Arc::new(watch::Sender::new(trusted.clone())),
            }),
        }
    }

    /// What the protocol machine goes by.
    pub(crate) fn trust(&self) -> Trust {
        match self {
            Self::Open => Trust::Open,
            Self::Network(pairs) => Trust::Network(pairs.iter().map(KeyPair::public).collect()),
            Self::Node { own, trusted, .. } => Trust::Nodes { own: *own, trusted: trusted.borrow().clone() },
        }
    }

    /// For a connection that we open to whoever has this key; in a network with one key for all `None` is our own.
    ///
    /// # Errors
    /// When that key is none to talk to, or the system has no random numbers to give.
    pub(crate) fn client(&self, server: Option<PublicKey>) -> Result<Mechanism, NoClient> {
        let (pairs, server) = match self {
            Self::Open => return Ok(Mechanism::Null),
            Self::Network(pairs) => (pairs, server.or(self.public_key())),
            Self::Node { pair, .. } => (pair, server),
        };
        let server = server.filter(|key| self.welcomes(key));
        let (pair, server) = pairs.first().zip(server).ok_or(NoClient::Untrusted)?;
        Ok(Mechanism::client(Client::new(pair.clone(), server, &fresh()?)))
    }

    /// For a connection that we accept.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub(crate) fn server(&self) -> io::Result<Mechanism> {
        let pairs = match self {
            Self::Open => return Ok(Mechanism::Null),
            Self::Network(pairs) | Self::Node { pair: pairs, .. } => pairs.clone(),
        };
        let security = self.clone();
        let gate: Gate = Arc::new(move |key| if security.welcomes(key) { Ok(()) } else { Err(Denied) });
        Ok(Mechanism::server(Server::new(pairs, gate, fresh()?)))
    }

    /// What our beacons show.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::Open => None,
            Self::Network(pairs) => pairs.first().map(KeyPair::public),
            Self::Node { own, .. } => Some(*own),
        }
    }

    /// The name under which a handshake that failed is counted.
    pub(crate) const fn counter(&self, error: &HandshakeError) -> &'static str {
        match (self, error) {
            (Self::Node { .. }, HandshakeError::Curve(CurveError::ClientDenied)) => "curve_untrusted_key",
            _ => error.counter(),
        }
    }

    /// Whether each node has a key of its own.
    pub(crate) const fn is_personal(&self) -> bool {
        matches!(self, Self::Node { .. })
    }

    /// Trusts these from now on; false if keys are not per node.
    pub(crate) fn set_trusted(&self, list: &TrustedKeys) -> bool {
        let Self::Node { trusted, .. } = self else { return false };
        trusted.send_replace(list.clone());
        true
    }

    /// Completes when a key that was welcome no longer is. Cancel safe.
    pub(crate) async fn revoked(&self, key: Option<PublicKey>) {
        if let (Self::Node { trusted, .. }, Some(key)) = (self, key) {
            let mut trusted = trusted.subscribe();
            let revoked = trusted.wait_for(|list| !list.contains(&key)).await.is_ok();
            if revoked {
                return;
            }
        }
        std::future::pending().await
    }

    /// Takes an endpoint apart that may end with the other side's key, as in `tcp://192.168.1.5:9000|KEY`.
    ///
    /// # Errors
    /// What is wrong with the key or with its absence, and what to do.
    pub(crate) fn split_endpoint<'a>(&self, text: &'a str) -> Result<(&'a str, Option<PublicKey>), String> {
        let (endpoint, key) = match text.split_once('|') {
            None => (text, None),
            Some((endpoint, key)) => (
                endpoint,
                Some(key.parse().map_err(|_| {
                    "what follows the `|` is not a public key: 40 characters of Z85".to_owned()
                })?),
            ),
        };
        let problem = match (self, &key) {
            (Self::Open, Some(_)) => {
                "a node without keys cannot prove who it is there; leave out the `|` and what follows"
            }
            (Self::Node { .. }, None) => {
                "a node with a key of its own needs the other side's public key behind it, as in tcp://192.168.1.5:9000|KEY"
            }
            (Self::Network(_), Some(key)) if !self.welcomes(key) => {
                "that key is not one of this network's; leave it out"
            }
            (Self::Node { .. }, Some(key)) if !self.welcomes(key) => {
                "that key is not trusted; add it to the trusted keys first"
            }
            _ => return Ok((endpoint, key)),
        };
        Err(problem.to_owned())
    }

    fn welcomes(&self, key: &PublicKey) -> bool {
        match self {
            Self::Open => false,
            Self::Network(pairs) => pairs.iter().any(|pair| pair.public() == *key),
            Self::Node { trusted, .. } => trusted.borrow().contains(key),
        }
    }
}

fn fresh() -> io::Result<Fresh> {
    let mut bytes = zeroize::Zeroizing::new([0; Fresh::SIZE]);
    getrandom::fill(bytes.as_mut_slice())?;
    Ok(Fresh::new(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetworkKey, NodeKey};

    fn network() -> Security {
        let mut config = Config::new(None);
        config.network_key = Some(NetworkKey::from_bytes([1; 32]).accepting(NetworkKey::from_bytes([2; 32])));
        Security::new(&config).unwrap()
    }

    fn node(trusted: &[PublicKey]) -> Security {
        let mut config = Config::new(None);
        config.node_key = Some((NodeKey::from_secret([1; 32]), trusted.iter().copied().collect()));
        Security::new(&config).unwrap()
    }

    #[test]
    fn a_secured_node_opens_no_connection_but_to_a_key_it_may_talk_to() {
        let (mine, other, stranger) = (
            NetworkKey::from_bytes([1; 32]).public_key(),
            NetworkKey::from_bytes([2; 32]).public_key(),
            PublicKey::from_bytes([9; 32]),
        );
        for (security, server, allowed) in [
            (network(), None, true),
            (network(), Some(mine), true),
            (network(), Some(other), true),
            (network(), Some(stranger), false),
            (node(&[other]), None, false),
            (node(&[other]), Some(other), true),
            (node(&[other]), Some(stranger), false),
            (node(&[]), Some(stranger), false),
        ] {
            let opened = security.client(server);
            assert_eq!(matches!(opened, Ok(Mechanism::CurveClient(_))), allowed, "{security:?} {server:?}");
            assert!(allowed || matches!(opened, Err(NoClient::Untrusted)));
            assert!(matches!(security.server(), Ok(Mechanism::CurveServer(_))));
        }
        assert!(matches!(Security::Open.client(Some(stranger)), Ok(Mechanism::Null)));
    }

    #[tokio::test]
    async fn a_key_that_is_taken_out_of_the_list_is_revoked_where_it_is_in_use() {
        let key = PublicKey::from_bytes([9; 32]);
        let security = node(&[key]);
        let revoked = security.revoked(Some(key));
        assert!(security.set_trusted(&TrustedKeys::default()));
        revoked.await;
        assert!(matches!(security.client(Some(key)), Err(NoClient::Untrusted)));
        assert!(
            !network().set_trusted(&TrustedKeys::default())
                && !Security::Open.set_trusted(&TrustedKeys::default())
        );
    }
}
