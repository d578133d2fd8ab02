//! `#[derive(RemoteMessage)]`: gives a message its wire name, so that other nodes can call it.

mod attributes;
mod expand;
mod mirror;
mod name;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `zyre_actors::RemoteMessage` for a struct or enum.
///
/// ```
/// use actix::Message;
/// use serde::{Deserialize, Serialize};
/// use zyre_actors::RemoteMessage;
///
/// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
/// enum CalcError {
///     #[error("cannot divide by zero")]
///     DivideByZero,
/// }
///
/// impl CalcError {
///     fn code(&self) -> i64 {
///         match self {
///             CalcError::DivideByZero => 100,
///         }
///     }
/// }
///
/// /// Divides whole numbers.
/// #[derive(Serialize, Deserialize, Message, RemoteMessage)]
/// #[rtype(result = "Result<i64, CalcError>")]
/// #[remote("calc.div", idempotent, code = CalcError::code)]
/// struct Div {
///     a: i64,
///     /// What `a` is divided by.
///     b: i64,
/// }
///
/// assert_eq!(Div::METHOD, "calc.div");
/// assert!(Div::IDEMPOTENT);
/// assert_eq!(Div::error_code(&CalcError::DivideByZero), 100);
/// let params = Div::schema().params.unwrap();
/// assert_eq!(params["properties"]["b"]["description"], "What `a` is divided by.");
/// assert_eq!(params["required"], serde_json::json!(["a", "b"]));
/// ```
///
/// # `#[remote("service.method", …)]`
/// The name comes first: `service.method` or one word, at most 200 of the letters, digits and `_ . / -`. Names that
/// begin with `rpc.` are kept for the methods that every node has. The name is all that the other side sees of the
/// type: renaming the struct changes nothing on the wire. Then, in any order:
///
/// | option | meaning |
/// |---|---|
/// | `idempotent` | running it twice does what running it once does, so that a call which may have been lost is tried again at another provider |
/// | `code = CalcError::code` | a `fn(&E) -> i64` that gives an error the code it travels with, outside −32768…−32000; 1 without it |
/// | `result = "Result<T, E>"` | what handlers return, for messages that are no actix messages; quotes may be left out |
///
/// # What handlers return
/// `#[rtype(result = "…")]` as actix has it, or `result` in `#[remote]`, not both; `()` if neither is given.
/// `Result<T, E>`, however its path is written, becomes a reply `T` and an error `E`; anything else becomes the reply
/// of a method that cannot fail. `E` needs `Serialize`, `Deserialize`, `Display` and `Debug`, `T` the first two.
/// An alias of `Result` is refused, because the macro cannot see the two types in it:
///
/// ```compile_fail,E0080
/// # use serde::{Deserialize, Serialize};
/// # use zyre_actors::RemoteMessage;
/// type Outcome = Result<i64, String>;
///
/// #[derive(Serialize, Deserialize, RemoteMessage)]
/// #[remote("calc.add", result = Outcome)] // write Result<i64, String>
/// struct Add {
///     a: i64,
///     b: i64,
/// }
/// ```
///
/// # Schema
/// `rpc.methods` tells the JSON Schema of each method. That of the parameters comes from the fields, their doc comments
/// and serde's attributes; that of the result from its type. Nothing is needed for it: a type that does not implement
/// `schemars::JsonSchema` is described as "anything", as is a field that `#[serde(with = "…")]` converts. A message that
/// implements `JsonSchema` itself is described by that alone. The functions named in `#[serde(default = "…")]` are called
/// when the schema is made.
///
/// # What it is not for
/// Unions, and types with parameters: a wire name stands for one type. Messages own their data, so there are no
/// lifetimes either.
#[proc_macro_derive(RemoteMessage, attributes(remote, rtype))]
pub fn remote_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
