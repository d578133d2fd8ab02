//! The methods of a peer, their JSON Schemas in a line's length.
//!
//! A schema is a peer's text: whatever it is, what is shown of it is short, and it is walked no deeper than that.

use super::answer::json_text;
use super::list::{or_dash, table};
use serde_json::{Map, Value};
use std::cell::Cell;
use zyre_rs::printable;

/// Objects and arrays within each other that are shown.
const MAX_DEPTH: u8 = 4;
/// Members, alternatives or elements shown of each.
const MAX_WIDTH: usize = 12;
/// Schemas within a schema that are read; references to one count each time.
const MAX_PARTS: u16 = 64;
/// Characters shown of a schema, and taken of each part.
const MAX_LENGTH: usize = 160;

pub(super) fn method_table(methods: &[Value]) -> String {
    let line = |method: &Value| {
        let name = method.get("name").and_then(Value::as_str).unwrap_or_default();
        let idempotent = match method.get("idempotent").and_then(Value::as_bool) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        [
            or_dash(&printable(name)),
            or_dash(idempotent),
            or_dash(&in_short(method.get("params"))),
            or_dash(&in_short(method.get("result"))),
        ]
    };
    table(["METHOD", "IDEMPOTENT", "PARAMS", "RESULT"], methods.iter().map(line))
}

/// Nothing for a schema that is not there.
fn in_short(schema: Option<&Value>) -> String {
    let Some(schema) = schema.filter(|schema| !schema.is_null()) else { return String::new() };
    let reader = Reader { root: schema, parts: Cell::new(MAX_PARTS) };
    cut(&printable(&reader.read(schema, MAX_DEPTH)))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Reads a schema; the root is where its references point to.
struct Reader<'a> {
    root: &'a Value,
    /// How many more are read.
    parts: Cell<u16>,
}

impl Reader<'_> {
    fn read(&self, schema: &Value, depth: u8) -> String {
        let Some(schema) = schema.as_object() else {
            return if *schema == Value::Bool(false) { "nothing" } else { "any" }.to_owned();
        };
        let (Some(depth), Some(parts)) = (depth.checked_sub(1), self.parts.get().checked_sub(1)) else {
            return "…".to_owned();
        };
        self.parts.set(parts);
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let known = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return match known {
                Some(known) => self.read(known, depth),
                None => cut(target),
            };
        }
        if let Some(constant) = schema.get("const") {
            return cut(&json_text(constant));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return joined(values, " | ", |value| cut(&json_text(value)));
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(word).and_then(Value::as_array) {
                return joined(choices, " | ", |choice| self.read(choice, depth));
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return joined(parts, " & ", |part| self.read(part, depth));
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.kind(kind, schema, depth),
            Some(Value::Array(kinds)) => {
                joined(kinds, " | ", |kind| self.kind(kind.as_str().unwrap_or("any"), schema, depth))
            }
            _ if schema.contains_key("properties") => self.object(schema, depth),
            _ => "any".to_owned(),
        }
    }

    fn kind(&self, kind: &str, schema: &Map<String, Value>, depth: u8) -> String {
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => "int".to_owned(),
            "boolean" => "bool".to_owned(),
            other => cut(other),
        }
    }

    fn object(&self, schema: &Map<String, Value>, depth: u8) -> String {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            return match values {
                Some(values) => format!("{{…: {}}}", self.read(values, depth)),
                None => "object".to_owned(),
            };
        };
        let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let members: Vec<_> = properties.iter().collect();
        let member = |(name, schema): &(&String, &Value)| {
            let optional = if required.iter().any(|known| known == *name) { "" } else { "?" };
            format!("{}{optional}: {}", cut(name), self.read(schema, depth))
        };
        format!("{{{}}}", joined(&members, ", ", member))
    }

    fn array(&self, schema: &Map<String, Value>, depth: u8) -> String {
        if let Some(elements) = schema.get("prefixItems").and_then(Value::as_array) {
            return format!("[{}]", joined(elements, ", ", |element| self.read(element, depth)));
        }
        match schema.get("items") {
            Some(items) => format!("[{}…]", self.read(items, depth)),
            None => "array".to_owned(),
        }
    }
}

fn joined<T>(parts: &[T], separator: &str, show: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = parts.iter().take(MAX_WIDTH).map(show).collect();
    if parts.len() > MAX_WIDTH {
        shown.push("…".to_owned());
    }
    shown.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: &Value, short: &str) {
        assert_eq!(in_short(Some(schema)), short);
    }

    #[test]
    fn common_schemas_are_short() {
        check(&json!({"type": "integer", "format": "int64"}), "int");
        check(&json!({"type": ["string", "null"]}), "string | null");
        check(&json!({"type": "array", "items": {"type": "number"}}), "[number…]");
        check(
            &json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]}),
            "[int, bool]",
        );
        check(&json!({"enum": ["red", "green", 3]}), r#""red" | "green" | 3"#);
        check(&json!({"oneOf": [{"const": "on"}, {"type": "null"}]}), r#""on" | null"#);
        check(&json!({"type": "object", "additionalProperties": {"type": "string"}}), "{…: string}");
        check(&json!(true), "any");
        check(&json!({}), "any");
        assert_eq!(in_short(Some(&Value::Null)), "");
        assert_eq!(in_short(None), "");
    }

    #[test]
    fn optional_members_have_a_question_mark_and_references_are_followed() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"at": {"$ref": "#/$defs/Point"}, "label": {"type": "string"}},
            "required": ["at"],
            "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
        });
        check(&schema, "{at: {x: int}, label?: string}");
    }

    #[test]
    fn a_hostile_schema_is_shown_in_a_line_all_the_same() {
        let circle = json!({"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"});
        assert!(in_short(Some(&circle)).chars().count() <= MAX_LENGTH + 1);
        let wide = json!({"enum": (0..10_000).collect::<Vec<_>>()});
        assert!(in_short(Some(&wide)).ends_with('…'));
        let long = json!({"type": "x".repeat(10_000)});
        assert_eq!(in_short(Some(&long)).chars().count(), MAX_LENGTH + 1);
        check(&json!({"type": "\u{1b}[2J\n"}), r"\u{1b}[2J\n");
    }

    #[test]
    fn methods_without_a_schema_show_a_dash() {
        let methods = [
            json!({"name": "calc.add", "idempotent": true, "params": {"type": "array"}, "result": {"type": "integer"}}),
            json!({"name": "x\n"}),
            json!(3),
        ];
        assert_eq!(
            method_table(&methods),
            "METHOD    IDEMPOTENT  PARAMS  RESULT\n\
             calc.add  yes         array   int\n\
             x\\n       -           -       -\n\
             -         -           -       -\n"
        );
    }
}
