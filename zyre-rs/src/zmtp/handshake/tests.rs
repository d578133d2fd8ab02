use proptest::prelude::*;

use super::*;
use crate::zmtp::command::{put_command, put_error, put_ping};
use crate::zmtp::put_message;

const UUID: [u8; 16] = *b"\x27\x6a\x57\x76\x40\x3e\x4d\xf4\xbf\x69\x12\x8f\x8f\x89\x94\xad";

fn greeting(length: u8) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, length, 0x7F, 3, 1];
    bytes.extend_from_slice(b"NULL");
    bytes.resize(64, 0);
    bytes
}

/// The opening of pyre's DEALER as captured on the wire.
fn captured_dealer() -> Vec<u8> {
    let ready = b"\x04\x3a\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x11\x01";
    [greeting(0x12).as_slice(), ready, &UUID].concat()
}

/// The opening of pyre's ROUTER as captured on the wire.
fn captured_router() -> Vec<u8> {
    let ready = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";
    [greeting(1).as_slice(), ready].concat()
}

fn router() -> Handshake {
    Handshake::new(Role::Router { accept: Identities::Nodes }, Mechanism::Null)
}

fn dealer() -> Handshake {
    Handshake::new(Role::dealer(PeerId::from_bytes(UUID)), Mechanism::Null)
}

fn ready(properties: &Metadata) -> Vec<u8> {
    let mut bytes = greeting(1);
    put_command(&mut bytes, b"READY", &properties.encode());
    bytes
}

/// Feeds the pieces as a reader would; stops at the end of the handshake.
fn feed<'a>(
    handshake: &mut Handshake,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<(Peer, Vec<u8>)>, HandshakeError> {
    let (mut buffer, mut done) = (Vec::new(), None);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if done.is_none() {
            let (consumed, status) = handshake.receive(&buffer)?;
            buffer.drain(..consumed);
            assert!(buffer.len() < Handshake::MAX_INPUT || status != Status::Pending);
            done = if let Status::Done(peer) = status { Some(peer) } else { None };
        }
    }
    Ok(done.map(|peer| (peer, buffer)))
}

fn refusal(handshake: &mut Handshake, bytes: &[u8]) -> HandshakeError {
    feed(handshake, [bytes]).expect_err("refused")
}

#[test]
fn the_captured_openings_are_ours_byte_for_byte() {
    let mut captured = captured_dealer();
    captured[8] = 1;
    assert_eq!(dealer().take_output(), captured);
    assert_eq!(router().take_output(), captured_router());
}

#[test]
fn a_captured_dealer_is_let_into_the_mailbox() {
    let (peer, rest) = feed(&mut router(), [captured_dealer().as_slice()]).unwrap().unwrap();
    assert_eq!(peer.socket_type, SocketType::Dealer);
    assert_eq!(peer_id(&peer.identity), Ok((PeerId::from_bytes(UUID), true)));
    assert_eq!((peer.minor, rest.len()), (1, 0));
}

#[test]
fn a_link_reaches_a_captured_router() {
    let (peer, _) = feed(&mut dealer(), [captured_router().as_slice()]).unwrap().unwrap();
    assert_eq!((peer.socket_type, peer.identity.as_slice()), (SocketType::Router, b"".as_slice()));
}

#[test]
fn messages_in_the_segment_of_the_ready_stay_for_the_decoder() {
    let mut bytes = captured_dealer();
    put_message(&mut bytes, &["HELLO"]);
    let (_, rest) = feed(&mut router(), [bytes.as_slice()]).unwrap().unwrap();
    assert_eq!(rest, b"\x00\x05HELLO");
}

