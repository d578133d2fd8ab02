//! HELLO, the message that opens a session: its fields, its limits, its body (RFC 36 "HELLO").
//!
//! Invariant: a [`Hello`], ours or a peer's, keeps every limit below and names no header twice. Both
//! hold because [`Hello::new`] is the only way to make one, so encoding it cannot fail.

use std::collections::BTreeSet;
use std::ops::Deref;

use super::message::HEADER_LEN;
use super::reader::{Reader, Truncated};
use super::writer::{put_count, put_long_string, put_string};
use crate::GroupName;

/// Longest endpoint, node name and header name: their length travels in one byte.
pub const MAX_STRING: usize = 255;
/// Most groups in a HELLO: far above real use, and the most a peer can make us remember.
pub const MAX_GROUPS: usize = 1_024;
/// Most headers in a HELLO, for the same reason.
pub const MAX_HEADERS: usize = 1_024;
/// Longest value of a header: existing nodes carry 70 kB and more.
pub const MAX_HEADER_VALUE: usize = 128 * 1_024;
/// Longest HELLO with its 6-byte prefix: what an unknown peer may cost before it is known.
pub const MAX_HELLO: usize = 256 * 1_024;

/// What a HELLO says, before it is checked. All text is bytes: peers send invalid UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelloFields {
    /// Where the sender's mailbox is, as text; see [`Endpoint`](super::Endpoint).
    pub endpoint: Vec<u8>,
    /// The groups the sender is in.
    pub groups: Vec<GroupName>,
    /// The sender's count of JOIN and LEAVE modulo 256. Never to be enforced: peers miscount.
    pub status: u8,
    /// The sender's name, free text.
    pub name: Vec<u8>,
    /// Header names and values, in the sender's order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A HELLO within the limits; its [`HelloFields`] are read through it (`hello.groups`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello(HelloFields);

impl Hello {
    /// Checks the limits. Of headers with the same name only the first is kept, as zyre C does.
    ///
    /// # Errors
    /// When a field, or all of them together, are more than a HELLO may carry.
    pub fn new(mut fields: HelloFields) -> Result<Self, Limit> {
        at_most(fields.endpoint.len(), MAX_STRING, Limit::Endpoint)?;
        at_most(fields.groups.len(), MAX_GROUPS, Limit::Groups)?;
        at_most(fields.name.len(), MAX_STRING, Limit::Name)?;
        at_most(fields.headers.len(), MAX_HEADERS, Limit::Headers)?;
        for (name, value) in &fields.headers {
            at_most(name.len(), MAX_STRING, Limit::HeaderName)?;
            at_most(value.len(), MAX_HEADER_VALUE, Limit::HeaderValue)?;
        }
        keep_first_of_each_name(&mut fields.headers);
        at_most(body_len(&fields).saturating_add(HEADER_LEN), MAX_HELLO, Limit::Hello)?;
        Ok(Self(fields))
    }

    /// The value of a header.
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The fields, to take apart.
    pub fn into_fields(self) -> HelloFields {
        self.0
    }

    /// Appends the body: what follows the 6-byte prefix that
    /// [`put_hello_header`](super::put_hello_header) writes. A link keeps the body and stamps the
    /// prefix anew each time.
    pub fn encode_body(&self, out: &mut Vec<u8>) {
        out.reserve(body_len(self));
        put_string(out, &self.endpoint);
        put_count(out, self.groups.len());
        for group in &self.groups {
            put_long_string(out, group.as_bytes());
        }
        out.push(self.status);
        put_string(out, &self.name);
        put_count(out, self.headers.len());
        for (name, value) in &self.headers {
            put_string(out, name);
            put_long_string(out, value);
        }
    }

    /// Reads a body; bytes after it are ignored, but count against [`MAX_HELLO`].
    pub(super) fn decode_body(mut body: Reader<'_>) -> Result<Self, BodyError> {
        at_most(body.rest().len().saturating_add(HEADER_LEN), MAX_HELLO, Limit::Hello)?;
        let endpoint = body.string()?.to_vec();
        let mut groups = Vec::new();
        for _ in 0..count(&mut body, MAX_GROUPS, Limit::Groups)? {
            let name = body.long_string()?;
            groups.push(GroupName::from_bytes(name).map_err(|_| Limit::GroupName)?);
        }
        let status = body.u8()?;
        let name = body.string()?.to_vec();
        let mut headers = Vec::new();
        for _ in 0..count(&mut body, MAX_HEADERS, Limit::Headers)? {
            headers.push((body.string()?.to_vec(), body.long_string()?.to_vec()));
        }
        Ok(Self::new(HelloFields { endpoint, groups, status, name, headers })?)
    }
}

impl Deref for Hello {
    type Target = HelloFields;

    fn deref(&self) -> &HelloFields {
        &self.0
    }
}

