//! What `#[derive(RemoteMessage)]` writes is built from these. No part of the API.
//!
//! A type need not have a JSON Schema to be sent. What the macro writes asks each type with [`Probe`]: an inherent
//! function that exists only for types with a schema goes before the one of a trait that every type has. That is
//! decided per named type, which is why the asking has to be in the user's crate and not in a generic function here.

pub use schemars;
pub use serde_json;

use crate::MethodSchema;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::borrow::Cow;
use std::marker::PhantomData;

/// The schema of a type that has one.
pub struct Described {
    inline: bool,
    name: Cow<'static, str>,
    id: Cow<'static, str>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Asks about `T`.
pub struct Probe<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized + JsonSchema> Probe<T> {
    pub fn described() -> Option<Described> {
        Some(Described {
            inline: T::inline_schema(),
            name: T::schema_name(),
            id: T::schema_id(),
            schema: T::json_schema,
        })
    }
}

/// The answer for types without a schema.
pub trait Undescribed {
    fn described() -> Option<Described> {
        None
    }
}

impl<T: ?Sized> Undescribed for Probe<T> {}

impl<T, E> Probe<Result<T, E>> {
    pub const IS_RESULT: bool = true;
}

/// The answer for types that are no `Result`.
pub trait NotResult {
    const IS_RESULT: bool = false;
}

impl<T: ?Sized> NotResult for Probe<T> {}

/// Stands for a type that was asked.
pub trait Describe {
    fn described() -> Option<Described>;
}

/// Has the schema of the type that `D` stands for; one that allows everything if it has none.
pub struct Lenient<D>(PhantomData<D>);

impl<D: Describe> JsonSchema for Lenient<D> {
    fn inline_schema() -> bool {
        D::described().is_none_or(|described| described.inline)
    }

    fn schema_name() -> Cow<'static, str> {
        D::described().map_or(Cow::Borrowed("any"), |described| described.name)
    }

    fn schema_id() -> Cow<'static, str> {
        D::described().map_or(Cow::Borrowed("zyre_actors::any"), |described| described.id)
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        D::described().map_or_else(|| Schema::from(true), |described| (described.schema)(generator))
    }
}

/// A default that the schema does not show.
pub struct Unstated;

pub fn unstated() -> Unstated {
    Unstated
}

/// The schemas of a message: its own if it has one, else that of its mirror, and its reply's.
pub fn schema<Own: Describe, Mirror: JsonSchema, Reply: Describe>() -> MethodSchema {
    let params = SchemaSettings::draft2020_12().for_deserialize();
    let params = match Own::described() {
        Some(_) => root::<Lenient<Own>>(params),
        None => root::<Mirror>(params),
    };
    let result = Reply::described();
    let result = result.map(|_| root::<Lenient<Reply>>(SchemaSettings::draft2020_12().for_serialize()));
    MethodSchema { params: Some(params), result }
}

fn root<T: JsonSchema>(settings: SchemaSettings) -> Value {
    // Which dialect it is, the protocol says once for all methods.
    let settings = settings.with(|settings| settings.meta_schema = None);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
