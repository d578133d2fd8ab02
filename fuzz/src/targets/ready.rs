//! The body of a command: what it is, and the metadata in READY as a second reader reads it.
//!
//! The first byte chooses: a command as it is, or the metadata of a READY for one of our sides.

use crate::Target;
use zyre_rs::PeerId;
use zyre_rs::zmtp::{
    Command, CommandError, Greeting, Handshake, HandshakeError, Identities, MAX_PROPERTIES, Mechanism,
    Metadata, Received, Role, Status, answer, peer_id, put_command,
};

pub(crate) const TARGET: Target = Target { name: "ready", run, seeds, max_len: 1024, smoke_runs: 40_000 };

fn seeds() -> Vec<Vec<u8>> {
    let node: Vec<u8> = [1].into_iter().chain([7; 16]).collect();
    let ready = |socket_type: &str, identity: &[u8]| {
        Metadata::default().with("Socket-Type", socket_type.as_bytes()).with("Identity", identity).encode()
    };
    let with = |choice: u8, bytes: &[u8]| [&[choice], bytes].concat();
    vec![
        with(0, b"\x05READY"),
        with(0, &[b"\x05READY".as_slice(), &ready("DEALER", &node)].concat()),
        with(0, b"\x05ERROR\x03400"),
        with(0, b"\x05ERROR\x09"),
        with(0, b"\x04PING\x00\x07context"),
        with(0, b"\x04PING\x00"),
        with(0, b"\x04PING\x00\x07a context of more"),
        with(0, b"\x04PONGcontext"),
        with(0, b"\x09SUBSCRIBEtopic"),
        with(0, b"\x00"),
        with(1, &ready("DEALER", &node)),
        with(1, &ready("DEALER", &[2; 17])),
        with(1, &ready("DEALER", b"")),
        with(1, &ready("REQ", &node)),
        with(2, &ready("DEALER", b"")),
        with(2, &ready("DEALER", &[5; 256])),
        with(3, &ready("ROUTER", b"")),
        with(3, b""),
        with(1, &[ready("DEALER", &node), ready("DEALER", &node)].concat()),
        with(1, &b"\x01a\0\0\0\0".repeat(2)),
        with(1, &(0..=32_u8).flat_map(|n| [2, b'A' + n / 8, b'0' + n % 8, 0, 0, 0, 0]).collect::<Vec<_>>()),
    ]
}

fn run(data: &[u8]) {
    let [choice, bytes @ ..] = data else { return };
    match choice & 3 {
        0 => command(bytes),
        1 => handshake(bytes, Role::Router { accept: Identities::Nodes }, "DEALER"),
        2 => handshake(bytes, Role::Router { accept: Identities::Any }, "DEALER"),
        _ => handshake(bytes, Role::dealer(PeerId::from_bytes([3; 16])), "ROUTER"),
    }
}

fn command(body: &[u8]) {
    let mut said = Vec::new();
    let received = answer(body, &mut said);
    let decoded = Command::decode(body);
    match (decoded, received) {
        (Err(error), Err(same)) => {
            assert_eq!(error, same);
            assert!(!error.to_string().is_empty() && !error.counter().is_empty());
        }
        (Ok(Command::Ping { ttl, context }), Ok(received)) => {
            assert_eq!(received, Received::Ping { ttl });
            assert!(said.ends_with(context) && said.len() == 7 + context.len());
        }
        (Ok(Command::Pong { .. }), Ok(received)) => assert_eq!(received, Received::Pong),
        (Ok(Command::Error { .. }), Ok(Received::Error { reason })) => {
            assert!(!reason.chars().any(char::is_control), "{reason:?} is safe to display");
        }
        (Ok(Command::Ready { metadata }), Ok(received)) => {
            assert_eq!(received, Received::Ignored);
            let _ = properties(metadata);
        }
        (Ok(Command::Other { name }), Ok(received)) => {
            assert_eq!(received, Received::Ignored);
            assert!((1..=255).contains(&name.len()));
        }
        (decoded, received) => panic!("{decoded:?}, but {received:?}"),
    }
}

/// Two readers of metadata agree.
fn properties(bytes: &[u8]) -> Result<Metadata, CommandError> {
    let decoded = Metadata::decode(bytes);
    let plain = plain_properties(bytes);
    match &decoded {
        Ok(metadata) => {
            let plain = plain.expect("both read it");
            assert!(metadata.iter().eq(plain.iter().map(|(name, value)| (name.as_str(), value.as_slice()))));
            assert!(plain.iter().all(|(name, value)| metadata.get(&name.to_uppercase()) == Some(value)));
            assert_eq!(metadata.encode(), bytes);
        }
        Err(error) => {
            assert!(plain.is_none(), "{error} in {plain:?}");
            assert!(!error.counter().is_empty());
        }
    }
    decoded
}

fn plain_properties(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut properties: Vec<(String, Vec<u8>)> = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_at_checked(4)?;
        let length = length.iter().fold(0, |number, byte| number * 256 + usize::from(*byte));
        let (value, rest) = rest.split_at_checked(length)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        let is_new = !properties.iter().any(|(known, _)| known.to_lowercase() == name.to_lowercase());
        if name.is_empty() || !name.chars().all(is_name) || !is_new {
            return None;
        }
        properties.push((name, value.to_vec()));
        bytes = rest;
    }
    (properties.len() <= MAX_PROPERTIES).then_some(properties)
}

/// A READY with this metadata, for a side that waits for it.
fn handshake(metadata: &[u8], role: Role, wanted: &str) {
    let nodes_only = role == (Role::Router { accept: Identities::Nodes });
    let mut handshake = Handshake::new(role, Mechanism::Null);
    let mut input = Greeting::new("NULL", false).encode().to_vec();
    put_command(&mut input, b"READY", metadata);
    let received = handshake.receive(&input);
    assert!(handshake.take_output().len() > Greeting::SIZE, "greeting and READY go out at once");
    let known = properties(metadata);
    match received {
        Ok((consumed, Status::Done(peer))) => {
            assert_eq!(consumed, input.len());
            assert_eq!(known.as_ref(), Ok(&peer.metadata));
            assert_eq!(peer.metadata.get("socket-type"), Some(wanted.as_bytes()));
            assert_eq!(peer.socket_type.name(), wanted);
            assert!(peer.identity.len() <= 255);
            assert_eq!(peer.metadata.get("identity").unwrap_or_default(), peer.identity);
            if nodes_only {
                let (id, usual) = peer_id(&peer.identity).expect("a node");
                assert!(peer.identity.ends_with(id.as_bytes()) && peer.identity.len() == 17);
                assert_eq!(usual, peer.identity.first() == Some(&1));
            }
        }
        Ok((_, Status::Pending)) => panic!("all is here"),
        Err(HandshakeError::Command(error)) => assert_eq!(known, Err(error)),
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.counter().is_empty());
            // Too long for a command, or well-formed and not what we want.
            let too_long = matches!(error, HandshakeError::Frame(_));
            assert!(too_long || known.is_ok(), "{error}");
        }
    }
}
