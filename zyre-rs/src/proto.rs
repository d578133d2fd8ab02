//! The ZRE protocol (RFC 36) as a machine without I/O: no socket, task, clock or random number.
//!
//! [`Node::handle`] takes one [`Input`] and the time; afterwards [`Node::poll_output`] is drained until it
//! is empty, and the caller sleeps until [`Node::next_deadline`] to hand in [`Input::Timeout`]. Equal inputs give
//! equal outputs, byte for byte, which is what makes the simulator and the fuzzers cheap.
//!
//! The machine owns sessions, groups, timers, elections and the budgets of the attack table. It does not see
//! the content of whispers and shouts: those go from link to application directly, numbered and checked
//! by [`sequence`], and only their arrival is told here ([`Input::Heard`]).

#![deny(clippy::indexing_slicing)]
// Tests need some instant to begin with.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod budget;
mod bug;
mod election;
#[cfg_attr(not(feature = "net"), allow(dead_code, unused_imports, reason = "only the shell drives it"))]
pub(crate) mod gossip;
mod groups;
mod hello;
mod links;
mod liveness;
mod node;
mod peer;
pub mod sequence;
mod session;
#[cfg(feature = "test-util")]
pub mod sim;
#[cfg(test)]
mod tests;
mod timeouts;
pub(crate) mod trust;

#[cfg(feature = "net")]
pub(crate) use node::same_prefix;
pub use node::{Config, Node};

pub use peer::PeerView;
pub use trust::{Authorize, Trust};

use crate::wire::{Beacon, Command, Endpoint, Hello, HelloFields};
use crate::zmtp::curve::PublicKey;
use crate::{Event, GroupName, PeerId, TrustedKeys};
use sequence::Flavour;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One outgoing connection with a session of its own; never reused, so news of an old one cannot touch a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One incoming connection; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What the world tells the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A well-formed beacon arrived.
    Beacon {
        /// Where it was sent from.
        source: SocketAddr,
        /// What it says.
        beacon: Beacon,
    },
    /// A gossip hub or leaf says where a peer is.
    Gossip {
        /// Who.
        peer: PeerId,
        /// Where.
        endpoint: Endpoint,
        /// Its public key, if the tuple names one.
        key: Option<PublicKey>,
    },
    /// A HELLO arrived; the connection waits for [`Output::Accept`] or [`Output::Refuse`].
    Hello {
        /// The connection it came on.
        conn: ConnId,
        /// Whose connection it is (the identity in its handshake).
        peer: PeerId,
        /// Where the connection comes from.
        source: SocketAddr,
        /// What it says.
        hello: Hello,
        /// The public key that was proven on the connection; `None` where it is not secured.
        key: Option<PublicKey>,
    },
    /// A new connection goes on without a HELLO, as libzmq does after a reset; it waits like after a HELLO.
    Resume {
        /// The connection.
        conn: ConnId,
        /// Whose it is.
        peer: PeerId,
        /// Where the connection comes from.
        source: SocketAddr,
        /// The sequence of its first message.
        sequence: u16,
        /// The public key that was proven on the connection; `None` where it is not secured.
        key: Option<PublicKey>,
    },
    /// Any other message that is not content arrived on an accepted connection.
    Command {
        /// The connection.
        conn: ConnId,
        /// Whose it is.
        peer: PeerId,
        /// What it says.
        command: Command,
    },
    /// Content arrived on an accepted connection since the last time this was said.
    Heard {
        /// Whose it was.
        peer: PeerId,
    },
    /// The application is slow, so that this peer's connection is not being read (or is again).
    Stalled {
        /// Whose.
        peer: PeerId,
        /// Whether it is stalled now.
        stalled: bool,
    },
    /// Messages are missing on an accepted connection; the shell no longer reads it.
    Gap {
        /// The connection.
        conn: ConnId,
        /// Whose it is.
        peer: PeerId,
        /// How many.
        missing: u16,
    },
    /// An accepted connection broke the rules too often; the shell no longer reads it.
    Misbehaved {
        /// The connection.
        conn: ConnId,
        /// Whose it is.
        peer: PeerId,
    },
    /// A connection that had said HELLO (or tried to resume) has ended.
    ConnClosed {
        /// The connection.
        conn: ConnId,
        /// Whose it was.
        peer: PeerId,
        /// The sequence its next message would have had.
        expected: u16,
    },
    /// A link's handshake is done and its HELLO is being written; told again when a count that wraps made the link
    /// say HELLO in its stream, since the peer's answer is to be known for one.
    LinkUp {
        /// The link.
        link: LinkId,
    },
    /// A link's try to connect failed; it waits for [`Output::Retry`] or [`Output::Close`].
    LinkFailed {
        /// The link.
        link: LinkId,
        /// Whether the other side refused (nobody listens there).
        refused: bool,
    },
    /// A link that was up is gone, with whatever it had not yet written.
    LinkLost {
        /// The link.
        link: LinkId,
        /// Why.
        cause: LinkLoss,
    },
    /// The application joins a group.
    Join(GroupName),
    /// The application leaves a group.
    Leave(GroupName),
    /// The application stands for leader in a group.
    Contest(GroupName),
    /// The application wants a peer at this endpoint, found or not.
    Dial {
        /// Where.
        endpoint: Endpoint,
        /// Its public key, where that is needed.
        key: Option<PublicKey>,
    },
    /// The application trusts these keys from now on; for [`Trust::Nodes`] only.
    Trust(TrustedKeys),
    /// The interfaces in use have changed: own addresses with their prefix lengths.
    Subnets(Vec<(IpAddr, u8)>),
    /// The deadline has come.
    Timeout,
    /// The node says goodbye. Nothing but draining outputs makes sense afterwards.
    Stop,
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLoss {
    /// The connection broke or was closed by the peer.
    Closed,
    /// It was full and its overflow policy is to disconnect.
    Full,
}

