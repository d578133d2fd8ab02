//! A cursor over a peer's bytes that cannot panic and cannot allocate.
//!
//! Owns the primitive encodings of RFC 36: big-endian numbers, `string` (one length byte) and
//! `longstr` (four length bytes). Invariant: a read either yields bytes that are there or fails with
//! [`Truncated`] and leaves the cursor where it was.

/// The bytes end before the field does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end in the middle of a field")]
pub struct Truncated;

/// Reads fields from the front of a byte slice; everything it yields borrows from that slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// True when every byte has been read.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads exactly `length` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Truncated> {
        let (field, rest) = self.bytes.split_at_checked(length).ok_or(Truncated)?;
        self.bytes = rest;
        Ok(field)
    }

    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (field, rest) = self.bytes.split_first_chunk::<N>().ok_or(Truncated)?;
        self.bytes = rest;
        Ok(*field)
    }

    /// Reads a `number-1`.
    ///
    /// # Errors
    /// When nothing is left.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array().map(u8::from_be_bytes)
    }

    /// Reads a `number-2`.
    ///
    /// # Errors
    /// When fewer than two bytes are left.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a `number-4`.
    ///
    /// # Errors
    /// When fewer than four bytes are left.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a `string`: one length byte, then as many bytes, of any content.
    ///
    /// # Errors
    /// When the length or the bytes it announces are missing.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], Truncated> {
        self.attempt(|reader| {
            let length = reader.u8()?;
            reader.take(usize::from(length))
        })
    }

    /// Reads a `longstr`: four length bytes, then as many bytes, of any content.
    ///
    /// # Errors
    /// When the length or the bytes it announces are missing.
    pub fn long_string(&mut self) -> Result<&'a [u8], Truncated> {
        self.attempt(|reader| {
            let length = reader.u32()?;
            reader.take(usize::try_from(length).map_err(|_| Truncated)?)
        })
    }

    /// Commits what `read` consumed only when it succeeds.
    #[inline]
    fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Truncated>) -> Result<T, Truncated> {
        let mut ahead = *self;
        let value = read(&mut ahead)?;
        *self = ahead;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_numbers_are_big_endian() {
        let mut reader = Reader::new(b"\x01\x02\x03\x04\x05\x06\x07\x02ab\x00\x00\x00\x01c\x00rest");
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.string(), Ok(&b"ab"[..]));
        assert_eq!(reader.long_string(), Ok(&b"c"[..]));
        assert_eq!(reader.string(), Ok(&b""[..]));
        assert_eq!(reader.take(2), Ok(&b"re"[..]));
        assert!(!reader.is_empty());
        assert_eq!(reader.rest(), b"st");
        assert_eq!(reader.array(), Ok(*b"st"));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_field_that_is_cut_short_is_an_error_and_consumes_nothing() {
        for bytes in [&b""[..], b"\x05abc", b"\xff", b"\xff\xff\xff\xffabc", b"\x00\x00\x00\x04abc"] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.take(bytes.len() + 1), Err(Truncated));
            assert_eq!(reader.take(usize::MAX), Err(Truncated));
            assert_eq!(reader.long_string(), Err(Truncated));
            assert_eq!(reader.rest(), bytes);
        }
        let mut reader = Reader::new(b"\x05abc");
        assert_eq!(reader.string(), Err(Truncated));
        assert_eq!(reader.rest(), b"\x05abc");
    }
}
