//! The messages of a calculator: what `calc_server` serves, `calc_client` calls and `pool` works off. On the wire they are
//! `calc.add {"a":1,"b":2}` and `calc.div {"a":1,"b":2}`, which `python/actor.py` serves and calls too.

use actix::Message;
use serde::{Deserialize, Serialize};
use zyre_actors::RemoteMessage;

/// Adds two numbers; twice is as good as once, so a call whose provider dies goes to another one.
#[derive(Clone, Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "Result<i64, CalcError>")]
#[remote("calc.add", idempotent)]
pub struct Add {
    /// One of them.
    pub a: i64,
    /// The other one.
    pub b: i64,
}

/// Divides, and rounds towards zero.
#[derive(Clone, Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "Result<i64, CalcError>")]
#[remote("calc.div")]
pub struct Div {
    /// What is divided.
    pub a: i64,
    /// By what.
    pub b: i64,
}

/// Why there is no result. It reaches the caller as what it is, also from Python: the JSON-RPC error's `data` is its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CalcError {
    /// It is too large.
    #[error("the result does not fit into 64 bits")]
    Overflow,
    /// There is none.
    #[error("cannot divide by zero")]
    DivisionByZero,
}
