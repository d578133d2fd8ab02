//! One incoming connection: its handshake, the wait for HELLO, the session.
//!
//! A connection belongs to one peer (the identity in its handshake) and is let in by the driver, which keeps a
//! leash on it. Content goes to the inbox in batches; everything else goes to the driver, which has acted on it
//! before the next message is read, so that ENTER comes before the first whisper and JOIN before the first shout.
//!
//! Invariant: a connection that waits for its peer holds no buffer but the bytes of an unfinished message.

mod gather;
mod handshake;
mod hello;
mod reader;
mod sealed;
mod session;
#[cfg(test)]
pub(super) mod tests;

use super::counters::Counters;
use super::groups::OwnGroups;
use super::inbox::Inbox;
use super::request::{Driver, Leash};
use super::security::Security;
use super::stream::Stream;
use crate::proto::ConnId;
use crate::zmtp::{Limits, answer};
use session::Session;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// For everything up to the peer's READY (T1).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// From then until its HELLO counts (T5).
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a byte of a large message that has begun, or without taking an answer of ours.
const STUCK_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest message taken, whatever is set: places in a read buffer are noted in 32 bits.
const MAX_MESSAGE: usize = 2 << 30;

/// What all connections of a node share.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) driver: Driver,
    pub(crate) inbox: Inbox,
    pub(crate) counters: Arc<Counters>,
    pub(crate) groups: Arc<OwnGroups>,
    pub(crate) limits: Limits,
    pub(crate) security: Security,
    /// Whether shouts to groups this node is not in are passed on (T16).
    pub(crate) foreign_shouts: bool,
}

/// A connection as it was accepted.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) conn: ConnId,
    pub(crate) source: SocketAddr,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) leash: Arc<Leash>,
}

/// The connection is over; what had to be counted or told has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End;

/// Serves a connection until it ends. `greeted` is called once the handshake is done; it is dropped when it fails.
pub(crate) async fn run(connection: Box<Connection>, greeted: impl FnOnce() + Send) {
    // Boxed: it ends soon, and an idle connection should not carry its size.
    let Ok(greeting) = Box::pin(greet(&connection)).await else { return };
    greeted();
    let mut session = Session::new(&connection, greeting);
    tokio::select! {
        biased;
        () = connection.leash.pulled() => {}
        End = session.run() => {}
    }
    session.farewell().await;
}

async fn greet(connection: &Connection) -> Result<handshake::Greeting, End> {
    tokio::select! {
        () = connection.leash.pulled() => Err(End),
        greeting = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake::greet(connection)) => {
            greeting.unwrap_or_else(|_| {
                connection.count("handshake_timeout");
                Err(End)
            })
        }
    }
}

impl Connection {
    fn count(&self, name: &'static str) {
        self.mailbox.counters.count(name);
    }

    /// What a ZMTP command of the peer asks to be written, if anything.
    fn answer_to(&self, command: &[u8]) -> Result<Option<Vec<u8>>, End> {
        let mut out = Vec::new();
        if answer(command, &mut out).is_err() {
            self.count("zmtp_bad_command");
            return Err(End);
        }
        Ok((!out.is_empty()).then_some(out))
    }
}
