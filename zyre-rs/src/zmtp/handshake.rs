//! From the first byte to the peer's READY: greeting, mechanism, metadata.
//!
//! Ours goes out at once, greeting and READY together; nothing of the peer's is believed before its
//! greeting names the same mechanism. Bytes are consumed in whole units (greeting, command), so the
//! caller's buffer holds at most [`Handshake::MAX_INPUT`] of them, and what follows the last
//! command stays there for the decoder: a peer may send HELLO behind its READY without a pause.
//!
//! How long a handshake may take is the caller's business (5 s in all, RFC 37 leaves it open).

use super::codec::{FrameError, Header};
use super::command::{CommandError, MAX_COMMAND, Metadata, put_error};
use super::curve::CurveError;
use super::greeting::{Greeting, GreetingError};
use super::mechanism::{Mechanism, Progress};
use crate::PeerId;
use crate::id::printable;

/// First byte of a node's identity. libzmq forbids 0, which a UUID may start with.
const IDENTITY_PREFIX: u8 = 1;

/// Longest identity in bytes (RFC 37, "identity").
const MAX_IDENTITY: usize = 255;

/// The side of the connection that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// An outgoing link, to a ROUTER.
    Dealer {
        /// What the peer's ROUTER shall know us by; may be empty.
        identity: Vec<u8>,
    },
    /// The mailbox, to a DEALER.
    Router {
        /// Whom to let in.
        accept: Identities,
    },
}

impl Role {
    /// An outgoing link of a node: identity `01` and the 16 bytes of its UUID (RFC 36).
    pub fn dealer(id: PeerId) -> Self {
        let identity = [&[IDENTITY_PREFIX], id.as_bytes().as_slice()].concat();
        Self::Dealer { identity }
    }

    const fn socket_type(&self) -> SocketType {
        match self {
            Self::Dealer { .. } => SocketType::Dealer,
            Self::Router { .. } => SocketType::Router,
        }
    }

    fn identity(&self) -> &[u8] {
        match self {
            Self::Dealer { identity } => identity,
            Self::Router { .. } => &[],
        }
    }
}

/// Which identities a ROUTER accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identities {
    /// Those of nodes only: 17 bytes, see [`peer_id`].
    Nodes,
    /// Any, also none at all: gossip clients are anonymous.
    Any,
}

/// The socket types of ZMTP that ZRE uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketType {
    /// Sends to its peers in turn.
    Dealer,
    /// Knows its peers by identity.
    Router,
}

impl SocketType {
    /// Its name in READY.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
        }
    }

    /// The only type it talks to here; RFC 28 would let a ROUTER serve REQ too, which ZRE has no use for.
    const fn counterpart(self) -> Self {
        match self {
            Self::Dealer => Self::Router,
            Self::Router => Self::Dealer,
        }
    }
}

/// An identity that is not that of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identity of {length} bytes; a ZRE node's has 17, 01 and its UUID")]
pub struct IdentityError {
    /// Bytes in the identity.
    pub length: usize,
}

/// Reads the identity of a node's DEALER, and whether its first byte is the 1 it should be.
///
/// Another first byte is accepted, since no implementation checks it: count it and go on.
///
/// # Errors
/// When it has not exactly 17 bytes, as that of a ZRE version 1 node (16).
pub fn peer_id(identity: &[u8]) -> Result<(PeerId, bool), IdentityError> {
    let refused = IdentityError { length: identity.len() };
    let (first, uuid) = identity.split_first().ok_or(refused)?;
    let uuid = uuid.try_into().map_err(|_| refused)?;
    Ok((PeerId::from_bytes(uuid), *first == IDENTITY_PREFIX))
}

/// What the other side said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its socket type, the counterpart of ours.
    pub socket_type: SocketType,
    /// Its identity; empty when it gave none.
    pub identity: Vec<u8>,
    /// Minor version: 0 for ZMTP 3.0, which knows no PING; 1 for 3.1.
    pub minor: u8,
    /// Everything in its READY, the two above included.
    pub metadata: Metadata,
}

