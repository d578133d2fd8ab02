//! From a whisper to what it asks or answers. Total and bounded; bodies and ids are slices of the frames.

use super::compact::members;
use super::depth::json_exceeds;
use super::{
    Decoded, Id, Limits, MAX_BATCH, MAX_DEPTH, MAX_ERRORS, MAX_METHOD, Meta, Packet, Request, Response,
};
use crate::{Body, Codec, RpcError, code};
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Tells what a whisper is.
pub(crate) fn decode(message: &zyre_rs::Message, limits: &Limits) -> Decoded {
    let Some(frame) = message.first() else {
        return Decoded::Other;
    };
    let Some(shape) = Shape::of(frame) else {
        return Decoded::Other;
    };
    if message.iter().take(2).any(|frame| frame.len() > limits.frame) {
        return refused(invalid("a frame is larger than is accepted here"));
    }
    if json_exceeds(frame, MAX_DEPTH) {
        return refused(invalid("nested too deeply"));
    }
    let Ok(text) = std::str::from_utf8(frame) else {
        return refused(RpcError::new(code::PARSE_ERROR, "not UTF-8"));
    };
    match shape {
        Shape::Object => match envelope(text) {
            Ok(Envelope { jsonrpc: None, .. }) => Decoded::Other,
            Ok(envelope) if has_large_errors(std::slice::from_ref(&envelope)) => {
                refused(invalid("the error is too large"))
            }
            Ok(envelope) => Decoded::One(packet(frame, message.get(1), &envelope)),
            Err(error) => refused(broken(&error)),
        },
        Shape::Array => match entries(text) {
            Ok(entries) => batch(frame, &entries),
            Err(error) => refused(broken(&error)),
        },
    }
}

fn refused(error: RpcError) -> Decoded {
    Decoded::One(Packet::Invalid { id: None, error })
}

fn invalid(reason: &str) -> RpcError {
    RpcError::new(code::INVALID_REQUEST, reason)
}

fn broken(error: &serde_json::Error) -> RpcError {
    RpcError::new(code::PARSE_ERROR, error.to_string())
}

/// What text that may be JSON-RPC looks like from outside.
enum Shape {
    Object,
    Array,
}

impl Shape {
    /// Turns ordinary whispers away without parsing them.
    fn of(frame: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"\"jsonrpc\"";
        let (shape, inner) = match frame.trim_ascii_start() {
            [b'{', inner @ ..] => (Self::Object, inner),
            [b'[', inner @ ..] => (Self::Array, inner.trim_ascii_start().strip_prefix(b"{")?),
            _ => return None,
        };
        (inner.starts_with(NAME) || memmem::find(inner, NAME).is_some()).then_some(shape)
    }
}

/// The members of a JSON-RPC object, each as its JSON text.
#[derive(Debug, Default, PartialEq)]
struct Envelope<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    codec: Option<&'a str>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
    /// A member was there twice.
    is_ambiguous: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Jsonrpc,
    Id,
    Method,
    Codec,
    Params,
    Result,
    Error,
    #[serde(other)]
    Other,
}

fn envelope(text: &str) -> serde_json::Result<Envelope<'_>> {
    compact_envelope(text).map_or_else(|| any_envelope(text), Ok)
}

/// As programs write it.
fn compact_envelope(text: &str) -> Option<Envelope<'_>> {
    let mut envelope = Envelope::default();
    let rest = members(text, |name, value| {
        let slot = match name {
            "\"jsonrpc\"" => &mut envelope.jsonrpc,
            "\"id\"" => &mut envelope.id,
            "\"method\"" => &mut envelope.method,
            "\"codec\"" => &mut envelope.codec,
            "\"params\"" => &mut envelope.params,
            "\"result\"" => &mut envelope.result,
            "\"error\"" => &mut envelope.error,
            _ => return Some(()),
        };
        envelope.is_ambiguous |= slot.replace(value).is_some();
        Some(())
    })?;
    rest.is_empty().then_some(envelope)
}