/// What the machine wants done, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Open a link that says this HELLO first and queues from now on. It tries once, then reports.
    Open {
        /// Its name from now on.
        link: LinkId,
        /// For whom; `None` while only the endpoint is known.
        peer: Option<PeerId>,
        /// Where to.
        endpoint: Endpoint,
        /// What to say; the link fills in the endpoint, as it is the first to know from which address the peer is reached.
        hello: Arc<HelloFields>,
        /// How the peer counts, as far as is known.
        flavour: Flavour,
        /// The public key it has to prove; in a network with one key for all `None` is the own one.
        key: Option<PublicKey>,
    },
    /// Say HELLO again in the stream of a link that is up, and count anew after it.
    Greet(LinkId),
    /// Try once more to connect a link that failed.
    Retry(LinkId),
    /// End a link; what it has not written is dropped and counted.
    Close(LinkId),
    /// A link that was opened for an endpoint belongs to this peer.
    Adopt {
        /// The link.
        link: LinkId,
        /// The peer.
        peer: PeerId,
    },
    /// How a peer counts has become known.
    Flavour {
        /// The peer's link.
        link: LinkId,
        /// How it counts.
        flavour: Flavour,
    },
    /// Queue a message on a link.
    Send {
        /// The link.
        link: LinkId,
        /// The message.
        command: Command,
        /// What a HELLO in the place after it would say, when that has changed.
        hello: Option<Arc<HelloFields>>,
    },
    /// The connection's HELLO counts: read on.
    Accept {
        /// The connection.
        conn: ConnId,
        /// The peer's name, for its events.
        name: Arc<str>,
    },
    /// Close a connection.
    Refuse(ConnId),
    /// Close the connection of a peer that the application has refused, and tell the log.
    TurnAway {
        /// The connection.
        conn: ConnId,
        /// Whose it is.
        peer: PeerId,
        /// The name it gave.
        name: Arc<str>,
        /// What the application says.
        reason: String,
    },
    /// Send a beacon on every interface.
    Beacon {
        /// Whether it says goodbye (port 0).
        leaving: bool,
    },
    /// Tell the application.
    Emit(Event),
    /// Count an occurrence under this name.
    Count(&'static str),
}
