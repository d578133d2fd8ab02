//! JSON-RPC 2.0 as it travels in frame 0 of a whisper: `{"jsonrpc":"2.0","id":"7","method":"calc.add","params":{…}}`.
//!
//! What a peer sends is hostile until it has been looked at: nothing here trusts its shape, and whatever is
//! not JSON-RPC is `None`, an ordinary whisper.

use serde_json::{Value, json};

/// Frame 0 of a request.
pub fn request(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id.to_string(), "method": method, "params": params}).to_string()
}

/// What a worker answers to a frame: the result, or an error the caller can act on.
///
/// `None` when it is not a request, or one that wants no answer (a notification, without `id`).
pub fn answer(frame: &[u8]) -> Option<String> {
    let request = parse(frame)?;
    let id = request.get("id")?;
    let method = request.get("method")?.as_str()?;
    let operand = |name| request.get("params")?.get(name)?.as_i64();
    let sum = || operand("a")?.checked_add(operand("b")?);
    let answer = match (method, sum()) {
        ("calc.add", Some(sum)) => json!({"jsonrpc": "2.0", "id": id, "result": sum}),
        ("calc.add", None) => failure(id, -32602, "calc.add takes the integers a and b"),
        _ => failure(id, -32601, "this worker knows calc.add only"),
    };
    Some(answer.to_string())
}

/// The request's number and the result (or the error's message) in a response; `None` when the frame is none.
pub fn response(frame: &[u8]) -> Option<(u64, Result<Value, String>)> {
    let response = parse(frame)?;
    let id = response.get("id")?.as_str()?.parse().ok()?;
    let outcome = match (response.get("result"), response.get("error")) {
        (Some(result), None) => Ok(result.clone()),
        (None, Some(error)) => {
            Err(error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned())
        }
        _ => return None,
    };
    Some((id, outcome))
}

/// A JSON object that says it is JSON-RPC 2.0. (`serde_json` refuses text nested deeper than 128.)
fn parse(frame: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(frame).ok()?;
    (value.get("jsonrpc")?.as_str()? == "2.0").then_some(value)
}

fn failure(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_request_carries_its_id_and_the_sum() {
        let answer = answer(request(7, "calc.add", &json!({"a": 40, "b": 2})).as_bytes()).expect("an answer");
        assert_eq!(response(answer.as_bytes()), Some((7, Ok(json!(42)))));
    }

    #[test]
    fn what_a_worker_cannot_do_is_answered_with_an_error() {
        for (method, params, reason) in [
            ("calc.pi", json!({}), "this worker knows calc.add only"),
            ("calc.add", json!({"a": 1}), "calc.add takes the integers a and b"),
            ("calc.add", json!({"a": i64::MAX, "b": 1}), "calc.add takes the integers a and b"),
            ("calc.add", json!([1, 2]), "calc.add takes the integers a and b"),
        ] {
            let answer = answer(request(1, method, &params).as_bytes()).expect("an answer");
            assert_eq!(response(answer.as_bytes()), Some((1, Err(reason.to_owned()))), "{method} {params}");
        }
    }

    #[test]
    fn what_is_not_a_request_gets_no_answer() {
        let deep = "[".repeat(100_000);
        for frame in [
            "",
            "hello",
            "{}",
            "[]",
            "\u{0}",
            deep.as_str(),
            r#"{"id":"1","method":"calc.add"}"#,
            r#"{"jsonrpc":"2.0","method":"calc.add","params":{"a":1,"b":2}}"#,
            r#"{"jsonrpc":"2.0","id":"1","result":3}"#,
        ] {
            assert_eq!(answer(frame.as_bytes()), None, "{frame:.40}");
        }
        assert_eq!(answer(b"\xff\xfe"), None);
    }

    #[test]
    fn what_is_not_a_response_is_none() {
        for frame in [
            "hello",
            r#"{"jsonrpc":"2.0","id":"1"}"#,
            r#"{"jsonrpc":"2.0","id":"x","result":1}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":"1","result":1,"error":{}}"#,
        ] {
            assert_eq!(response(frame.as_bytes()), None, "{frame}");
        }
    }
}
