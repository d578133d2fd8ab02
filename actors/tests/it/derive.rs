//! `#[derive(RemoteMessage)]`: what it makes of messages of all shapes.

use actix::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use zyre_actors::{NoError, RemoteMessage};

mod shadowed;

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("overflow")]
struct CalcError;

impl CalcError {
    fn code(&self) -> i64 {
        7
    }
}

/// Has no schema.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Opaque(u8);

/// Has one.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
struct Point {
    x: f64,
    y: f64,
}

fn params<M: RemoteMessage>() -> Value {
    M::schema().params.unwrap_or_default()
}

fn result<M: RemoteMessage>() -> Option<Value> {
    M::schema().result
}

mod names_and_results {
    use super::*;

    #[derive(Serialize, Deserialize, Message, RemoteMessage)]
    #[rtype(result = "Result<i64, CalcError>")]
    #[remote("calc.add", idempotent, code = CalcError::code)]
    struct Add {
        a: i64,
        b: i64,
    }

    /// What the host asks of a message.
    fn output<M: RemoteMessage + Message<Result = <M as RemoteMessage>::Output>>(
        output: <M as Message>::Result,
    ) -> Result<M::Reply, M::Error> {
        M::into_result(output)
    }

    #[test]
    fn the_attributes_are_what_the_trait_says() {
        assert_eq!(Add::METHOD, "calc.add");
        const { assert!(Add::IDEMPOTENT) };
        assert_eq!(Add::error_code(&CalcError), 7);
        assert_eq!(output::<Add>(Ok(3)), Ok(3));
        assert_eq!(output::<Add>(Err(CalcError)), Err(CalcError));
    }

    #[derive(Serialize, Deserialize, Message, RemoteMessage)]
    #[rtype(result = "Vec<u8>")]
    #[remote("plain")]
    struct Plain {}

    #[derive(Serialize, Deserialize, Message, RemoteMessage)]
    #[rtype("()")]
    #[remote("unit")]
    struct Unit;

    #[derive(Serialize, Deserialize, Message, RemoteMessage)]
    #[rtype(result = Point)]
    #[remote("unquoted")]
    struct Unquoted;

    #[derive(Serialize, Deserialize, Message, RemoteMessage)]
    #[rtype(Opaque)]
    #[remote("short")]
    struct Short;

    #[test]
    fn a_result_that_is_no_result_cannot_fail() {
        let reply: Result<Vec<u8>, NoError> = output::<Plain>(vec![1]);
        assert_eq!(reply, Ok(vec![1]));
        assert_eq!(output::<Unit>(()), Ok(()));
        assert_eq!(output::<Short>(Opaque(1)), Ok(Opaque(1)));
        assert!(output::<Unquoted>(Point::default()).is_ok());
        const { assert!(!Plain::IDEMPOTENT) };
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("tell")]
    struct Tell;

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("quoted", result = "std::result::Result<String, CalcError>")]
    struct Quoted;

    #[derive(Debug, PartialEq, Serialize, Deserialize, RemoteMessage)]
    #[remote("mine", result = Result<Option<Self>, CalcError>)]
    struct Mine {
        next: Option<Box<Self>>,
    }

    #[test]
    fn actix_is_not_needed() {
        assert_eq!(Tell::into_result(()), Ok(()));
        assert_eq!(Quoted::into_result(Err(CalcError)), Err(CalcError));
        assert_eq!(Quoted::error_code(&CalcError), zyre_actors::code::APPLICATION);
        assert_eq!(Mine::into_result(Ok(None)), Ok(None));
    }
}

mod schemas {
    use super::*;

    /// Moves the arm.
    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[serde(rename_all = "camelCase")]
    #[remote("arm.move", result = Result<Vec<Point>, CalcError>)]
    struct MoveArm {
        /// Where to, in metres.
        target_point: Point,
        /// Radians per second.
        #[serde(default = "full_speed")]
        max_speed: f64,
        via: Option<Vec<Opaque>>,
        #[serde(rename = "note")]
        comment: String,
        #[serde(skip)]
        _cache: Cache,
        r#type: u8,
    }

    /// Neither a schema nor serde.
    #[derive(Default)]
    struct Cache;

    fn full_speed() -> f64 {
        1.5
    }

