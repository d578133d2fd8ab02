//! From what is asked or answered to a whisper. Members stand in a fixed order: equal values give equal bytes.

use super::depth::json_exceeds;
use super::number::write_decimal;
use super::{BODY_DEPTH, MAX_ERRORS, Meta, WriteId};
use crate::{Body, Codec, RpcError};
use bytes::Bytes;
use zyre_rs::Message;

/// Asks for an answer.
///
/// `_meta` travels in parameters by name, in place of one that is there; positional ones have no room for it.
pub(crate) fn encode_request(id: &impl WriteId, method: &str, params: &Body, meta: &Meta) -> Message {
    let mut out = envelope(params);
    out.extend_from_slice(b",\"id\":");
    id.write_to(&mut out);
    write_call(&mut out, method, params, meta);
    finish(out, params)
}

/// Tells without asking for an answer.
pub(crate) fn encode_notification(method: &str, params: &Body, meta: &Meta) -> Message {
    let mut out = envelope(params);
    write_call(&mut out, method, params, meta);
    finish(out, params)
}

/// Answers with a result.
pub(crate) fn encode_response(id: &impl WriteId, result: &Body) -> Message {
    let mut out = envelope(result);
    out.extend_from_slice(b",\"id\":");
    id.write_to(&mut out);
    match result.codec {
        Codec::Json => {
            out.extend_from_slice(b",\"result\":");
            out.extend_from_slice(&result.bytes);
        }
        Codec::MessagePack => out.extend_from_slice(MSGPACK),
    }
    out.push(b'}');
    finish(out, result)
}

/// Answers with an error; `None` stands for an id that could not be read.
///
/// What receivers would not accept is left out: the end of a very long message, data that is too large or nested too
/// deeply.
pub(crate) fn encode_error(id: &impl WriteId, error: &RpcError) -> Message {
    let RpcError { code, message, data } = error;
    let message = match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => message.get(..end).unwrap_or_default(),
        None => message,
    };
    let mut out = Vec::with_capacity(ENVELOPE.saturating_add(message.len()));
    out.extend_from_slice(START);
    out.extend_from_slice(b",\"id\":");
    id.write_to(&mut out);
    out.extend_from_slice(b",\"error\":{\"code\":");
    if *code < 0 {
        out.push(b'-');
    }
    write_decimal(&mut out, code.unsigned_abs());
    out.extend_from_slice(b",\"message\":");
    write_string(&mut out, message);
    let data = data.as_ref().map(ToString::to_string);
    let fits = |data: &String| data.len() <= MAX_DATA && !json_exceeds(data.as_bytes(), BODY_DEPTH);
    if let Some(data) = data.filter(fits) {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.extend_from_slice(b"}}");
    out.into()
}

/// Tells a provider that nobody waits for this any more.
pub(crate) fn encode_cancel(id: &impl WriteId) -> Message {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(START);
    out.extend_from_slice(b",\"method\":\"rpc.cancel\",\"params\":{\"id\":");
    id.write_to(&mut out);
    out.extend_from_slice(b"}}");
    out.into()
}

/// Sends an item of a stream.
pub(crate) fn encode_item(id: &impl WriteId, seq: u64, value: &Body) -> Message {
    let mut out = envelope(value);
    out.extend_from_slice(b",\"method\":\"rpc.item\"");
    if value.codec == Codec::MessagePack {
        out.extend_from_slice(MSGPACK);
    }
    out.extend_from_slice(b",\"params\":{\"id\":");
    id.write_to(&mut out);
    out.extend_from_slice(b",\"seq\":");
    write_decimal(&mut out, seq);
    if value.codec == Codec::Json {
        out.extend_from_slice(b",\"value\":");
        out.extend_from_slice(&value.bytes);
    }
    out.extend_from_slice(b"}}");
    finish(out, value)
}

/// Allows more items of a stream.
pub(crate) fn encode_credit(id: &impl WriteId, n: u32) -> Message {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(START);
    out.extend_from_slice(b",\"method\":\"rpc.credit\",\"params\":{\"id\":");
    id.write_to(&mut out);
    out.extend_from_slice(b",\"n\":");
    write_decimal(&mut out, u64::from(n));
    out.extend_from_slice(b"}}");
    out.into()
}

/// Puts what the other functions made into one whisper. The bodies must be JSON: a batch has no place for more.
pub(crate) fn encode_batch(entries: impl IntoIterator<Item = Message>) -> Message {
    let mut out = vec![b'['];
    for entry in entries {
        debug_assert_eq!(entry.len(), 1, "a batch is JSON throughout");
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(entry.first().map_or(&[], |frame| frame));
    }
    out.push(b']');
    out.into()
}

/// Characters of an error's message.
const MAX_MESSAGE: usize = 1024;

/// Bytes of an error's data: what a message, with each character written as an escape, leaves room for.
const MAX_DATA: usize = MAX_ERRORS - 8 * MAX_MESSAGE;

const START: &[u8] = b"{\"jsonrpc\":\"2.0\"";
const MSGPACK: &[u8] = b",\"codec\":\"msgpack\"";

/// Room for everything but the body; what does not fit costs a reallocation, no more.
const ENVELOPE: usize = 192;

fn envelope(body: &Body) -> Vec<u8> {
    let inline = if body.codec == Codec::Json { body.bytes.len() } else { 0 };
    let mut out = Vec::with_capacity(inline.saturating_add(ENVELOPE));
    out.extend_from_slice(START);
    out
}

fn finish(out: Vec<u8>, body: &Body) -> Message {
    match body.codec {
        Codec::Json => out.into(),
        Codec::MessagePack => vec![Bytes::from(out), body.bytes.clone()].into(),
    }
}

/// From the method to the end.
fn write_call(out: &mut Vec<u8>, method: &str, params: &Body, meta: &Meta) {
    out.extend_from_slice(b",\"method\":");
    write_string(out, method);
    match params.codec {
        Codec::Json => write_params(out, params, meta),
        Codec::MessagePack => {
            out.extend_from_slice(MSGPACK);
            write_params(out, &Body::null(), meta);
        }
    }
    out.push(b'}');
}

/// Parameters must be an object or an array, and what is neither becomes the only one of its kind.
fn write_params(out: &mut Vec<u8>, params: &Body, meta: &Meta) {
    let json = &params.bytes[..];
    match json {
        b"null" if meta.is_empty() => {}
        b"null" | b"[]" if !meta.is_empty() => write_members(out, b"{}", meta),
        [b'{', ..] if !meta.is_empty() => match Meta::split(json) {
            Some((others, _)) => write_members(out, &others, meta),
            None => write_members(out, json, meta),
        },
        [b'{' | b'[', ..] => {
            out.extend_from_slice(b",\"params\":");
            out.extend_from_slice(json);
        }
        lone => {
            out.extend_from_slice(b",\"params\":[");
            out.extend_from_slice(lone);
            out.push(b']');
        }
    }
}

fn write_members(out: &mut Vec<u8>, object: &[u8], meta: &Meta) {
    let members = object.strip_suffix(b"}").unwrap_or(object).trim_ascii_end();
    out.extend_from_slice(b",\"params\":");
    out.extend_from_slice(members);
    if members.len() > 1 {
        out.push(b',');
    }
    meta.write_to(out);
    out.push(b'}');
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}
