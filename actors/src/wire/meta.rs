//! `params._meta`: what travels beside the parameters, without being one.

use super::TraceParent;
use super::compact::members;
use super::number::write_decimal;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

/// What travels beside the parameters, in `params._meta`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meta {
    /// What is left of the caller's deadline.
    pub(crate) deadline: Option<Duration>,
    /// 1 for the first try; a retry at another provider counts on.
    pub(crate) attempt: Option<u32>,
    /// W3C Trace Context.
    pub(crate) traceparent: Option<TraceParent>,
    /// How many stream items may be sent before more are granted by `rpc.credit`; without it any number.
    pub(crate) credit: Option<u32>,
}

/// Longest deadline that is believed, so that any may be added to a clock's reading: a year.
const MAX_DEADLINE_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// The member's name as it stands in the text. Another spelling of it (with escapes) is a parameter like any other.
const NAME: &[u8] = b"\"_meta\"";

impl Meta {
    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        let Self { deadline, attempt, traceparent, credit } = self;
        deadline.is_none() && attempt.unwrap_or(1) <= 1 && traceparent.is_none() && credit.is_none()
    }

    /// Appends the member `"_meta":{…}`.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"_meta\":");
        let mut before = b'{';
        let mut member = |name: &[u8], out: &mut Vec<u8>| {
            out.push(before);
            before = b',';
            out.extend_from_slice(name);
        };
        if let Some(deadline) = self.deadline {
            member(b"\"deadline_ms\":", out);
            // Rounded up: what is left is not to be shorter at every hop.
            let part = u64::from(deadline.subsec_nanos().div_ceil(1_000_000));
            write_decimal(out, deadline.as_secs().saturating_mul(1_000).saturating_add(part));
        }
        if let Some(attempt) = self.attempt.filter(|attempt| *attempt > 1) {
            member(b"\"attempt\":", out);
            write_decimal(out, u64::from(attempt));
        }
        if let Some(traceparent) = self.traceparent {
            member(b"\"traceparent\":\"", out);
            out.extend_from_slice(traceparent.to_string().as_bytes());
            out.push(b'"');
        }
        if let Some(credit) = self.credit {
            member(b"\"credit\":", out);
            write_decimal(out, u64::from(credit));
        }
        if before == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }

    /// Parts JSON parameters from `_meta`; `None` if there is none.
    pub(super) fn split(params: &[u8]) -> Option<(Bytes, Self)> {
        if !params.starts_with(b"{") {
            return None;
        }
        let at = memmem::find(params, NAME)?;
        let params = std::str::from_utf8(params).ok()?;
        split_last(params, at).or_else(|| split_any(params))
    }
}

/// The usual case, `_meta` is the last member: the parameters before it need not be read again.
///
/// In valid JSON `"_meta"` behind a comma or an opening brace is a member's name; if only the brace that closes the
/// parameters follows its value, it is a member of the parameters themselves and nothing inside them.
fn split_last(params: &str, at: usize) -> Option<(Bytes, Meta)> {
    let (before, member) = params.split_at_checked(at)?;
    let value = member.get(NAME.len()..)?.trim_ascii_start().strip_prefix(':')?;
    let before = before.trim_ascii_end();
    let rest = before.strip_suffix(',').or(before.strip_suffix('{').filter(|rest| rest.is_empty()))?;
    let mut meta = Meta::default();
    let after = members(value.trim_ascii_start(), |name, value| {
        match name {
            "\"deadline_ms\"" => meta.deadline = deadline(value),
            "\"attempt\"" => meta.attempt = value.parse().ok(),
            "\"traceparent\"" => meta.traceparent = traceparent(value),
            "\"credit\"" => meta.credit = value.parse().ok(),
            _ => {}
        }
        Some(())
    })?;
    if after != "}" {
        return None;
    }
    let params = if rest.is_empty() { Bytes::from_static(b"{}") } else { [rest, "}"].concat().into() };
    Some((params, meta))
}

/// `_meta` anywhere, or several of them, of which the last counts.
fn split_any(params: &str) -> Option<(Bytes, Meta)> {
    // Fails if a name is valid JSON and no text (half of a surrogate pair); the typed decoder will say so.
    serde_json::Deserializer::from_str(params).deserialize_map(Members { params }).ok()
}

/// Copies all members but `_meta`.
struct Members<'a> {
    params: &'a str,
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = (Bytes, Meta);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut others = Vec::with_capacity(self.params.len());
        let mut meta = Meta::default();
        let mut end = 1;
        while let Some((name, value)) = map.next_entry::<Name, &RawValue>()? {
            let start = end;
            let value = value.get();
            end = offset(self.params, value).saturating_add(value.len());
            match name {
                Name::Meta => meta = serde_json::from_str(value).unwrap_or_default(),
                Name::Other => {
                    let member = self.params.get(start..end).unwrap_or_default();
                    let member = member.trim_start_matches([' ', '\t', '\r', '\n', ',']);
                    others.push(if others.is_empty() { b'{' } else { b',' });
                    others.extend_from_slice(member.as_bytes());
                }
            }
        }
        if others.is_empty() {
            others.push(b'{');
        }
        others.push(b'}');
        Ok((others.into(), meta))
    }
}

/// Where a part begins in its whole.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Name {
    #[serde(rename = "_meta")]
    Meta,
    #[serde(other)]
    Other,
}

/// Members of the wrong type and unknown ones are as good as absent: `_meta` never makes a request fail.
impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetaVisitor;
        impl<'de> Visitor<'de> for MetaVisitor {
            type Value = Meta;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Meta, A::Error> {
                let mut meta = Meta::default();
                while let Some(member) = map.next_key::<Member>()? {
                    match member {
                        Member::DeadlineMs => meta.deadline = deadline(map.next_value::<&RawValue>()?.get()),
                        Member::Attempt => meta.attempt = map.next_value::<&RawValue>()?.get().parse().ok(),
                        Member::Traceparent => {
                            meta.traceparent = traceparent(map.next_value::<&RawValue>()?.get())
                        }
                        Member::Credit => meta.credit = map.next_value::<&RawValue>()?.get().parse().ok(),
                        Member::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(meta)
            }
        }
        deserializer.deserialize_map(MetaVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    DeadlineMs,
    Attempt,
    Traceparent,
    Credit,
    #[serde(other)]
    Other,
}

/// A negative one has passed; one of a peer that counts in fractions is as good as a whole one.
fn deadline(json: &str) -> Option<Duration> {
    let millis =
        json.parse::<u64>().ok().or_else(|| json.parse::<f64>().ok().map(|millis| millis.ceil() as u64))?;
    Some(Duration::from_millis(millis.min(MAX_DEADLINE_MS)))
}

fn traceparent(json: &str) -> Option<TraceParent> {
    TraceParent::parse(json.strip_prefix('"')?.strip_suffix('"')?)
}
