//! The boxes of NaCl: a key that two sides share, a nonce, and bytes that only the two can make and read.

use dryoc::classic::crypto_box::{
    crypto_box_beforenm, crypto_box_detached_afternm_inplace, crypto_box_open_detached_afternm_inplace,
};
use zeroize::Zeroizing;

use super::keys::{KeyPair, PublicKey, Secret};

/// Bytes by which a box is longer than what is in it.
pub(super) const TAG: usize = 16;

/// A nonce as NaCl takes it. Never to be used twice with one key.
pub(super) type Nonce = [u8; 24];

/// What makes and opens the boxes between two keys.
pub(super) struct Shared(Secret);

impl Shared {
    /// `None` for a public key that belongs to no secret: everybody would know what is shared with it.
    pub(super) fn between(ours: &KeyPair, theirs: &PublicKey) -> Option<Self> {
        crypto_box_beforenm(theirs.as_bytes(), ours.secret()).ok().map(|key| Self(Zeroizing::new(key)))
    }

    /// Boxes that only the holder of this secret makes and opens.
    pub(super) const fn own(secret: Secret) -> Self {
        Self(secret)
    }

    /// For the other direction of the same connection.
    pub(super) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Seals where the bytes lie.
    #[inline]
    pub(super) fn seal(&self, nonce: &Nonce, bytes: &mut [u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        crypto_box_detached_afternm_inplace(bytes, &mut tag, nonce, &self.0);
        tag
    }

    /// Opens where the bytes lie; false if they were not sealed so. The tag is compared in constant time.
    #[inline]
    #[must_use]
    pub(super) fn open(&self, nonce: &Nonce, tag: &[u8; TAG], bytes: &mut [u8]) -> bool {
        crypto_box_open_detached_afternm_inplace(bytes, tag, nonce, &self.0).is_ok()
    }

    /// Appends a box: its tag, then its bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>, nonce: &Nonce, plain: &[&[u8]]) {
        let mut bytes = Zeroizing::new(plain.concat());
        let tag = self.seal(nonce, &mut bytes);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&bytes);
    }

    /// What is in a box.
    pub(super) fn take(&self, nonce: &Nonce, boxed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (tag, bytes) = boxed.split_first_chunk()?;
        let mut bytes = Zeroizing::new(bytes.to_vec());
        self.open(nonce, tag, &mut bytes).then_some(bytes)
    }
}

/// A nonce of which 16 bytes are random.
pub(super) fn random_nonce(prefix: [u8; 8], random: &[u8; 16]) -> Nonce {
    nonce(&prefix, random)
}

/// A nonce that is counted.
#[inline]
pub(super) fn counted_nonce(prefix: [u8; 16], counter: u64) -> Nonce {
    nonce(&prefix, &counter.to_be_bytes())
}

#[inline]
fn nonce(prefix: &[u8], rest: &[u8]) -> Nonce {
    let mut nonce = [0; 24];
    nonce.iter_mut().zip(prefix.iter().chain(rest)).for_each(|(to, from)| *to = *from);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_of_low_order_shares_nothing() {
        let ours = KeyPair::from_secret([3; 32]);
        assert!(Shared::between(&ours, &PublicKey::from_bytes([0; 32])).is_none());
    }

    #[test]
    fn the_box_of_nacl_comes_out_byte_for_byte() {
        // "Cryptography in NaCl", section 9: Bob's and Alice's keys, their first 16 bytes of the packet.
        let alice = KeyPair::from_secret([
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
            0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
        ]);
        let bob = KeyPair::from_secret([
            0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f, 0x8b, 0x83, 0x80, 0x0e, 0xe6,
            0x6f, 0x3b, 0xb1, 0x29, 0x26, 0x18, 0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb,
        ]);
        let (one, other) = (Shared::between(&alice, &bob.public()), Shared::between(&bob, &alice.public()));
        let first_key = [
            0x1b, 0x27, 0x55, 0x64, 0x73, 0xe9, 0x85, 0xd4, 0x62, 0xcd, 0x51, 0x19, 0x7a, 0x9a, 0x46, 0xc7,
            0x60, 0x09, 0x54, 0x9e, 0xac, 0x64, 0x74, 0xf2, 0x06, 0xc4, 0xee, 0x08, 0x44, 0xf6, 0x83, 0x89,
        ];
        assert_eq!(*one.unwrap().0, first_key);
        assert_eq!(*other.unwrap().0, first_key);
    }
}
