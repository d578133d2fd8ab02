//! The settings of a node that have a type of their own.

use std::time::Duration;

/// What happens to a message for a peer whose link is full (see [`NodeBuilder::link_limit`](crate::NodeBuilder::link_limit)).
///
/// It concerns that link only; no other peer notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The sender waits up to this long for space, then the message is refused with [`SendError::Full`](crate::SendError::Full).
    Block(Duration),
    /// The message is refused with [`SendError::Full`](crate::SendError::Full) at once.
    DropNewest,
    /// The oldest waiting message is dropped for it and counted (`LinkStats::dropped`); the sender is not told.
    DropOldest,
    /// The link is cut and the peer exits with [`ExitReason::LinkFull`](crate::ExitReason::LinkFull); it is greeted anew after 2 s.
    Disconnect,
}

impl Default for Overflow {
    /// `Block(5 s)`: back-pressure that shows.
    fn default() -> Self {
        Self::Block(Duration::from_secs(5))
    }
}

/// Which endpoints in a peer's HELLO this node connects to (attack row T11 of `docs/hardening.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointPolicy {
    /// The address the HELLO came from, or one on a subnet of an interface in use.
    #[default]
    SameSubnet,
    /// Only the address the HELLO came from.
    SameIp,
    /// Any IP address, as existing nodes do. Needed where gossip or static endpoints cross routers.
    Any,
}

/// How much may wait for one peer before its overflow policy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimit {
    /// Whispers and shouts waiting; 10,000 by default.
    pub messages: usize,
    /// Bytes waiting; 8 MiB by default. One message may exceed it on an empty link.
    pub bytes: usize,
}

impl Default for LinkLimit {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 8 << 20 }
    }
}

/// The node's timers, with zyre's defaults.
///
/// A start with `interval` or `evasive` zero, `silent` below `evasive`, or `expired` not above `evasive` fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Between two beacons: 1 s. gyre forgets a peer after 5 s without one, so stay well below 3 s.
    pub interval: Duration,
    /// Without TCP traffic from a peer until it is evasive, and pinged from four fifths of it on: 5 s.
    pub evasive: Duration,
    /// Without TCP traffic from a peer until it counts as silent: 6 s (zyre: one tick after evasive).
    pub silent: Duration,
    /// Without any sign of life from a peer until it exits: 30 s.
    pub expired: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            evasive: Duration::from_secs(5),
            silent: Duration::from_secs(6),
            expired: Duration::from_secs(30),
        }
    }
}
