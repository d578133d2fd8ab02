//! `--filter` and `--field`: which events are wanted, and what of them.
//!
//! A small language of its own, with no arithmetic and no functions: what needs more is for `jq` behind `--json`.

mod parse;
mod subject;

pub(crate) use subject::{Path, Subject};

use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A condition on an event. What an event does not have is `null`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    Either(Box<Filter>, Box<Filter>),
    Both(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Relation, Operand),
    /// There, and neither `null` nor `false`.
    Holds(Operand),
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Event,
    Peer,
    Name,
    Group,
    Size,
    Field(Path),
    Literal(Value),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Contains,
}

impl Filter {
    /// Whether the event is one of those that are wanted.
    pub(crate) fn admits(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Either(left, right) => left.admits(subject) || right.admits(subject),
            Self::Both(left, right) => left.admits(subject) && right.admits(subject),
            Self::Not(inner) => !inner.admits(subject),
            Self::Compare(left, relation, right) => relation.holds(&left.of(subject), &right.of(subject)),
            Self::Holds(operand) => !matches!(*operand.of(subject), Value::Null | Value::Bool(false)),
        }
    }
}

impl Operand {
    fn of<'a>(&'a self, subject: &'a Subject<'_>) -> Cow<'a, Value> {
        let event = subject.event();
        Cow::Owned(match self {
            Self::Event => event.kind().into(),
            Self::Peer => event.peer().to_string().into(),
            Self::Name => event.name().into(),
            Self::Group => event.group().map(|group| group.to_str_lossy().into_owned()).into(),
            Self::Size => event.message().map(|message| message.size()).into(),
            Self::Field(path) => return subject.field(path).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
            Self::Literal(value) => return Cow::Borrowed(value),
        })
    }
}

impl Relation {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = order(left, right);
        match self {
            Self::Equal => order == Some(Ordering::Equal) || left == right,
            Self::Unequal => !Self::Equal.holds(left, right),
            Self::Less => order.is_some_and(Ordering::is_lt),
            Self::AtMost => order.is_some_and(Ordering::is_le),
            Self::More => order.is_some_and(Ordering::is_gt),
            Self::AtLeast => order.is_some_and(Ordering::is_ge),
            Self::Contains => match (left, right) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                (Value::Array(items), item) => items.iter().any(|one| Self::Equal.holds(one, item)),
                _ => false,
            },
        }
    }
}

/// The order of two numbers or two texts; there is none between others.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        _ => None,
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zyre_rs::{Event, GroupName, Message, PeerId};

    const PEER: PeerId = PeerId::from_bytes([0x3F; 16]);

    fn shout(payload: &str) -> Event {
        let group = GroupName::try_from("CHAT").expect("short");
        Event::Shout { peer: PEER, name: "cam-1".into(), group, message: Message::from(payload) }
    }

    fn admits(filter: &str, event: &Event) -> bool {
        let filter: Filter = filter.parse().unwrap_or_else(|error| panic!("{filter}: {error}"));
        filter.admits(&Subject::new(event))
    }

    #[test]
    fn conditions_are_about_the_sender_the_group_the_size_and_fields_of_the_payload() {
        let event = shout(
            r#"{"temp": 21.5, "a": {"b": [1, "x"]}, "name": "inner", "on": true, "id": 9007199254740993}"#,
        );
        for (filter, expected) in [
            ("temp > 21", true),
            ("temp > 21 && name == 'cam-1'", true),
            ("temp >= 21.5 && temp <= 21.5", true),
            ("temp < 21 || group == \"CHAT\"", true),
            ("temp < 21 || group == \"LOGS\"", false),
            ("a.b.0 == 1", true),
            ("a.b ~ 'x'", true),
            ("a.b ~ 2", false),
            ("name ~ 'cam'", true),
            ("json.name == 'inner'", true),
            ("peer ~ '3F3F'", true),
            ("event == 'SHOUT'", true),
            ("size > 50", true),
            ("on", true),
            ("!on", false),
            ("nothing", false),
            ("!nothing && nothing == null", true),
            ("nothing != 3", true),
            ("nothing < 3", false),
            ("name > 3", false),
            ("id == 9007199254740992", false),
            ("id > 9007199254740992", true),
            ("!(temp > 30) && (on || nothing)", true),
            ("21 < temp", true),
        ] {
            assert_eq!(admits(filter, &event), expected, "{filter}");
        }
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closer_than_both() {
        let event = shout("{}");
        assert!(admits("true || true && false", &event));
        assert!(!admits("(true || true) && false", &event));
        assert!(admits("!false && true", &event));
    }

    #[test]
    fn a_payload_that_is_not_json_has_no_fields_and_an_event_no_size() {
        assert!(!admits("temp > 1", &shout("temp 2")));
        assert!(admits("json == 3", &shout("3")));
        let gone = Event::Evasive { peer: PEER, name: "cam-1".into() };
        assert!(admits("name == 'cam-1' && size == null && group == null", &gone));
        assert!(!admits("size >= 0", &gone));
    }
}