#[test]
fn two_of_ours_meet_however_the_bytes_are_cut() {
    let (from_dealer, from_router) = (dealer().take_output(), router().take_output());
    for at in 0..=from_dealer.len() {
        let (left, right) = from_dealer.split_at(at);
        let (peer, rest) = feed(&mut router(), [left, right]).unwrap().expect("done");
        assert_eq!((peer.identity.len(), rest.len()), (17, 0), "cut at {at}");
    }
    for at in 0..=from_router.len() {
        let (left, right) = from_router.split_at(at);
        assert!(feed(&mut dealer(), [left, right]).unwrap().is_some(), "cut at {at}");
    }
    assert!(feed(&mut router(), from_dealer.chunks(1)).unwrap().is_some());
    assert!(feed(&mut dealer(), from_router.chunks(1)).unwrap().is_some());
}

#[test]
fn every_prefix_waits_for_more() {
    let bytes = captured_dealer();
    for end in 0..bytes.len() {
        assert_eq!(feed(&mut router(), [&bytes[..end]]), Ok(None), "{end} bytes");
    }
}

#[test]
fn no_byte_flip_panics_or_hangs_on() {
    for at in 0..captured_dealer().len() {
        for bit in 0..8 {
            let mut bytes = captured_dealer();
            bytes[at] ^= 1 << bit;
            let whole = feed(&mut router(), [bytes.as_slice()]);
            assert_eq!(whole, feed(&mut router(), bytes.chunks(1)), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn another_mechanism_is_refused_before_its_commands() {
    let theirs = Greeting::new("CURVE", false).encode();
    let error = HandshakeError::MechanismMismatch { ours: "NULL", theirs: "CURVE".to_owned() };
    assert_eq!(refusal(&mut router(), &theirs), error);
    let longer = Greeting::new("NULLX", false).encode();
    assert_eq!(refusal(&mut router(), &longer).counter(), "handshake_mechanism_mismatch");
}

#[test]
fn a_zmtp_3_0_peer_with_property_names_in_any_case_is_accepted() {
    let mut bytes = ready(&Metadata::default().with("SOCKET-TYPE", b"ROUTER").with("x-new.one", b"1"));
    bytes[11] = 0;
    let (peer, _) = feed(&mut dealer(), [bytes.as_slice()]).unwrap().unwrap();
    assert_eq!(peer.minor, 0);
    assert_eq!(peer.metadata.get("X-New.One"), Some(b"1".as_slice()));
}

#[test]
fn another_protocol_or_an_old_one_is_refused_at_once() {
    assert_eq!(refusal(&mut router(), b"GE").counter(), "greeting_not_zmtp");
    let mut old = greeting(1);
    old[10] = 1;
    assert_eq!(refusal(&mut router(), &old[..11]).counter(), "greeting_old_version");
}

#[test]
fn a_message_before_ready_is_refused_by_its_first_bytes() {
    let bytes = [greeting(1).as_slice(), b"\x02\0\0\0\0\0\0\0\x09"].concat();
    assert_eq!(refusal(&mut router(), &bytes), HandshakeError::MessageBeforeReady);
}

#[test]
fn a_giant_command_before_ready_is_refused_by_its_header() {
    let bytes = [greeting(1).as_slice(), b"\x06\0\0\0\0\0\0\x10\x01"].concat();
    let error = FrameError::CommandTooLarge { claimed: 4097 };
    assert_eq!(refusal(&mut router(), &bytes), HandshakeError::Frame(error));
}

#[test]
fn only_ready_has_a_place_in_the_handshake() {
    let mut ping = greeting(1);
    put_ping(&mut ping, 0);
    assert_eq!(refusal(&mut router(), &ping), HandshakeError::UnexpectedCommand);
    let mut unknown = greeting(1);
    put_command(&mut unknown, b"SUBSCRIBE", b"");
    assert_eq!(refusal(&mut router(), &unknown), HandshakeError::UnexpectedCommand);
}

#[test]
fn the_reason_of_a_refusal_is_told() {
    let mut bytes = greeting(1);
    put_error(&mut bytes, "go\u{7}away");
    let error = refusal(&mut dealer(), &bytes);
    assert_eq!(error.to_string(), "the peer refused the connection: go\\u{7}away");
}

#[test]
fn a_dealer_talks_to_a_router_and_to_nothing_else() {
    for socket_type in ["DEALER", "REP", "PUB", "router", ""] {
        let bytes = ready(&Metadata::default().with("Socket-Type", socket_type.as_bytes()));
        assert_eq!(refusal(&mut dealer(), &bytes).counter(), "handshake_socket_type_mismatch");
    }
    let bytes = ready(&Metadata::default().with("Identity", b""));
    assert_eq!(refusal(&mut dealer(), &bytes), HandshakeError::NoSocketType);
}

#[test]
fn the_mailbox_of_a_node_refuses_identities_that_are_not_17_bytes() {
    for length in [0, 1, 16, 18, 255] {
        let with = |n| Metadata::default().with("Socket-Type", b"DEALER").with("Identity", &vec![1; n]);
        let bytes = ready(&with(length));
        let error = HandshakeError::NotANode(IdentityError { length });
        assert_eq!(refusal(&mut router(), &bytes), error);
        let mut open = Handshake::new(Role::Router { accept: Identities::Any }, Mechanism::Null);
        let (peer, _) = feed(&mut open, [bytes.as_slice()]).unwrap().unwrap();
        assert_eq!(peer.identity.len(), length);
        let mut open = Handshake::new(Role::Router { accept: Identities::Any }, Mechanism::Null);
        assert_eq!(refusal(&mut open, &ready(&with(256))), HandshakeError::IdentityTooLong { length: 256 });
    }
}

#[test]
fn an_anonymous_dealer_is_for_those_who_accept_any() {
    let bytes = ready(&Metadata::default().with("Socket-Type", b"DEALER"));
    assert_eq!(refusal(&mut router(), &bytes).counter(), "handshake_not_a_node");
    let mut open = Handshake::new(Role::Router { accept: Identities::Any }, Mechanism::Null);
    assert!(feed(&mut open, [bytes.as_slice()]).unwrap().is_some());
}

#[test]
fn another_first_byte_of_an_identity_is_accepted_and_told() {
    let mut identity = [2; 17];
    assert_eq!(peer_id(&identity), Ok((PeerId::from_bytes([2; 16]), false)));
    identity[0] = 1;
    assert_eq!(peer_id(&identity), Ok((PeerId::from_bytes([2; 16]), true)));
    assert_eq!(peer_id(b""), Err(IdentityError { length: 0 }));
    assert_eq!(peer_id(&[1; 16]), Err(IdentityError { length: 16 }));
}

#[test]
fn every_error_is_counted_under_its_own_name() {
    let text = String::new;
    let errors = [
        GreetingError::NotZmtp.into(),
        GreetingError::OldVersion { major: 1 }.into(),
        FrameError::CommandWithMore.into(),
        CommandError::Nameless.into(),
        CommandError::TruncatedMetadata.into(),
        CommandError::TooManyProperties.into(),
        CommandError::InvalidPropertyName.into(),
        CommandError::DuplicateProperty.into(),
        CommandError::TruncatedError.into(),
        CommandError::TruncatedPing.into(),
        CommandError::PingContextTooLong.into(),
        HandshakeError::MechanismMismatch { ours: "NULL", theirs: text() },
        HandshakeError::MessageBeforeReady,
        HandshakeError::UnexpectedCommand,
        HandshakeError::Refused { reason: text() },
        HandshakeError::NoSocketType,
        HandshakeError::SocketTypeMismatch { wanted: "ROUTER", theirs: text() },
        HandshakeError::IdentityTooLong { length: 256 },
        IdentityError { length: 0 }.into(),
    ];
    let names: std::collections::BTreeSet<_> = errors.iter().map(HandshakeError::counter).collect();
    assert_eq!(names.len(), errors.len());
}

proptest! {
    #[test]
    fn arbitrary_bytes_end_the_same_however_they_are_cut(
        start in 0..=90_usize,
        junk in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = captured_dealer();
        bytes.truncate(start);
        bytes.extend_from_slice(&junk);
        let whole = feed(&mut router(), [bytes.as_slice()]);
        let (left, right) = bytes.split_at(at.index(bytes.len() + 1));
        prop_assert_eq!(whole, feed(&mut router(), [left, right]));
    }
}
