//! A byte stream by readiness, so that an idle connection holds no buffer: TCP, or memory in tests.

use bytes::BytesMut;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use tokio::net::TcpStream;

#[cfg(any(test, feature = "test-util"))]
use super::memory;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(any(test, feature = "test-util"))]
    Memory(memory::Pipe),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        // Latency: a whisper must not wait for the ACK of the one before it. Failing only costs that.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $body:expr) => {
        match $self {
            Self::Tcp($stream) => $body,
            #[cfg(any(test, feature = "test-util"))]
            Self::Memory($stream) => $body,
        }
    };
}

impl Stream {
    /// Waits until a read will not block (or the end is reached). Cancel safe.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        each!(self, stream => stream.readable().await)
    }

    /// Reads into the spare capacity; 0 is the end, `WouldBlock` means wait for `readable`.
    pub(crate) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        each!(self, stream => stream.try_read_buf(buffer))
    }

    /// Waits until a write will not block. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        each!(self, stream => stream.writable().await)
    }

    /// Writes some of the slices; `WouldBlock` means wait for `writable`.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.try_write_vectored(slices))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        each!(self, stream => stream.local_addr())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        each!(self, stream => stream.peer_addr())
    }
}
