//! What a security mechanism is (RFC 37, "mechanisms"): it turns the two greetings into an
//! exchange of commands that ends with the peer's metadata, and may wrap every later frame.
//!
//! NULL is one READY from each side and touches nothing afterwards. CURVE (RFC 26) is four commands, two of either side, and
//! leaves a [`Traffic`] behind: the connection opens each MESSAGE into plain frame bytes in a second
//! buffer, which the [`Decoder`](super::Decoder) walks under the same limits as ever.

use super::command::{Command, Metadata, put_command};
use super::curve::{Client, Server, Traffic};
use super::handshake::HandshakeError;
use crate::id::printable;

/// A security mechanism and how far its exchange has come.
#[derive(Debug)]
#[non_exhaustive]
pub enum Mechanism {
    /// No authentication, no encryption (RFC 37, "NULL").
    Null,
    /// CURVE, as the side that connects.
    CurveClient(Box<Client>),
    /// CURVE, as the side that is connected to.
    CurveServer(Box<Server>),
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
    /// CURVE, as the side that connects.
    pub fn client(client: Client) -> Self {
        Self::CurveClient(Box::new(client))
    }

    /// CURVE, as the side that is connected to.
    pub fn server(server: Server) -> Self {
        Self::CurveServer(Box::new(server))
    }

    /// The name in the greeting.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::CurveClient(_) | Self::CurveServer(_) => "CURVE",
        }
    }

    /// The as-server flag of our greeting.
    pub const fn is_server(&self) -> bool {
        matches!(self, Self::CurveServer(_))
    }

    /// Whether [`start`](Self::start) may go out with our greeting, before the peer's is known.
    ///
    /// It saves a round trip, and NULL has nothing to hide. libzmq reads on happily. CURVE says nothing to a peer that may
    /// not speak it.
    pub const fn starts_early(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Appends our first command, if it is ours to begin.
    pub fn start(&mut self, ours: &Metadata, out: &mut Vec<u8>) {
        match self {
            Self::Null => put_command(out, b"READY", &ours.encode()),
            Self::CurveClient(client) => client.start(ours, out),
            Self::CurveServer(server) => server.start(ours),
        }
    }

    /// Takes the body of a command of the peer, and appends what we answer to it.
    ///
    /// # Errors
    /// When the peer refuses us or breaks the mechanism's order; the connection must be closed.
    pub fn on_command(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Progress, HandshakeError> {
        let command = Command::decode(body)?;
        if let Command::Error { reason } = command {
            let reason = String::from_utf8_lossy(reason);
            return Err(HandshakeError::Refused { reason: printable(&reason).into_owned() });
        }
        let metadata = match (self, command) {
            (Self::Null, Command::Ready { metadata }) => Some(Metadata::decode(metadata)?),
            (Self::Null, _) => return Err(HandshakeError::UnexpectedCommand),
            (Self::CurveClient(client), _) => client.on_command(body, out)?,
            (Self::CurveServer(server), _) => server.on_command(body, out)?,
        };
        Ok(metadata.map_or(Progress::Continue, Progress::Done))
    }

    /// What seals and opens frames once the exchange is over; `None` where they travel as they are.
    pub fn into_traffic(self) -> Option<Box<Traffic>> {
        match self {
            Self::Null => None,
            Self::CurveClient(client) => client.into_traffic().map(Box::new),
            Self::CurveServer(server) => server.into_traffic().map(Box::new),
        }
    }
}
