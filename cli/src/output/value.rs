//! Bytes from peers: a frame or a header value, which usually is text but need not be.

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use zyre_rs::printable;

/// Most bytes of binary data that text output shows.
const MAX_SHOWN: usize = 16;

/// In JSON a string when it is UTF-8, else `{"base64":"…"}`; in text escaped, else its first bytes.
pub(super) struct Value<'a>(pub(super) &'a [u8]);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &STANDARD.encode(self.0))?;
        map.end()
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok("") => f.write_str("\"\""),
            Ok(text) => f.write_str(&printable(text)),
            Err(_) => {
                let shown = self.0.get(..MAX_SHOWN).unwrap_or(self.0);
                let rest = if shown.len() < self.0.len() { "…" } else { "" };
                write!(f, "<{} bytes, base64 {}{rest}>", self.0.len(), Base64Display::new(shown, &STANDARD))
            }
        }
    }
}
