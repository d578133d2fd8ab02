//! The 64 bytes either side sends first (RFC 37, "greeting").
//!
//! Decoding looks at whatever part has arrived, so that a client of another protocol is refused by
//! its first byte and not kept waiting for 63 more. The eight bytes inside the signature are the
//! length field of ZMTP 1.0 and hold anything (libzmq writes identity length + 1); the as-server
//! flag is read but not enforced, since libzmq leaves it 0 on both sides, CURVE included.

use crate::id::printable;

const SIGNATURE_START: u8 = 0xFF;
const SIGNATURE_END: u8 = 0x7F;
const MECHANISM: usize = 12;
const MECHANISM_LEN: usize = 20;
/// Major version spoken here; peers with a higher one fall back to it, as RFC 37 asks of them.
const MAJOR: u8 = 3;
/// Newest minor version known here. 3.1 adds PING and PONG to 3.0.
const MINOR: u8 = 1;

/// What a greeting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Minor version: 0 for ZMTP 3.0, 1 for 3.1.
    pub minor: u8,
    /// Name of the security mechanism, padded with zero bytes.
    pub mechanism: [u8; MECHANISM_LEN],
    /// Whether the sender plays the server of the mechanism.
    pub as_server: bool,
}

/// The first bytes are not the greeting of a peer we can talk to. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GreetingError {
    /// The signature is not `FF … 7F`: another protocol knocked on this port.
    #[error("not a ZMTP peer: the first bytes are not a ZMTP signature; is this port a ZRE mailbox?")]
    NotZmtp,
    /// The first bytes are the length and flags of an identity, which is how ZMTP 1.0 (libzmq 2.x) begins.
    #[error("the peer speaks ZMTP 1.0, which has no greeting; upgrade it to libzmq 4 or newer")]
    Version1,
    /// The peer speaks ZMTP 2.0 (libzmq 3.x) or older, which has no READY and no mechanism.
    #[error("the peer speaks a ZMTP older than 3.0 (version byte {major}); upgrade it to libzmq 4 or newer")]
    OldVersion {
        /// Version byte of the greeting.
        major: u8,
    },
}

impl GreetingError {
    /// The name this cause is counted under.
    pub const fn counter(&self) -> &'static str {
        match self {
            Self::NotZmtp => "greeting_not_zmtp",
            Self::Version1 => "greeting_zmtp_1",
            Self::OldVersion { .. } => "greeting_old_version",
        }
    }
}

impl Greeting {
    /// Bytes in a greeting.
    pub const SIZE: usize = 64;

    /// Our greeting for a mechanism. Names longer than 20 bytes are cut; there are none.
    pub fn new(mechanism: &str, as_server: bool) -> Self {
        let mut padded = [0; MECHANISM_LEN];
        padded.iter_mut().zip(mechanism.bytes()).for_each(|(to, from)| *to = from);
        Self { minor: MINOR, mechanism: padded, as_server }
    }

