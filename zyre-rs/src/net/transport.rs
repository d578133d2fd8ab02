//! Where connections come from and go to: the system's TCP, or memory in tests.

use super::stream::Stream;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

#[cfg(any(test, feature = "test-util"))]
use super::memory;

/// The network of one node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) enum Transport {
    #[default]
    System,
    #[cfg(any(test, feature = "test-util"))]
    Memory(memory::Host),
}

impl Transport {
    /// Tries to connect once; the deadline is the caller's. Cancel safe.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        match self {
            Self::System => {
                let stream = TcpStream::connect(address).await?;
                give_up_on_silence(&stream);
                Ok(stream.into())
            }
            #[cfg(any(test, feature = "test-util"))]
            Self::Memory(host) => host.connect(address).await.map(Stream::Memory),
        }
    }

    /// Opens a listener; port 0 lets the network choose.
    pub(crate) async fn bind(&self, address: SocketAddr) -> io::Result<Listener> {
        match self {
            Self::System => TcpListener::bind(address).await.map(Listener::Tcp),
            #[cfg(any(test, feature = "test-util"))]
            Self::Memory(host) => host.bind(address).map(Listener::Memory),
        }
    }
}

/// Has the kernel end a connection whose data nobody acknowledges, after the time in which a peer expires;
/// its own default is a quarter of an hour. Failing only costs that.
#[cfg(target_os = "linux")]
fn give_up_on_silence(stream: &TcpStream) {
    const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE));
}

#[cfg(not(target_os = "linux"))]
fn give_up_on_silence(_: &TcpStream) {}

/// An open mailbox.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(any(test, feature = "test-util"))]
    Memory(memory::Listener),
}

impl Listener {
    /// The next connection and where it comes from. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, from)| (stream.into(), from)),
            #[cfg(any(test, feature = "test-util"))]
            Self::Memory(listener) => {
                listener.accept().await.map(|(pipe, from)| (Stream::Memory(pipe), from))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            #[cfg(any(test, feature = "test-util"))]
            Self::Memory(listener) => Ok(listener.local_addr()),
        }
    }
}
