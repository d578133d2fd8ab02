//! Who provides what, as a list and as changes.

use super::event::{as_text, reason};
use super::list::table;
use serde::Serialize;
use std::fmt;
use zyre_rs::{ExitReason, PeerId, printable};

/// A provider of a service or a worker of a pool.
#[derive(Serialize)]
pub(crate) struct ProviderRow {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<u32>,
}

pub(crate) fn provider_table(providers: &[ProviderRow]) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let line = |row: &ProviderRow| {
        [
            printable(&row.group).into_owned(),
            printable(&row.name).into_owned(),
            row.uuid.clone(),
            number(row.concurrency),
            number(row.queue),
        ]
    };
    table(["SERVICE", "NAME", "UUID", "CONCURRENCY", "QUEUE"], providers.iter().map(line))
}

/// A provider has come or gone.
#[derive(Serialize)]
pub(crate) struct Change<'a> {
    event: &'static str,
    #[serde(serialize_with = "as_text")]
    peer: PeerId,
    name: &'a str,
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

/// Why a provider went.
enum Reason {
    Left,
    Exited(ExitReason),
}

impl<'a> Change<'a> {
    pub(crate) fn up(group: &'a str, peer: PeerId, name: &'a str) -> Self {
        Self { event: "UP", peer, name, group, reason: None }
    }

    /// Without a reason to exit, it has left the group.
    pub(crate) fn down(group: &'a str, peer: PeerId, name: &'a str, exited: Option<ExitReason>) -> Self {
        let reason = Some(exited.map_or(Reason::Left, Reason::Exited));
        Self { event: "DOWN", peer, name, group, reason }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Left => serializer.serialize_str("left"),
            Self::Exited(exited) => reason(&Some(*exited), serializer),
        }
    }
}

/// `UP    svc/calc worker-1 (3F2A9C)`
impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4} {} {}", self.event, printable(self.group), printable(self.name))?;
        let short = self.peer.short();
        if self.name != short {
            write!(f, " ({short})")?;
        }
        match self.reason {
            None => Ok(()),
            Some(Reason::Left) => f.write_str(" left"),
            Some(Reason::Exited(reason)) => write!(f, " {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId =
        PeerId::from_bytes(*b"\x3F\x2A\x9C\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D");

    #[test]
    fn providers_show_what_is_known_of_their_capacity() {
        let row = |group: &str, name: &str, capacity: Option<(u32, u32)>| ProviderRow {
            group: group.to_owned(),
            name: name.to_owned(),
            uuid: PEER.to_string(),
            concurrency: capacity.map(|(concurrency, _)| concurrency),
            queue: capacity.map(|(_, queue)| queue),
        };
        let rows = [row("pool/calc", "py\n1", None), row("svc/calc", "worker-1", Some((4, 256)))];
        assert_eq!(
            serde_json::to_string(&rows).expect("text keys"),
            concat!(
                r#"[{"group":"pool/calc","name":"py\n1","uuid":"3F2A9C0102030405060708090A0B0C0D"},"#,
                r#"{"group":"svc/calc","name":"worker-1","uuid":"3F2A9C0102030405060708090A0B0C0D","concurrency":4,"queue":256}]"#
            )
        );
        assert_eq!(
            provider_table(&rows),
            "SERVICE    NAME      UUID                              CONCURRENCY  QUEUE\n\
             pool/calc  py\\n1     3F2A9C0102030405060708090A0B0C0D  -            -\n\
             svc/calc   worker-1  3F2A9C0102030405060708090A0B0C0D  4            256\n"
        );
    }

    #[test]
    fn changes_say_who_and_why() {
        let check = |change: Change<'_>, json: &str, text: &str| {
            assert_eq!(serde_json::to_string(&change).expect("text keys"), json);
            assert_eq!(change.to_string(), text);
        };
        check(
            Change::up("svc/calc", PEER, "w"),
            r#"{"event":"UP","peer":"3F2A9C0102030405060708090A0B0C0D","name":"w","group":"svc/calc"}"#,
            "UP   svc/calc w (3F2A9C)",
        );
        check(
            Change::down("svc/calc", PEER, "w", None),
            r#"{"event":"DOWN","peer":"3F2A9C0102030405060708090A0B0C0D","name":"w","group":"svc/calc","reason":"left"}"#,
            "DOWN svc/calc w (3F2A9C) left",
        );
        check(
            Change::down("svc/calc", PEER, "3F2A9C", Some(ExitReason::Gone)),
            r#"{"event":"DOWN","peer":"3F2A9C0102030405060708090A0B0C0D","name":"3F2A9C","group":"svc/calc","reason":"gone"}"#,
            "DOWN svc/calc 3F2A9C gone",
        );
    }
}
