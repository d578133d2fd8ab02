//! Where connections come from and go to: the system's TCP, or memory in tests.

use super::stream::Stream;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

#[cfg(feature = "test-util")]
use super::memory;

/// Connections that may wait to be accepted; a mesh of a node starts all at once.
const BACKLOG: i32 = 1_024;

/// The network of one node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) enum Transport {
    #[default]
    System,
    #[cfg(feature = "test-util")]
    Memory(memory::Host),
}

impl Transport {
    /// Whether nothing leaves the process.
    pub(crate) fn is_memory(&self) -> bool {
        !matches!(self, Self::System)
    }

    /// Tries to connect once; the deadline is the caller's. Cancel safe.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        match self {
            Self::System => {
                let stream = TcpStream::connect(address).await?;
                give_up_on_silence(&stream);
                Ok(stream.into())
            }
            #[cfg(feature = "test-util")]
            Self::Memory(host) => host.connect(address).await.map(Stream::Memory),
        }
    }

    /// Opens a listener; port 0 lets the network choose.
    pub(crate) async fn bind(&self, address: SocketAddr) -> io::Result<Listener> {
        match self {
            Self::System => listen(address).map(Listener::Tcp),
            #[cfg(feature = "test-util")]
            Self::Memory(host) => host.bind(address).map(Listener::Memory),
        }
    }
}

/// An IPv6 listener leaves IPv4 alone: that has a listener of its own, on the same port.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A node that comes back soon takes the port that its old connections have not quite left; on Windows
    // the option would share a port in use.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
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
    #[cfg(feature = "test-util")]
    Memory(memory::Listener),
}

impl Listener {
    /// The next connection and where it comes from. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, from)| (stream.into(), from)),
            #[cfg(feature = "test-util")]
            Self::Memory(listener) => {
                listener.accept().await.map(|(pipe, from)| (Stream::Memory(pipe), from))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            #[cfg(feature = "test-util")]
            Self::Memory(listener) => Ok(listener.local_addr()),
        }
    }
}
