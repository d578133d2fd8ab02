//! The key of one node: a CURVE pair of its own, to which its UUID is bound.

use super::zcert::{self, Problem};
use crate::PeerId;
use crate::zmtp::curve::{KeyPair, PublicKey};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A node's own key (see [`NodeBuilder::node_key`](crate::NodeBuilder::node_key)).
///
/// Its text form, for a file, is the certificate of czmq (`zcert`) with both keys, so that zyre C reads the same file. Only
/// [`to_zcert`](Self::to_zcert) shows the secret.
///
/// # Example
/// ```
/// use zyre_rs::NodeKey;
/// let key = NodeKey::generate()?;
/// let read: NodeKey = key.to_zcert("camera 1").parse()?;
/// assert_eq!(read.public_key(), key.public_key());
/// println!("trust me by {}", key.public_key());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct NodeKey(KeyPair);

/// The text is not a node's key. What it says is not repeated here, since it may be most of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNodeKey {
    /// There is no section `curve` with the two keys in it.
    #[error("this is no node key (a certificate of czmq); make one with `zyre key new --node`")]
    NotACertificate,
    /// The secret key is missing.
    #[error(
        "this is a public certificate; a node needs the one with its secret key, which czmq saves under the name that ends with `_secret`"
    )]
    OnlyPublic,
    /// One of the keys is not 40 characters of Z85.
    #[error(
        "a key in this certificate is not 40 characters of Z85; take the file from its backup or make a new one"
    )]
    Malformed,
    /// The public key is not that of the secret key.
    #[error(
        "the public key in this certificate does not belong to its secret key; take the file from its backup or make a new one"
    )]
    Contradicts,
}

impl NodeKey {
    /// Makes a new key from the system's random numbers.
    ///
    /// Its public key never begins with byte 0, which zyre C takes for no key.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn generate() -> std::io::Result<Self> {
        loop {
            let mut secret = Zeroizing::new([0; 32]);
            getrandom::fill(secret.as_mut_slice())?;
            let key = Self::from_secret(*secret);
            if key.is_usable() {
                return Ok(key);
            }
        }
    }

    /// Takes 32 random bytes as the secret.
    ///
    /// A node does not start with one whose public key begins with byte 0 (one in 256): zyre C takes that for no key.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self(KeyPair::from_secret(secret))
    }

    /// The public key, which others put into their [`TrustedKeys`](crate::TrustedKeys).
    pub const fn public_key(&self) -> PublicKey {
        self.0.public()
    }

    /// The UUID of the node with this key: the first 16 bytes of SHA-256 over the public key.
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_key(&self.public_key())
    }

    /// The key as a certificate of czmq. It holds the secret: write it to a file for its owner alone.
    ///
    /// `name` is for people; signs that czmq could not read back are left out of it.
    pub fn to_zcert(&self, name: &str) -> Zeroizing<String> {
        zcert::write(&self.0, name)
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.public_key().as_bytes().first() != Some(&0)
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl FromStr for NodeKey {
    type Err = InvalidNodeKey;

    fn from_str(text: &str) -> Result<Self, InvalidNodeKey> {
        zcert::read(text).map(Self).map_err(|problem| match problem {
            Problem::NotThere => InvalidNodeKey::NotACertificate,
            Problem::OnlyPublic => InvalidNodeKey::OnlyPublic,
            Problem::Malformed => InvalidNodeKey::Malformed,
            Problem::Contradicts => InvalidNodeKey::Contradicts,
        })
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As czmq 4.2.1 writes it, with the pair of RFC 26's and libzmq's tests.
    const CZMQ: &str = r#"#   ****  Generated on 2026-11-20 17:05:01 by CZMQ  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
    name = "test"
curve
    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
    secret-key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
"#;

    #[test]
    fn a_certificate_of_czmq_is_read() {
        let key: NodeKey = CZMQ.parse().unwrap();
        assert_eq!(key.public_key().to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
        assert!(key.to_zcert("test").contains("secret-key = \"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\""));
    }

    #[test]
    fn a_key_reads_back_from_its_certificate_and_prints_its_public_half_only() {
        for n in 1..50 {
            let key = NodeKey::from_secret([n; 32]);
            let text = key.to_zcert("a \"quoted\" 'na%me'\nwith\ttabs");
            let read: NodeKey = text.parse().unwrap();
            assert_eq!((read.public_key(), read.peer_id()), (key.public_key(), key.peer_id()));
            assert!(text.contains("name = \"a quoted namewithtabs\"\n"), "{}", *text);
            let secret = key.pair().secret_z85();
            assert!(text.contains(secret.as_str()) && !format!("{key:?}").contains(secret.as_str()));
        }
    }

    #[test]
    fn the_file_is_read_whatever_its_quotes_and_order() {
        let key: NodeKey = CZMQ.parse().unwrap();
        let bare = CZMQ.replace('"', "");
        let single = CZMQ.replace('"', "'").replace('\n', "\r\n");
        let turned = "curve\n\tsecret-key=D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\n\tpublic-key=Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
        for text in [bare.as_str(), &single, turned] {
            assert_eq!(text.parse::<NodeKey>().unwrap().public_key(), key.public_key(), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let secret = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";
        let other = NodeKey::from_secret([1; 32]).pair().secret_z85();
        let only_public: String =
            CZMQ.lines().filter(|line| !line.contains("secret-key")).collect::<Vec<_>>().join("\n");
        for (text, expected) in [
            (String::new(), InvalidNodeKey::NotACertificate),
            ("ab".repeat(32), InvalidNodeKey::NotACertificate),
            (CZMQ.replace("curve\n", "other\n"), InvalidNodeKey::NotACertificate),
            (only_public, InvalidNodeKey::OnlyPublic),
            (CZMQ.replace(secret, &secret[1..]), InvalidNodeKey::Malformed),
            (CZMQ.replace(secret, &"é".repeat(20)), InvalidNodeKey::Malformed),
            (CZMQ.replace(secret, &other), InvalidNodeKey::Contradicts),
        ] {
            let error = text.parse::<NodeKey>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains(&secret[1..8]));
        }
    }

    #[test]
    fn a_generated_key_never_begins_with_0() {
        assert!((0..600).all(|_| NodeKey::generate().unwrap().is_usable()));
    }
}
