//! A peer made by hand: the bytes pyre puts on the wire, written to plain TCP and UDP sockets.
//!
//! It owes nothing to `zyre-rs`, so it shows that nodes meet by the protocol alone (RFC 36 over ZMTP 3, RFC 23):
//! a beacon of 22 bytes says where its mailbox is; whoever connects there and says HELLO is called back, greeted
//! with HELLO and JOIN, and gets its requests answered. For a demo only: it reads no beacons and expires nobody.

use crate::{GROUP, Line, POOL, RAW_PEER};
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, interval, sleep};

/// A length beyond it is an error, not an allocation.
const MAX_FRAME: u64 = 1 << 20;

const HELLO: u8 = 1;
const WHISPER: u8 = 2;
const JOIN: u8 = 4;
const PING: u8 = 6;
const PING_OK: u8 = 7;
// Flags of a ZMTP frame.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// A running peer; it beacons and answers until [`stop`](Self::stop).
pub(crate) struct RawPeer {
    beacons: Arc<UdpSocket>,
    broadcast: SocketAddr,
    uuid: [u8; 16],
    task: JoinHandle<()>,
}

impl RawPeer {
    /// Opens a mailbox on the interface with the address `local`, beacons there and joins the demo's groups.
    pub(crate) async fn start(local: Ipv4Addr, port: u16, say: UnboundedSender<Line>) -> Result<Self> {
        let uuid = uuid::Uuid::new_v4().into_bytes();
        let mailbox = TcpListener::bind((local, 0)).await?;
        let endpoint = mailbox.local_addr()?;
        let beacons = Arc::new(UdpSocket::bind((local, 0)).await?);
        beacons.set_broadcast(true)?;
        let broadcast = SocketAddr::from((broadcast_of(local)?, port));

        let me = Arc::new(Me { uuid, endpoint: format!("tcp://{endpoint}"), say });
        let sender = Arc::clone(&beacons);
        let task = tokio::spawn(async move {
            let mut sessions = JoinSet::new(); // aborted together with this task
            let mut every_second = interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    _ = every_second.tick() => {
                        sender.send_to(&beacon(&uuid, endpoint.port()), broadcast).await.ok();
                    }
                    Ok((stream, _)) = mailbox.accept() => {
                        let me = Arc::clone(&me);
                        sessions.spawn(async move { me.session(stream).await.err() }); // ends when the peer closes it
                    }
                }
            }
        });
        Ok(Self { beacons, broadcast, uuid, task })
    }

    /// Says goodbye with a beacon for port 0 and closes everything.
    pub(crate) async fn stop(self) -> Result<()> {
        self.beacons.send_to(&beacon(&self.uuid, 0), self.broadcast).await?;
        sleep(Duration::from_millis(50)).await; // it should arrive before the connections close
        self.task.abort();
        Ok(())
    }
}

struct Me {
    uuid: [u8; 16],
    endpoint: String,
    say: UnboundedSender<Line>,
}

impl Me {
    /// One peer's connection to our mailbox, and ours back to its.
    async fn session(&self, stream: TcpStream) -> Result<()> {
        let mut inbox = BufReader::new(stream);
        greet(&mut inbox, b"ROUTER", &[]).await?;
        let hello = read_message(&mut inbox).await?;
        let there =
            hello.first().and_then(|hello| endpoint_in(hello)).ok_or(Error::other("no usable HELLO"))?;

        let mut outbox = BufReader::new(TcpStream::connect(there).await?);
        greet(&mut outbox, b"DEALER", &[&[1], &self.uuid[..]].concat()).await?;
        let mut sequence = 0_u16;
        let mut head = |id: u8| {
            sequence = sequence.wrapping_add(1);
            [&[0xAA, 0xA1, id, 2][..], &sequence.to_be_bytes()].concat()
        };
        let mut bytes = frame(0, &self.hello(head(HELLO)));
        for (group, status) in [GROUP, POOL].into_iter().zip(1_u8..) {
            bytes.extend(frame(0, &[head(JOIN), string(group), vec![status]].concat()));
        }
        outbox.write_all(&bytes).await?;

        loop {
            let message = read_message(&mut inbox).await?;
            let id = message.first().and_then(|first| first.get(2)).copied();
            match (id, message.get(1)) {
                (Some(PING), _) => outbox.write_all(&frame(0, &head(PING_OK))).await?,
                (Some(WHISPER), Some(request)) => {
                    let Some(answer) = zyre_examples::rpc::answer(request) else { continue };
                    self.say.send(Line::answered(RAW_PEER, request, &answer)).ok();
                    let frames = [frame(MORE, &head(WHISPER)), frame(0, answer.as_bytes())];
                    outbox.write_all(&frames.concat()).await?;
                }
                _ => {}
            }
        }
    }

