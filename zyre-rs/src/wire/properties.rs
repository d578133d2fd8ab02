//! What holds for all bytes and all values: no panic, and what is written reads back.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::vectors::{BEACONS, GOSSIP, MESSAGES, bytes};
use super::{
    Beacon, Command, Content, Decoded, Endpoint, Hello, HelloFields, decode, decode_content, gossip,
};
use crate::{GroupName, PeerId};

/// Feeds bytes to every decoder; what one accepts must survive being encoded again.
fn decode_all(input: &[u8]) {
    if let Ok(beacon) = Beacon::decode(input) {
        assert_eq!(beacon.encode(), input);
    }
    let decoded = decode(input);
    assert_eq!(decode_content(input), content_of(decoded.as_ref().ok()).as_ref().map(borrowed));
    if let Ok(Decoded { sequence, command }) = decoded {
        let mut encoded = Vec::new();
        command.encode(sequence, &mut encoded);
        assert!(encoded.len() <= input.len());
        assert_eq!(decode(&encoded), Ok(Decoded { sequence, command }));
    }
    if let Ok(message) = gossip::Message::decode(input) {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert!(input.starts_with(&encoded));
    }
    if let Ok(endpoint) = Endpoint::decode(input) {
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint.with_scope(0)));
    }
}

type OwnedContent = (u16, Option<GroupName>);

/// What the full decoder says of content, to hold the fast path against.
fn content_of(decoded: Option<&Decoded>) -> Option<OwnedContent> {
    match decoded? {
        Decoded { sequence, command: Command::Whisper } => Some((*sequence, None)),
        Decoded { sequence, command: Command::Shout { group } } => Some((*sequence, Some(group.clone()))),
        _ => None,
    }
}

fn borrowed((sequence, group): &OwnedContent) -> Content<'_> {
    Content { sequence: *sequence, group: group.as_ref().map(GroupName::as_bytes) }
}

fn vectors() -> impl Iterator<Item = Vec<u8>> {
    [BEACONS, MESSAGES, GOSSIP].into_iter().flatten().map(|(_, hex)| bytes(hex))
}

#[test]
fn no_vector_with_one_byte_changed_panics() {
    for vector in vectors() {
        for (at, value) in (0..vector.len()).flat_map(|at| (0..=255).map(move |value| (at, value))) {
            let mut changed = vector.clone();
            changed[at] = value;
            decode_all(&changed);
        }
    }
}

#[test]
fn no_vector_with_a_length_of_four_billion_anywhere_panics() {
    for vector in vectors() {
        for at in 0..vector.len().saturating_sub(3) {
            let mut changed = vector.clone();
            changed[at..at + 4].fill(0xff);
            decode_all(&changed);
        }
    }
}

fn peer_id() -> impl Strategy<Value = PeerId> {
    any::<[u8; 16]>().prop_map(PeerId::from_bytes)
}

fn group() -> impl Strategy<Value = GroupName> {
    vec(any::<u8>(), 0..=GroupName::MAX_LEN).prop_map(|name| GroupName::from_bytes(&name).unwrap())
}

fn hello() -> impl Strategy<Value = Hello> {
    let short = || vec(any::<u8>(), 0..=255);
    let headers = btree_map(short(), vec(any::<u8>(), 0..600), 0..20);
    (short(), vec(group(), 0..20), any::<u8>(), short(), headers).prop_map(
        |(endpoint, groups, status, name, headers)| {
            let headers = headers.into_iter().rev().collect();
            Hello::new(HelloFields { endpoint, groups, status, name, headers }).unwrap()
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        hello().prop_map(Command::Hello),
        Just(Command::Whisper),
        group().prop_map(|group| Command::Shout { group }),
        (group(), any::<u8>()).prop_map(|(group, status)| Command::Join { group, status }),
        (group(), any::<u8>()).prop_map(|(group, status)| Command::Leave { group, status }),
        Just(Command::Ping),
        Just(Command::PingOk),
        (group(), peer_id()).prop_map(|(group, challenger)| Command::Elect { group, challenger }),
        (group(), peer_id()).prop_map(|(group, leader)| Command::Leader { group, leader }),
        Just(Command::Goodbye),
        (11..=255_u8).prop_map(|id| Command::Unknown { id }),
    ]
}

/// Bytes that get past the signature and version, so that bodies are reached.
fn near_message() -> impl Strategy<Value = Vec<u8>> {
    (0..=12_u8, vec(prop_oneof![0..5_u8, any::<u8>()], 0..200))
        .prop_map(|(id, body)| [&[0xAA, 0xA1, id, 2][..], &body].concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(input in vec(any::<u8>(), 0..300)) {
        decode_all(&input);
    }

    #[test]
    fn no_bytes_with_a_good_signature_panic(input in near_message()) {
        decode_all(&input);
    }

    #[test]
    fn no_text_after_the_scheme_panics(text in "tcp://[\\[\\]%:.0-9a-f]{0,30}") {
        decode_all(text.as_bytes());
    }

    #[test]
    fn every_command_reads_back(sequence in any::<u16>(), command in command()) {
        let mut frame = Vec::new();
        command.encode(sequence, &mut frame);
        decode_all(&frame);
        prop_assert_eq!(decode(&frame), Ok(Decoded { sequence, command }));
    }

    #[test]
    fn every_beacon_reads_back(id in peer_id(), port in any::<u16>(), key in any::<Option<[u8; 32]>>()) {
        let beacon = Beacon { id, port, key };
        prop_assert_eq!(Beacon::decode(&beacon.encode()), Ok(beacon));
    }

    #[test]
    fn every_tuple_reads_back(
        key in vec(any::<u8>(), 0..=gossip::MAX_KEY),
        value in vec(any::<u8>(), 0..=gossip::MAX_VALUE),
        ttl in any::<u32>(),
    ) {
        let message = gossip::Message::Publish(gossip::Publish::new(key, value, ttl).unwrap());
        let mut frame = Vec::new();
        message.encode(&mut frame);
        prop_assert_eq!(gossip::Message::decode(&frame), Ok(message));
    }

    #[test]
    fn every_endpoint_reads_back(address in any::<std::net::SocketAddr>()) {
        if let Ok(endpoint) = Endpoint::new(address) {
            prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint.with_scope(0)));
        }
    }
}
