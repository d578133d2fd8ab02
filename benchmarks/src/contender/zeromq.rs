//! The `zeromq` crate: DEALER to ROUTER with two frames a message, as a ZRE whisper has.
//!
//! Only sockets: no discovery, no sessions, no groups, no sequence numbers. A shout is a loop over eight
//! DEALERs, each connected to a ROUTER of its own.

use crate::Result;
use crate::session::{Session, hold};
use crate::stopwatch::{Stopwatch, percentiles, rate};
use crate::workload::{Checker, Ring, SHOUT_PEERS, WINDOW, Workload};
use bytes::Bytes;
use futures_util::future::try_join_all;
use std::convert::Infallible;
use std::time::Instant;
use zeromq::prelude::*;
use zeromq::{DealerSocket, RouterSocket, ZmqMessage};

/// As long as the first frame of a ZRE whisper.
const HEADER: Bytes = Bytes::from_static(b"header");

/// Binds, and receives or echoes.
pub(crate) async fn sink(session: Session) -> Result<Infallible> {
    let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..peers(&session) {
        let mut socket = RouterSocket::new();
        addresses.push(socket.bind("tcp://127.0.0.1:0").await?.to_string());
        sockets.push(socket);
    }
    session.ready(&addresses.join(" "));
    match session.job.workload {
        Workload::OneWay { .. } | Workload::Shout { .. } => {
            let tasks = sockets.into_iter().map(|mut socket| {
                let session = session.clone();
                tokio::spawn(async move {
                    let mut watch = Stopwatch::new(&session);
                    loop {
                        if let Some(span) = watch.take(payload(&socket.recv().await?)?)? {
                            return Ok((span, socket));
                        }
                    }
                })
            });
            let done: Result<Vec<_>> = try_join_all(tasks).await?.into_iter().collect();
            let (spans, _sockets): (Vec<_>, Vec<RouterSocket>) = done?.into_iter().unzip();
            session.result(rate(&spans, session.job.count)).await
        }
        _ => echo(session, sockets.pop().ok_or("no socket")?).await,
    }
}

/// Connects and sends.
pub(crate) async fn source(session: Session) -> Result<Infallible> {
    let mut sockets = Vec::new();
    for address in session.job.address.split(' ') {
        let mut socket = DealerSocket::new();
        socket.connect(address).await?;
        sockets.push(socket);
    }
    match session.job.workload {
        Workload::OneWay { .. } | Workload::Shout { .. } => send(session, sockets).await,
        Workload::Echo { .. } => request(session, sockets.pop().ok_or("no socket")?).await,
        _ => ping(session, sockets.pop().ok_or("no socket")?).await,
    }
}

fn peers(session: &Session) -> usize {
    if matches!(session.job.workload, Workload::Shout { .. }) { SHOUT_PEERS } else { 1 }
}

fn message(payload: Bytes) -> Result<ZmqMessage> {
    ZmqMessage::try_from(vec![HEADER, payload]).map_err(|_| "a message without frames".into())
}

/// The last frame: a ROUTER puts the sender's identity in front.
fn payload(message: &ZmqMessage) -> Result<&Bytes> {
    Ok(message.get(message.len().saturating_sub(1)).ok_or("a message without frames")?)
}

async fn send(session: Session, mut sockets: Vec<DealerSocket>) -> Result<Infallible> {
    let ring = Ring::new(session.job.workload.size());
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        for socket in &mut sockets {
            socket.send(message(ring.payload(number))?).await?;
        }
    }
    hold().await
}

async fn echo(session: Session, mut socket: RouterSocket) -> Result<Infallible> {
    let mut seen = 0;
    loop {
        let message = socket.recv().await?;
        socket.send(message).await?;
        seen += 1;
        if seen == session.job.warmup {
            session.measure();
        }
    }
}

async fn request(session: Session, mut socket: DealerSocket) -> Result<Infallible> {
    let total = session.job.total();
    let (ring, mut watch) = (Ring::new(session.job.workload.size()), Stopwatch::new(&session));
    let mut sent = 0;
    while sent < total.min(WINDOW) {
        socket.send(message(ring.payload(sent))?).await?;
        sent += 1;
    }
    loop {
        if let Some(span) = watch.take(payload(&socket.recv().await?)?)? {
            return session.result(rate(&[span], session.job.count)).await;
        }
        if sent < total {
            socket.send(message(ring.payload(sent))?).await?;
            sent += 1;
        }
    }
}

async fn ping(session: Session, mut socket: DealerSocket) -> Result<Infallible> {
    let size = session.job.workload.size();
    let (ring, mut checker, mut times) = (Ring::new(size), Checker::new(size), Vec::new());
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        let sent_at = Instant::now();
        socket.send(message(ring.payload(number))?).await?;
        let answer = socket.recv().await?;
        if number >= session.job.warmup {
            times.push(sent_at.elapsed());
        }
        checker.check(payload(&answer)?)?;
    }
    session.result(percentiles(times)).await
}
