//! This project's actor layer: typed calls between systems that find each other by beacon.

use crate::Result;
use crate::calls::{self, Calculator};
use crate::pool::{self, Worker};
use crate::session::{Session, hold};
use crate::workload::{Policy, Workload};
use actix::{Actor, Context, Handler, Message};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::time::Duration;
use zyre_actors::{ActorSystem, Codec, LeastCost, LeastInFlight, Random, RemoteMessage, RoundRobin, Service};
use zyre_rs::Node;

/// Longer than discovery takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Not below the calls under way, so that no contender is slowed down by its own limit.
const CONCURRENCY: usize = 64;

#[derive(Clone, Copy, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "i64")]
#[remote("sums.add")]
struct Add {
    a: i64,
    b: i64,
}

/// What serves: an actor or a closure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    Closure,
    Actor,
}

struct Adder(calls::Server);

impl Actor for Adder {
    type Context = Context<Self>;
}

impl Handler<Add> for Adder {
    type Result = i64;

    fn handle(&mut self, add: Add, _: &mut Context<Self>) -> i64 {
        self.0.add(add.a, add.b)
    }
}

async fn system(session: &Session, name: &str) -> Result<ActorSystem> {
    let node = Node::builder(name).interface("127.0.0.1").beacon_port(session.job.port);
    Ok(ActorSystem::start(node).await?)
}

/// Serves.
pub(crate) async fn sink(session: Session, served: Served) -> Result<Infallible> {
    let mut systems = Vec::new();
    if let Workload::Pool { .. } = session.job.workload {
        for worker in Worker::all(&session) {
            let system = system(&session, "worker").await?;
            let add = move |add: Add, _| {
                let worker = worker.clone();
                async move { worker.add(add.a, add.b).await }
            };
            // One at a time, and queues long enough that no policy is saved by refusals.
            system.handle(add).concurrency(1).queue(10_000).await?;
            systems.push(system);
        }
    } else {
        let (system, server) = (system(&session, "server").await?, calls::Server::new(&session));
        match served {
            Served::Actor => {
                let factory = move || Adder(server.clone());
                system.serve("sums", factory).method::<Add>().concurrency(CONCURRENCY).start().await?
            }
            Served::Closure => {
                let add = move |add: Add, _| std::future::ready(server.add(add.a, add.b));
                system.handle(add).concurrency(CONCURRENCY).await?
            }
        };
        systems.push(system);
    }
    session.ready("");
    hold().await
}

/// Finds and calls.
pub(crate) async fn source(session: Session, codec: Codec) -> Result<Infallible> {
    let Workload::Pool { policy } = session.job.workload else {
        let client = Client::new(&session, 1, codec).await?;
        return calls::run(session, client).await;
    };
    let mut clients = Vec::new();
    for _ in 0..pool::CALLERS {
        let client = Client::new(&session, pool::WORKERS, codec).await?;
        let service = client.service.clone();
        _ = match policy {
            Policy::LeastCost => service.policy(LeastCost),
            Policy::LeastInFlight => service.policy(LeastInFlight),
            Policy::RoundRobin => service.policy(RoundRobin::default()),
            Policy::Random => service.policy(Random),
        };
        clients.push(client);
    }
    pool::run(session, clients).await
}

#[derive(Clone)]
struct Client {
    service: Service,
    codec: Codec,
}

impl Client {
    async fn new(session: &Session, providers: usize, codec: Codec) -> Result<Self> {
        let service = system(session, "client").await?.service("sums");
        Ok(Self { service: service.ready_with(providers, PATIENCE).await?, codec })
    }
}

impl Calculator for Client {
    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        Ok(self.service.call(Add { a, b }).codec(self.codec).timeout(pool::DEADLINE).await?)
    }
}
