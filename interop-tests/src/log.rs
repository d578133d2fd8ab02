//! What a peer printed: its events, the log that keeps them with their times, and the count of numbered messages.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A place in a peer's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub(crate) usize);

impl Mark {
    /// The begin of the log.
    pub const START: Self = Self(0);
}

/// How the numbered messages of one sender arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Messages that arrived.
    pub received: u64,
    /// One more than the highest number seen.
    pub next: u64,
    /// Numbers skipped when they were due.
    pub missing: u64,
    /// Messages with a number lower than due: late or repeated.
    pub reordered: u64,
    /// The first number that was missing.
    pub first_gap: Option<u64>,
}

impl Counted {
    /// `count` messages numbered from 0, each once and in order.
    pub fn all(count: u64) -> Self {
        Self { received: count, next: count, ..Self::default() }
    }

    /// Takes a message whose first eight bytes are its number.
    pub fn take(&mut self, frame: &[u8]) {
        let Some(number) = frame.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else { return };
        self.received += 1;
        if number < self.next {
            self.reordered += 1;
            return;
        }
        if number > self.next {
            self.missing += number - self.next;
            self.first_gap = self.first_gap.or(Some(self.next));
        }
        self.next = number + 1;
    }

    /// As the adapters report it.
    pub fn to_json(&self) -> Value {
        json!({
            "received": self.received,
            "next": self.next,
            "missing": self.missing,
            "reordered": self.reordered,
            "first_gap": self.first_gap,
        })
    }

    pub(crate) fn read(value: &Value) -> Self {
        let number = |key| value.get(key).and_then(Value::as_u64);
        let required = |key| number(key).unwrap_or_default();
        Self {
            received: required("received"),
            next: required("next"),
            missing: required("missing"),
            reordered: required("reordered"),
            first_gap: number("first_gap"),
        }
    }
}

/// One line a peer printed: an event of its node (`ENTER`, `EXIT`, `JOIN`, `LEAVE`, `WHISPER`, `SHOUT`; zyre.js also
/// `EXPIRED`, ours `EVASIVE` and `SILENT`) or of its adapter (`READY`, `REPLY`, `REACHED`, `FLOODED`, `DIED`); `STDOUT`
/// and `STDERR` are other lines, and `ENDED` is the end of its output.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(crate) value: Value,
    at: Instant,
}

impl Event {
    pub(crate) fn parse(line: &str) -> Self {
        match serde_json::from_str(line) {
            Ok(value @ Value::Object(_)) => Self { value, at: Instant::now() },
            _ => Self::text("STDOUT", line),
        }
    }

    pub(crate) fn text(kind: &str, text: &str) -> Self {
        Self { value: json!({"event": kind, "text": text}), at: Instant::now() }
    }

    /// When the line came.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// A line that was no JSON, of standard output (`STDOUT`) or standard error (`STDERR`).
    pub fn line(&self) -> &str {
        self.string("text")
    }

    /// The line as it was printed, for what the functions here do not name.
    pub fn json(&self) -> &Value {
        &self.value
    }

    /// Why the peer of an EXIT has left; only our node tells.
    pub fn reason(&self) -> &str {
        self.string("reason")
    }

    /// Whether the event is of this kind.
    pub fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    /// The kind of event.
    pub fn kind(&self) -> &str {
        self.string("event")
    }

    /// The peer it is about, 32 upper-case hex digits.
    pub fn peer(&self) -> &str {
        self.string("peer")
    }

    /// The peer's name.
    pub fn name(&self) -> &str {
        self.string("name")
    }

    /// The group of a JOIN, LEAVE or SHOUT.
    pub fn group(&self) -> &str {
        self.string("group")
    }

    /// The endpoint of an ENTER.
    pub fn endpoint(&self) -> &str {
        self.string("endpoint")
    }

    /// A header of an ENTER.
    pub fn header(&self, key: &str) -> Option<&str> {
        self.value.get("headers")?.get(key)?.as_str()
    }

    /// The content of a WHISPER or SHOUT; zyre.js shows the first frame only.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let frames = self.value.get("frames").and_then(Value::as_array);
        frames.into_iter().flatten().filter_map(Value::as_str).map(unhex).collect()
    }

    fn string(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.value.get(key).and_then(Value::as_u64)
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    started_at: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) events: Vec<Event>,
    ended: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { started_at: Instant::now(), state: Mutex::default(), changed: Condvar::new() }
    }
}

impl Log {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, event: Event) {
        let mut state = self.lock();
        state.ended |= event.is("ENDED");
        state.events.push(event);
        self.changed.notify_all();
    }

    /// Looks at each event from `next` on, waiting for more until the timeout or the end of the process.
    pub(crate) fn find(
        &self,
        mut next: usize,
        wanted: &dyn Fn(&Event) -> bool,
        timeout: Duration,
    ) -> Option<Event> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            while let Some(event) = state.events.get(next) {
                if wanted(event) {
                    return Some(event.clone());
                }
                next += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        for event in &state.events {
            let at = event.at.saturating_duration_since(self.started_at);
            writeln!(out, "{:8.3} {}", at.as_secs_f64(), Shortened(&event.value.to_string()))?;
        }
        Ok(())
    }
}

/// Shows at most 300 characters, so that a failure with a large body stays readable.
pub(crate) struct Shortened<'a>(pub(crate) &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(300) {
            Some((end, _)) => {
                write!(out, "{}… ({} bytes)", self.0.get(..end).unwrap_or_default(), self.0.len())
            }
            None => out.write_str(self.0),
        }
    }
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte)]).collect()
}

/// Bytes from hex digits; what are none is left out.
pub fn unhex(text: &str) -> Vec<u8> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some((nibble(high)? << 4) | nibble(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).filter_map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_survives_a_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&all)), all);
    }

    #[test]
    fn a_long_line_is_shortened_with_its_length() {
        let shown = Shortened(&"é".repeat(500)).to_string();
        assert!(shown.ends_with("… (1000 bytes)"), "{shown}");
        assert_eq!(shown.matches('é').count(), 300);
    }
}
