//! Keys, and the random bytes one handshake uses up.

use std::fmt;
use std::str::FromStr;

use dryoc::classic::crypto_core::crypto_scalarmult_base;
use zeroize::Zeroizing;

/// A secret that is wiped when it goes.
pub(super) type Secret = Zeroizing<[u8; 32]>;

const Z85: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// A public key. Its text form is the 40 characters of Z85 (RFC 32), as with all ZeroMQ tools.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Wraps the 32 bytes that travel on the wire.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes as they travel on the wire.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        put_z85(&self.0, f)
    }
}

fn put_z85(key: &[u8; 32], out: &mut impl fmt::Write) -> fmt::Result {
    for chunk in key.as_chunks::<4>().0 {
        let value = u32::from_be_bytes(*chunk);
        for power in [52_200_625, 614_125, 7_225, 85, 1] {
            let digit = Z85.get((value / power % 85) as usize).copied().unwrap_or(b'?');
            out.write_char(char::from(digit))?;
        }
    }
    Ok(())
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a key: 40 characters of Z85. It is not repeated here, since it may be a secret one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 40 characters of Z85 (RFC 32)")]
pub struct InvalidKey;

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        from_z85(text).map(|key| Self(*key)).ok_or(InvalidKey)
    }
}

/// The 32 bytes of a key in Z85, public or secret.
pub(crate) fn from_z85(text: &str) -> Option<Secret> {
    let (groups, []) = text.as_bytes().as_chunks::<5>() else { return None };
    let mut key = Zeroizing::new([0; 32]);
    let chunks = key.as_chunks_mut::<4>().0;
    if groups.len() != chunks.len() {
        return None;
    }
    for (chunk, group) in chunks.iter_mut().zip(groups) {
        let mut value = 0_u64;
        for digit in group {
            value = value * 85 + Z85.iter().position(|known| known == digit)? as u64;
        }
        *chunk = u32::try_from(value).ok()?.to_be_bytes();
    }
    Some(key)
}

/// A secret key and the public key that belongs to it. The secret is wiped when it is dropped and never printed.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    secret: Secret,
}

impl KeyPair {
    /// The pair of a secret key: 32 random bytes.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self::new(Zeroizing::new(secret))
    }

    pub(super) fn new(secret: Secret) -> Self {
        let mut public = [0; 32];
        crypto_scalarmult_base(&mut public, &secret);
        Self { public: PublicKey(public), secret }
    }

    /// The public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret half as the 40 characters of Z85, for its owner's file only.
    #[cfg_attr(not(feature = "net"), allow(dead_code, reason = "only the shell writes certificates"))]
    pub(crate) fn secret_z85(&self) -> Zeroizing<String> {
        // As large as it gets: growing would leave parts of it behind.
        let mut text = Zeroizing::new(String::with_capacity(40));
        // A string takes everything.
        let _ = put_z85(&self.secret, &mut *text);
        text
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Claims the key of another, whose secret it does not hold.
    #[cfg(test)]
    pub(super) fn claiming(&self, public: PublicKey) -> Self {
        Self { public, secret: self.secret.clone() }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public)
    }
}

/// Random bytes for one handshake: its short-term keys and nonces are made of them.
///
/// They must be fresh from the system's generator. The same bytes used twice would let boxes of one connection open those of
/// another; hence this cannot be cloned.
pub struct Fresh(Zeroizing<[u8; Self::SIZE]>);

impl Fresh {
    /// Bytes one handshake uses up.
    pub const SIZE: usize = 96;

    /// Takes the bytes; the caller's copy should not outlive this.
    pub fn new(bytes: [u8; Self::SIZE]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn short_term(&self) -> KeyPair {
        KeyPair::new(self.secret::<0>())
    }

    pub(super) fn cookie_key(&self) -> Secret {
        self.secret::<32>()
    }

    /// For the vouch or the WELCOME.
    pub(super) fn nonce(&self) -> [u8; 16] {
        self.part::<64, 16>()
    }

    pub(super) fn cookie_nonce(&self) -> [u8; 16] {
        self.part::<80, 16>()
    }

    fn secret<const AT: usize>(&self) -> Secret {
        Zeroizing::new(self.part::<AT, 32>())
    }

    fn part<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= Self::SIZE) }
        let mut part = [0; N];
        part.iter_mut().zip(self.0.iter().skip(AT)).for_each(|(to, from)| *to = *from);
        part
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh")
    }
}
