//! CURVE certificates in the text form of czmq's `zcert`: two values in a ZPL file (RFC 4), of which only those are read.

use crate::zmtp::curve::{KeyPair, from_z85};
use zeroize::Zeroizing;

/// Longest name written; nobody needs more.
const MAX_NAME: usize = 255;

/// Writes the certificate with both halves, as czmq's `zcert_save_secret` does.
pub(super) fn write(pair: &KeyPair, name: &str) -> Zeroizing<String> {
    // czmq knows no escapes, and `%` is a format sign to some of its versions.
    let plain = |sign: &char| !sign.is_control() && !['"', '\'', '%', '\\'].contains(sign);
    let name: String = name.chars().filter(plain).take(MAX_NAME / 4).collect();
    // As large as it gets: growing would leave parts of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(512 + name.len()));
    let (public, secret) = (pair.public().to_string(), pair.secret_z85());
    for piece in [
        "#   ZeroMQ CURVE **Secret** Certificate\n",
        "#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.\n",
        "metadata\n    name = \"",
        &name,
        "\"\ncurve\n    public-key = \"",
        &public,
        "\"\n    secret-key = \"",
        &secret,
        "\"\n",
    ] {
        text.push_str(piece);
    }
    text
}

/// What keeps a text from being a certificate with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    NotThere,
    OnlyPublic,
    Malformed,
    Contradicts,
}

/// Reads `public-key` and `secret-key` of the section `curve`.
pub(super) fn read(text: &str) -> Result<KeyPair, Problem> {
    let (mut public, mut secret, mut in_curve) = (None, None, false);
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if !line.starts_with(char::is_whitespace) {
            in_curve = content == "curve";
        } else if in_curve && let Some((name, value)) = content.split_once('=') {
            match name.trim() {
                "public-key" => public = Some(unquoted(value)),
                "secret-key" => secret = Some(unquoted(value)),
                _ => {}
            }
        }
    }
    let (public, secret) = match (public, secret) {
        (Some(public), Some(secret)) => (public, secret),
        (Some(_), None) => return Err(Problem::OnlyPublic),
        _ => return Err(Problem::NotThere),
    };
    let (public, secret) = from_z85(public).zip(from_z85(secret)).ok_or(Problem::Malformed)?;
    let pair = KeyPair::from_secret(*secret);
    if *pair.public().as_bytes() == *public { Ok(pair) } else { Err(Problem::Contradicts) }
}

fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let Some(quote) = value.chars().next().filter(|sign| ['"', '\''].contains(sign)) else {
        // Behind a bare value a comment may stand; behind a key the parts are too few to matter.
        return value.split_whitespace().next().unwrap_or_default();
    };
    value.get(1..).and_then(|rest| rest.split(quote).next()).unwrap_or_default()
}
