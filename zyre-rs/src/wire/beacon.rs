//! The UDP beacon: who is there, on which TCP port (RFC 36 "Node Discovery"; version 3 as RFC 43).
//!
//! Invariant: a decoded beacon was exactly 22 bytes of version 1 or 54 bytes of version 3. The IP
//! address is not inside; it is the datagram's source.

use super::reader::Reader;
use crate::PeerId;

const PREFIX: [u8; 3] = *b"ZRE";
const VERSION_PLAIN: u8 = 1;
const VERSION_SECURED: u8 = 3;
const LEN_PLAIN: usize = 22;
const LEN_SECURED: usize = 54;

/// One announcement on the discovery port.
///
/// Whether plain or secured beacons are welcome is the caller's policy: see
/// [`Beacon::is_secured`]. Never send a secured one to a port that plain nodes share: a datagram of
/// 54 bytes ends pyre's node thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// The node that sent it.
    pub id: PeerId,
    /// TCP port of its mailbox; 0 says that the node is leaving.
    pub port: u16,
    /// Its public CURVE key; present in version 3 only. zyre C takes a key whose first byte is 0 for
    /// none, so do not generate such keys.
    pub key: Option<[u8; 32]>,
}

impl Beacon {
    /// The longest beacon there is. Receive into one byte more, so that an oversized datagram shows.
    pub const MAX_LEN: usize = LEN_SECURED;

    /// True when the node says it is leaving.
    pub const fn is_leaving(&self) -> bool {
        self.port == 0
    }

    /// True for version 3 (with a key), false for version 1. A node is either all plain or all
    /// secured and ignores the beacons of the other kind.
    pub const fn is_secured(&self) -> bool {
        self.key.is_some()
    }

    /// The datagram: 22 bytes of version 1 without a key, 54 bytes of version 3 with one.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN_SECURED);
        out.extend_from_slice(&PREFIX);
        out.push(if self.is_secured() { VERSION_SECURED } else { VERSION_PLAIN });
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend(self.key.iter().flatten());
        out
    }

    /// Reads a datagram; allocates nothing.
    ///
    /// # Errors
    /// When it is not exactly one beacon of version 1 or 3.
    pub fn decode(datagram: &[u8]) -> Result<Self, BeaconError> {
        let length = datagram.len();
        let expected_version = match length {
            LEN_PLAIN => VERSION_PLAIN,
            LEN_SECURED => VERSION_SECURED,
            _ => return Err(BeaconError::WrongSize { length }),
        };
        let wrong_size = |_| BeaconError::WrongSize { length };
        let mut reader = Reader::new(datagram);
        if reader.array().map_err(wrong_size)? != PREFIX {
            return Err(BeaconError::WrongPrefix);
        }
        let version = reader.u8().map_err(wrong_size)?;
        if version != expected_version {
            return Err(BeaconError::WrongVersion { version });
        }
        let id = PeerId::from_bytes(reader.array().map_err(wrong_size)?);
        let port = reader.u16().map_err(wrong_size)?;
        let key = match version {
            VERSION_SECURED => Some(reader.array().map_err(wrong_size)?),
            _ => None,
        };
        Ok(Self { id, port, key })
    }
}

/// Why a datagram is not a beacon. It is to be counted and otherwise ignored: other programs use
/// UDP ports too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// Neither 22 nor 54 bytes.
    #[error("a beacon has 22 or 54 bytes, this datagram has {length}")]
    WrongSize {
        /// Bytes in the datagram.
        length: usize,
    },
    /// It does not begin with `ZRE`: another protocol uses this port.
    #[error("the datagram does not begin with ZRE; choose a port that no other protocol uses")]
    WrongPrefix,
    /// A version that does not belong to its size: only 1 with 22 bytes and 3 with 54 exist.
    #[error("beacon version {version} does not exist in this size")]
    WrongVersion {
        /// The version byte.
        version: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PeerId = PeerId::from_bytes([7; 16]);

    #[test]
    fn every_size_but_22_and_54_is_refused() {
        for length in (0..=200).filter(|length| ![LEN_PLAIN, LEN_SECURED].contains(length)) {
            let mut datagram = b"ZRE\x01".to_vec();
            datagram.resize(length, 0);
            assert_eq!(Beacon::decode(&datagram), Err(BeaconError::WrongSize { length }));
        }
    }

    #[test]
    fn a_version_that_does_not_belong_to_the_size_is_refused() {
        for key in [None, Some([9; 32])] {
            let beacon = Beacon { id: ID, port: 5, key };
            for version in 0..=255 {
                let mut datagram = beacon.encode();
                let right = datagram[3];
                datagram[3] = version;
                let expected =
                    if version == right { Ok(beacon) } else { Err(BeaconError::WrongVersion { version }) };
                assert_eq!(Beacon::decode(&datagram), expected);
            }
        }
    }

    #[test]
    fn another_prefix_is_refused() {
        let mut datagram = Beacon { id: ID, port: 5, key: None }.encode();
        datagram[2] = b'e';
        assert_eq!(Beacon::decode(&datagram), Err(BeaconError::WrongPrefix));
    }

    #[test]
    fn port_0_means_leaving_and_a_key_means_secured() {
        assert!(Beacon { id: ID, port: 0, key: None }.is_leaving());
        assert!(!Beacon { id: ID, port: 1, key: None }.is_leaving());
        assert!(Beacon { id: ID, port: 1, key: Some([1; 32]) }.is_secured());
        assert!(!Beacon { id: ID, port: 1, key: None }.is_secured());
    }
}
