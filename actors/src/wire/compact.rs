//! A quick walk over the members of an object as encoders write it: no escapes in names, at most one space after `:`
//! and `,`. Anything else is left to the general parser, which says the same of what is read here, more slowly.

use serde_json::value::RawValue;

/// Hands each member's name and value to `member`, as JSON text; gives what follows the object.
///
/// `None` if the text is no JSON, or not written as expected, or `member` says that it cannot go on.
pub(super) fn members<'a>(
    text: &'a str,
    mut member: impl FnMut(&'a str, &'a str) -> Option<()>,
) -> Option<&'a str> {
    let mut rest = text.strip_prefix('{')?;
    loop {
        let (name, after) = string(rest)?;
        let (value, after) = value(skip_space(after.strip_prefix(':')?))?;
        member(name, value)?;
        if let Some(after) = after.strip_prefix('}') {
            return Some(after);
        }
        rest = skip_space(after.strip_prefix(',')?);
    }
}

fn skip_space(text: &str) -> &str {
    text.strip_prefix(' ').unwrap_or(text)
}

fn value(text: &str) -> Option<(&str, &str)> {
    string(text).or_else(|| integer(text)).or_else(|| {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let value = values.next()?.ok()?;
        Some((value.get(), text.get(values.byte_offset()..)?))
    })
}

/// A string without escapes, quotes included.
fn string(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let end = inner.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
    // The quotes are two more.
    let (string, rest) = text.split_at_checked(end.checked_add(2)?)?;
    string.ends_with('"').then_some((string, rest))
}

/// A number of nothing but digits.
fn integer(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let is_usual = matches!(text.as_bytes(), [b'1'..=b'9', ..] | [b'0', b',' | b'}', ..]);
    let (digits, rest) = text.split_at_checked(end)?;
    (is_usual && rest.starts_with([',', '}'])).then_some((digits, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &str) -> Option<(Vec<(&str, &str)>, &str)> {
        let mut seen = Vec::new();
        let rest = members(text, |name, value| {
            seen.push((name, value));
            Some(())
        })?;
        Some((seen, rest))
    }

    #[test]
    fn members_are_walked_with_and_without_spaces() {
        let expected =
            vec![("\"a\"", "1"), ("\"b\"", "\"x\""), ("\"c\"", "{\"d\": [1 , 2]}"), ("\"e\"", "-1.5")];
        for text in [
            r#"{"a":1,"b":"x","c":{"d": [1 , 2]},"e":-1.5}rest"#,
            r#"{"a": 1, "b": "x", "c": {"d": [1 , 2]}, "e": -1.5}rest"#,
        ] {
            assert_eq!(walk(text), Some((expected.clone(), "rest")), "{text}");
        }
    }

    #[test]
    fn what_is_unusual_or_broken_is_left_to_the_parser() {
        for text in [
            "",
            "{",
            "{}",
            "[1]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":01}"#,
            r#"{"a":1x}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":1 ,"b":2}"#,
            r#"{"\u0061":1}"#,
            "{\"a\n\":1}",
            r#"{"a":"x}"#,
            r#"{"a":[1,]}"#,
            r#"{"é":"é"#,
        ] {
            assert_eq!(walk(text), None, "{text}");
        }
        assert_eq!(
            walk(r#"{"a":"x\n","é":"é"}"#),
            Some((vec![("\"a\"", "\"x\\n\""), ("\"é\"", "\"é\"")], ""))
        );
    }
}
