//! What can go wrong, one enum per operation. Each variant says what it left behind and what to do.

use crate::{GroupName, GroupNameTooLong, PeerId};
use std::io;
use std::net::SocketAddr;

/// Starting a node failed. Nothing is left behind: no socket stays open, no task runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name is empty or has more than 255 bytes, or holds a NUL.
    #[error("a node name has 1 to 255 bytes and no NUL, this one has {length} bytes; choose another name")]
    InvalidName {
        /// Bytes in the name as given.
        length: usize,
    },
    /// A header key is empty, too long or holds a NUL; or a value is longer than 128 KiB or holds a NUL.
    #[error("header {key:?} is not usable: {problem}")]
    InvalidHeader {
        /// The key as given.
        key: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// A group given to the builder has a name of more than 255 bytes.
    #[error(transparent)]
    InvalidGroup(#[from] GroupNameTooLong),
    /// All headers and groups together do not fit into a HELLO: 256 KiB and 1,024 groups.
    #[error("headers and groups together exceed a HELLO (256 KiB, 1,024 groups); use fewer or shorter ones")]
    HelloTooLarge,
    /// No interface matches the one asked for, it cannot carry beacons, or none at all is usable. The text lists those there are.
    #[error("{0}")]
    UnknownInterface(String),
    /// An endpoint could not be understood, its host name not be resolved, or a gossip hub not listen there.
    #[error("{what} {text:?} is not usable: {problem}")]
    InvalidEndpoint {
        /// Which setting it was given to.
        what: &'static str,
        /// The text as given, but for a key behind it.
        text: String,
        /// What is wrong and what an endpoint looks like.
        problem: String,
    },
    /// The keys contradict each other or the UUID, or the node's own is of no use; the text says which and what to do.
    #[error("{0}")]
    Keys(&'static str),
    /// The timers contradict each other or are zero; the text says which. See [`Timers`](crate::Timers).
    #[error("{0}")]
    InvalidTimeout(&'static str),
    /// A network with a key was given UDP port 5670. Open nodes are there, and a secured beacon ends a pyre node.
    #[error(
        "UDP port 5670 is for networks without a key: a secured beacon ends every pyre node there; \
         leave the beacon port out (5669 then), or give all nodes of this network another one"
    )]
    OpenBeaconPort,
    /// The TCP mailbox could not be opened: mostly a port in use or an address this host does not have.
    #[error("cannot open the mailbox at {address}: {source}; {remedy}")]
    Mailbox {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The UDP beacon port could not be opened: mostly a program that holds it without sharing.
    #[error("cannot open the beacon port {port}: {source}; {remedy}")]
    BeaconPort {
        /// Which.
        port: u16,
        /// What the system says.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

/// A whisper or shout was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nobody with this id is known now. Nothing was sent; wait for its `Enter`.
    #[error("no peer {0} is known; wait for its ENTER before whispering")]
    UnknownPeer(PeerId),
    /// The message has no frame. Nothing was sent.
    #[error("a message needs at least one frame; send one empty frame for an empty message")]
    EmptyMessage,
    /// The message is larger than the node's limit, which its peers share by default. Nothing was sent.
    #[error(
        "the message has {size} bytes in {frames} frames, more than allowed ({max_size} bytes, {max_frames} frames); split it or raise `max_message`"
    )]
    TooLarge {
        /// Bytes in all frames.
        size: usize,
        /// How many frames.
        frames: usize,
        /// The limit on bytes.
        max_size: usize,
        /// The limit on frames.
        max_frames: usize,
    },
    /// The group's name is too long. Nothing was sent.
    #[error(transparent)]
    InvalidGroup(#[from] GroupNameTooLong),
    /// The peer's link is full and the message was not queued (for a shout: not to this peer, but to the others).
    #[error(
        "the link to {peer} is full; it reads slower than we send: send less, wait, or choose another overflow policy"
    )]
    Full {
        /// The slow peer.
        peer: PeerId,
    },
    /// The link was full and has been cut, as `Overflow::Disconnect` says. `Exit` follows.
    #[error("the link to {peer} was full and has been cut (overflow policy `disconnect`)")]
    Disconnected {
        /// The slow peer.
        peer: PeerId,
    },
    /// The link to the peer is just being replaced and cannot queue now; only sends that do not wait say so.
    #[error("the link to {peer} is being replaced; try again in a moment, or use the send that waits")]
    Reconnecting {
        /// Whose link.
        peer: PeerId,
    },
    /// The node has stopped. Nothing was sent.
    #[error("the node has stopped")]
    Stopped,
}

/// Joining or leaving a group failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The name is too long. The node's groups are unchanged.
    #[error(transparent)]
    InvalidName(#[from] GroupNameTooLong),
    /// The node is in 1,024 groups, the most a peer of ours accepts, or their names together no longer fit into a
    /// HELLO of 256 KiB. Unchanged.
    #[error(
        "the node is in as many groups as a HELLO can name (1,024, or 256 KiB); leave one before joining {group}"
    )]
    TooMany {
        /// The one that was not joined.
        group: GroupName,
    },
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// The trusted keys could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The node is open or has a network key; nothing has changed.
    #[error("this node has no key of its own, so it trusts no keys one by one; start it with `node_key`")]
    NoNodeKey,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Connecting to an endpoint by hand failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint could not be understood. Nothing was done.
    #[error("endpoint {text:?} is not usable: {problem}")]
    InvalidEndpoint {
        /// The text as given, but for a key behind it.
        text: String,
        /// What is wrong and what an endpoint looks like.
        problem: String,
    },
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}
