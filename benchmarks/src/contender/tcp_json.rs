//! The floor for calls: length-prefixed JSON with an id, by hand, over tokio's TCP. Whatever has come is answered with
//! one write.

use super::tcp::{Frames, encode};
use crate::Result;
use crate::calls::{self, Calculator, Server, check, operands};
use crate::session::Session;
use crate::stopwatch::{Lap, rate};
use crate::workload::{WINDOW, Workload};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// No request or response is longer.
const LONGEST: usize = 256;

#[derive(Serialize, Deserialize)]
struct Request {
    id: u64,
    a: i64,
    b: i64,
}

#[derive(Serialize, Deserialize)]
struct Response {
    id: u64,
    result: i64,
}

/// Listens and adds.
pub(crate) async fn sink(session: Session) -> Result<Infallible> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    session.ready(&listener.local_addr()?.to_string());
    let (mut link, _) = listener.accept().await?;
    link.set_nodelay(true)?;
    let server = Server::new(&session);
    let (mut frames, mut buffer) = (Frames::new(LONGEST), Vec::new());
    loop {
        frames.fill(&mut link).await?;
        while let Some(frame) = frames.next() {
            let Request { id, a, b } = serde_json::from_slice(frame)?;
            encode(&serde_json::to_vec(&Response { id, result: server.add(a, b) })?, &mut buffer);
        }
        link.write_all(&buffer).await?;
        buffer.clear();
    }
}

/// Connects and calls.
pub(crate) async fn source(session: Session) -> Result<Infallible> {
    let link = TcpStream::connect(&session.job.address).await?;
    link.set_nodelay(true)?;
    let frames = Frames::new(LONGEST);
    match session.job.workload {
        Workload::Call => pipelined(session, link, frames).await,
        _ => calls::run(session, OneAtATime(Arc::new(Mutex::new((link, frames))))).await,
    }
}

/// The lock is never contended.
#[derive(Clone)]
struct OneAtATime(Arc<Mutex<(TcpStream, Frames)>>);

impl Calculator for OneAtATime {
    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        let (link, frames) = &mut *self.0.lock().await;
        let mut buffer = Vec::new();
        encode(&serde_json::to_vec(&Request { id: 0, a, b })?, &mut buffer);
        link.write_all(&buffer).await?;
        loop {
            frames.fill(link).await?;
            if let Some(frame) = frames.next() {
                return Ok(serde_json::from_slice::<Response>(frame)?.result);
            }
        }
    }
}

async fn pipelined(session: Session, mut link: TcpStream, mut frames: Frames) -> Result<Infallible> {
    let (mut buffer, mut lap, total) = (Vec::new(), Lap::new(&session), session.job.total());
    let request = |number| {
        let (a, b) = operands(number);
        serde_json::to_vec(&Request { id: number, a, b })
    };
    for number in 0..total.min(WINDOW) {
        encode(&request(number)?, &mut buffer);
    }
    let mut sent = total.min(WINDOW);
    loop {
        link.write_all(&buffer).await?;
        buffer.clear();
        frames.fill(&mut link).await?;
        while let Some(frame) = frames.next() {
            let Response { id, result } = serde_json::from_slice(frame)?;
            check(id, result)?;
            if let Some(span) = lap.count() {
                return session.result(rate(&[span], session.job.count)).await;
            }
            if sent < total {
                encode(&request(sent)?, &mut buffer);
                sent += 1;
            }
        }
    }
}