    /// The bytes to send.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        // RFC 37 pads with zeros; the 1 says "empty ZMTP 1.0 identity" to a peer that old.
        let head = [SIGNATURE_START, 0, 0, 0, 0, 0, 0, 0, 1, SIGNATURE_END, MAJOR, self.minor];
        let tail = [u8::from(self.as_server)];
        let fields = head.iter().chain(&self.mechanism).chain(&tail);
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Reads the greeting at the start of `bytes`; `None` while it is well begun but incomplete.
    ///
    /// # Errors
    /// As soon as a byte rules the greeting out.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, GreetingError> {
        let refuted = |at: usize, expected| bytes.get(at).is_some_and(|byte| *byte != expected);
        if let [first, rest @ ..] = bytes
            && !matches!(*first, 0 | SIGNATURE_START)
        {
            return match rest {
                [] => Ok(None),
                [0, ..] => Err(GreetingError::Version1),
                _ => Err(GreetingError::NotZmtp),
            };
        }
        if refuted(0, SIGNATURE_START) || refuted(9, SIGNATURE_END) {
            return Err(GreetingError::NotZmtp);
        }
        if let Some(&major) = bytes.get(10)
            && major < MAJOR
        {
            return Err(GreetingError::OldVersion { major });
        }
        let Some(whole) = bytes.first_chunk::<{ Self::SIZE }>() else { return Ok(None) };
        let [_, _, _, _, _, _, _, _, _, _, major, minor, ..] = *whole;
        let mut mechanism = [0; MECHANISM_LEN];
        mechanism.iter_mut().zip(whole.iter().skip(MECHANISM)).for_each(|(to, from)| *to = *from);
        Ok(Some(Self {
            minor: if major == MAJOR { minor } else { MINOR },
            mechanism,
            as_server: whole.get(MECHANISM + MECHANISM_LEN).is_some_and(|flag| flag & 1 == 1),
        }))
    }

    /// The mechanism's name without its padding, safe to display.
    pub fn mechanism_name(&self) -> String {
        let name = self.mechanism.split(|byte| *byte == 0).next().unwrap_or_default();
        printable(&String::from_utf8_lossy(name)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_greeting_reads_back() {
        for greeting in [Greeting::new("NULL", false), Greeting::new("CURVE", true)] {
            assert_eq!(Greeting::decode(&greeting.encode()), Ok(Some(greeting)));
        }
        assert_eq!(Greeting::new("CURVE", true).mechanism_name(), "CURVE");
    }

    #[test]
    fn our_greeting_is_the_one_of_the_rfc() {
        let mut expected = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
        expected.extend_from_slice(b"NULL");
        expected.resize(64, 0);
        assert_eq!(Greeting::new("NULL", false).encode().as_slice(), expected);
    }

    #[test]
    fn every_prefix_waits_for_more() {
        let bytes = Greeting::new("NULL", false).encode();
        for end in 0..bytes.len() {
            assert_eq!(Greeting::decode(&bytes[..end]), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn another_protocol_is_refused_by_its_first_bytes() {
        for first in 1..0xFF_u8 {
            assert_eq!(Greeting::decode(&[first]), Ok(None), "it may be an identity of ZMTP 1.0");
            assert_eq!(Greeting::decode(&[first, 1]), Err(GreetingError::NotZmtp));
        }
        assert_eq!(Greeting::decode(&[0]), Err(GreetingError::NotZmtp));
        assert_eq!(Greeting::decode(b"GET / HTTP/1.1\r\n"), Err(GreetingError::NotZmtp));
        assert_eq!(Greeting::decode(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7E]), Err(GreetingError::NotZmtp));
    }

    #[test]
    fn an_identity_of_zmtp_1_is_refused_by_name() {
        let identified = [&[18, 0, 1][..], &[7; 16]].concat();
        for bytes in [&[1, 0][..], &[1, 0, 3, 0], &identified] {
            assert_eq!(Greeting::decode(bytes), Err(GreetingError::Version1));
        }
        for other in [[0, 0], [0x16, 3]] {
            assert_eq!(Greeting::decode(&other), Err(GreetingError::NotZmtp));
        }
    }

    #[test]
    fn the_legacy_length_may_be_anything() {
        let mut bytes = Greeting::new("NULL", false).encode();
        bytes[1..9].copy_from_slice(&[0xAB; 8]);
        assert_eq!(Greeting::decode(&bytes), Ok(Some(Greeting::new("NULL", false))));
    }

    #[test]
    fn zmtp_2_and_older_are_refused_by_name_and_3_0_and_4_accepted() {
        let mut bytes = Greeting::new("NULL", false).encode();
        for major in 0..3 {
            bytes[10] = major;
            assert_eq!(Greeting::decode(&bytes[..11]), Err(GreetingError::OldVersion { major }));
        }
        (bytes[10], bytes[11]) = (3, 0);
        assert_eq!(Greeting::decode(&bytes).unwrap().unwrap().minor, 0);
        (bytes[10], bytes[11]) = (4, 0);
        assert_eq!(Greeting::decode(&bytes).unwrap().unwrap().minor, 1);
    }
}
