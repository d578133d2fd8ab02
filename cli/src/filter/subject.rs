//! What conditions and fields look at: an event, and its payload as JSON if it is that.

use serde_json::Value;
use std::cell::OnceCell;
use std::str::FromStr;
use zyre_rs::Event;

/// An event; its payload is read when it is first asked for, and once.
pub(crate) struct Subject<'a> {
    event: &'a Event,
    json: OnceCell<Option<Value>>,
}

/// Where in a JSON value: members by name, elements by number; the whole value when it is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(pub(super) Vec<String>);

impl<'a> Subject<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        Self { event, json: OnceCell::new() }
    }

    pub(crate) fn event(&self) -> &'a Event {
        self.event
    }

    /// A field of the payload, which is the first frame; `None` if it is no JSON or has no such field.
    pub(crate) fn field(&self, path: &Path) -> Option<&Value> {
        let whole = self.json.get_or_init(|| {
            let payload = self.event.message()?.frames().first()?;
            serde_json::from_slice(payload).ok()
        });
        path.0.iter().try_fold(whole.as_ref()?, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.split('.').any(str::is_empty) {
            return Err("a field is written by names with dots between them, for example position.x or \
                        items.0.id"
                .to_owned());
        }
        Ok(Self(text.split('.').map(str::to_owned).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zyre_rs::{Message, PeerId};

    #[test]
    fn fields_are_members_by_name_and_elements_by_number() {
        let message = Message::from(r#"{"a": {"b": [10, {"c d": null}]}}"#);
        let event = Event::Whisper { peer: PeerId::from_bytes([1; 16]), name: "x".into(), message };
        let subject = Subject::new(&event);
        let field = |text: &str| subject.field(&text.parse().expect("a path")).map(ToString::to_string);
        assert_eq!(field("a.b.0").as_deref(), Some("10"));
        assert_eq!(field("a.b.1.c d").as_deref(), Some("null"));
        for missing in ["b", "a.b.2", "a.b.x", "a.b.0.y"] {
            assert_eq!(field(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_path_has_no_empty_names() {
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert!(Path::from_str(text).expect_err("no path").contains("position.x"), "{text}");
        }
    }
}
