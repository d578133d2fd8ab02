//! Nodes on one network in memory, and messages to call them with.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use zyre_actors::{ActorSystem, RemoteMessage};
use zyre_rs::{Events, MemoryNetwork, Node};

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
