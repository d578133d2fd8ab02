//! Keys, and the random bytes one handshake uses up.

use std::fmt;

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
        for chunk in self.0.as_chunks::<4>().0 {
            let value = u32::from_be_bytes(*chunk);
            for power in [52_200_625, 614_125, 7_225, 85, 1] {
                let digit = Z85.get((value / power % 85) as usize).copied().unwrap_or(b'?');
                write!(f, "{}", char::from(digit))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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