    #[test]
    fn the_schema_says_what_serde_takes() {
        let schema = params::<MoveArm>();
        assert_eq!(schema["title"], "MoveArm");
        assert_eq!(schema["description"], "Moves the arm.");
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["required"], json!(["targetPoint", "note", "type"]));
        let properties = &schema["properties"];
        assert_eq!(
            properties["maxSpeed"],
            json!({"type": "number", "format": "double", "default": 1.5, "description": "Radians per second."})
        );
        assert_eq!(
            properties["targetPoint"],
            json!({"$ref": "#/$defs/Point", "description": "Where to, in metres."})
        );
        assert_eq!(schema["$defs"]["Point"]["required"], json!(["x", "y"]));
        assert_eq!(properties["type"]["minimum"], 0);
        let mut names: Vec<_> = properties.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["maxSpeed", "note", "targetPoint", "type", "via"]);

        let result = result::<MoveArm>().unwrap();
        assert_eq!(result["items"], json!({"$ref": "#/$defs/Point"}));
        assert_eq!(result["$defs"]["Point"]["type"], "object");
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("a", result = Opaque)]
    struct Foreign {
        one: Opaque,
        many: Vec<Opaque>,
        maybe: Option<Opaque>,
        map: HashMap<String, Opaque>,
        value: Value,
        pair: (u8, Opaque),
        shared: Box<str>,
        boxed: Box<Foreign2>,
    }

    #[derive(Serialize, Deserialize)]
    struct Foreign2;

    #[test]
    fn types_without_a_schema_may_be_anything() {
        let schema = params::<Foreign>();
        assert_eq!(schema["properties"]["one"], json!(true));
        assert_eq!(schema["properties"]["many"], json!(true));
        assert_eq!(schema["properties"]["value"], json!(true));
        assert_eq!(schema["properties"]["shared"], json!({"type": "string"}));
        assert_eq!(schema["required"], json!(["one", "many", "map", "value", "pair", "shared", "boxed"]));
        assert_eq!(schema.get("$defs"), None);
        assert_eq!(result::<Foreign>(), None);
    }

    /// Said by hand.
    #[derive(Serialize, Deserialize, schemars::JsonSchema, RemoteMessage)]
    #[remote("own", result = "()")]
    struct Own {
        #[schemars(range(min = 1))]
        n: u8,
        next: Option<Box<Own>>,
    }

    #[test]
    fn a_message_with_a_schema_of_its_own_keeps_it() {
        let schema = params::<Own>();
        assert_eq!(schema["properties"]["n"]["minimum"], 1);
        assert_eq!(schema["description"], "Said by hand.");
        assert_eq!(schema["properties"]["next"], json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]}));
        assert_eq!(result::<Own>().unwrap()["type"], "null");
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("flat")]
    #[serde(deny_unknown_fields)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        point: Point,
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("flat.rest")]
    struct FlatRest {
        id: u8,
        #[serde(flatten)]
        opaque: OpaqueMap,
        #[serde(flatten)]
        maybe: Option<Point>,
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }

    #[derive(Serialize, Deserialize)]
    struct OpaqueMap {
        z: u8,
    }

    #[test]
    fn flattened_fields_are_those_of_the_message() {
        let schema = params::<Flat>();
        assert_eq!(schema["required"], json!(["id", "x", "y"]));
        assert_eq!(schema["additionalProperties"], false);
        let schema = params::<FlatRest>();
        assert_eq!(schema["required"], json!(["id"]));
        assert_ne!(schema["additionalProperties"], false);
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("through")]
    #[serde(transparent)]
    struct Through {
        points: Vec<Point>,
        #[serde(skip)]
        _unit: std::marker::PhantomData<Opaque>,
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("tuple")]
    struct Tuple(i64, Opaque, #[serde(skip)] ());

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("newtype")]
    struct Newtype(String);

    #[test]
    fn tuples_are_arrays_and_newtypes_what_they_hold() {
        assert_eq!(params::<Through>()["type"], "array");
        let tuple = params::<Tuple>();
        assert_eq!(tuple["prefixItems"], json!([{"type": "integer", "format": "int64"}, true]));
        assert_eq!(tuple["maxItems"], 2);
        assert_eq!(params::<Newtype>()["type"], "string");
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("shape")]
    #[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
    enum Shape {
        /// Round.
        Circle {
            outer_radius: f64,
            name: Option<String>,
        },
        SquareOf(Point),
        #[serde(rename = "nil")]
        Nothing,
        #[serde(skip)]
        #[expect(dead_code, reason = "never sent")]
        Never(std::marker::PhantomData<Cache>),
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("either")]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text { text: String },
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("both")]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        A(Opaque),
        #[serde(with = "text")]
        B(u8),
        #[serde(other)]
        C,
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("command")]
    #[repr(u8)]
    enum Command {
        Start = 7,
        Move(i8, i8),
        r#Loop,
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("never")]
    enum Never {}

    #[test]
    fn enums_are_messages() {
        let shape = params::<Shape>();
        assert_eq!(shape["oneOf"].as_array().unwrap().len(), 3);
        assert_eq!(shape["oneOf"][0]["description"], "Round.");
        assert_eq!(shape["oneOf"][0]["required"], json!(["kind", "outerRadius"]));
        assert_eq!(shape["oneOf"][1]["properties"]["kind"]["const"], "square_of");
        assert_eq!(shape["oneOf"][2]["properties"]["kind"]["const"], "nil");
        assert_eq!(params::<Either>()["anyOf"][1]["required"], json!(["text"]));
        assert_eq!(params::<Adjacent>()["oneOf"][1]["properties"]["c"], json!(true));
        assert_eq!(params::<Command>()["oneOf"][0]["enum"], json!(["Start", "Loop"]));
        assert_eq!(params::<Never>()["not"], json!({}));
    }

    mod text {
        pub(super) fn serialize<S: serde::Serializer>(n: &u8, to: S) -> Result<S::Ok, S::Error> {
            to.collect_str(n)
        }

        pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
            <String as serde::Deserialize>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
        }
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("with")]
    struct With {
        #[serde(with = "text")]
        n: u8,
        #[serde(default, with = "text")]
        m: u8,
        #[serde(default, deserialize_with = "text::deserialize", skip_serializing_if = "is_zero")]
        k: u8,
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    fn is_zero(n: &u8) -> bool {
        *n == 0
    }

    #[test]
    fn a_converted_field_may_be_anything() {
        let schema = params::<With>();
        assert_eq!(schema["properties"], json!({"n": true, "m": true, "k": true}));
        assert_eq!(schema["required"], json!(["n"]));
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("defaults")]
    #[serde(default)]
    struct Defaults {
        a: u8,
        #[serde(default = "Vec::new")]
        b: Vec<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none", alias = "sea")]
        c: Option<Opaque>,
        #[serde(default)]
        d: Opaque,
    }

    impl Default for Defaults {
        fn default() -> Self {
            Self { a: 1, b: vec![], c: None, d: Opaque(4) }
        }
    }

    /// Cannot be taken apart.
    impl Drop for Defaults {
        fn drop(&mut self) {}
    }

    #[test]
    fn fields_with_a_default_may_be_missing() {
        let schema = params::<Defaults>();
        assert_eq!(schema.get("required"), None);
        assert_eq!(schema["properties"]["b"]["default"], json!([]));
        assert_eq!(schema["properties"]["d"], json!({"default": 0}));
    }

    #[derive(Clone, Serialize, Deserialize, RemoteMessage)]
    #[remote("from")]
    #[serde(from = "Point", into = "Point")]
    struct From {
        r: f64,
    }

    impl std::convert::From<Point> for From {
        fn from(point: Point) -> Self {
            Self { r: point.x.hypot(point.y) }
        }
    }

    impl std::convert::From<From> for Point {
        fn from(from: From) -> Self {
            Self { x: from.r, y: 0.0 }
        }
    }

    #[derive(Serialize, Deserialize, RemoteMessage)]
    #[remote("try")]
    #[serde(try_from = "u32")]
    struct Even(u32);

    impl TryFrom<u32> for Even {
        type Error = String;

        fn try_from(n: u32) -> Result<Self, String> {
            if n.is_multiple_of(2) { Ok(Self(n)) } else { Err(format!("{n} is odd")) }
        }
    }

    #[test]
    fn what_is_sent_in_place_of_a_message_is_described() {
        assert_eq!(params::<From>()["required"], json!(["x", "y"]));
        assert_eq!(params::<Even>()["type"], "integer");
    }

    macro_rules! message {
        ($name:ident, $field:ty, $output:ty) => {
            #[derive(Serialize, Deserialize, RemoteMessage)]
            #[remote("generated", result = $output)]
            struct $name {
                field: $field,
            }
        };
    }
    message!(Generated, Option<u8>, Result<u8, CalcError>);

    #[test]
    fn a_message_may_be_written_by_a_macro() {
        assert_eq!(Generated::into_result(Err(CalcError)), Err(CalcError));
        assert_eq!(params::<Generated>().get("required"), None);
    }

    #[test]
    fn a_message_may_be_declared_within_a_function() {
        #[derive(Serialize, Deserialize)]
        struct Inner;

        fn ten() -> u8 {
            10
        }

        #[derive(Serialize, Deserialize, RemoteMessage)]
        #[remote("local")]
        struct Local {
            inner: Vec<BTreeMap<u8, Inner>>,
            #[serde(default = "ten")]
            n: u8,
        }
        assert_eq!(params::<Local>()["properties"]["n"]["default"], 10);
    }
}
