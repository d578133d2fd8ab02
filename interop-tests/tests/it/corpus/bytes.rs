//! Bytes of every layer, also such as no encoder writes.

use std::fmt::Write;

use zyre_rs::zmtp::{Greeting, put_command, put_frame};

/// A greeting with some of its bytes replaced.
pub(super) fn greeting(mechanism: &str, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = Greeting::new(mechanism, false).encode().to_vec();
    for (at, patch) in patches {
        bytes[*at..*at + patch.len()].copy_from_slice(patch);
    }
    bytes
}

/// A command frame.
pub(super) fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_command(&mut bytes, name.as_bytes(), data);
    bytes
}

/// A frame with any flags and the length it has.
pub(super) fn flagged(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, body, false);
    bytes[0] |= flags;
    bytes
}

/// A long frame header with any flags and claim.
pub(super) fn claim(flags: u8, length: u64) -> Vec<u8> {
    [&[flags | 2][..], &length.to_be_bytes()].concat()
}

/// A message of these frames.
pub(super) fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        put_frame(&mut bytes, frame, n + 1 < frames.len());
    }
    bytes
}

/// The first frame of a ZRE message.
pub(super) fn zre(id: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    [&[0xAA, 0xA1, id, 2][..], &sequence.to_be_bytes(), body].concat()
}

/// `string`: one length byte.
pub(super) fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("at most 255 bytes")][..], text].concat()
}

/// `longstr`: four length bytes.
pub(super) fn long(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).expect("short").to_be_bytes()[..], text].concat()
}

/// A property of READY.
pub(super) fn property(name: &[u8], value: &[u8]) -> Vec<u8> {
    [short(name), long(value)].concat()
}

/// A field of a message, by which it is cut.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn field(name: &'static str, bytes: impl Into<Vec<u8>>) -> Field {
    Field { name, bytes: bytes.into() }
}

pub(super) fn joined(fields: &[Field]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.bytes.iter().copied()).collect()
}

/// Every way to end amid these fields: before each, and within each that has more than one byte.
pub(super) fn cuts(fields: &[Field]) -> Vec<(String, Vec<u8>)> {
    let mut cuts = Vec::new();
    let mut before = Vec::new();
    for Field { name, bytes } in fields {
        cuts.push((format!("before its {name}"), before.clone()));
        if bytes.len() > 1 {
            cuts.push((format!("within its {name}"), [&before, &bytes[..bytes.len() / 2]].concat()));
        }
        before.extend_from_slice(bytes);
    }
    cuts
}

/// Text as no good peer sends it, by name.
pub(super) fn odd_texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a NUL", b"a\0b".to_vec()),
        ("only NULs", vec![0; 8]),
        ("a line feed", b"a\nb".to_vec()),
        ("an escape sequence", b"\x1b[2J\x1b]0;owned\x07".to_vec()),
        ("a carriage return and erase", b"\r\x08\x7f".to_vec()),
        ("a lone continuation byte", b"\x80".to_vec()),
        ("a cut UTF-8 sequence", b"gr\xc3".to_vec()),
        ("an overlong slash", b"\xc0\xaf".to_vec()),
        ("a UTF-8 surrogate", b"\xed\xa0\x80".to_vec()),
        ("a code point beyond Unicode", b"\xf4\x90\x80\x80".to_vec()),
        ("bytes FE and FF", b"\xfe\xff".to_vec()),
        ("a right-to-left override", "a\u{202e}b".into()),
        ("a byte order mark", "\u{feff}a".into()),
        ("format characters", b"%s%n%x".to_vec()),
        ("a path", b"../../etc/passwd".to_vec()),
        ("255 bytes", vec![b'x'; 255]),
    ]
}

/// The name of a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}