/// Where the handshake stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// More bytes are due.
    Pending,
    /// It is over; the bytes not consumed are the first frames.
    Done(Peer),
}

/// The handshake failed. The connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The greeting is not that of a ZMTP 3 peer.
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    /// The bytes after the greeting are not frames, or a command is too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A command is malformed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The peer breaks CURVE, or is not let in.
    #[error(transparent)]
    Curve(#[from] CurveError),
    /// The peer wants another security mechanism.
    #[error("the peer wants security mechanism {theirs:?} and we {ours}; set both to the same")]
    MechanismMismatch {
        /// Our mechanism.
        ours: &'static str,
        /// The peer's, safe to display.
        theirs: String,
    },
    /// A message before the handshake is over.
    #[error("the peer sent a message before its READY")]
    MessageBeforeReady,
    /// A command that is not due now.
    #[error("the peer sent a command that has no place in the handshake")]
    UnexpectedCommand,
    /// The peer sent ERROR.
    #[error("the peer refused the connection: {reason}")]
    Refused {
        /// Its reason, safe to display; may be empty.
        reason: String,
    },
    /// The peer's metadata has no `Socket-Type`.
    #[error("the peer did not say its socket type")]
    NoSocketType,
    /// The peer's socket type is none we talk to.
    #[error("the peer is a {theirs:?} socket and not a {wanted}; is this the mailbox of a ZRE node?")]
    SocketTypeMismatch {
        /// The type we talk to.
        wanted: &'static str,
        /// The peer's, safe to display.
        theirs: String,
    },
    /// The peer's identity is longer than 255 bytes.
    #[error("the peer's identity has {length} bytes; ZMTP allows {MAX_IDENTITY}")]
    IdentityTooLong {
        /// Bytes in it.
        length: usize,
    },
    /// The mailbox accepts nodes only, and this is none.
    #[error(transparent)]
    NotANode(#[from] IdentityError),
}

impl HandshakeError {
    /// The name this cause is counted under.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::Greeting(cause) => cause.counter(),
            Self::Frame(cause) => cause.counter(),
            Self::Command(cause) => cause.counter(),
            Self::Curve(cause) => cause.counter(),
            // The name alone may be the same, with something behind its padding.
            Self::MechanismMismatch { ours, theirs } => match (theirs.as_bytes(), ours.as_bytes()) {
                (b"NULL", b"CURVE") => "handshake_null_refused",
                (b"PLAIN", _) => "handshake_plain_refused",
                (b"CURVE", b"NULL") => "handshake_curve_refused",
                _ => "handshake_mechanism_mismatch",
            },
            Self::MessageBeforeReady => "handshake_message_before_ready",
            Self::UnexpectedCommand => "handshake_unexpected_command",
            Self::Refused { .. } => "handshake_refused",
            Self::NoSocketType => "handshake_no_socket_type",
            Self::SocketTypeMismatch { .. } => "handshake_socket_type_mismatch",
            Self::IdentityTooLong { .. } => "handshake_identity_too_long",
            Self::NotANode(_) => "handshake_not_a_node",
        }
    }

    /// What to tell the peer before the connection is closed: the code libzmq knows for "not let in".
    ///
    /// All others learn nothing, not even that they were wrong.
    pub fn farewell(&self) -> Option<Vec<u8>> {
        matches!(self, Self::Curve(CurveError::ClientDenied)).then(|| {
            let mut out = Vec::new();
            put_error(&mut out, "400");
            out
        })
    }
}

/// The opening of one connection.
///
/// Send [`take_output`](Self::take_output) after `new` and after every [`receive`](Self::receive).
#[derive(Debug)]
pub struct Handshake {
    role: Role,
    mechanism: Mechanism,
    /// Minor version of the peer, once its greeting is here.
    greeted: Option<u8>,
    out: Vec<u8>,
}

