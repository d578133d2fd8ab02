//! Gossip frames: read as a second reader reads them, written back, and taken by a table that must stay sound.

use crate::Target;
use crate::curve_peer::{byte, some_bytes};
use arbitrary::Unstructured;
use std::net::SocketAddr;
use zyre_rs::fuzzing::GossipStep;
use zyre_rs::wire::gossip::{GossipError, MAX_KEY, MAX_VALUE, Message, Publish};
use zyre_rs::wire::vectors;
use zyre_rs::{Endpoint, PeerId, PublicKey};

pub(crate) const TARGET: Target = Target { name: "gossip", run, seeds, max_len: 5_000, smoke_runs: 5_000 };

fn seeds() -> Vec<Vec<u8>> {
    // 0xAA begins a frame, anything else a story.
    let stories = [
        &[1, 0, 3, 1, 0, 3, 2, 3, 1, 1, 3, 4, 0, 3, 3, 5, 0, 6][..],
        &[1, 0, 3, 1, 2, 3, 5, 2, 1, 0, 0, 5, 7, 7, 6, 6, 6],
        &[0, 1, 4, 0xAA, 0xA0, 5, 1, 6, 0, 1, 4, 0xAA, 0xA0, 5, 1, 0, 1, 4, 0xAA, 0xA0, 5, 1, 6],
        &[7, 0, 3, 9, b'i', b'p', b'c', b':', b'/', b'/', b'x', b'|', b'y', 7, 0, 3, 1, b'x'],
    ];
    let mut long = vec![0xAA, 0xA0, 2, 1, 1, b'k', 0, 0, 16, 1];
    long.resize(long.len() + MAX_VALUE + 5, b'v');
    super::vectors(vectors::GOSSIP).into_iter().chain(stories.map(Vec::from)).chain([long]).collect()
}

fn run(data: &[u8]) {
    if data.first() == Some(&0xAA) {
        return frame(data);
    }
    let mut u = Unstructured::new(data);
    let mut steps = Vec::new();
    while !u.is_empty() && steps.len() < 200 {
        steps.push(step(&mut u));
    }
    // Half of the stories are told to a node with a key.
    let key = Some(PublicKey::from_bytes([5; 32])).filter(|_| data.len() % 2 == 1);
    zyre_rs::fuzzing::gossip(id(0), endpoint(0), key, steps);
}

fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

fn endpoint(n: u8) -> Endpoint {
    Endpoint::new(SocketAddr::from(([10, 0, 0, n], 5000))).unwrap_or_else(|error| panic!("{error}"))
}

fn step(u: &mut Unstructured<'_>) -> GossipStep {
    match byte(u) % 8 {
        0 => GossipStep::Frame(byte(u).into(), some_bytes(u).to_vec()),
        1 => {
            let (link, peer, at) = (byte(u), byte(u), byte(u) % 8);
            tuple(link, id(peer), endpoint(at).to_string().as_bytes())
        }
        2 => GossipStep::Alive(id(byte(u)), true),
        3 => GossipStep::Alive(id(byte(u)), false),
        4 => GossipStep::Closed(byte(u).into()),
        5 => GossipStep::Moved(endpoint(byte(u))),
        6 => GossipStep::Beat,
        _ => {
            let (link, peer) = (byte(u), byte(u));
            tuple(link, id(peer), some_bytes(u))
        }
    }
}

fn tuple(link: u8, peer: PeerId, value: &[u8]) -> GossipStep {
    let mut frame = Vec::new();
    let tuple = Publish::new(peer.to_string(), value, 0);
    tuple.map(Message::Publish).into_iter().for_each(|message| message.encode(&mut frame));
    GossipStep::Frame(link.into(), frame)
}

fn frame(data: &[u8]) {
    let decoded = Message::decode(data);
    let plain = by_the_table(data);
    match decoded {
        Ok(message) => {
            let (id, body) = plain.expect("both read it");
            let mut encoded = Vec::new();
            message.encode(&mut encoded);
            assert!(data.starts_with(&encoded), "bytes after the last field are ignored");
            assert_eq!(encoded.get(2), Some(&id));
            match (message, body) {
                (Message::Publish(tuple), Some((key, value, ttl))) => {
                    assert_eq!((tuple.key(), tuple.value(), tuple.ttl()), (key, value, ttl));
                    assert_eq!(Publish::new(key, value, ttl), Ok(tuple));
                }
                (Message::Publish(_), None) | (_, Some(_)) => panic!("{id}"),
                _ => {}
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(plain.is_none(), "{error}");
            if let GossipError::ValueTooLong { length } | GossipError::KeyTooLong { length } = error {
                let refused = Publish::new(vec![0; length.min(MAX_KEY)], vec![0; length], 0);
                assert_eq!(refused, Err(GossipError::ValueTooLong { length }));
            }
        }
    }
}

type Tuple<'a> = (&'a [u8], &'a [u8], u32);

/// The id, and the body of a PUBLISH.
fn by_the_table(data: &[u8]) -> Option<(u8, Option<Tuple<'_>>)> {
    let [0xAA, 0xA0, id @ 1..=5, 1, rest @ ..] = data else { return None };
    if *id != 2 {
        return Some((*id, None));
    }
    let (length, rest) = rest.split_first()?;
    let (key, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let ttl = u32::from_be_bytes(*rest.first_chunk()?);
    (value.len() <= MAX_VALUE).then_some((*id, Some((key, value, ttl))))
}
