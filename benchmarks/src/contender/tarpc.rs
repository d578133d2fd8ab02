//! The `tarpc` crate as its documentation shows it: each request a spawned task, 64 concurrent callers on one client.
//! Its sockets are as its own `tcp` module makes them: without `TCP_NODELAY`, which only costs it with many calls under
//! way and gains nothing with one.
//! In the pool its own round-robin balancer chooses among one connection to each worker.

use crate::Result;
use crate::calls::{self, Calculator};
use crate::pool::{self, Worker};
use crate::session::{Session, hold};
use crate::workload::Workload;
use futures_util::StreamExt;
use std::convert::Infallible;
use std::time::Instant;
use tarpc::client::stub::load_balance::RoundRobin;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::{Bincode, Json};
use tarpc::{ClientMessage, Response, Transport, client, context, serde_transport};
use tokio::net::{TcpListener, TcpStream};

/// How requests and responses become bytes.
#[derive(Clone, Copy)]
pub(crate) enum Codec {
    Json,
    Bincode,
}

#[tarpc::service]
trait Sums {
    async fn add(a: i64, b: i64) -> i64;
}

#[derive(Clone)]
enum Adder {
    AtOnce(calls::Server),
    Pooled(Worker),
}

impl Sums for Adder {
    async fn add(self, _: context::Context, a: i64, b: i64) -> i64 {
        match self {
            Self::AtOnce(server) => server.add(a, b),
            Self::Pooled(worker) => worker.add(a, b).await,
        }
    }
}

/// Listens and adds.
pub(crate) async fn sink(session: Session, codec: Codec) -> Result<Infallible> {
    if !matches!(session.job.workload, Workload::Pool { .. }) {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        session.ready(&listener.local_addr()?.to_string());
        return listen(listener, codec, Adder::AtOnce(calls::Server::new(&session))).await;
    }
    let mut addresses = Vec::new();
    for worker in Worker::all(&session) {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?.to_string());
        tokio::spawn(listen(listener, codec, Adder::Pooled(worker)));
    }
    session.ready(&addresses.join(" "));
    hold().await
}

async fn listen(listener: TcpListener, codec: Codec, adder: Adder) -> Result<Infallible> {
    loop {
        let (link, _) = listener.accept().await?;
        match codec {
            Codec::Json => serve(serde_transport::Transport::from((link, Json::default())), adder.clone()),
            Codec::Bincode => {
                serve(serde_transport::Transport::from((link, Bincode::default())), adder.clone())
            }
        }
    }
}

fn serve<T>(transport: T, adder: Adder)
where
    T: Transport<Response<SumsResponse>, ClientMessage<SumsRequest>> + Send + 'static,
{
    let requests = BaseChannel::with_defaults(transport).execute(adder.serve());
    tokio::spawn(requests.for_each(async |request| {
        tokio::spawn(request);
    }));
}

/// Connects and calls.
pub(crate) async fn source(session: Session, codec: Codec) -> Result<Infallible> {
    if !matches!(session.job.workload, Workload::Pool { .. }) {
        let client = SumsClient::from(connect(&session.job.address, codec).await?);
        return calls::run(session, client).await;
    }
    let mut clients = Vec::new();
    for _ in 0..pool::CALLERS {
        let mut workers = Vec::new();
        for address in session.job.address.split(' ') {
            workers.push(connect(address, codec).await?);
        }
        clients.push(SumsClient::from(RoundRobin::new(workers)));
    }
    pool::run(session, clients).await
}

type Connection = client::Channel<SumsRequest, SumsResponse>;

async fn connect(address: &str, codec: Codec) -> Result<Connection> {
    let link = TcpStream::connect(address).await?;
    let config = client::Config::default();
    Ok(match codec {
        Codec::Json => client::new(config, serde_transport::Transport::from((link, Json::default()))).spawn(),
        Codec::Bincode => {
            client::new(config, serde_transport::Transport::from((link, Bincode::default()))).spawn()
        }
    })
}

impl Calculator for SumsClient<Connection> {
    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        Ok(self.add(context::current(), a, b).await?)
    }
}

impl Calculator for SumsClient<RoundRobin<Connection>> {
    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        let mut context = context::current();
        context.deadline = Instant::now() + pool::DEADLINE;
        Ok(self.add(context, a, b).await?)
    }
}
