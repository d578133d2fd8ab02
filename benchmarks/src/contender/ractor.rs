//! The `ractor_cluster` crate: an actor that the other node finds in a process group and calls, over one connection
//! dialled by hand.

use crate::Error;
use crate::calls::{self, Calculator};
use crate::session::{Session, hold};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, RactorClusterMessage};
use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// The process group of the actor.
const GROUP: &str = "sums";

#[derive(RactorClusterMessage)]
enum Sums {
    #[rpc]
    Add(i64, i64, RpcReplyPort<i64>),
}

struct Adder(calls::Server);

impl Actor for Adder {
    type Msg = Sums;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Sums>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Sums>,
        Sums::Add(a, b, reply): Sums,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(reply.send(self.0.add(a, b))?)
    }
}

/// A node that listens at this port.
async fn node(name: &str, port: u16) -> Result<ActorRef<NodeServerMessage>, Error> {
    let server = NodeServer::new(port, "cookie".into(), name.into(), "localhost".into(), None, None);
    let (node, _) = Actor::spawn(None, server.with_listen_addr(Ipv4Addr::LOCALHOST.into()), ()).await?;
    Ok(node)
}

/// A port that nobody uses now: a node does not tell which one it was given.
fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts the node with the actor.
pub(crate) async fn sink(session: Session) -> Result<Infallible, Error> {
    let (actor, _) = Actor::spawn(None, Adder(calls::Server::new(&session)), ()).await?;
    pg::join(GROUP.into(), vec![actor.get_cell()]);
    let port = free_port()?;
    let _node = node("sink", port).await?;
    session.ready(&format!("127.0.0.1:{port}"));
    hold().await
}

/// Connects, waits for the actor and calls.
pub(crate) async fn source(session: Session) -> Result<Infallible, Error> {
    let node = node("source", 0).await?;
    ractor_cluster::client_connect(&node, &session.job.address).await?;
    let actor = loop {
        if let Some(actor) = pg::get_members(&GROUP.into()).pop() {
            break ActorRef::<Sums>::from(actor);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    calls::run(session, actor).await
}

impl Calculator for ActorRef<Sums> {
    async fn add(&self, a: i64, b: i64) -> Result<i64, Error> {
        Ok(ractor::call!(self, Sums::Add, a, b)?)
    }
}