impl Handshake {
    /// Most bytes the caller has to buffer for one call: a long header and the longest command.
    pub const MAX_INPUT: usize = 9 + MAX_COMMAND;

    /// Begins a handshake; there is output to send at once.
    pub fn new(role: Role, mechanism: Mechanism) -> Self {
        let greeting = Greeting::new(mechanism.name(), mechanism.is_server());
        let out = greeting.encode().to_vec();
        let mut handshake = Self { role, mechanism, greeted: None, out };
        if handshake.mechanism.starts_early() {
            handshake.start_mechanism();
        }
        handshake
    }

    /// Takes the bytes that are to be sent now.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The mechanism, for its [`into_traffic`](Mechanism::into_traffic).
    pub fn into_mechanism(self) -> Mechanism {
        self.mechanism
    }

    /// Reads what it can of `input` and says how many bytes of it to drop.
    ///
    /// The rest is to be given again, with more behind it; after [`Status::Done`] it is for the
    /// [`Decoder`](super::Decoder).
    ///
    /// # Errors
    /// As soon as the bytes show that this is no peer for us.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Status), HandshakeError> {
        let mut rest = input;
        loop {
            let Some(minor) = self.greeted else {
                let Some(greeting) = Greeting::decode(rest)? else { break };
                self.on_greeting(&greeting)?;
                rest = rest.get(Greeting::SIZE..).unwrap_or_default();
                continue;
            };
            let Some(header) = Header::decode(rest)? else { break };
            if !header.command {
                return Err(HandshakeError::MessageBeforeReady);
            }
            let Ok(length) = usize::try_from(header.body) else { break };
            let end = header.size + length;
            let Some(body) = rest.get(header.size..end) else { break };
            let progress = self.mechanism.on_command(body, &mut self.out)?;
            rest = rest.get(end..).unwrap_or_default();
            if let Progress::Done(metadata) = progress {
                let peer = self.judge(metadata, minor)?;
                return Ok((input.len() - rest.len(), Status::Done(peer)));
            }
        }
        Ok((input.len() - rest.len(), Status::Pending))
    }

    fn start_mechanism(&mut self) {
        let ours = Metadata::default()
            .with("Socket-Type", self.role.socket_type().name().as_bytes())
            .with("Identity", self.role.identity());
        self.mechanism.start(&ours, &mut self.out);
    }

    fn on_greeting(&mut self, theirs: &Greeting) -> Result<(), HandshakeError> {
        let ours = self.mechanism.name();
        if theirs.mechanism != Greeting::new(ours, false).mechanism {
            return Err(HandshakeError::MechanismMismatch { ours, theirs: theirs.mechanism_name() });
        }
        self.greeted = Some(theirs.minor);
        if !self.mechanism.starts_early() {
            self.start_mechanism();
        }
        Ok(())
    }

    fn judge(&self, metadata: Metadata, minor: u8) -> Result<Peer, HandshakeError> {
        let socket_type = self.role.socket_type().counterpart();
        let theirs = metadata.get("Socket-Type").ok_or(HandshakeError::NoSocketType)?;
        if theirs != socket_type.name().as_bytes() {
            let theirs = printable(&String::from_utf8_lossy(theirs)).into_owned();
            return Err(HandshakeError::SocketTypeMismatch { wanted: socket_type.name(), theirs });
        }
        let identity = metadata.get("Identity").unwrap_or_default().to_owned();
        if identity.len() > MAX_IDENTITY {
            return Err(HandshakeError::IdentityTooLong { length: identity.len() });
        }
        if self.role == (Role::Router { accept: Identities::Nodes }) {
            peer_id(&identity)?;
        }
        Ok(Peer { socket_type, identity, minor, metadata })
    }
}

#[cfg(test)]
mod tests;
