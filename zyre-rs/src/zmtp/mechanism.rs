//! What a security mechanism is (RFC 37, "mechanisms"): it turns the two greetings into an
//! exchange of commands that ends with the peer's metadata, and may wrap every later frame.
//!
//! NULL is one READY from each side and touches nothing afterwards. CURVE (RFC 26) belongs here as a
//! second variant: the client's `start` writes HELLO, the server's writes nothing; `on_command` turns
//! WELCOME into INITIATE and INITIATE into READY; `is_transparent` says false, and the connection then
//! opens each one-frame MESSAGE into plain frame bytes (flags, length, body) in a second buffer,
//! which a second [`Decoder`](super::Decoder) walks under the same limits.

use super::command::{Command, Metadata, put_command};
use super::handshake::HandshakeError;
use crate::id::printable;

/// A security mechanism and how far its exchange has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// No authentication, no encryption (RFC 37, "NULL").
    Null,
}

/// Where the exchange stands after a command of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another command of the peer is due.
    Continue,
    /// The exchange is over; this is what the peer said about itself.
    Done(Metadata),
}

impl Mechanism {
    /// The name in the greeting.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
        }
    }

    /// The as-server flag of our greeting.
    pub const fn is_server(&self) -> bool {
        match self {
            Self::Null => false,
        }
    }

    /// Whether [`start`](Self::start) may go out with our greeting, before the peer's is known.
    ///
    /// It saves a round trip, and NULL has nothing to hide. libzmq reads on happily.
    pub const fn starts_early(&self) -> bool {
        match self {
            Self::Null => true,
        }
    }

    /// Appends our first command, if it is ours to begin.
    pub fn start(&mut self, ours: &Metadata, out: &mut Vec<u8>) {
        match self {
            Self::Null => put_command(out, b"READY", &ours.encode()),
        }
    }

    /// Takes the body of a command of the peer, and appends what we answer to it.
    ///
    /// # Errors
    /// When the peer refuses us or breaks the mechanism's order; the connection must be closed.
    pub fn on_command(&mut self, body: &[u8], _out: &mut Vec<u8>) -> Result<Progress, HandshakeError> {
        match (self, Command::decode(body)?) {
            (_, Command::Error { reason }) => {
                let reason = String::from_utf8_lossy(reason);
                Err(HandshakeError::Refused { reason: printable(&reason).into_owned() })
            }
            (Self::Null, Command::Ready { metadata }) => Ok(Progress::Done(Metadata::decode(metadata)?)),
            (Self::Null, _) => Err(HandshakeError::UnexpectedCommand),
        }
    }

    /// Whether frames after the exchange travel as they are.
    pub const fn is_transparent(&self) -> bool {
        match self {
            Self::Null => true,
        }
    }
}
