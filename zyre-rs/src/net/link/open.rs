//! From nothing to a connection that has said HELLO.

use super::incoming::Incoming;
use super::{End, LinkTask};
use crate::net::security::NoClient;
use crate::net::stream::Stream;
use crate::proto::{Input, LinkLoss};
use crate::wire::Endpoint;
use crate::zmtp::curve::{Sealer, Traffic};
use crate::zmtp::{Handshake, HandshakeError, Role, Status};
use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// For connecting and the handshake together.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("{0}")]
    Security(#[from] NoClient),
    #[error("the other side closed the connection in the handshake")]
    Eof,
    #[error("no handshake within 5 s")]
    Late,
}

impl Failure {
    fn is_refused(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    fn counter(&self) -> &'static str {
        match self {
            Self::Io(_) if self.is_refused() => "link_refused",
            Self::Io(_) => "link_unreachable",
            Self::Handshake(error) => error.counter(),
            Self::Security(error) => error.counter(),
            Self::Eof => "link_closed_in_handshake",
            Self::Late => "link_timeout",
        }
    }
}

/// A link that is up.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) incoming: Incoming,
    /// Where it is sealed.
    pub(super) sealer: Option<Sealer>,
}

/// Tries until it works, waiting to be told after each failure.
pub(super) async fn up(task: &LinkTask) -> Result<Opened, End> {
    let (stream, rest, traffic) = loop {
        let failure = tokio::select! {
            biased;
            full = ended(task) => return Err(End::of(full)),
            tried = timeout(DEADLINE, connect(task)) => match tried {
                Ok(Ok(opened)) => break opened,
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Late,
            },
        };
        task.context.counters.count(failure.counter());
        tracing::debug!(link = task.link.0, address = %task.address, %failure, "cannot open a link");
        let news = Input::LinkFailed { link: task.link, refused: failure.is_refused() };
        task.context.driver.tell(news).await.map_err(|_| End::Closed)?;
        task.outbox.retried().await.map_err(End::of)?;
    };
    let news = Input::LinkUp { link: task.link };
    task.context.driver.tell(news).await.map_err(|_| End::Closed)?;
    let (sealer, opener) = match traffic {
        None => (None, None),
        Some(traffic) => (Some(traffic.sealer), Some(traffic.opener)),
    };
    let mut incoming = Incoming::new(rest, opener.map(Box::new));
    incoming.parse(task)?;
    let endpoint = match task.context.advertised {
        Some(endpoint) => Some(endpoint),
        None => stream.local_addr().ok().and_then(|local| {
            task.context.addresses.tell(local.ip());
            Endpoint::new(SocketAddr::new(local.ip(), task.context.mailbox_port)).ok()
        }),
    };
    let endpoint = endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default();
    if let Err(limit) = task.outbox.greet(endpoint.as_bytes()) {
        task.hello_refused(limit);
        return Err(End::Lost(LinkLoss::Closed));
    }
    Ok(Opened { stream, incoming, sealer })
}

async fn ended(task: &LinkTask) -> bool {
    loop {
        if let Some(full) = task.outbox.ended() {
            return full;
        }
        task.outbox.woken().await;
    }
}

async fn connect(task: &LinkTask) -> Result<(Stream, BytesMut, Option<Box<Traffic>>), Failure> {
    let mechanism = task.context.security.client(task.key)?;
    let stream = task.context.transport.connect(task.address).await?;
    let mut handshake = Handshake::new(Role::dealer(task.context.id), mechanism);
    let mut buffer = BytesMut::new();
    loop {
        let (consumed, status) = handshake.receive(&buffer)?;
        buffer.advance(consumed);
        write_all(&stream, &handshake.take_output()).await?;
        if let Status::Done(_) = status {
            return Ok((stream, buffer, handshake.into_mechanism().into_traffic()));
        }
        stream.readable().await?;
        buffer.reserve(Handshake::MAX_INPUT.saturating_sub(buffer.len()).max(1));
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => return Err(Failure::Eof),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write_vectored(&[IoSlice::new(bytes)]) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