/// A list's announced length, refused before anything is read or stored when it is beyond `max`.
fn count(body: &mut Reader<'_>, max: usize, limit: Limit) -> Result<usize, BodyError> {
    let count = usize::try_from(body.u32()?).map_err(|_| limit)?;
    at_most(count, max, limit)?;
    Ok(count)
}

fn at_most(size: usize, max: usize, limit: Limit) -> Result<(), Limit> {
    if size > max { Err(limit) } else { Ok(()) }
}

fn keep_first_of_each_name(headers: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let mut seen = BTreeSet::new();
    let firsts: Vec<bool> = headers.iter().map(|(name, _)| seen.insert(name.as_slice())).collect();
    let mut firsts = firsts.into_iter();
    headers.retain(|_| firsts.next().unwrap_or(false));
}

fn body_len(fields: &HelloFields) -> usize {
    let fixed = [1, fields.endpoint.len(), 4, 1, 1, fields.name.len(), 4];
    let groups = fields.groups.iter().flat_map(|group| [4, group.as_bytes().len()]);
    let headers = fields.headers.iter().flat_map(|(name, value)| [1, name.len(), 4, value.len()]);
    fixed.into_iter().chain(groups).chain(headers).sum()
}

/// Why a body could not be read; the caller adds the sequence number.
#[derive(Debug)]
pub(super) enum BodyError {
    Truncated,
    Limit(Limit),
    PeerId,
}

impl From<Truncated> for BodyError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl From<Limit> for BodyError {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

/// Which limit of a HELLO was passed, by a peer's bytes or by our own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// The endpoint's text is over [`MAX_STRING`]. Advertise the mailbox by its IP address.
    #[error("an endpoint has at most {MAX_STRING} bytes; use tcp://IP:port")]
    Endpoint,
    /// More than [`MAX_GROUPS`] groups. Leave some before joining others.
    #[error("a node is in at most {MAX_GROUPS} groups; leave some first")]
    Groups,
    /// A group's name is over [`GroupName::MAX_LEN`]. Choose a shorter one.
    #[error("a group name has at most 255 bytes; choose a shorter one")]
    GroupName,
    /// The node's name is over [`MAX_STRING`]. Choose a shorter one.
    #[error("a node's name has at most {MAX_STRING} bytes; choose a shorter one")]
    Name,
    /// More than [`MAX_HEADERS`] headers. Put several values into one header.
    #[error("a node has at most {MAX_HEADERS} headers; put several values into one")]
    Headers,
    /// A header's name is over [`MAX_STRING`]. Choose a shorter one.
    #[error("a header's name has at most {MAX_STRING} bytes; choose a shorter one")]
    HeaderName,
    /// A header's value is over [`MAX_HEADER_VALUE`]. Whisper large data instead.
    #[error("a header's value has at most {MAX_HEADER_VALUE} bytes; whisper large data instead")]
    HeaderValue,
    /// Everything together is over [`MAX_HELLO`]. Use fewer or shorter headers and groups.
    #[error("a HELLO has at most {MAX_HELLO} bytes; use fewer or shorter headers and groups")]
    Hello,
}

#[cfg(test)]
mod tests {
    use super::super::message::{Command, Decoded, MessageError, decode};
    use super::*;

    fn encoded(fields: HelloFields) -> Vec<u8> {
        let mut frame = Vec::new();
        Command::Hello(Hello::new(fields).unwrap()).encode(1, &mut frame);
        frame
    }

    fn decoded(frame: &[u8]) -> Hello {
        match decode(frame) {
            Ok(Decoded { sequence: 1, command: Command::Hello(hello) }) => hello,
            other => panic!("not a HELLO: {other:?}"),
        }
    }

