//! An attacker that owns no node: it writes bytes from any host.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use zyre_interop_tests::netns::Host;
use zyre_interop_tests::peer::Peer;
use zyre_rs::PeerId;
use zyre_rs::wire::{Beacon, Command, Hello, HelloFields};
use zyre_rs::zmtp::{Handshake, Mechanism, Role, Status, put_message};

/// Nothing that is waited for takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `body` on a host, until it has ended.
pub(super) fn on<T: Send>(host: &Host, body: impl AsyncFnOnce() -> T + Send) -> T {
    host.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(body())
    })
}

pub(super) fn random_id() -> PeerId {
    PeerId::from_bytes(*uuid::Uuid::new_v4().as_bytes())
}

pub(super) fn id_of(peer: &Peer) -> PeerId {
    peer.id().parse().expect("an adapter's id")
}

/// Where a node's mailbox is.
pub(super) fn mailbox_of(peer: &Peer) -> SocketAddr {
    let address = peer.endpoint().strip_prefix("tcp://").expect("an endpoint");
    address.parse().expect("an address")
}

/// Adds addresses to a host's own, since many limits are per address.
pub(super) fn more_addresses(host: &Host, count: u8) -> Vec<Ipv4Addr> {
    let [a, b, c, _] = host.address().octets();
    let addresses: Vec<_> = (0..count).map(|index| Ipv4Addr::new(a, b, c, 100 + index)).collect();
    for address in &addresses {
        host.ip(&format!("addr add {address}/24 dev eth0"));
    }
    addresses
}

/// Sends beacons to one node alone: some others do not survive what it does.
pub(super) struct Beacons {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Beacons {
    pub(super) fn from(host: &Host, to: &Peer) -> Self {
        let socket =
            host.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket in the host"));
        Self { socket, to: (mailbox_of(to).ip(), 5670).into() }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).expect("a datagram leaves");
    }

    pub(super) fn beacon(&self, id: PeerId, port: u16) {
        self.send(&Beacon { id, port, key: None }.encode());
    }
}

/// One connection to the node under attack.
pub(super) struct Line {
    stream: TcpStream,
    sequence: u16,
}

impl Line {
    pub(super) async fn open(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sequence: 0 })
    }

    /// Shakes hands; false if the other side closed instead.
    pub(super) async fn greet(&mut self, id: PeerId) -> bool {
        let mut handshake = Handshake::new(Role::dealer(id), Mechanism::Null);
        let mut buffer = BytesMut::new();
        loop {
            if self.stream.write_all(&handshake.take_output()).await.is_err() {
                return false;
            }
            let (consumed, status) = handshake.receive(&buffer).expect("the node's own greeting");
            buffer.advance(consumed);
            if let Status::Done(_) = status {
                return true;
            }
            if self.stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return false;
            }
        }
    }

    /// Writes what the other side takes before it closes.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(super) async fn say_hello(&mut self, endpoint: &str, name: &str) {
        self.sequence += 1;
        let fields = HelloFields { endpoint: endpoint.into(), name: name.into(), ..HelloFields::default() };
        let (mut head, mut bytes) = (Vec::new(), Vec::new());
        Command::Hello(Hello::new(fields).expect("within limits")).encode(self.sequence, &mut head);
        put_message(&mut bytes, &[head.as_slice()]);
        self.write(&bytes).await;
    }

    /// Reads until the other side closes.
    pub(super) async fn closed(&mut self) {
        let mut buffer = [0; 4096];
        let closed = async { while self.stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("the node closes the connection");
    }

    /// As [`Self::closed`], with a byte of `bytes` every now and then meanwhile.
    pub(super) async fn closed_while_saying(&mut self, bytes: &[u8], every: Duration) {
        let (mut read, mut write) = self.stream.split();
        let mut buffer = [0; 4096];
        let closed = async { while read.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
        let saying = async {
            for byte in bytes {
                let _ = write.write_all(&[*byte]).await;
                tokio::time::sleep(every).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                () = closed => {}
                () = saying => {}
            }
        })
        .await
        .expect("the node closes the connection");
    }
}
