//! Who provides what, as the driver sees it: published as a whole whenever it changes, read by every handle.

use crate::{Body, Codec, DecodeError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zyre_rs::{Headers, PeerId};

/// Header by which a node says that it speaks this layer's RPC.
pub(crate) const RPC_HEADER: &str = "X-RPC";
/// Its value.
pub(crate) const RPC_VERSION: &str = "jsonrpc/2.0";
/// Header that lists the codecs a node reads, with commas; a node without it reads JSON.
pub(crate) const CODECS_HEADER: &str = "X-RPC-CODECS";
/// Its value for nodes of this crate.
pub(crate) const CODECS: &str = "json,msgpack";

/// A peer that takes part.
#[derive(Clone, Debug)]
pub(crate) struct PeerInfo {
    pub(crate) name: Arc<str>,
    pub(crate) headers: Headers,
    /// It reads MessagePack.
    pub(crate) msgpack: bool,
    /// It announces this layer's RPC, so that the built-in methods can be asked of it.
    pub(crate) rpc: bool,
}

impl PeerInfo {
    pub(crate) fn new(name: Arc<str>, headers: Headers) -> Self {
        let codecs = headers.get(CODECS_HEADER).unwrap_or_default();
        let msgpack = codecs.split(',').any(|codec| codec.trim() == "msgpack");
        let rpc = headers.get(CODECS_HEADER).is_some();
        Self { name, headers, msgpack, rpc }
    }
}

/// Groups that stand for services and pools, and their members; this node counts as a member of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) peers: BTreeMap<PeerId, PeerInfo>,
    pub(crate) groups: BTreeMap<Arc<str>, BTreeSet<PeerId>>,
}

impl Directory {
    pub(crate) fn members(&self, group: &str) -> impl Iterator<Item = PeerId> {
        self.groups.get(group).into_iter().flatten().copied()
    }

    pub(crate) fn is_member(&self, group: &str, peer: PeerId) -> bool {
        self.groups.get(group).is_some_and(|members| members.contains(&peer))
    }

    pub(crate) fn has_members(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|members| !members.is_empty())
    }

    pub(crate) fn speaks_rpc(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.rpc)
    }

    pub(crate) fn reads_msgpack(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.msgpack)
    }

    /// A body in a codec that this peer reads.
    pub(crate) fn readable_by(&self, peer: PeerId, body: &Body) -> Result<Body, DecodeError> {
        match body.codec {
            Codec::MessagePack if !self.reads_msgpack(peer) => body.to_json(),
            _ => Ok(body.clone()),
        }
    }

    /// Whether a body in MessagePack can go to whichever member.
    pub(crate) fn all_read_msgpack(&self, group: &str) -> bool {
        self.has_members(group) && self.members(group).all(|peer| self.reads_msgpack(peer))
    }

    pub(crate) fn join(&mut self, peer: PeerId, group: Arc<str>) {
        self.groups.entry(group).or_default().insert(peer);
    }

    pub(crate) fn leave(&mut self, peer: PeerId, group: &str) {
        let Some(members) = self.groups.get_mut(group) else { return };
        members.remove(&peer);
        if members.is_empty() {
            self.groups.remove(group);
        }
    }

    /// The groups it was in.
    pub(crate) fn exit(&mut self, peer: PeerId) -> Vec<Arc<str>> {
        self.peers.remove(&peer);
        let groups: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, members)| members.contains(&peer))
            .map(|(group, _)| group.clone())
            .collect();
        groups.iter().for_each(|group| self.leave(peer, group));
        groups
    }
}

/// The service a method belongs to: what stands before the last dot, or the whole name.
pub(crate) fn service_of(method: &str) -> &str {
    method.rsplit_once('.').map_or(method, |(service, _)| service)
}

/// The group of a service.
pub(crate) fn service_group(name: &str) -> Arc<str> {
    format!("svc/{name}").into()
}

/// The group of a pool.
pub(crate) fn pool_group(name: &str) -> Arc<str> {
    format!("pool/{name}").into()
}

/// Whether a group stands for a service or a pool.
pub(crate) fn is_provider_group(group: &str) -> bool {
    group.starts_with("svc/") || group.starts_with("pool/")
}
