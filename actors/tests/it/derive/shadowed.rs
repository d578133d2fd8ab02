//! What the macro writes does not depend on what names mean where it is used.

#![deny(warnings)]
#![expect(dead_code, reason = "they are in the way of names")]

use serde::{Deserialize, Serialize};

struct Option;
struct Result;
struct Vec;
struct String;
struct Value;
struct Lenient;
trait Default {}
mod core {}
mod std {}
mod schemars {}
mod zyre_actors {}

#[deprecated]
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Old;

#[derive(Serialize, Deserialize, ::zyre_actors::RemoteMessage)]
#[allow(deprecated, reason = "still spoken")]
#[remote("shadowed", result = ::std::result::Result<Old, super::CalcError>)]
struct Shadowed {
    a: ::std::option::Option<u8>,
    #[serde(default)]
    b: u8,
    #[serde(default)]
    old: ::std::option::Option<Old>,
}

#[test]
fn names_that_mean_something_else_are_not_in_the_way() {
    let schema = super::params::<Shadowed>();
    assert_eq!(schema["properties"]["b"]["default"], 0);
    assert_eq!(schema["type"], "object");
}
