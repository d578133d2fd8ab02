//! Keys: that of a network, which are 32 random bytes that all its nodes share, and that of a [node](NodeKey).

mod node;
mod zcert;

pub use node::{InvalidNodeKey, NodeKey};

use crate::zmtp::curve::{KeyPair, PublicKey};
use dryoc::classic::crypto_kdf::{crypto_kdf_hkdf_sha256_expand, crypto_kdf_hkdf_sha256_extract};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Salt of the derivation: keys of other programs never come out the same.
const SALT: &[u8] = b"zyre-rs network key";
/// What is derived; a byte that counts the tries follows.
const INFO: &[u8] = b"CURVE key pair";

/// The key of a secured network (see [`NodeBuilder::network_key`](crate::NodeBuilder::network_key)).
///
/// Whoever has it is a member; nobody else gets anything. Its text form, for a file, is 64 hexadecimal digits a line; a line
/// that begins with `#` is a comment. Several keys, one a line, serve to change them while nodes run: the first is the one a
/// node shows, all are accepted. Nothing prints it but [`reveal`](Self::reveal).
///
/// # Example
/// ```
/// use zyre_rs::NetworkKey;
/// let (new, old) = (NetworkKey::from_bytes([7; 32]), NetworkKey::from_bytes([9; 32]));
/// let both: NetworkKey = format!("# in use\n{}\n{}\n", old.reveal().as_str(), new.reveal().as_str()).parse()?;
/// assert_eq!(both.public_key(), old.public_key());
/// # Ok::<(), zyre_rs::InvalidNetworkKey>(())
/// ```
#[derive(Clone)]
pub struct NetworkKey {
    first: Zeroizing<[u8; 32]>,
    others: Vec<Zeroizing<[u8; 32]>>,
}

/// The text is not a network key. What it says is not repeated here, since it may be most of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNetworkKey {
    /// There is no key in it.
    #[error("there is no key here; make one with `zyre key new`")]
    Empty,
    /// A line is neither a key nor a comment.
    #[error("line {line} is not a key: 64 hexadecimal digits, as `zyre key new` prints them")]
    Line {
        /// Counted from 1.
        line: usize,
    },
}

impl NetworkKey {
    /// Takes 32 random bytes.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self { first: Zeroizing::new(key), others: Vec::new() }
    }

    /// Makes a new key from the system's random numbers.
    ///
    /// # Errors
    /// When the system has none to give.
    #[cfg(feature = "net")]
    pub fn generate() -> std::io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self { first: key, others: Vec::new() })
    }

    /// Accepts peers with the keys of `other` as well.
    #[must_use]
    pub fn accepting(mut self, other: Self) -> Self {
        self.others.push(other.first);
        self.others.extend(other.others);
        self
    }

    /// How many keys are accepted, the first included.
    pub fn accepted(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether a node with this key talks to one that shows this public key.
    pub fn accepts(&self, shown: &PublicKey) -> bool {
        self.pairs().iter().any(|pair| pair.public() == *shown)
    }

    /// The public CURVE key that the first of the keys stands for: what beacons show, a fingerprint of the network.
    pub fn public_key(&self) -> PublicKey {
        derive(&self.first).public()
    }

    /// The first key as text. It is the secret itself: print it for its owner only.
    pub fn reveal(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or_default());
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in self.first.iter() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text
    }

    /// The CURVE pair that the first key stands for, as a certificate of czmq; with it zyre C joins the network.
    ///
    /// It holds a secret that lets its reader in: write it to a file for its owner alone. `name` is for people; signs that
    /// czmq could not read back are left out of it.
    pub fn to_zcert(&self, name: &str) -> Zeroizing<String> {
        zcert::write(&derive(&self.first), name)
    }

    /// The pairs of all keys, the first first.
    #[cfg_attr(not(feature = "net"), allow(dead_code, reason = "only the shell uses it"))]
    pub(crate) fn pairs(&self) -> Arc<[KeyPair]> {
        std::iter::once(&self.first).chain(&self.others).map(|key| derive(key)).collect()
    }
}

