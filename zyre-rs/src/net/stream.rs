//! A byte stream by readiness, so that an idle connection holds no buffer: TCP, or memory in tests.

use bytes::BytesMut;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use tokio::net::TcpStream;

#[cfg(feature = "test-util")]
use super::memory;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(feature = "test-util")]
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
            #[cfg(feature = "test-util")]
            Self::Memory($stream) => $body,
        }
    };
}

impl Stream {
    /// Waits until a read will not block (or the end is reached). Cancel safe.
    ///
    /// One task may wait at a time; that makes the wait a third of what tokio's own `readable` carries.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => poll_fn(|cx| stream.poll_read_ready(cx)).await,
            #[cfg(feature = "test-util")]
            Self::Memory(pipe) => pipe.readable().await,
        }
    }

    /// Reads into the spare capacity; 0 is the end, `WouldBlock` means wait for `readable`.
    pub(crate) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        each!(self, stream => stream.try_read_buf(buffer))
    }

    /// Reads into a slice; otherwise as [`try_read_buf`](Self::try_read_buf).
    pub(crate) fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_read(space))
    }

    /// Waits until a write will not block. Cancel safe. One task may wait at a time.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => poll_fn(|cx| stream.poll_write_ready(cx)).await,
            #[cfg(feature = "test-util")]
            Self::Memory(pipe) => pipe.writable().await,
        }
    }

    /// Writes some of the slices; `WouldBlock` means wait for `writable`.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.try_write_vectored(slices))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        each!(self, stream => stream.local_addr())
    }
}
