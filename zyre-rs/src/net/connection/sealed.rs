//! Reading what is sealed: it arrives in a buffer of its own and is opened, frame by frame, to the end of the plain one.

use super::reader::{MAX_READ_SIZE, MIN_SPACE, Reader};
use super::{Connection, End, STUCK_TIMEOUT};
use crate::net::line::Line;
use crate::zmtp::curve::{CurveError, PublicKey, Traffic};
use crate::zmtp::next_read_size;
use bytes::{Buf, BytesMut};
use std::io;
use std::sync::Arc;
use tokio::time::timeout;
use tracing::debug;

/// A sealed connection's keys, and what has arrived and is not open yet: less than a frame, between two reads.
#[derive(Debug)]
pub(super) struct Sealed {
    traffic: Traffic,
    arrived: BytesMut,
    /// Most bytes in a frame.
    pub(super) max_frame: usize,
}

impl Sealed {
    pub(super) const fn new(traffic: Traffic, arrived: BytesMut, max_frame: usize) -> Self {
        Self { traffic, arrived, max_frame }
    }

    /// What the peer has proven.
    pub(super) const fn peer_key(&self) -> PublicKey {
        self.traffic.peer
    }

    /// Seals frames for the peer.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, CurveError> {
        let mut sealed = Vec::new();
        self.traffic.sealer.seal_frames(&mut sealed, plain)?;
        Ok(sealed)
    }

    /// Whether all that has arrived is open.
    pub(super) fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Nothing will arrive for a while.
    fn shed(&mut self) {
        self.arrived = BytesMut::from(self.arrived.as_ref());
    }
}

impl Reader {
    /// As [`read`](Self::read), until at least one frame is open.
    pub(super) async fn read_sealed(
        &mut self,
        connection: &Connection,
        line: Option<&Arc<Line>>,
    ) -> Result<(), End> {
        loop {
            let Some(missing) = self.open_arrived(connection)? else { return Ok(()) };
            let Some(sealed) = &mut self.sealed else { return Err(End) };
            let held = sealed.arrived.len();
            let target = held + next_read_size(missing, held.max(self.trust));
            if target > MAX_READ_SIZE {
                // The frame is there twice while it is opened.
                self.share.grow(self.bytes.len() + 2 * target, line).await;
                sealed.arrived.reserve(target - held);
            } else if sealed.arrived.capacity() - held < missing.max(self.room / MIN_SPACE) {
                sealed.arrived.reserve(target.max(self.room) - held);
            }
            match connection.stream.try_read_buf(&mut sealed.arrived) {
                Ok(0) => return Err(self.ended(connection)),
                Ok(_) => {
                    if sealed.arrived.len() == sealed.arrived.capacity() {
                        self.grow_room();
                    }
                    // A peer that floods must not hold the thread.
                    tokio::task::coop::consume_budget().await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.share.is_none() {
                        self.idle(connection).await?;
                    } else {
                        let waited = timeout(STUCK_TIMEOUT, connection.stream.readable()).await;
                        let Ok(readable) = waited else {
                            connection.count("message_stuck");
                            return Err(End);
                        };
                        readable.map_err(|_| End)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.ended(connection)),
            }
        }
    }

    /// Opens all that is whole; else says how many bytes a frame lacks.
    fn open_arrived(&mut self, connection: &Connection) -> Result<Option<usize>, End> {
        let Some(mut sealed) = self.sealed.take() else { return Err(End) };
        let opened = self.open_from(&mut sealed);
        self.sealed = Some(sealed);
        opened.map_err(|error| {
            debug!(source = %connection.source, %error, "a connection is closed");
            connection.count(error.counter());
            End
        })
    }

    fn open_from(&mut self, sealed: &mut Sealed) -> Result<Option<usize>, CurveError> {
        let Sealed { traffic, arrived, max_frame } = sealed;
        let missing = traffic.opener.missing(arrived, *max_frame)?;
        if missing > 0 {
            return Ok(Some(missing));
        }
        self.make_space(arrived.len());
        let opened = traffic.opener.open_frames(arrived, &mut self.bytes, *max_frame)?;
        arrived.advance(opened.consumed);
        if arrived.is_empty() && arrived.capacity() > MAX_READ_SIZE {
            *arrived = BytesMut::new();
        }
        Ok(None)
    }

    pub(super) fn shed_sealed(&mut self) {
        if let Some(sealed) = &mut self.sealed {
            sealed.shed();
        }
    }
}
