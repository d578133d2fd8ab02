//! `curve-handshake`: what a handshake costs either side. `curve-attack`: what strangers do beside a secured pair.

use crate::Result;
use crate::session::Session;
use crate::stopwatch::percentiles;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use zyre_rs::wire::Beacon;
use zyre_rs::zmtp::curve::{Client, Fresh, Gate, KeyPair, Server};
use zyre_rs::zmtp::{Greeting, Handshake, Identities, Mechanism, Role, Status};
use zyre_rs::{NetworkKey, PeerId};

/// Handshakes that stop halfway.
const HALF_OPEN: u64 = 1_000;
/// Between two of them. As fast as they go, the attacker would take a core for itself, and that would be what is measured.
const GAP: Duration = Duration::from_millis(1);
/// They come from so many addresses of loopback: one alone has fewer places.
const ADDRESSES: u64 = 32;
/// Beacons a second, half of them with the network's public key and all with new UUIDs.
const BEACONS: u64 = 10_000;
/// Forged goodbyes a second, from the peer's own address.
const GOODBYES: u64 = 10;
/// How often beacons go out: a few at a time, since on two cores the attacker's bursts would be what is measured.
const BEAT: Duration = Duration::from_millis(1);

/// The key of the secured nodes.
pub(crate) fn key() -> NetworkKey {
    NetworkKey::from_bytes([7; 32])
}

/// Bytes that differ from call to call; nobody has to be kept out here.
fn fresh(number: u64) -> Fresh {
    Fresh::new(std::array::from_fn(|at| (number >> (at % 8 * 8)) as u8 ^ at as u8))
}

/// Handshakes one after the other, without sockets; each side's time is taken by itself.
pub(crate) async fn handshakes(session: Session) -> Result<Infallible> {
    session.ready("");
    let (pair, gate): (_, Gate) = (KeyPair::from_secret([9; 32]), Arc::new(|_| Ok(())));
    let pairs: Arc<[KeyPair]> = [pair.clone()].into();
    let (mut client_time, mut server_time) = (Duration::ZERO, Duration::ZERO);
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
            (client_time, server_time) = (Duration::ZERO, Duration::ZERO);
        }
        let mut client = timed(&mut client_time, || {
            let client = Client::new(pair.clone(), pair.public(), &fresh(2 * number));
            Handshake::new(Role::dealer(PeerId::from_bytes([3; 16])), Mechanism::client(client))
        });
        let mut server = timed(&mut server_time, || {
            let server = Server::new(pairs.clone(), gate.clone(), fresh(2 * number + 1));
            Handshake::new(Role::Router { accept: Identities::Nodes }, Mechanism::server(server))
        });
        let mut done = (false, false);
        while done != (true, true) {
            let said = client.take_output();
            done.1 |= timed(&mut server_time, || step(&mut server, &said))?;
            let said = server.take_output();
            done.0 |= timed(&mut client_time, || step(&mut client, &said))?;
        }
    }
    let rate = |time: Duration| session.job.count as f64 / time.as_secs_f64().max(1e-9);
    let both = client_time + server_time;
    let numbers = json!({
        "seconds": both.as_secs_f64(), "rate": rate(both), "client_rate": rate(client_time), "server_rate": rate(server_time),
    });
    session.result(numbers).await
}

fn timed<T>(time: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started_at = Instant::now();
    let done = work();
    *time += started_at.elapsed();
    done
}

/// Both sides consume all they are given here, since commands come whole.
fn step(handshake: &mut Handshake, bytes: &[u8]) -> Result<bool> {
    if bytes.is_empty() {
        return Ok(false);
    }
    let (consumed, status) = handshake.receive(bytes)?;
    if consumed == bytes.len() {
        Ok(matches!(status, Status::Done(_)))
    } else {
        Err("a command in pieces".into())
    }
}

/// An attack under way, on a thread of its own.
pub(crate) struct Attack {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Done>>,
}