/// HKDF-SHA256 (RFC 5869). zyre C takes a public key whose first byte is 0 for none, so such a pair is passed over.
fn derive(key: &[u8; 32]) -> KeyPair {
    let mut prk = Zeroizing::new([0; 32]);
    crypto_kdf_hkdf_sha256_extract(&mut prk, Some(SALT), key);
    let nth = |n: u8| {
        let mut secret = Zeroizing::new([0; 32]);
        let info = [INFO, &[n]].concat();
        // 32 bytes are never too many.
        let _ = crypto_kdf_hkdf_sha256_expand(secret.as_mut_slice(), &info, &prk);
        KeyPair::from_secret(*secret)
    };
    let shows = |pair: &KeyPair| pair.public().as_bytes().first() != Some(&0);
    (0..u8::MAX).map(nth).find(shows).unwrap_or_else(|| nth(u8::MAX))
}

impl FromStr for NetworkKey {
    type Err = InvalidNetworkKey;

    fn from_str(text: &str) -> Result<Self, InvalidNetworkKey> {
        let mut keys = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(decode(line).ok_or(InvalidNetworkKey::Line { line: number })?);
            }
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(InvalidNetworkKey::Empty)?;
        Ok(Self { first, others: keys.collect() })
    }
}

fn decode(line: &str) -> Option<Zeroizing<[u8; 32]>> {
    let (pairs, []) = line.as_bytes().as_chunks::<2>() else { return None };
    let mut key = Zeroizing::new([0; 32]);
    if pairs.len() != key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(key)
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkKey({}, {} more)", self.public_key(), self.others.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_text_and_does_not_print() {
        let key = NetworkKey::from_bytes(std::array::from_fn(|at| at as u8 * 7));
        let text = key.reveal();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse::<NetworkKey>().unwrap().first, key.first);
        assert_eq!(text.to_uppercase().parse::<NetworkKey>().unwrap().first, key.first);
        assert!(!format!("{key:?}").contains(&text[..8]));
    }

    #[test]
    fn several_keys_come_in_their_order_and_comments_are_passed_over() {
        let [one, two] = [1, 2].map(|n| NetworkKey::from_bytes([n; 32]));
        let text = format!("# mesh\n\n  {}  \r\n#old\n{}", one.reveal().as_str(), two.reveal().as_str());
        let both: NetworkKey = text.parse().unwrap();
        let publics: Vec<_> = both.pairs().iter().map(KeyPair::public).collect();
        assert_eq!(publics, [one.public_key(), two.public_key()]);
        assert!(one.accepts(&one.public_key()) && !one.accepts(&two.public_key()));
        let shown = two.public_key();
        assert!(one.accepting(two).accepts(&shown));
    }

    #[test]
    fn its_certificate_holds_the_derived_pair() {
        let key = NetworkKey::from_bytes([7; 32]);
        let read: NodeKey = key.to_zcert("mesh").parse().unwrap();
        assert_eq!(read.public_key(), key.public_key());
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        let wrong = |text: &str| text.parse::<NetworkKey>().unwrap_err();
        assert_eq!(wrong("# nothing\n"), InvalidNetworkKey::Empty);
        let good = "ab".repeat(32);
        for bad in ["ab", "zz".repeat(32).as_str(), &"ab".repeat(33), &"é".repeat(32)] {
            assert_eq!(wrong(&format!("{good}\n{bad}")), InvalidNetworkKey::Line { line: 2 });
        }
    }

    #[test]
    fn the_derived_pair_is_that_of_rfc_5869_and_never_begins_with_0() {
        // Computed with Python's hmac and libzmq. The second one's first try begins with 0.
        let derived = NetworkKey::from_bytes([7; 32]).public_key().to_string();
        assert_eq!(derived, "^f^^]x^5zwVRd?Od%&e0a]=]F?m^B=n#J)]H-qA^");
        let skips = std::array::from_fn(|at| if at % 4 == 3 { 137 } else { 0 });
        let derived = NetworkKey::from_bytes(skips).public_key().to_string();
        assert_eq!(derived, "kBqs8y=dWfGA=Jj&xuQ]KV7oxZhXX:vKEXPad)<a");
    }
}
