//! What `zyre sub` prints besides events: single fields, and what it all came to.

use super::answer::json_text;
use super::counted;
use super::size::sized;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;
use zyre_rs::{Message, PeerId, printable};

/// Senders that are told apart; more are not counted.
const MAX_SENDERS: usize = 100_000;

/// A field of a message: a text as it is, anything else as JSON.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct FieldLine<'a>(pub(crate) &'a Value);

impl fmt::Display for FieldLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => f.write_str(&printable(text)),
            other => f.write_str(&json_text(other)),
        }
    }
}

/// The messages that were printed, and those that had nothing to print.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) messages: u64,
    bytes: u64,
    senders: BTreeSet<PeerId>,
    pub(crate) without_field: u64,
    pub(crate) took: Duration,
}

impl Heard {
    pub(crate) fn add(&mut self, sender: PeerId, message: &Message) {
        self.messages += 1;
        self.bytes += message.size() as u64;
        if self.senders.len() < MAX_SENDERS {
            self.senders.insert(sender);
        }
    }

    /// Whether there is anything to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0 && self.without_field == 0
    }
}

/// `12 messages, 1.2 kB, from 3 senders in 4.0 s (3.0/s)`
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let messages = counted(self.messages, "message");
        let at_least = if self.senders.len() < MAX_SENDERS { "" } else { "at least " };
        let senders = counted(self.senders.len() as u64, "sender");
        write!(f, "{messages}, {}, from {at_least}{senders} in {seconds:.1} s", sized(self.bytes))?;
        if seconds > 0.0 {
            write!(f, " ({:.1}/s)", self.messages as f64 / seconds)?;
        }
        if self.without_field > 0 {
            write!(f, "; {} without the field", counted(self.without_field, "message"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_summary_tells_messages_bytes_senders_and_rate() {
        let mut heard = Heard { took: Duration::from_secs(4), ..Heard::default() };
        assert!(heard.is_empty());
        for sender in [1, 2, 1] {
            heard.add(PeerId::from_bytes([sender; 16]), &Message::from("0123456789"));
        }
        assert_eq!(heard.to_string(), "3 messages, 30 B, from 2 senders in 4.0 s (0.8/s)");
        heard.without_field = 1;
        assert!(heard.to_string().ends_with("; 1 message without the field"), "{heard}");
    }

    #[test]
    fn a_field_is_a_text_as_it_is_or_json_and_drives_no_terminal() {
        for (value, text) in [
            (json!("a b\u{1b}"), r"a b\u{1b}"),
            (json!(2.5), "2.5"),
            (json!(null), "null"),
            (json!({"a": ["\u{9b}"]}), r#"{"a":["\u009b"]}"#),
        ] {
            assert_eq!(FieldLine(&value).to_string(), text);
        }
        assert_eq!(serde_json::to_string(&FieldLine(&json!("x"))).expect("text keys"), r#""x""#);
    }
}