/// What was done.
#[derive(Default)]
pub(crate) struct Done {
    half_open: u64,
    beacons: u64,
    goodbyes: u64,
}

impl Attack {
    /// Attacks the node with this mailbox, in which `victim` is a peer.
    pub(crate) fn begin(victim: PeerId, port: u16, target: SocketAddr) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let until = ending.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (datagrams, connections) =
                    tokio::join!(beacons(victim, port, &until), half_open(target, &until));
                let ((beacons, goodbyes), connections) = (datagrams?, connections?);
                Ok(Done { half_open: connections.len() as u64, beacons, goodbyes })
            })
        });
        Self { ending, thread }
    }

    /// Ends it and says what it was.
    pub(crate) fn end(self) -> Result<Done> {
        self.ending.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the attacker has panicked")??)
    }
}

/// Quiet and attacked times as the numbers of a result.
pub(crate) fn attack_numbers(quiet: Vec<Duration>, attacked: Vec<Duration>, done: &Done) -> Value {
    let (quiet, mut numbers) = (percentiles(quiet), percentiles(attacked));
    for name in ["p50_us", "p99_us"] {
        numbers[format!("quiet_{name}")] = quiet[name].clone();
    }
    numbers["half_open"] = done.half_open.into();
    numbers["beacons"] = done.beacons.into();
    numbers["goodbyes"] = done.goodbyes.into();
    numbers
}

async fn beacons(victim: PeerId, port: u16, ending: &AtomicBool) -> std::io::Result<(u64, u64)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.set_broadcast(true)?;
    let to = (Ipv4Addr::new(127, 255, 255, 255), port);
    let shown = Some(*key().public_key().as_bytes());
    let goodbye = Beacon { id: victim, port: 0, key: shown }.encode();
    let (started_at, mut beacons, mut goodbyes) = (Instant::now(), 0, 0);
    let mut beat = tokio::time::interval(BEAT);
    while !ending.load(Ordering::Relaxed) {
        beat.tick().await;
        let due = |a_second: u64| (started_at.elapsed().as_secs_f64() * a_second as f64) as u64;
        while beacons < due(BEACONS) {
            let id = PeerId::from_bytes(std::array::from_fn(|at| (beacons >> (at % 8 * 8)) as u8 ^ 0x5a));
            let key = shown.filter(|_| beacons % 2 == 0);
            // Ports on which nobody listens.
            let beacon = Beacon { id, port: (beacons % 9_000) as u16 + 1, key }.encode();
            socket.send_to(&beacon, to).await?;
            beacons += 1;
        }
        if goodbyes < due(GOODBYES) {
            socket.send_to(&goodbye, to).await?;
            goodbyes += 1;
        }
    }
    Ok((beacons, goodbyes))
}

/// Keeps them open until the end, as far as the victim lets it.
async fn half_open(target: SocketAddr, ending: &AtomicBool) -> std::io::Result<Vec<TcpStream>> {
    // The same greeting and HELLO for all: the victim's work is to be measured and not the attacker's.
    let client = Client::new(KeyPair::from_secret([3; 32]), key().public_key(), &fresh(0));
    let mut handshake = Handshake::new(Role::dealer(PeerId::from_bytes([3; 16])), Mechanism::client(client));
    handshake.receive(&Greeting::new("CURVE", true).encode()).map_err(std::io::Error::other)?;
    let said = handshake.take_output();
    let (mut waiting, mut gap) = (Vec::new(), tokio::time::interval(GAP));
    for number in 0..HALF_OPEN {
        gap.tick().await;
        if ending.load(Ordering::Relaxed) {
            break;
        }
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, 100 + (number % ADDRESSES) as u8), 0).into())?;
        let mut stream = socket.connect(target).await?;
        let _ = stream.write_all(&said).await;
        waiting.push(stream);
    }
    Ok(waiting)
}
