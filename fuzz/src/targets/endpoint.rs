//! An endpoint's text: what std takes for an address is taken, and what is taken reads back.

use crate::Target;
use std::net::SocketAddr;
use zyre_rs::Endpoint;

pub(crate) const TARGET: Target = Target { name: "endpoint", run, seeds, max_len: 96, smoke_runs: 100_000 };

fn seeds() -> Vec<Vec<u8>> {
    [
        "tcp://1.2.3.4:5",
        "tcp://fd77::1:49152",
        "tcp://[fd77::1]:49152",
        "tcp://[::ffff:1.2.3.4]:5",
        "tcp://1:2:3:4:5:6:7:8:9",
        "tcp://fe80::1%3:49152",
        "tcp://[fe80::1%eth0]:49152",
        "tcp://0.0.0.0:1",
        "tcp://host:1",
        "tcp://[::1",
        "tcp://::1:00080",
        "ipc:///tmp/mailbox",
    ]
    .map(Into::into)
    .into()
}

fn run(data: &[u8]) {
    let decoded = Endpoint::decode_with_zone(data);
    let std: Option<SocketAddr> =
        std::str::from_utf8(data).ok().and_then(|text| text.strip_prefix("tcp://")?.parse().ok());
    match decoded {
        Ok((endpoint, zone)) => {
            assert_eq!(Endpoint::decode(data), Ok(endpoint));
            assert_eq!(Endpoint::new(endpoint.address()), Ok(endpoint));
            assert_eq!(Endpoint::try_from(endpoint.address()), Ok(endpoint));
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint.with_scope(0)), "it reads back");
            assert_ne!(endpoint.port(), 0);
            assert!(!endpoint.ip().is_unspecified());
            assert_eq!(
                (endpoint.ip(), endpoint.port()),
                (endpoint.address().ip(), endpoint.address().port())
            );
            assert!(zone.is_none_or(|zone| !zone.is_empty()));
            // How it is logged is what std reads.
            assert_eq!(format!("{endpoint:?}"), format!("tcp://{}", endpoint.address()));
            if let Some(std) = std {
                assert_eq!(Endpoint::new(std), Ok(endpoint));
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(std.is_none_or(|std| Endpoint::new(std) == Err(error)), "std takes it: {std:?}");
        }
    }
}
