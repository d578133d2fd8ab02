//! Nodes on one network in memory, and messages to call them with.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use zyre_actors::{ActorSystem, RemoteMessage};
use zyre_rs::{Event, Events, MemoryNetwork, Message, Node, PeerId};

/// Longer than anything here takes; reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Lan(MemoryNetwork);

impl Lan {
    pub(crate) fn new() -> Self {
        Self(MemoryNetwork::new())
    }

    pub(crate) async fn system(&self, name: &str) -> ActorSystem {
        ActorSystem::start(Node::builder(name).network(&self.0))
            .await
            .expect("a system on the memory network")
    }

    /// A node without the actor layer, such as a pyre program is.
    pub(crate) async fn plain(&self, name: &str) -> (Node, Events) {
        Node::builder(name).network(&self.0).start().await.expect("a node on the memory network")
    }

    pub(crate) fn network(&self) -> &MemoryNetwork {
        &self.0
    }
}

/// Where a node is on the network.
pub(crate) fn address(node: &Node) -> IpAddr {
    node.endpoint().ip()
}

/// Waits until a node has met a peer.
pub(crate) async fn met(node: &Node, peer: PeerId) {
    within(node.wait_until(|members| members.peer(peer).is_some())).await;
}

/// The next ordinary whisper a plain node gets, and from whom.
pub(crate) async fn whispered(events: &mut Events) -> (PeerId, Message) {
    within(async {
        loop {
            if let Event::Whisper { peer, message, .. } = events.next().await.expect("the node runs") {
                return (peer, message);
            }
        }
    })
    .await
}

/// The next whisper as JSON.
pub(crate) async fn heard(events: &mut Events) -> Value {
    let (_, message) = whispered(events).await;
    serde_json::from_slice(&message[0]).expect("JSON")
}

/// A counter of a system.
pub(crate) async fn counted(system: &ActorSystem, name: &str) -> u64 {
    system.stats().await.counters.get(name).copied().unwrap_or(0)
}

/// Waits until nothing is open, running or waiting any more.
pub(crate) async fn at_rest(system: &ActorSystem) {
    eventually(async || {
        let stats = system.stats().await;
        stats.calls_open == 0 && stats.services.values().all(|load| load.running + load.waiting == 0)
    })
    .await;
}

/// Waits for a condition, checked again whenever the future it is made of has run.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Polls until it holds: for counters, which announce no change.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    within(async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[derive(Clone, Debug, Serialize, Deserialize, RemoteMessage)]
#[remote("calc.add", idempotent, result = "Result<i64, CalcError>")]
pub(crate) struct Add {
    pub(crate) a: i64,
    pub(crate) b: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, RemoteMessage)]
#[remote("calc.div", result = "Result<i64, CalcError>")]
pub(crate) struct Div {
    pub(crate) a: i64,
    pub(crate) b: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum CalcError {
    Overflow,
    DivisionByZero { dividend: i64 },
}

impl fmt::Display for CalcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => f.write_str("overflow"),
            Self::DivisionByZero { dividend } => write!(f, "cannot divide {dividend} by zero"),
        }
    }
}

pub(crate) fn add(message: &Add) -> Result<i64, CalcError> {
    message.a.checked_add(message.b).ok_or(CalcError::Overflow)
}

pub(crate) fn div(message: &Div) -> Result<i64, CalcError> {
    message.a.checked_div(message.b).ok_or(CalcError::DivisionByZero { dividend: message.a })
}
