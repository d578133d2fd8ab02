//! CURVE (RFC 26, "CurveZMQ"): who may talk to whom is decided by keys, and everything after the greeting is sealed.
//!
//! A [`Client`] and a [`Server`] exchange HELLO, WELCOME, INITIATE and READY; what is left is a [`Traffic`] whose two halves seal
//! and open MESSAGEs. Short-term keys and random bytes come from the caller ([`Fresh`]). The bytes are those of libzmq.
//!
//! Invariants: nothing of a peer is believed before its box has opened; a box opens once, since counters only grow;
//! the server knows nothing of a client before INITIATE but the key to its own cookie, which dies with the connection, so
//! that a handshake that was overheard opens nothing when it is said again.

mod boxes;
mod client;
mod keys;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod traffic;

pub use client::Client;
#[cfg_attr(not(feature = "net"), allow(unused_imports, reason = "only the shell reads certificates"))]
pub(crate) use keys::from_z85;
pub use keys::{Fresh, InvalidKey, KeyPair, PublicKey};
pub use server::{Denied, Gate, Server};
pub use traffic::{Opened, Opener, SEALED_OVERHEAD, Sealer, sealed_size};

use super::codec::FrameError;
use super::command::Metadata;

/// What a finished exchange leaves behind.
#[derive(Debug)]
pub struct Traffic {
    /// The long-term key that the peer has proven to hold.
    pub peer: PublicKey,
    /// Seals what we send.
    pub sealer: Sealer,
    /// Opens what the peer sends.
    pub opener: Opener,
}

/// A step of the exchange: another command is due, or this is what the peer said about itself.
type Step = Result<Option<Metadata>, super::HandshakeError>;

/// The peer broke the mechanism or is not let in. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CurveError {
    /// A command has not the size or the shape it has in CURVE 1.0.
    #[error("a CURVE command that is malformed")]
    Malformed,
    /// HELLO is for a server with another key: the client does not know ours.
    #[error("the client does not know our public key; do both have the same network key?")]
    WrongServerKey,
    /// WELCOME or READY is not from the server whose key we know.
    #[error("the server could not prove its key; do both have the same network key?")]
    ServerForged,
    /// The cookie in INITIATE is not the one of this connection.
    #[error("a cookie that is not of this connection")]
    WrongCookie,
    /// INITIATE or its vouch does not open: the client does not hold the keys it claims.
    #[error("the client could not prove its key")]
    ClientForged,
    /// The client proved a key that is not let in.
    #[error("the client's key is not one we let in")]
    ClientDenied,
    /// A counter that does not grow: a command or message said again.
    #[error("a counter that does not grow: bytes were sent again")]
    Replayed,
    /// A MESSAGE that does not open.
    #[error("a message that was changed on its way")]
    MessageForged,
    /// A frame outside MESSAGE.
    #[error("a frame that is not sealed")]
    Unsealed,
    /// All counters are used up, after 2^64 messages.
    #[error("the connection has used all its counters")]
    Exhausted,
    /// The bytes round the boxes are no frames, or one is too large.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl CurveError {
    /// The name this cause is counted under.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::Malformed => "curve_malformed",
            Self::WrongServerKey => "curve_wrong_server_key",
            Self::ServerForged => "curve_server_forged",
            Self::WrongCookie => "curve_wrong_cookie",
            Self::ClientForged => "curve_client_forged",
            Self::ClientDenied => "curve_client_denied",
            Self::Replayed => "curve_replayed",
            Self::MessageForged => "curve_message_forged",
            Self::Unsealed => "curve_unsealed_frame",
            Self::Exhausted => "curve_exhausted",
            Self::Frame(cause) => cause.counter(),
        }
    }
}
