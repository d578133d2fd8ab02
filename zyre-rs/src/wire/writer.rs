//! The write side of the primitive encodings.
//!
//! These functions trust the length of what they are given: it was checked when the owning type
//! (`GroupName`, `Hello`, `gossip::Publish`) was made. Nothing is ever cut to fit.

use bytes::BufMut;

/// Writes a `string`; `bytes` has at most 255 of them by its owner's construction.
#[inline]
pub(super) fn put_string(out: &mut impl BufMut, bytes: &[u8]) {
    debug_assert!(u8::try_from(bytes.len()).is_ok(), "the owning type limits the length");
    out.put_u8(bytes.len() as u8);
    out.put_slice(bytes);
}

/// Writes a `longstr`; `bytes` fits four length bytes by its owner's construction.
pub(super) fn put_long_string(out: &mut impl BufMut, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

/// Writes the number of elements of a list or of bytes in a `longstr`.
pub(super) fn put_count(out: &mut impl BufMut, count: usize) {
    debug_assert!(u32::try_from(count).is_ok(), "the owning type limits the count");
    out.put_u32(count as u32);
}
