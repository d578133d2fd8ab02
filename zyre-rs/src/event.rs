//! What a node tells its application.
//!
//! Per peer the events match `Enter (Join | Leave | Whisper | Shout | Evasive | Silent)* Exit`: nothing
//! comes before `Enter`, `Exit` comes exactly once, and a group's `Join` comes before its shouts.
//! Between peers there is no order. `Exit` implies leaving every group; no `Leave` precedes it.

use crate::wire::Endpoint;
use crate::zmtp::curve::PublicKey;
use crate::{GroupName, Message, PeerId};
use bytes::Bytes;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Something that happened on the network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A peer is there and can be whispered to.
    Enter {
        /// Who.
        peer: PeerId,
        /// Its name; names are not unique.
        name: Arc<str>,
        /// Where its HELLO says its mailbox is.
        endpoint: Endpoint,
        /// What it says of itself; sent once, with its HELLO.
        headers: Headers,
    },
    /// A peer is now a member of a group.
    Join {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
        /// The group.
        group: GroupName,
    },
    /// A peer is no longer a member of a group.
    Leave {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
        /// The group.
        group: GroupName,
    },
    /// A message for this node alone.
    Whisper {
        /// From whom.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
        /// The content.
        message: Message,
    },
    /// A message for a group this node is in, or with
    /// [`NodeBuilder::foreign_shouts`](crate::NodeBuilder::foreign_shouts) for any.
    Shout {
        /// From whom.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
        /// The group it was shouted to.
        group: GroupName,
        /// The content.
        message: Message,
    },
    /// The peer has been quiet for the evasive timeout and half a second, and has answered no PING. Once per transition.
    Evasive {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
    },
    /// The peer has not answered the ping either. Once per transition; it may still come back.
    Silent {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
    },
    /// An election has ended (see [`NodeBuilder::contest`](crate::NodeBuilder::contest)).
    Leader {
        /// The leader; may be this node itself.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
        /// The group it leads.
        group: GroupName,
    },
    /// The peer is not reachable any more, in no group, and cannot be whispered to. Whether its process lives is another matter.
    Exit {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Arc<str>,
        /// Why.
        reason: ExitReason,
    },
    /// Somebody else uses a UUID that is taken: this node's own, or that of a live peer. At most one in ten seconds.
    IdentityConflict {
        /// The UUID in question.
        peer: PeerId,
        /// Where the other one is.
        address: IpAddr,
    },
    /// Somebody uses a UUID with a key that it does not belong to, or shows another public key than the one it has proven. It was
    /// refused. At most one in ten seconds; secured nodes only.
    KeyMismatch {
        /// The UUID in question.
        peer: PeerId,
        /// Where the other one is.
        address: IpAddr,
        /// The key it has proven or, in a beacon, shown; beacons can be forged.
        key: PublicKey,
    },
}

impl Event {
    /// The peer the event is about.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Enter { peer, .. }
            | Self::Join { peer, .. }
            | Self::Leave { peer, .. }
            | Self::Whisper { peer, .. }
            | Self::Shout { peer, .. }
            | Self::Evasive { peer, .. }
            | Self::Silent { peer, .. }
            | Self::Leader { peer, .. }
            | Self::Exit { peer, .. }
            | Self::IdentityConflict { peer, .. }
            | Self::KeyMismatch { peer, .. } => *peer,
        }
    }

    /// The peer's name; empty for an identity conflict and a key mismatch.
    pub fn name(&self) -> &str {
        match self {
            Self::Enter { name, .. }
            | Self::Join { name, .. }
            | Self::Leave { name, .. }
            | Self::Whisper { name, .. }
            | Self::Shout { name, .. }
            | Self::Evasive { name, .. }
            | Self::Silent { name, .. }
            | Self::Leader { name, .. }
            | Self::Exit { name, .. } => name,
            Self::IdentityConflict { .. } | Self::KeyMismatch { .. } => "",
        }
    }

    /// The group the event is about, if it is about one.
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            Self::Join { group, .. }
            | Self::Leave { group, .. }
            | Self::Shout { group, .. }
            | Self::Leader { group, .. } => Some(group),
            _ => None,
        }
    }

    /// The content of a whisper or shout.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Whisper { message, .. } | Self::Shout { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The content of a whisper or shout, owned.
    pub fn into_message(self) -> Option<Message> {
        match self {
            Self::Whisper { message, .. } | Self::Shout { message, .. } => Some(message),
            _ => None,
        }
    }

    /// What a peer that enters says of itself.
    pub fn headers(&self) -> Option<&Headers> {
        match self {
            Self::Enter { headers, .. } => Some(headers),
            _ => None,
        }
    }

    /// Where a peer that enters says its mailbox is.
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Enter { endpoint, .. } => Some(*endpoint),
            _ => None,
        }
    }

    /// The event's name as zyre writes it: `ENTER`, `JOIN`, `SHOUT`…
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enter { .. } => "ENTER",
            Self::Join { .. } => "JOIN",
            Self::Leave { .. } => "LEAVE",
            Self::Whisper { .. } => "WHISPER",
            Self::Shout { .. } => "SHOUT",
            Self::Evasive { .. } => "EVASIVE",
            Self::Silent { .. } => "SILENT",
            Self::Leader { .. } => "LEADER",
            Self::Exit { .. } => "EXIT",
            Self::IdentityConflict { .. } => "IDENTITY-CONFLICT",
            Self::KeyMismatch { .. } => "KEY-MISMATCH",
        }
    }
}

/// Why a peer has left this node's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// It said goodbye (port-0 beacon or GOODBYE). A goodbye that a live connection contradicts is not believed.
    Goodbye,
    /// Neither a beacon nor TCP traffic came from it for the expired timeout (30 s).
    Expired,
    /// Its mailbox refuses connections and its beacons have ended: the process is gone. Known a second or two after its death.
    Gone,
    /// It started a new session (HELLO), as after a restart with the same UUID; `Enter` follows.
    Restarted,
    /// A new node took over its endpoint and it no longer answers.
    Replaced,
    /// Messages from it are missing. The session starts anew and `Enter` follows once it is back.
    MessagesLost {
        /// How many, as far as the sequence tells.
        count: u16,
    },
    /// Its link was full and the policy is [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    LinkFull,
    /// It sent more than 1,000 malformed messages in ten seconds. It is greeted anew after 30 s.
    ProtocolErrors,
    /// Its key is no longer trusted (see [`Node::set_trusted`](crate::Node::set_trusted)).
    Untrusted,
}

impl ExitReason {
    /// A stable word for logs and scripts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Restarted => "restarted",
            Self::Replaced => "replaced",
            Self::MessagesLost { .. } => "messages-lost",
            Self::LinkFull => "link-full",
            Self::ProtocolErrors => "protocol-errors",
            Self::Untrusted => "untrusted",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a node says of itself in its HELLO: text keys, values usually text but possibly any bytes.
///
/// Cheap to clone. Of a key given twice the first value counts, as in zyre.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Arc<[(Box<str>, Bytes)]>);

impl Headers {
    /// The value of a header, if it is there and UTF-8.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_bytes(key).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of a header as it came.
    pub fn get_bytes(&self, key: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| &**known == key).map(|(_, value)| value)
    }

    /// All headers, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<Bytes>> FromIterator<(K, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(Box<str>, Bytes)> =
            pairs.into_iter().map(|(key, value)| (key.into().into_boxed_str(), value.into())).collect();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|(later, _), (first, _)| later == first);
        Self(pairs.into())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_header_given_twice_counts() {
        let headers: Headers = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(headers.get("b"), Some("1"));
        assert_eq!(headers.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
    }
}
