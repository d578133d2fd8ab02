//! What makes a message callable from other nodes.

use crate::{NoError, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::{Debug, Display};

/// A message with a name on the wire. Derived: `#[derive(RemoteMessage)]`.
pub trait RemoteMessage: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, `service.method`.
    const METHOD: &'static str;
    /// Whether running it twice does what running it once does; calls of it are retried at another provider.
    const IDEMPOTENT: bool = false;
    /// What a handler returns: the `rtype` of actix.
    type Output: Send + 'static;
    /// What a successful call gives.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// What a failed one gives; [`NoError`] if it cannot fail.
    type Error: ApplicationError;

    /// Takes a handler's return value apart.
    ///
    /// # Errors
    /// The handler's own error.
    fn into_result(output: Self::Output) -> Result<Self::Reply, Self::Error>;

    /// The code an error travels with, outside −32768…−32000.
    fn error_code(_error: &Self::Error) -> i64 {
        code::APPLICATION
    }

    /// JSON Schema of parameters and result, as far as their types have one.
    fn schema() -> MethodSchema {
        MethodSchema::default()
    }
}

/// What an error needs in order to reach the caller as what it is: it travels in `error.data`, its text in `error.message`.
pub trait ApplicationError: Serialize + DeserializeOwned + Display + Debug + Send + 'static {}

impl<E: Serialize + DeserializeOwned + Display + Debug + Send + 'static> ApplicationError for E {}

/// JSON Schema of a method.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodSchema {
    /// Of the parameters.
    pub params: Option<Value>,
    /// Of the result.
    pub result: Option<Value>,
}
