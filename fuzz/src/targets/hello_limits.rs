//! HELLOs near their limits. A few bytes describe a large one, so that the fuzzer need not find 256 KiB.

use super::message;
use crate::Target;
use crate::curve_peer::byte;
use arbitrary::Unstructured;
use std::collections::BTreeSet;
use zyre_rs::GroupName;
use zyre_rs::wire::{
    Command, Hello, HelloFields, Limit, MAX_GROUPS, MAX_HEADER_VALUE, MAX_HEADERS, MAX_HELLO, MAX_STRING,
};

pub(crate) const TARGET: Target = Target { name: "hello_limits", run, seeds, max_len: 128, smoke_runs: 400 };

/// More than this is not built: it is far over the limit.
const MOST: usize = 400 * 1024;

/// Endpoint, name, groups (count, length) and headers (count, length of name, length of value) of a description.
fn described(endpoint: u16, name: u16, groups: &[[u16; 2]], headers: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut out = vec![groups.len() as u8 | (headers.len() as u8) << 4];
    out.extend([endpoint, name].into_iter().flat_map(u16::to_le_bytes));
    out.extend(groups.iter().flatten().flat_map(|number| number.to_le_bytes()));
    for (count, name, value) in headers {
        out.extend([*count, *name].into_iter().flat_map(u16::to_le_bytes));
        out.extend(value.to_le_bytes());
    }
    out
}

fn seeds() -> Vec<Vec<u8>> {
    vec![
        described(20, 5, &[[1, 2]], &[(1, 3, 4)]),
        described(255, 255, &[[1024, 5]], &[(1024, 7, 9)]),
        described(256, 5, &[], &[]),
        described(5, 256, &[], &[]),
        described(5, 5, &[[1025, 1]], &[]),
        described(5, 5, &[[1, 256]], &[]),
        described(5, 5, &[], &[(1025, 7, 1)]),
        described(5, 5, &[], &[(1, 256, 1)]),
        described(5, 5, &[], &[(1, 5, 131_072), (1, 6, 131_000)]),
        described(5, 5, &[], &[(1, 5, 131_073)]),
        described(5, 5, &[[1000, 255]], &[(1, 5, 131_072)]),
        // Two headers of one name.
        described(5, 5, &[], &[(1, 5, 131_072), (1, 5, 131_072)]),
    ]
}

fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let lists = byte(&mut u);
    let number = |u: &mut Unstructured<'_>| usize::from(u.arbitrary::<u16>().unwrap_or(0));
    let (endpoint, name) = (vec![b'e'; number(&mut u) % 300], vec![b'n'; number(&mut u) % 300]);
    let (mut groups, mut headers, mut size) = (Vec::new(), Vec::new(), 0);
    for _ in 0..lists & 3 {
        let (count, length) = (number(&mut u) % 1100, number(&mut u) % 300);
        size += count * (4 + length);
        if size < MOST {
            groups.extend((0..count).map(|_| vec![b'g'; length]));
        }
    }
    for _ in 0..lists >> 4 & 3 {
        let (count, length) = (number(&mut u) % 1100, number(&mut u) % 300);
        let value = u.arbitrary::<u32>().unwrap_or(0) as usize % 140_000;
        size += count * (5 + length + value);
        if size < MOST {
            // Different names, as far as there is room for a number.
            let header = |at: usize| (format!("{at:0length$}").into_bytes(), vec![b'v'; value]);
            headers.extend((0..count).map(header).map(|(mut name, value)| {
                name.truncate(length);
                (name, value)
            }));
        }
    }
    ours(&endpoint, &name, &groups, &headers);
    theirs(&endpoint, &name, &groups, &headers, byte(&mut u));
}

type Header = (Vec<u8>, Vec<u8>);

/// What we may say ourselves.
fn ours(endpoint: &[u8], name: &[u8], groups: &[Vec<u8>], headers: &[Header]) {
    let groups: Result<Vec<_>, _> = groups.iter().map(|group| GroupName::from_bytes(group)).collect();
    let Ok(groups) = groups else { return };
    let (endpoint, name, headers) = (endpoint.to_vec(), name.to_vec(), headers.to_vec());
    let fields = HelloFields { endpoint, groups, status: 7, name, headers };
    let mut distinct = fields.clone();
    let mut seen = BTreeSet::new();
    distinct.headers.retain(|(name, _)| seen.insert(name.clone()));
    match Hello::new(fields.clone()) {
        Ok(hello) => {
            assert_eq!(*hello, distinct);
            let mut frame = Vec::new();
            Command::Hello(hello).encode(1, &mut frame);
            assert!(frame.len() <= MAX_HELLO);
            message::check(&frame);
        }
        Err(limit) => {
            assert!(!limit.to_string().is_empty());
            let within = match limit {
                Limit::Endpoint => fields.endpoint.len() <= MAX_STRING,
                Limit::Groups => fields.groups.len() <= MAX_GROUPS,
                Limit::Name => fields.name.len() <= MAX_STRING,
                Limit::Headers => fields.headers.len() <= MAX_HEADERS,
                Limit::HeaderName => fields.headers.iter().all(|(name, _)| name.len() <= MAX_STRING),
                Limit::HeaderValue => fields.headers.iter().all(|(_, value)| value.len() <= MAX_HEADER_VALUE),
                Limit::Hello => encoded(&distinct).len() <= MAX_HELLO,
                _ => true,
            };
            assert!(!within, "{limit}");
        }
    }
}

fn encoded(fields: &HelloFields) -> Vec<u8> {
    let groups: Vec<_> = fields.groups.iter().map(|group| group.as_bytes().to_vec()).collect();
    frame(&fields.endpoint, &fields.name, &groups, &fields.headers)
}

/// What a peer may say, its counts and lengths true or not.
fn theirs(endpoint: &[u8], name: &[u8], groups: &[Vec<u8>], headers: &[Header], lie: u8) {
    let mut bytes = frame(endpoint, name, groups, headers);
    message::check(&bytes);
    bytes.truncate(bytes.len() - usize::from(lie & 15).min(bytes.len()));
    message::check(&bytes);
    // The count of groups stands behind the endpoint.
    let at = 6 + 1 + endpoint.len().min(255);
    if lie > 127
        && let Some(count) = bytes.get_mut(at..at + 4)
    {
        count.fill(lie);
        message::check(&bytes);
    }
}

/// A HELLO of any size, as its table in the specification has it.
fn frame(endpoint: &[u8], name: &[u8], groups: &[Vec<u8>], headers: &[Header]) -> Vec<u8> {
    let mut out = vec![0xAA, 0xA1, 1, 2, 0, 1];
    let text = |out: &mut Vec<u8>, text: &[u8]| {
        let text = text.get(..255).unwrap_or(text);
        out.push(text.len() as u8);
        out.extend_from_slice(text);
    };
    let long = |out: &mut Vec<u8>, text: &[u8]| {
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text);
    };
    text(&mut out, endpoint);
    out.extend_from_slice(&(groups.len() as u32).to_be_bytes());
    groups.iter().for_each(|group| long(&mut out, group));
    out.push(7);
    text(&mut out, name);
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    for (name, value) in headers {
        text(&mut out, name);
        long(&mut out, value);
    }
    out
}