/// As anybody may write it.
fn any_envelope(text: &str) -> serde_json::Result<Envelope<'_>> {
    struct EnvelopeVisitor;
    impl<'de> Visitor<'de> for EnvelopeVisitor {
        type Value = Envelope<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
            let mut envelope = Envelope::default();
            while let Some(member) = map.next_key()? {
                let slot = match member {
                    Member::Jsonrpc => &mut envelope.jsonrpc,
                    Member::Id => &mut envelope.id,
                    Member::Method => &mut envelope.method,
                    Member::Codec => &mut envelope.codec,
                    Member::Params => &mut envelope.params,
                    Member::Result => &mut envelope.result,
                    Member::Error => &mut envelope.error,
                    Member::Other => {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                };
                envelope.is_ambiguous |= slot.replace(map.next_value::<&RawValue>()?.get()).is_some();
            }
            Ok(envelope)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let envelope = deserializer.deserialize_map(EnvelopeVisitor)?;
    deserializer.end()?;
    Ok(envelope)
}

/// The entries of an array as JSON text: one more than are accepted, the rest is only checked.
fn entries(text: &str) -> serde_json::Result<Vec<&str>> {
    struct EntriesVisitor;
    impl<'de> Visitor<'de> for EntriesVisitor {
        type Value = Vec<&'de str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while entries.len() <= MAX_BATCH {
                match seq.next_element::<&RawValue>()? {
                    Some(entry) => entries.push(entry.get()),
                    None => return Ok(entries),
                }
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(entries)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = deserializer.deserialize_seq(EntriesVisitor)?;
    deserializer.end()?;
    Ok(entries)
}

fn batch(frame: &Bytes, entries: &[&str]) -> Decoded {
    let envelopes: Vec<_> = entries
        .iter()
        .map(|entry| if entry.starts_with('{') { envelope(entry).ok() } else { None }.unwrap_or_default())
        .collect();
    if envelopes.iter().all(|envelope| envelope.jsonrpc.is_none()) {
        return Decoded::Other;
    }
    if envelopes.len() > MAX_BATCH || has_large_errors(&envelopes) {
        return refused(invalid("the batch is too large"));
    }
    // A batch is JSON throughout: there is but one frame 1.
    Decoded::Batch(envelopes.iter().map(|envelope| packet(frame, None, envelope)).collect())
}

fn has_large_errors(envelopes: &[Envelope<'_>]) -> bool {
    envelopes.iter().filter_map(|envelope| envelope.error).map(str::len).sum::<usize>() > MAX_ERRORS
}

fn packet(frame: &Bytes, second: Option<&Bytes>, envelope: &Envelope<'_>) -> Packet {
    let id = envelope.id.and_then(|id| Id::read(frame, id));
    if envelope.id.is_some() && id.is_none() {
        return Packet::Invalid { id, error: invalid("the id must be a short string or a number") };
    }
    interpret(frame, second, envelope, id.as_ref()).unwrap_or_else(|error| Packet::Invalid { id, error })
}

fn interpret(
    frame: &Bytes,
    second: Option<&Bytes>,
    envelope: &Envelope<'_>,
    id: Option<&Id>,
) -> Result<Packet, RpcError> {
    if envelope.jsonrpc != Some("\"2.0\"") {
        return Err(invalid("jsonrpc must be \"2.0\""));
    }
    if envelope.is_ambiguous {
        return Err(invalid("a member is there twice"));
    }
    // What stands in frame 1, if the codec says so.
    let binary = match envelope.codec {
        None | Some("\"json\"") => None,
        Some("\"msgpack\"") => {
            let bytes = second.ok_or_else(|| invalid("frame 1 is missing"))?.clone();
            Some(Body { codec: Codec::MessagePack, bytes })
        }
        Some(name) if name.starts_with('"') => {
            return Err(RpcError::new(code::UNSUPPORTED, "this codec is not spoken here"));
        }
        Some(_) => return Err(invalid("codec must be a string")),
    };
    let json = |text: &str| Body { codec: Codec::Json, bytes: frame.slice_ref(text.as_bytes()) };
    let outcome = match (envelope.method, envelope.result, envelope.error, binary) {
        (Some(method), None, None, binary) => return request(frame, method, envelope.params, binary, id),
        (None, Some(result), None, None) => Ok(json(result)),
        (None, None, None, Some(binary)) => Ok(binary),
        (None, None, Some(error), None) => {
            let error = serde_json::from_str::<RpcError>(error);
            Err(error.map_err(|_| invalid("error must have a code and a message"))?)
        }
        _ => return Err(invalid("neither a request nor a response")),
    };
    let id = id.cloned().ok_or_else(|| invalid("a response needs an id"))?;
    Ok(Packet::Response(Response { id, outcome }))
}

fn request(
    frame: &Bytes,
    method: &str,
    params: Option<&str>,
    binary: Option<Body>,
    id: Option<&Id>,
) -> Result<Packet, RpcError> {
    let method = string(method).filter(|method| method.len() <= MAX_METHOD);
    let method = method.ok_or_else(|| invalid("method must be a short string"))?;
    if id.is_none()
        && let Some(packet) = reserved(frame, &method, params, binary.as_ref())
    {
        return packet.ok_or_else(|| invalid("the parameters of this notification are wrong"));
    }
    let (json, meta) = match params {
        None | Some("null") => (None, Meta::default()),
        Some(params) if params.starts_with(['{', '[']) => {
            let whole = || (frame.slice_ref(params.as_bytes()), Meta::default());
            let (bytes, meta) = Meta::split(params.as_bytes()).unwrap_or_else(whole);
            (Some(Body { codec: Codec::Json, bytes }), meta)
        }
        Some(_) => return Err(invalid("params must be an object or an array")),
    };
    let params = match (json, binary) {
        (json, None) => json.unwrap_or_else(Body::null),
        (Some(json), Some(_)) if &json.bytes[..] != b"{}" => {
            return Err(invalid("parameters in both frames"));
        }
        (_, Some(binary)) => binary,
    };
    Ok(Packet::Request(Request { id: id.cloned(), method, params, meta }))
}

/// A JSON string's content; `None` if it is none, or no text (half of a surrogate pair).
fn string(json: &str) -> Option<String> {
    let content = json.strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') { serde_json::from_str(json).ok() } else { Some(content.to_owned()) }
}

/// The notifications of this layer: `None` if it is another, `Some(None)` if its parameters are wrong.
fn reserved(
    frame: &Bytes,
    method: &str,
    params: Option<&str>,
    binary: Option<&Body>,
) -> Option<Option<Packet>> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        seq: Option<u64>,
        #[serde(borrow)]
        value: Option<&'a RawValue>,
        n: Option<u32>,
    }
    let name = method.strip_prefix("rpc.").filter(|name| matches!(*name, "cancel" | "item" | "credit"))?;
    let read = || {
        let params = params.filter(|params| params.starts_with('{'))?;
        let params = serde_json::from_str::<Params<'_>>(params).ok()?;
        let id = Id::read(frame, params.id.get())?;
        Some(match name {
            "cancel" => Packet::Cancel { id },
            "credit" => Packet::Credit { id, n: params.n? },
            _ => {
                let json = |value: &RawValue| Body {
                    codec: Codec::Json,
                    bytes: frame.slice_ref(value.get().as_bytes()),
                };
                let value = binary.cloned().or_else(|| params.value.map(json)).unwrap_or_else(Body::null);
                Packet::Item { id, seq: params.seq?, value }
            }
        })
    };
    Some(read())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::fixtures;
    use super::*;

    #[test]
    fn the_quick_walk_says_what_the_parser_says() {
        let mut quick = 0;
        let mut check = |text: &str| {
            if let Some(envelope) = compact_envelope(text) {
                assert_eq!(any_envelope(text).ok(), Some(envelope), "{text}");
                quick += 1;
            }
        };
        for fixture in fixtures() {
            let message = fixture.message();
            let Some(text) = message.text() else { continue };
            check(text);
            for at in (0..text.len().min(300)).filter(|at| text.is_char_boundary(*at)) {
                for insert in ["\"", "\\", "{", "}", "[", "]", ",", ":", " ", "0", "-", "e", "n", "null"] {
                    check(&[&text[..at], insert, &text[at..]].concat());
                    // Instead of what stood there.
                    let rest = &text[at..];
                    let skip = rest.chars().next().map_or(0, char::len_utf8);
                    check(&[&text[..at], insert, &rest[skip..]].concat());
                }
            }
        }
        assert!(quick > 1_000, "{quick} were read quickly");
    }
}
