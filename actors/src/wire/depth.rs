//! How deeply a value is nested, found without recursion before any recursive decoder sees it.

/// Whether JSON text is nested deeper than this. Text that is no JSON gives either answer.
pub(crate) fn json_exceeds(json: &[u8], limit: usize) -> bool {
    // `{` and `[` differ in one bit. Brackets in strings count too: nearly every frame has few enough of both that
    // it need not be read byte by byte.
    let brackets = json.iter().filter(|byte| **byte | 0x20 == b'{').count();
    brackets > limit && is_nested(json, limit)
}

fn is_nested(json: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'{' | b'[' if !in_string => {
                depth = depth.saturating_add(1);
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// What is wrong with MessagePack that should be one value, nested at most this deep; the decoder's own limit does not
/// count enums.
pub(crate) fn msgpack_fault(mut bytes: &[u8], limit: usize) -> Option<&'static str> {
    // Values that are still to come: in the innermost container, and in those around it.
    let mut left = 1_u64;
    let mut around = Vec::new();
    loop {
        while left == 0 {
            match around.pop() {
                Some(outer) => left = outer,
                None if bytes.is_empty() => return None,
                None => return Some("bytes after the end of the MessagePack value"),
            }
        }
        left = left.saturating_sub(1);
        let Some((inner, skip)) = value(&mut bytes) else {
            return Some("broken MessagePack");
        };
        match bytes.get(skip..) {
            Some(rest) => bytes = rest,
            None => return Some("MessagePack that ends too early"),
        }
        if let Some(inner) = inner {
            if around.len() >= limit {
                return Some("MessagePack that is nested too deeply");
            }
            around.push(left);
            left = inner;
        }
    }
}

/// Reads a value's head: how many values it contains (`None`: it is no container), and how many bytes of content.
fn value(bytes: &mut &[u8]) -> Option<(Option<u64>, usize)> {
    let (&head, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(match head {
        0x80..=0x8F => (Some(u64::from(head & 0x0F).saturating_mul(2)), 0),
        0x90..=0x9F => (Some(u64::from(head & 0x0F)), 0),
        0xA0..=0xBF => (None, usize::from(head & 0x1F)),
        0x00..=0x7F | 0xC0 | 0xC2 | 0xC3 | 0xE0..=0xFF => (None, 0),
        0xC1 => return None,
        0xCC | 0xD0 => (None, 1),
        0xCD | 0xD1 => (None, 2),
        0xCA | 0xCE | 0xD2 => (None, 4),
        0xCB | 0xCF | 0xD3 => (None, 8),
        0xC4 | 0xD9 => (None, number(bytes, 1)?),
        0xC5 | 0xDA => (None, number(bytes, 2)?),
        0xC6 | 0xDB => (None, number(bytes, 4)?),
        // Extensions have a type of one byte before their content.
        0xC7 => (None, number(bytes, 1)?.saturating_add(1)),
        0xC8 => (None, number(bytes, 2)?.saturating_add(1)),
        0xC9 => (None, number(bytes, 4)?.saturating_add(1)),
        0xD4 => (None, 2),
        0xD5 => (None, 3),
        0xD6 => (None, 5),
        0xD7 => (None, 9),
        0xD8 => (None, 17),
        0xDC => (Some(number(bytes, 2)? as u64), 0),
        0xDD => (Some(number(bytes, 4)? as u64), 0),
        0xDE => (Some((number(bytes, 2)? as u64).saturating_mul(2)), 0),
        0xDF => (Some((number(bytes, 4)? as u64).saturating_mul(2)), 0),
    })
}

/// Reads a big-endian number of this many bytes.
fn number(bytes: &mut &[u8], width: usize) -> Option<usize> {
    let (number, rest) = bytes.split_at_checked(width)?;
    *bytes = rest;
    Some(number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings_only() {
        for (json, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{"b":1}],"c":[]}"#, 3),
            (r#"["[[[{{{", "\"[[[", "\\"]"#, 1),
            (r#"[[1],[2],[3]]"#, 2),
        ] {
            assert!(!json_exceeds(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || json_exceeds(json.as_bytes(), depth - 1), "{json}");
        }
    }

    #[test]
    fn msgpack_must_be_one_whole_value_of_limited_depth() {
        let fault = |bytes: &[u8]| msgpack_fault(bytes, 3);
        assert_eq!(fault(&[0x91, 0x91, 0x91, 0x01]), None);
        assert_eq!(fault(&[0x91, 0x91, 0x91, 0x90]), Some("MessagePack that is nested too deeply"));
        assert_eq!(fault(&[0x81, 0xA1, b'a', 0x92, 0x01, 0xC0]), None);
        assert_eq!(fault(&[0x01, 0x01]), Some("bytes after the end of the MessagePack value"));
        assert_eq!(fault(&[0xDB, 0xFF, 0xFF, 0xFF, 0xFF]), Some("MessagePack that ends too early"));
        for broken in [&[][..], &[0xC1], &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], &[0xDF, 0xFF], &[0x82, 0x01]]
        {
            assert_eq!(fault(broken), Some("broken MessagePack"), "{broken:?}");
        }
    }

    #[test]
    fn what_the_encoder_writes_has_no_fault_and_none_of_its_prefixes_is_whole() {
        let long = "x".repeat(70_000);
        let value = serde_json::json!({
            "small": [0, -1, 127, 128, 65_536, -129, -40_000, 1_u64 << 40, i64::MIN, 1.5, null, true],
            "text": ["", "x".repeat(31), "x".repeat(32), "x".repeat(256), long],
            "many": vec![0; 70_000],
            "map": (0..20).map(|n| (n.to_string(), n)).collect::<std::collections::BTreeMap<_, _>>(),
        });
        let bytes = rmp_serde::to_vec_named(&value).expect("JSON is expressible");
        assert_eq!(msgpack_fault(&bytes, 8), None);
        for end in (0..200).chain((bytes.len() - 200)..bytes.len()) {
            assert!(msgpack_fault(&bytes[..end], 8).is_some(), "{end}");
        }
    }
}
