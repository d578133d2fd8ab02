//! What a call gave: a result, an item of a streaming answer, or an error.

use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use zyre_actors::CallError;
use zyre_rs::{PeerId, printable};

/// One answer; exactly one of `item`, `result` and `error` is there.
#[derive(Default, Serialize)]
pub(crate) struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorLine<'a>>,
    /// One of several: text tells them apart by their names.
    #[serde(skip)]
    one_of_several: bool,
}

/// Why there is no result. Only the provider's own errors have a code.
#[derive(Serialize)]
pub(crate) struct ErrorLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

impl<'a> Answer<'a> {
    pub(crate) fn item(item: &'a Value) -> Self {
        Self { item: Some(item), ..Self::default() }
    }

    pub(crate) fn result(result: &'a Value) -> Self {
        Self { result: Some(result), ..Self::default() }
    }

    pub(crate) fn error(error: &'a CallError) -> Self {
        Self { error: Some(ErrorLine::from(error)), ..Self::default() }
    }

    /// Says whose answer it is.
    pub(crate) fn by(mut self, peer: PeerId, name: &'a str) -> Self {
        self.peer = Some(peer.to_string());
        self.name = Some(name);
        self
    }

    /// Says it in text too.
    pub(crate) fn one_of_several(mut self) -> Self {
        self.one_of_several = true;
        self
    }
}

impl<'a> From<&'a CallError> for ErrorLine<'a> {
    fn from(error: &'a CallError) -> Self {
        match error {
            CallError::Remote(error) => Self {
                code: Some(error.code),
                message: Cow::Borrowed(&error.message),
                data: error.data.as_ref(),
            },
            error => Self { code: None, message: Cow::Owned(error.to_string()), data: None },
        }
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name.filter(|_| self.one_of_several) {
            write!(f, "{}: ", printable(name))?;
        }
        match (self.item.or(self.result), &self.error) {
            (Some(value), _) => f.write_str(&json_text(value)),
            (None, Some(error)) => write!(f, "{error}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for ErrorLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.message))?;
        self.code.map_or(Ok(()), |code| write!(f, " (code {code})"))
    }
}

/// JSON that is still the same JSON, but cannot drive a terminal: control characters stand only in strings, and
/// those that may stand there as they are (DEL and U+0080 to U+009F) are escaped.
pub(super) fn json_text(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(char::is_control) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use zyre_actors::RpcError;

    const PEER: PeerId =
        PeerId::from_bytes(*b"\x3F\x2A\x9C\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D");

    fn check(answer: Answer<'_>, json: &str, text: &str) {
        assert_eq!(serde_json::to_string(&answer).expect("text keys"), json);
        assert_eq!(answer.to_string(), text);
    }

    #[test]
    fn a_result_is_json_in_text_and_has_its_provider_in_json() {
        check(Answer::result(&json!("loud")), r#"{"result":"loud"}"#, r#""loud""#);
        check(Answer::result(&Value::Null), r#"{"result":null}"#, "null");
        check(
            Answer::result(&json!({"b": [1, 2.5], "a": true})).by(PEER, "w\n1"),
            r#"{"peer":"3F2A9C0102030405060708090A0B0C0D","name":"w\n1","result":{"a":true,"b":[1,2.5]}}"#,
            r#"{"a":true,"b":[1,2.5]}"#,
        );
        check(Answer::item(&json!(1)), r#"{"item":1}"#, "1");
    }

    #[test]
    fn one_of_several_answers_says_in_text_whose_it_is() {
        check(
            Answer::result(&json!(3)).by(PEER, "w\n1").one_of_several(),
            r#"{"peer":"3F2A9C0102030405060708090A0B0C0D","name":"w\n1","result":3}"#,
            r"w\n1: 3",
        );
    }

    #[test]
    fn an_error_has_its_code_and_data_if_it_is_the_providers_own() {
        let remote = CallError::Remote(RpcError::new(33, "no\nroot").with_data(json!({"of": -1})));
        check(
            Answer::error(&remote),
            r#"{"error":{"code":33,"message":"no\nroot","data":{"of":-1}}}"#,
            r"no\nroot (code 33)",
        );
        let cancelled = CallError::Cancelled;
        let text = cancelled.to_string();
        check(Answer::error(&cancelled), &format!(r#"{{"error":{{"message":"{text}"}}}}"#), &text);
    }

    #[test]
    fn text_of_a_provider_cannot_drive_the_terminal_and_stays_the_same_json() {
        let hostile = json!({"k\u{9b}2J": "\u{1b}]0;x\u{7f}\u{85}é"});
        let text = json_text(&hostile);
        assert!(!text.contains(char::is_control), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), hostile);
    }
}
