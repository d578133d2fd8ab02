//! The ZMTP handshake of an accepted connection, as ROUTER.

use super::{Connection, End};
use crate::PeerId;
use crate::net::stream::Stream;
use crate::zmtp::curve::Traffic;
use crate::zmtp::{Handshake, Identities, Role, Status, peer_id};
use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use tracing::{debug, warn};

/// Who is there, and what it has already sent.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) peer: PeerId,
    /// The bytes behind its READY.
    pub(super) rest: BytesMut,
    /// What opens them, where the connection is sealed.
    pub(super) traffic: Option<Box<Traffic>>,
}

/// Greets the peer. The caller limits the time.
pub(super) async fn greet(connection: &Connection) -> Result<Greeting, End> {
    let Connection { stream, source, mailbox, .. } = connection;
    let mechanism = mailbox.security.server().map_err(|error| {
        warn!(%error, "no random numbers for a secured connection");
        connection.count("random_unavailable");
        End
    })?;
    let mut handshake = Handshake::new(Role::Router { accept: Identities::Nodes }, mechanism);
    let mut buffer = BytesMut::with_capacity(512);
    loop {
        let (consumed, status) = handshake.receive(&buffer).map_err(|error| {
            debug!(%source, %error, "a connection is not that of a node");
            connection.count(mailbox.security.counter(&error));
            if let Some(farewell) = error.farewell() {
                // It is short and the first thing after WELCOME: taken at once, or not worth waiting for.
                let _ = stream.try_write_vectored(&[IoSlice::new(&farewell)]);
            }
            End
        })?;
        buffer.advance(consumed.min(buffer.len()));
        write_all(stream, &handshake.take_output()).await.map_err(|_| connection.broken())?;
        if let Status::Done(peer) = status {
            let (peer, prefixed) = peer_id(&peer.identity).map_err(|_| End)?;
            if !prefixed {
                connection.count("identity_prefix");
            }
            let traffic = handshake.into_mechanism().into_traffic();
            return Ok(Greeting { peer, rest: buffer, traffic });
        }
        // Commands are consumed whole, so that this stays below `Handshake::MAX_INPUT` and one read.
        buffer.reserve(512);
        read_some(stream, &mut buffer).await.map_err(|_| connection.broken())?;
    }
}

impl Connection {
    fn broken(&self) -> End {
        self.count("handshake_broken_off");
        End
    }
}

async fn read_some(stream: &Stream, buffer: &mut BytesMut) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all of it. What we write here is short; a peer that does not take it is the caller's to time out.
pub(super) async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write_vectored(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
