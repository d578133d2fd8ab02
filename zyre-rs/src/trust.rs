//! Whom a node with a key of its own trusts, and who asks to be let in.

use crate::wire::Endpoint;
use crate::zmtp::curve::PublicKey;
use crate::{Headers, PeerId};
use dryoc::classic::crypto_hash::crypto_hash_sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

impl PeerId {
    /// The UUID of a node that has this key: the first 16 bytes of SHA-256 over the key's 32.
    pub fn of_key(key: &PublicKey) -> Self {
        let mut hash = [0; 32];
        crypto_hash_sha256(&mut hash, key.as_bytes());
        let [id, _] = hash.as_chunks::<16>().0 else { return Self::from_bytes([0; 16]) };
        Self::from_bytes(*id)
    }
}

/// The public keys of the nodes that a node with a key of its own lets in and talks to
/// (see [`NodeBuilder::node_key`](crate::NodeBuilder::node_key)).
///
/// Its text form, for a file, is one public key a line, as 40 characters of Z85, and after it, if you like, white space and a name.
/// A line that begins with `#` is a comment; in a key a `#` may stand anywhere else. One list may serve all nodes: a node's own key in it does no harm.
///
/// # Example
/// ```
/// use zyre_rs::{PublicKey, TrustedKeys};
/// let camera: PublicKey = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7".parse()?;
/// let trusted: TrustedKeys = format!("# hall 3\n{camera} camera 1\n").parse()?;
/// assert!(trusted.contains(&camera));
/// assert_eq!(trusted.name_of(&camera), Some("camera 1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct TrustedKeys(Arc<BTreeMap<PeerId, Trusted>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trusted {
    key: PublicKey,
    name: Option<Box<str>>,
}

/// The text is not a list of public keys. What it says is not repeated here: it may be a secret that was mistaken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTrustedKeys {
    /// There is no key in it.
    #[error(
        "there is no public key here, so nobody could join; put one a line, `zyre key show` prints that of a node"
    )]
    Empty,
    /// A line is neither a key nor a comment.
    #[error("line {line} is not a public key: 40 characters of Z85, then white space and a name if you like")]
    Line {
        /// Counted from 1.
        line: usize,
    },
}

impl TrustedKeys {
    /// Whether a key is trusted.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.owner_of(PeerId::of_key(key)) == Some(*key)
    }

    /// The name that the list gives to a key.
    pub fn name_of(&self, key: &PublicKey) -> Option<&str> {
        self.0.get(&PeerId::of_key(key)).filter(|known| known.key == *key)?.name.as_deref()
    }

    /// The keys and their names, in the order of the UUIDs that belong to them.
    pub fn iter(&self) -> impl Iterator<Item = (PublicKey, Option<&str>)> {
        self.0.values().map(|known| (known.key, known.name.as_deref()))
    }

    /// How many keys are trusted.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is trusted, so that nobody can join.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The only key that may use this UUID, if it is the UUID of a trusted key.
    pub(crate) fn owner_of(&self, id: PeerId) -> Option<PublicKey> {
        self.0.get(&id).map(|known| known.key)
    }
}

impl FromIterator<PublicKey> for TrustedKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        let trusted = keys.into_iter().map(|key| (PeerId::of_key(&key), Trusted { key, name: None }));
        Self(Arc::new(trusted.collect()))
    }
}

impl FromStr for TrustedKeys {
    type Err = InvalidTrustedKeys;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedKeys> {
        let mut trusted = BTreeMap::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            let (key, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            // No key begins so: the first of the five digits of a 32-bit number in base 85 is at most `%`.
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            let key = key.parse().map_err(|_| InvalidTrustedKeys::Line { line: number })?;
            let name = Some(name.trim()).filter(|name| !name.is_empty()).map(Into::into);
            trusted.entry(PeerId::of_key(&key)).or_insert(Trusted { key, name });
        }
        if trusted.is_empty() {
            return Err(InvalidTrustedKeys::Empty);
        }
        Ok(Self(Arc::new(trusted)))
    }
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A peer that has said HELLO and is not let in yet; what [`NodeBuilder::authorize`](crate::NodeBuilder::authorize) is asked about.
///
/// All of it but the proven key and the source address is what the peer says of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applicant {
    /// Its UUID.
    pub peer: PeerId,
    /// Its name.
    pub name: Arc<str>,
    /// Its headers.
    pub headers: Headers,
    /// Where it says its mailbox is.
    pub endpoint: Endpoint,
    /// Where its connection comes from.
    pub source: SocketAddr,
    /// The public key that it has proven to hold; `None` in open mode.
    pub public_key: Option<PublicKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    #[test]
    fn a_uuid_is_the_first_half_of_the_hash_of_its_key() {
        // sha256 of 32 zero bytes, as any tool computes it.
        let id = PeerId::of_key(&PublicKey::from_bytes([0; 32]));
        assert_eq!(id.to_string(), "66687AADF862BD776C8FC18B8E9F8E20");
    }

    #[test]
    fn names_comments_and_blank_lines_are_told_from_keys() {
        let other = PublicKey::from_bytes([9; 32]);
        let text = format!("# hall\r\n#\n\n#more\n  {KEY}\t camera  1 \n{other}\n{KEY} again\n");
        let trusted: TrustedKeys = text.parse().unwrap();
        let camera = KEY.parse().unwrap();
        assert_eq!((trusted.len(), trusted.contains(&camera), trusted.contains(&other)), (2, true, true));
        assert_eq!((trusted.name_of(&camera), trusted.name_of(&other)), (Some("camera  1"), None));
        assert!(!trusted.contains(&PublicKey::from_bytes([8; 32])));
        assert_eq!(trusted.name_of(&PublicKey::from_bytes([8; 32])), None);
    }

    #[test]
    fn a_hash_sign_in_a_key_is_no_comment_and_none_begins_with_one() {
        let digits = |n: u8| PublicKey::from_bytes([n; 32]).to_string();
        assert!((0..=u8::MAX).all(|n| !digits(n).starts_with('#')));
        assert_eq!(digits(u8::MAX).as_bytes()[0], b'%', "the largest there is");
        let key = (0..=u8::MAX).map(digits).find(|key| key.contains('#')).unwrap();
        let trusted: TrustedKeys = format!("{key} #odd\n#{key}\n").parse().unwrap();
        assert_eq!((trusted.len(), trusted.name_of(&key.parse().unwrap())), (1, Some("#odd")));
    }

    #[test]
    fn what_is_no_list_is_named_by_its_line_and_not_repeated() {
        let wrong = |text: &str| text.parse::<TrustedKeys>().unwrap_err();
        for empty in ["", "\n \n", "# nobody\n"] {
            assert_eq!(wrong(empty), InvalidTrustedKeys::Empty);
        }
        for bad in ["camera", &KEY[1..], &format!("{KEY}x"), &"é".repeat(20), &"$".repeat(40)] {
            let error = wrong(&format!("{KEY}\n{bad} name"));
            assert_eq!(error, InvalidTrustedKeys::Line { line: 2 }, "{bad}");
            assert!(!error.to_string().contains(bad));
        }
    }

    #[test]
    fn an_empty_list_made_in_code_trusts_nobody() {
        let nobody = TrustedKeys::from_iter([]);
        assert!(nobody.is_empty() && !nobody.contains(&PublicKey::from_bytes([1; 32])));
    }
}
