//! The floor: four bytes of length and the message, over tokio's TCP in 64 KiB writes.

use crate::Result;
use crate::session::{Session, hold};
use crate::stopwatch::{Span, Stopwatch, percentiles, rate};
use crate::workload::{Checker, Ring, SHOUT_PEERS, WINDOW, Workload};
use bytes::{Buf, Bytes};
use futures_util::future::try_join_all;
use std::convert::Infallible;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How much is gathered before it is written.
const WRITE: usize = 64 << 10;

/// Listens, and receives or echoes.
pub(crate) async fn sink(session: Session) -> Result<Infallible> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    session.ready(&listener.local_addr()?.to_string());
    let mut links = Vec::new();
    for _ in 0..peers(&session) {
        links.push(accept(&listener).await?);
    }
    match session.job.workload {
        Workload::OneWay { .. } | Workload::Shout { .. } => {
            let tasks = links.into_iter().map(|link| tokio::spawn(receive(session.clone(), link)));
            let done: Result<Vec<_>> = try_join_all(tasks).await?.into_iter().collect();
            let (spans, _links): (Vec<Span>, Vec<TcpStream>) = done?.into_iter().unzip();
            session.result(rate(&spans, session.job.count)).await
        }
        _ => echo(session, links.pop().ok_or("no connection")?).await,
    }
}

/// Connects and sends.
pub(crate) async fn source(session: Session) -> Result<Infallible> {
    let mut links = Vec::new();
    for _ in 0..peers(&session) {
        let link = TcpStream::connect(&session.job.address).await?;
        link.set_nodelay(true)?;
        links.push(link);
    }
    match session.job.workload {
        Workload::OneWay { .. } | Workload::Shout { .. } => send(session, links).await,
        Workload::Echo { .. } => request(session, links.pop().ok_or("no connection")?).await,
        _ => ping(session, links.pop().ok_or("no connection")?).await,
    }
}

fn peers(session: &Session) -> usize {
    if matches!(session.job.workload, Workload::Shout { .. }) { SHOUT_PEERS } else { 1 }
}

async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (link, _) = listener.accept().await?;
    link.set_nodelay(true)?;
    Ok(link)
}

async fn receive(session: Session, mut link: TcpStream) -> Result<(Span, TcpStream)> {
    let (mut frames, mut watch) = (Frames::new(session.job.workload.size()), Stopwatch::new(&session));
    loop {
        while let Some(frame) = frames.next() {
            if let Some(span) = watch.take(frame)? {
                return Ok((span, link));
            }
        }
        frames.fill(&mut link).await?;
    }
}

/// The same encoded bytes go to every link, as cheaply as a shout could ever be.
async fn send(session: Session, mut links: Vec<TcpStream>) -> Result<Infallible> {
    let ring = Ring::new(session.job.workload.size());
    let mut buffer = Vec::with_capacity(WRITE + 1024);
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        let payload = ring.slice(number);
        if payload.len() >= WRITE {
            for link in &mut links {
                link.write_all_buf(&mut header(payload).chain(&payload[..])).await?;
            }
        } else {
            encode(payload, &mut buffer);
            if buffer.len() >= WRITE {
                flush(&mut buffer, &mut links).await?;
            }
        }
    }
    flush(&mut buffer, &mut links).await?;
    hold().await
}

async fn flush(buffer: &mut Vec<u8>, links: &mut [TcpStream]) -> Result<()> {
    for link in links {
        link.write_all(buffer).await?;
    }
    buffer.clear();
    Ok(())
}

/// Answers whatever has come with one write.
async fn echo(session: Session, mut link: TcpStream) -> Result<Infallible> {
    let (mut frames, mut buffer, mut seen) = (Frames::new(session.job.workload.size()), Vec::new(), 0);
    loop {
        frames.fill(&mut link).await?;
        while let Some(frame) = frames.next() {
            encode(frame, &mut buffer);
            seen += 1;
            if seen == session.job.warmup {
                session.measure();
            }
        }
        link.write_all(&buffer).await?;
        buffer.clear();
    }
}

async fn request(session: Session, mut link: TcpStream) -> Result<Infallible> {
    let (size, total) = (session.job.workload.size(), session.job.total());
    let (ring, mut watch, mut frames) = (Ring::new(size), Stopwatch::new(&session), Frames::new(size));
    let (mut buffer, mut sent) = (Vec::new(), 0);
    while sent < total.min(WINDOW) {
        encode(ring.slice(sent), &mut buffer);
        sent += 1;
    }
    loop {
        link.write_all(&buffer).await?;
        buffer.clear();
        frames.fill(&mut link).await?;
        while let Some(frame) = frames.next() {
            if let Some(span) = watch.take(frame)? {
                return session.result(rate(&[span], session.job.count)).await;
            }
            if sent < total {
                encode(ring.slice(sent), &mut buffer);
                sent += 1;
            }
        }
    }
}

async fn ping(session: Session, mut link: TcpStream) -> Result<Infallible> {
    let size = session.job.workload.size();
    let (ring, mut checker, mut frames) = (Ring::new(size), Checker::new(size), Frames::new(size));
    let (mut buffer, mut times) = (Vec::new(), Vec::new());
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        let sent_at = Instant::now();
        encode(ring.slice(number), &mut buffer);
        link.write_all(&buffer).await?;
        buffer.clear();
        let frame = loop {
            frames.fill(&mut link).await?;
            if let Some(frame) = frames.next() {
                break frame;
            }
        };
        if number >= session.job.warmup {
            times.push(sent_at.elapsed());
        }
        checker.check(frame)?;
    }
    session.result(percentiles(times)).await
}

fn header(payload: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&(payload.len() as u32).to_le_bytes())
}

pub(super) fn encode(payload: &[u8], buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// Received bytes, cut into messages in place.
pub(super) struct Frames {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    /// Room for one message and one read; no message is larger than the one size of the run.
    pub(super) fn new(size: usize) -> Self {
        Self { buffer: vec![0; size + 4 + WRITE], start: 0, end: 0 }
    }

    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let rest = self.buffer.get(self.start..self.end)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let frame = rest.get(..length)?;
        self.start += 4 + length;
        Some(frame)
    }

    pub(super) async fn fill(&mut self, link: &mut TcpStream) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        match link.read(&mut self.buffer[self.end..]).await? {
            0 => Err("the other side closed the connection".into()),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }
}