    /// A HELLO written field by field, so that it may break the limits.
    fn raw(group_count: u32, groups: &[u8], header_count: u32, headers: &[u8]) -> Vec<u8> {
        let mut frame = b"\xaa\xa1\x01\x02\x00\x01\x00".to_vec();
        frame.extend(group_count.to_be_bytes());
        frame.extend(groups);
        frame.extend(b"\x00\x00");
        frame.extend(header_count.to_be_bytes());
        frame.extend(headers);
        frame
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn of_headers_with_the_same_name_the_first_stays_in_its_place() {
        let given = headers(&[("b", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("c", "5")]);
        let hello = Hello::new(HelloFields { headers: given, ..HelloFields::default() }).unwrap();
        assert_eq!(hello.headers, headers(&[("b", "1"), ("a", "2"), ("c", "5")]));
        assert_eq!(hello.header(b"a"), Some(&b"2"[..]));
        assert_eq!(hello.header(b"d"), None);

        let twice = raw(0, b"", 2, b"\x01k\x00\x00\x00\x01x\x01k\x00\x00\x00\x01y");
        assert_eq!(decoded(&twice).headers, headers(&[("k", "x")]));
    }

    #[test]
    fn everything_at_its_limit_is_taken_both_ways() {
        let fields = HelloFields {
            endpoint: vec![b'e'; MAX_STRING],
            groups: vec![GroupName::from_bytes(&[b'g'; 60]).unwrap(); MAX_GROUPS],
            status: 255,
            name: vec![0; MAX_STRING],
            headers: vec![(vec![0xff; MAX_STRING], vec![b'v'; MAX_HEADER_VALUE])],
        };
        assert_eq!(decoded(&encoded(fields.clone())).into_fields(), fields);

        let many: Vec<_> = (0..MAX_HEADERS).map(|i| (i.to_string().into_bytes(), vec![])).collect();
        let fields = HelloFields { headers: many, ..HelloFields::default() };
        assert_eq!(decoded(&encoded(fields.clone())).into_fields(), fields);
    }

    #[test]
    fn a_hello_of_exactly_the_longest_size_is_taken_and_one_byte_more_refused() {
        let sized = |second: usize| HelloFields {
            headers: vec![
                (b"a".to_vec(), vec![0; MAX_HEADER_VALUE]),
                (b"b".to_vec(), vec![0; second]),
                (b"c".to_vec(), vec![]),
            ],
            ..HelloFields::default()
        };
        let room = MAX_HELLO - encoded(sized(0)).len();
        let mut longest = encoded(sized(room));
        assert_eq!(longest.len(), MAX_HELLO);
        decoded(&longest);
        assert_eq!(Hello::new(sized(room + 1)), Err(Limit::Hello));
        longest.push(0);
        assert_eq!(decode(&longest), Err(MessageError::Limit { sequence: 1, limit: Limit::Hello }));
    }

    #[test]
    fn one_more_than_each_limit_is_refused_when_made() {
        let base = HelloFields::default;
        let name = GroupName::from_bytes(b"g").unwrap();
        let over = [
            (HelloFields { endpoint: vec![0; MAX_STRING + 1], ..base() }, Limit::Endpoint),
            (HelloFields { groups: vec![name; MAX_GROUPS + 1], ..base() }, Limit::Groups),
            (HelloFields { name: vec![0; MAX_STRING + 1], ..base() }, Limit::Name),
            (HelloFields { headers: vec![(vec![], vec![]); MAX_HEADERS + 1], ..base() }, Limit::Headers),
            (HelloFields { headers: vec![(vec![0; MAX_STRING + 1], vec![])], ..base() }, Limit::HeaderName),
            (
                HelloFields { headers: vec![(vec![], vec![0; MAX_HEADER_VALUE + 1])], ..base() },
                Limit::HeaderValue,
            ),
        ];
        for (fields, limit) in over {
            assert_eq!(Hello::new(fields), Err(limit));
        }
    }

    #[test]
    fn one_more_than_each_limit_is_refused_when_decoded() {
        let long_name = [&256_u32.to_be_bytes()[..], &[b'g'; 256]].concat();
        let value = [&[0][..], &(MAX_HEADER_VALUE as u32 + 1).to_be_bytes(), &vec![0; MAX_HEADER_VALUE + 1]];
        let over = [
            (raw(MAX_GROUPS as u32 + 1, &[0; 4 * (MAX_GROUPS + 1)], 0, b""), Limit::Groups),
            (raw(1, &long_name, 0, b""), Limit::GroupName),
            (raw(0, b"", MAX_HEADERS as u32 + 1, &[0; 5 * (MAX_HEADERS + 1)]), Limit::Headers),
            (raw(0, b"", 1, &value.concat()), Limit::HeaderValue),
        ];
        for (frame, limit) in over {
            assert_eq!(decode(&frame), Err(MessageError::Limit { sequence: 1, limit }));
        }
    }

    #[test]
    fn counts_and_lengths_of_four_billion_are_refused_before_anything_is_stored() {
        let limit = |limit| Err(MessageError::Limit { sequence: 1, limit });
        let truncated = Err(MessageError::Truncated { sequence: Some(1) });
        assert_eq!(decode(&raw(u32::MAX, b"", 0, b"")), limit(Limit::Groups));
        assert_eq!(decode(&raw(0, b"", u32::MAX, b"")), limit(Limit::Headers));
        assert_eq!(decode(&raw(1, b"\xff\xff\xff\xff", 0, b"")), truncated);
        assert_eq!(decode(&raw(0, b"", 1, b"\x01k\xff\xff\xff\xff")), truncated);
    }

    #[test]
    fn nul_control_and_invalid_utf8_bytes_are_kept() {
        let odd = b"\x00\x1b[2J\xff\xc3";
        let fields = HelloFields {
            endpoint: odd.to_vec(),
            groups: vec![GroupName::from_bytes(odd).unwrap(), GroupName::from_bytes(b"").unwrap()],
            status: 200,
            name: odd.to_vec(),
            headers: vec![(odd.to_vec(), odd.to_vec()), (vec![], vec![])],
        };
        assert_eq!(decoded(&encoded(fields.clone())).into_fields(), fields);
    }
}
