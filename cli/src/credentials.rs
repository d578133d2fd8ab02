//! What a node shows and whom it lets in: read from the files that the options name.

use crate::args::Options;
use crate::failure::Failure;
use crate::key_file::{self, Privacy};
use std::path::Path;
use zyre_rs::{NetworkKey, NodeBuilder, NodeKey, PeerId, PublicKey, TrustedKeys};

/// The mode of a node, with what it takes.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// Everybody takes part.
    Open,
    /// Whoever has the network's key takes part.
    Network(NetworkKey),
    /// Whoever holds a key of the list takes part.
    Node(NodeKey, TrustedKeys),
}

/// A key from a file that says itself which kind it is.
#[derive(Debug)]
pub(crate) enum AnyKey {
    Network(NetworkKey),
    Node(NodeKey),
}

impl Credentials {
    pub(crate) fn load(options: &Options) -> Result<Self, Failure> {
        let Options { key_file, cert, trust, .. } = options;
        Ok(match (key_file, cert, trust) {
            (Some(key), ..) => Self::Network(network_key(key)?),
            (None, Some(cert), Some(trust)) => Self::Node(node_key(cert)?, trusted_keys(trust)?),
            // One of two does not come here: usage is checked before.
            _ => Self::Open,
        })
    }

    /// Puts a node into this mode.
    pub(crate) fn secure(&self, builder: NodeBuilder) -> NodeBuilder {
        match self {
            Self::Open => builder,
            Self::Network(key) => builder.network_key(key.clone()),
            Self::Node(key, trusted) => builder.node_key(key.clone(), trusted.clone()),
        }
    }

    /// What beacons show.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::Open => None,
            Self::Network(key) => Some(key.public_key()),
            Self::Node(key, _) => Some(key.public_key()),
        }
    }

    /// The UUID that the key stands for, where it does.
    pub(crate) fn peer_id(&self) -> Option<PeerId> {
        match self {
            Self::Open | Self::Network(_) => None,
            Self::Node(key, _) => Some(key.peer_id()),
        }
    }

    /// Whether a node whose beacon shows this is one to talk to.
    pub(crate) fn welcomes(&self, shown: Option<&PublicKey>) -> bool {
        match (self, shown) {
            (Self::Open, shown) => shown.is_none(),
            (_, None) => false,
            (Self::Network(key), Some(shown)) => key.accepts(shown),
            (Self::Node(_, trusted), Some(shown)) => trusted.contains(shown),
        }
    }
}

impl AnyKey {
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = key_file::read(path, Privacy::Secret)?;
        if is_certificate(&text) {
            return parse(path, &text).map(Self::Node);
        }
        parse(path, &text).map(Self::Network)
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        match self {
            Self::Network(key) => key.public_key(),
            Self::Node(key) => key.public_key(),
        }
    }
}

/// Reads the keys of a network.
fn network_key(path: &Path) -> Result<NetworkKey, Failure> {
    match AnyKey::load(path)? {
        AnyKey::Network(key) => Ok(key),
        AnyKey::Node(_) => Err(key_file::refused(
            path,
            "it is the key of one node, not of a network; give it with --cert, beside --trust FILE"
                .to_owned(),
        )),
    }
}

fn node_key(path: &Path) -> Result<NodeKey, Failure> {
    let text = key_file::read(path, Privacy::Secret)?;
    if text.parse::<NetworkKey>().is_ok() {
        let problem = "it is the key of a network, not of one node; give it with --key-file, without --trust";
        return Err(key_file::refused(path, problem.to_owned()));
    }
    parse(path, &text)
}

fn trusted_keys(path: &Path) -> Result<TrustedKeys, Failure> {
    let text = key_file::read(path, Privacy::Public)?;
    if is_certificate(&text) {
        let problem =
            "it is a certificate, not a list of public keys; `zyre key show FILE` prints the line of a node";
        return Err(key_file::refused(path, problem.to_owned()));
    }
    parse(path, &text)
}

fn parse<T: std::str::FromStr<Err: std::error::Error>>(path: &Path, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| key_file::refused(path, error.to_string()))
}

/// Whether it looks like a certificate of czmq, broken ones included: a line that is none of a list of keys.
fn is_certificate(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "curve" || line.trim_start().starts_with("public-key"))
}
