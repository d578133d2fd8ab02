//! Finds the peer a user means: by its name, by its UUID or by the first digits of that.
//!
//! A name that fits exactly comes before digits, and four digits are the least, so that a peer called
//! `a` is not mistaken for one whose UUID happens to start with A.

use zyre_rs::PeerId;

/// Fewest digits of a UUID that are taken for one.
const MIN_DIGITS: usize = 4;

/// What a search among the peers known now has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nobody,
    One(PeerId),
    /// All that fit, with their names.
    Several(Vec<(PeerId, String)>),
}

/// Searches the peers for the one the text stands for.
pub(crate) fn find<'a>(text: &str, peers: impl Iterator<Item = (PeerId, &'a str)> + Clone) -> Found {
    if let Ok(id) = text.parse::<PeerId>() {
        return one_of(peers.filter(|(peer, _)| *peer == id));
    }
    match one_of(peers.clone().filter(|(_, name)| *name == text)) {
        Found::Nobody => match uuid_digits(text) {
            Some(digits) => one_of(peers.filter(|(peer, _)| peer.to_string().starts_with(&digits))),
            None => Found::Nobody,
        },
        named => named,
    }
}

fn one_of<'a>(peers: impl Iterator<Item = (PeerId, &'a str)>) -> Found {
    let fitting: Vec<_> = peers.map(|(id, name)| (id, name.to_owned())).collect();
    match fitting.as_slice() {
        [] => Found::Nobody,
        [(id, _)] => Found::One(*id),
        _ => Found::Several(fitting),
    }
}

/// The text as the beginning of a UUID in our own form, if it can be one.
fn uuid_digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    let usable = digits.len() >= MIN_DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit());
    usable.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId =
        PeerId::from_bytes(*b"\xAB\xCD\xEF\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D");
    const B: PeerId =
        PeerId::from_bytes(*b"\xAB\xCD\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D");
    const C: PeerId = PeerId::from_bytes([0xCA; 16]);

    fn among(text: &str, names: [&'static str; 3]) -> Found {
        find(text, [A, B, C].into_iter().zip(names))
    }

    #[test]
    fn a_peer_is_found_by_its_name() {
        assert_eq!(among("cam-2", ["cam-1", "cam-2", "cam-3"]), Found::One(B));
        assert_eq!(among("cam", ["cam-1", "cam-2", "cam-3"]), Found::Nobody);
    }

    #[test]
    fn a_peer_is_found_by_the_first_digits_of_its_uuid_in_any_usual_form() {
        for text in ["ABCDEF", "abcdef", "abcdef01-02", "ABCDEF01-0203-0405-0607-08090a0b0c0d"] {
            assert_eq!(among(text, ["x", "y", "z"]), Found::One(A), "{text}");
        }
        assert_eq!(among("abcdef02", ["x", "y", "z"]), Found::Nobody);
    }

    #[test]
    fn an_exact_name_comes_before_digits() {
        assert_eq!(among("CACA", ["CACA", "y", "z"]), Found::One(A));
    }

    #[test]
    fn a_whole_uuid_is_never_taken_for_a_name() {
        let uuid: &'static str = "ABCD000102030405060708090A0B0C0D";
        assert_eq!(among(uuid, [uuid, "y", "z"]), Found::One(B));
    }

    #[test]
    fn fewer_than_four_digits_are_only_a_name() {
        assert_eq!(among("cac", ["x", "y", "z"]), Found::Nobody);
        assert_eq!(among("", ["x", "y", "z"]), Found::Nobody);
    }

    #[test]
    fn several_peers_that_fit_are_all_named() {
        let two = Found::Several(vec![(A, "x".to_owned()), (B, "y".to_owned())]);
        assert_eq!(among("abcd", ["x", "y", "z"]), two);
        let same_name = Found::Several(vec![(A, "twin".to_owned()), (C, "twin".to_owned())]);
        assert_eq!(among("twin", ["twin", "y", "twin"]), same_name);
    }
}
