//! One gossip connection of either side: handshake, then single-frame messages both ways at once.
//!
//! Reading and writing wait together, so that two sides that send each other long lists cannot lock up.
//! Invariant: a peer that does not read costs at most [`MAX_QUEUED`] and one read's answers, then is not read
//! either, and is given up after [`STUCK_AFTER`].

use crate::net::security::NoClient;
use crate::net::stream::Stream;
use crate::wire::gossip::{GossipError, Message};
use crate::zmtp::curve::{CurveError, PublicKey, Traffic};
use crate::zmtp::{
    CommandError, Decoder, FrameError, Handshake, HandshakeError, Limits, Mechanism, Received, Role, Status,
    Step, answer, put_frame,
};
use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The whole handshake, from the first byte to READY.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that takes not a byte for so long while some wait for it is gone.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// Bytes queued before no more news are added; the rest stays in the table.
const MAX_QUEUED: usize = 16 * 1_024;
/// Bytes per read: gossip is short and rare.
const READ_SIZE: usize = 4 * 1_024;
/// One frame each; 4 KiB of value and 255 bytes of key are the most the wire format is read with.
const LIMITS: Limits = Limits { max_message: 8 * 1_024, max_frames: 4 };

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Closed {
    /// The other side closed it.
    #[error("the other side closed the connection")]
    End,
    /// The other side closed it in the middle of a message.
    #[error("the other side closed the connection in the middle of a message")]
    CutOff,
    /// It broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The handshake took longer than five seconds.
    #[error("the handshake was not over in time")]
    Slow,
    /// The other side does not read.
    #[error("the other side does not read what it is sent")]
    Stuck,
    /// No peer for us.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// We have no key to talk to the hub with, or none for it.
    #[error(transparent)]
    Security(#[from] NoClient),
    /// Its key is no longer trusted.
    #[error("the other side's key is no longer trusted")]
    Untrusted,
    /// No frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Something that is not sealed as it should be.
    #[error(transparent)]
    Curve(#[from] CurveError),
    /// A malformed command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The hub answers neither PING nor anything else.
    #[error("the hub has said nothing for too long")]
    Silent,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl Closed {
    /// The name this cause is counted under; `None` for what is no fault.
    pub(super) const fn counter(&self) -> Option<&'static str> {
        match self {
            Self::End | Self::Io(_) | Self::Stopped => None,
            Self::CutOff => Some("message_cut_off"),
            Self::Slow => Some("gossip_handshake_slow"),
            Self::Stuck => Some("gossip_stuck"),
            Self::Silent => Some("gossip_hub_silent"),
            Self::Handshake(cause) => Some(cause.counter()),
            Self::Security(cause) => Some(cause.counter()),
            Self::Untrusted => Some("gossip_revoked_key"),
            Self::Frame(cause) => Some(cause.counter()),
            Self::Curve(cause) => Some(cause.counter()),
            Self::Command(cause) => Some(cause.counter()),
        }
    }
}

impl From<super::Ended> for Closed {
    fn from(_: super::Ended) -> Self {
        Self::Stopped
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Where the connection is sealed.
    traffic: Option<Box<Traffic>>,
    /// What is sealed and not open yet.
    arrived: BytesMut,
    input: BytesMut,
    decoder: Decoder,
    output: BytesMut,
    /// When the peer last took bytes, or had none to take.
    moved_at: Instant,
}

impl Connection {
    /// Greets the other side.
    pub(super) async fn open(stream: TcpStream, role: Role, mechanism: Mechanism) -> Result<Self, Closed> {
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5));
        // An idle client of czmq sends nothing at all, so only TCP can find out that its host is gone.
        let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        let mut connection = Self {
            stream: stream.into(),
            traffic: None,
            arrived: BytesMut::new(),
            input: BytesMut::new(),
            decoder: Decoder::new(LIMITS),
            output: BytesMut::new(),
            moved_at: Instant::now(),
        };
        match timeout(HANDSHAKE_TIMEOUT, connection.greet(role, mechanism)).await {
            Ok(greeted) => greeted.map(|()| connection),
            Err(_) => Err(Closed::Slow),
        }
    }

    async fn greet(&mut self, role: Role, mechanism: Mechanism) -> Result<(), Closed> {
        let mut handshake = Handshake::new(role, mechanism);
        loop {
            let (consumed, status) = handshake.receive(&self.input)?;
            self.input.advance(consumed);
            self.append(&handshake.take_output())?;
            if let Status::Done(_) = status {
                self.traffic = handshake.into_mechanism().into_traffic();
                if self.traffic.is_some() {
                    self.arrived = std::mem::take(&mut self.input);
                }
                return Ok(());
            }
            self.turn().await?;
        }
    }

    /// What the other side has proven, where the connection is sealed.
    pub(super) fn peer_key(&self) -> Option<PublicKey> {
        self.traffic.as_ref().map(|traffic| traffic.peer)
    }

    /// Waits until bytes have come or gone. Cancel safe.
    pub(super) async fn turn(&mut self) -> Result<(), Closed> {
        let (reads, writes) = (self.output.len() < 2 * MAX_QUEUED, !self.output.is_empty());
        let stuck_at = self.moved_at + STUCK_AFTER;
        tokio::select! {
            ready = self.stream.readable(), if reads => {
                ready?;
                let into = if self.traffic.is_some() { &mut self.arrived } else { &mut self.input };
                into.reserve(READ_SIZE);
                match self.stream.try_read_buf(into) {
                    Ok(0) if self.input.is_empty() && self.arrived.is_empty() => return Err(Closed::End),
                    Ok(0) => return Err(Closed::CutOff),
                    done => would_block(done)?,
                };
            }
            ready = self.stream.writable(), if writes => {
                ready?;
                let written = would_block(self.stream.try_write_vectored(&[IoSlice::new(&self.output)]))?;
                self.output.advance(written);
                if written > 0 {
                    self.moved_at = Instant::now();
                }
            }
            () = tokio::time::sleep_until(stuck_at), if writes => return Err(Closed::Stuck),
        }
        Ok(())
    }

    /// The next message that has arrived, or why a frame is none; `None` when there is nothing whole.
    pub(super) fn next(&mut self) -> Result<Option<Result<Message, GossipError>>, Closed> {
        if let Some(traffic) = &mut self.traffic {
            let opened = traffic.opener.open_frames(&self.arrived, &mut self.input, LIMITS.max_message)?;
            self.arrived.advance(opened.consumed);
        }
        loop {
            let mut pong = Vec::new();
            let (consumed, message) = match self.decoder.next(&self.input)? {
                Step::NeedMore { .. } => return Ok(None),
                Step::Command { body, consumed } => {
                    if let Received::Error { .. } = answer(body, &mut pong)? {
                        return Err(Closed::End);
                    }
                    (consumed, None)
                }
                // Behind the first frame there is nothing, or nothing that matters.
                Step::Message(message) => {
                    let frame = message.frame(0).unwrap_or_default();
                    (message.consumed(), Some(Message::decode(frame)))
                }
            };
            self.input.advance(consumed);
            self.append(&pong)?;
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// Whether more news should be queued now.
    pub(super) fn wants_more(&self) -> bool {
        self.output.len() < MAX_QUEUED
    }

    /// Queues a message; [`turn`](Self::turn) sends it.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(super) fn queue(&mut self, message: &Message) -> Result<(), Closed> {
        let mut body = Vec::new();
        message.encode(&mut body);
        self.queue_frame(&body)
    }

    /// Whether something queued has not been sent.
    #[cfg(test)]
    pub(super) fn is_pending(&self) -> bool {
        !self.output.is_empty()
    }

    /// Queues one frame that is a whole message.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(super) fn queue_frame(&mut self, body: &[u8]) -> Result<(), Closed> {
        let mut frame = Vec::new();
        put_frame(&mut frame, body, false);
        self.append(&frame)
    }

    /// Queues whole frames; as they are until the handshake is over and in open mode, else sealed.
    ///
    /// # Errors
    /// When they cannot be sealed any more; the connection is of no further use.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        if self.output.is_empty() {
            self.moved_at = Instant::now();
        }
        match &mut self.traffic {
            None => self.output.extend_from_slice(bytes),
            Some(traffic) => {
                let mut sealed = Vec::new();
                traffic.sealer.seal_frames(&mut sealed, bytes)?;
                self.output.extend_from_slice(&sealed);
            }
        }
        Ok(())
    }
}

fn would_block(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}
