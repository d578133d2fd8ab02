//! What makes a message callable from other nodes: a name on the wire, and how its handler's answer is taken apart.

use crate::{Body, Codec, RpcError, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::{Debug, Display};

/// A message with a name on the wire.
///
/// Derived, as a rule: see [`#[derive(RemoteMessage)]`](derive@crate::RemoteMessage).
///
/// # Example
/// What the macro writes, by hand:
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use zyre_actors::RemoteMessage;
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
/// #[error("{of} has no square root")]
/// struct Negative {
///     of: f64,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Root {
///     of: f64,
/// }
///
/// impl RemoteMessage for Root {
///     const METHOD: &'static str = "calc.root";
///     const IDEMPOTENT: bool = true;
///     type Output = Result<f64, Negative>;
///     type Reply = f64;
///     type Error = Negative;
///
///     fn into_result(output: Self::Output) -> Result<f64, Negative> {
///         output
///     }
///
///     fn error_code(_: &Negative) -> i64 {
///         33
///     }
/// }
///
/// assert_eq!(Root::into_result(Err(Negative { of: -1.0 })), Err(Negative { of: -1.0 }));
/// ```
///
/// A message that cannot fail has the `Error` [`NoError`](crate::NoError), and `into_result` is `Ok(output)`.
pub trait RemoteMessage: Serialize + DeserializeOwned + Send + 'static {
    /// Its name: `service.method`, or one word; at most 200 of the letters, digits and `_ . / -`, not beginning with
    /// `rpc.`. The macro refuses others when it is compiled.
    const METHOD: &'static str;
    /// Whether running it twice does what running it once does; calls of it are retried at another provider.
    const IDEMPOTENT: bool = false;
    /// What a handler returns: the `rtype` of actix.
    type Output: Send + 'static;
    /// What a successful call gives.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// What a failed one gives; [`NoError`](crate::NoError) if it cannot fail.
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

    /// JSON Schema of parameters and result, as far as their types have one. Made anew by each call: keep it.
    fn schema() -> MethodSchema {
        MethodSchema::default()
    }
}

/// What an error needs in order to reach the caller as what it is: it travels in `error.data`, its text in `error.message`.
pub trait ApplicationError: Serialize + DeserializeOwned + Display + Debug + Send + 'static {}

impl<E: Serialize + DeserializeOwned + Display + Debug + Send + 'static> ApplicationError for E {}

/// JSON Schema (2020-12) of a method, as `rpc.methods` tells it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodSchema {
    /// Of the parameters by name; in place of one that is neither object nor array, an array that holds it travels.
    pub params: Option<Value>,
    /// Of the result.
    pub result: Option<Value>,
}

/// A handler's return value as it travels: an error with its code, its text and itself as JSON.
pub(crate) fn answer<M: RemoteMessage>(output: M::Output, codec: Codec) -> Result<Body, RpcError> {
    match M::into_result(output) {
        Ok(reply) => Body::encode(codec, &reply)
            .map_err(|error| RpcError::new(code::INTERNAL_ERROR, error.to_string())),
        Err(error) => Err(RpcError {
            code: M::error_code(&error),
            message: error.to_string(),
            // Its code and text still say what happened.
            data: serde_json::to_value(&error).ok(),
        }),
    }
}