    /// HELLO: endpoint, no groups yet (JOIN names them), status 0, name, one header.
    fn hello(&self, head: Vec<u8>) -> Vec<u8> {
        let headers = [vec![0, 0, 0, 1], string("X-ROLE"), vec![0, 0, 0, 6], b"worker".to_vec()].concat();
        [head, string(&self.endpoint), vec![0; 4], vec![0], string(RAW_PEER), headers].concat()
    }
}

/// ZRE, version 1, UUID, TCP port.
fn beacon(uuid: &[u8; 16], port: u16) -> Vec<u8> {
    [b"ZRE\x01", &uuid[..], &port.to_be_bytes()].concat()
}

/// Where to broadcast on the interface with this address; on loopback 127.255.255.255.
fn broadcast_of(local: Ipv4Addr) -> Result<Ipv4Addr> {
    let interfaces = if_addrs::get_if_addrs()?;
    let found = interfaces.into_iter().find_map(|interface| match interface.addr {
        if_addrs::IfAddr::V4(v4) if v4.ip == local => Some(v4.ip | !v4.netmask),
        _ => None,
    });
    found.ok_or_else(|| Error::other(format!("no interface has the address {local}")))
}

/// A ZRE string: one byte of length, then the text.
fn string(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap_or(0)], text.as_bytes()].concat()
}

/// The first string of a HELLO, `tcp://address:port`.
fn endpoint_in(hello: &[u8]) -> Option<SocketAddr> {
    let rest = hello.strip_prefix(&[0xAA, 0xA1, HELLO, 2])?.get(2..)?;
    let (length, rest) = rest.split_first()?;
    let text = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?;
    text.strip_prefix("tcp://")?.parse().ok()
}

/// A ZMTP frame: flags, length in one or eight bytes, body.
fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(length) => [&[flags, length], body].concat(),
        Err(_) => [&[flags | LONG][..], &(body.len() as u64).to_be_bytes(), body].concat(),
    }
}

async fn read_frame(stream: &mut BufReader<TcpStream>) -> Result<(u8, Vec<u8>)> {
    let flags = stream.read_u8().await?;
    let length =
        if flags & LONG == 0 { u64::from(stream.read_u8().await?) } else { stream.read_u64().await? };
    if length > MAX_FRAME {
        return Err(Error::other("frame too long"));
    }
    let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok((flags, body))
}

/// The frames of the next message; commands in between are passed over.
async fn read_message(stream: &mut BufReader<TcpStream>) -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    loop {
        let (flags, body) = read_frame(stream).await?;
        if flags & COMMAND == 0 {
            frames.push(body);
        }
        if flags & (COMMAND | MORE) == 0 {
            return Ok(frames);
        }
    }
}

/// Greeting (ZMTP 3.1, mechanism NULL) and READY, in both directions.
async fn greet(stream: &mut BufReader<TcpStream>, socket_type: &[u8; 6], identity: &[u8]) -> Result<()> {
    let length = identity.len() as u8;
    let mut greeting = [&[0xFF, 0, 0, 0, 0, 0, 0, 0, length + 1, 0x7F, 3, 1], &b"NULL"[..]].concat();
    greeting.resize(64, 0);
    stream.write_all(&greeting).await?;
    stream.read_exact(&mut greeting).await?;
    let head = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06";
    let ready = [&head[..], socket_type, b"\x08Identity\x00\x00\x00", &[length], identity].concat();
    stream.write_all(&frame(COMMAND, &ready)).await?;
    read_frame(stream).await.map(|_| ())
}
