//! Whether a node talks to everybody or only to those who hold its network's key; the one place that decides.
//!
//! Invariant: a secured node never falls back to open mode, for no peer and in no direction.

use crate::NetworkKey;
use crate::wire::Beacon;
use crate::zmtp::Mechanism;
use crate::zmtp::curve::{Client, Denied, Fresh, Gate, KeyPair, PublicKey, Server};
use std::io;
use std::sync::Arc;

/// How the connections of a node are secured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) enum Security {
    /// Not at all, as pyre and zyre without certificates.
    #[default]
    Open,
    /// By CURVE. The first pair is shown in both roles; peers may show any.
    Curve(Arc<[KeyPair]>),
}

impl Security {
    pub(crate) fn new(key: Option<&NetworkKey>) -> Self {
        key.map_or(Self::Open, |key| Self::Curve(key.pairs()))
    }

    /// For a connection that we open.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub(crate) fn client(&self) -> io::Result<Mechanism> {
        match self.first() {
            None => Ok(Mechanism::Null),
            Some(pair) => Ok(Mechanism::client(Client::new(pair.clone(), pair.public(), &fresh()?))),
        }
    }

    /// For a connection that we accept.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub(crate) fn server(&self) -> io::Result<Mechanism> {
        let Self::Curve(pairs) = self else { return Ok(Mechanism::Null) };
        let known = pairs.clone();
        let gate: Gate = Arc::new(move |key| if has(&known, key) { Ok(()) } else { Err(Denied) });
        Ok(Mechanism::server(Server::new(pairs.clone(), gate, fresh()?)))
    }

    /// What our beacons show.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        self.first().map(KeyPair::public)
    }

    /// Beacons of the other mode, and those of another network, are not for us (attack row B1).
    ///
    /// # Errors
    /// The name to count it under.
    pub(crate) fn check_beacon(&self, beacon: &Beacon) -> Result<(), &'static str> {
        match (self, beacon.key) {
            (Self::Open, None) => Ok(()),
            (Self::Open, Some(_)) => Err("beacon_secured"),
            (Self::Curve(_), None) => Err("beacon_unsecured"),
            (Self::Curve(pairs), Some(key)) if has(pairs, &PublicKey::from_bytes(key)) => Ok(()),
            (Self::Curve(_), Some(_)) => Err("beacon_wrong_key"),
        }
    }

    fn first(&self) -> Option<&KeyPair> {
        match self {
            Self::Open => None,
            Self::Curve(pairs) => pairs.first(),
        }
    }
}

fn has(pairs: &[KeyPair], key: &PublicKey) -> bool {
    pairs.iter().any(|pair| pair.public() == *key)
}

fn fresh() -> io::Result<Fresh> {
    let mut bytes = zeroize::Zeroizing::new([0; Fresh::SIZE]);
    getrandom::fill(bytes.as_mut_slice())?;
    Ok(Fresh::new(*bytes))
}
