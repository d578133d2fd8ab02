//! A datagram on the discovery port: read as a second reader reads it, and written back byte for byte.

use crate::Target;
use zyre_rs::PeerId;
use zyre_rs::wire::{Beacon, vectors};

pub(crate) const TARGET: Target = Target {
    name: "beacon",
    run,
    seeds: || super::vectors(vectors::BEACONS),
    max_len: 64,
    smoke_runs: 100_000,
};

fn run(data: &[u8]) {
    let decoded = Beacon::decode(data);
    assert_eq!(decoded.ok(), by_offsets(data));
    match decoded {
        Ok(beacon) => {
            assert_eq!(beacon.encode(), data);
            assert_eq!(beacon.is_leaving(), beacon.port == 0);
            assert_eq!(beacon.is_secured(), data.len() == Beacon::MAX_LEN);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The table of the beacon's layout, taken literally.
fn by_offsets(data: &[u8]) -> Option<Beacon> {
    let version = match data.len() {
        22 => 1,
        54 => 3,
        _ => return None,
    };
    if data.get(..4)? != [b'Z', b'R', b'E', version] {
        return None;
    }
    let id = PeerId::from_bytes(data.get(4..20)?.try_into().ok()?);
    let port = u16::from(*data.get(20)?) << 8 | u16::from(*data.get(21)?);
    let key = data.get(22..54).and_then(|key| key.try_into().ok());
    Some(Beacon { id, port, key })
}
