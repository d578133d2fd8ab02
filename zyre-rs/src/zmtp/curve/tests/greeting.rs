//! The exchange inside a whole handshake, greeting included.

use super::{client, open, seal, server};
use crate::PeerId;
use crate::zmtp::{Decoder, Greeting, Handshake, Identities, Limits, Peer, Role, Status, Step, put_message};

pub(super) fn our_dealer() -> Handshake {
    Handshake::new(Role::dealer(PeerId::from_bytes([7; 16])), client())
}

pub(super) fn our_router() -> Handshake {
    Handshake::new(Role::Router { accept: Identities::Nodes }, server())
}

/// Says all that waits to be said, in pieces; returns who has spoken once the hearer knows.
fn say(speaker: &mut Handshake, hearer: &mut Handshake, size: usize) -> Option<Peer> {
    let (mut buffer, mut done) = (Vec::new(), None);
    for piece in speaker.take_output().chunks(size) {
        buffer.extend_from_slice(piece);
        let (consumed, status) = hearer.receive(&buffer).unwrap();
        buffer.drain(..consumed);
        done = if let Status::Done(peer) = status { Some(peer) } else { done };
    }
    assert!(buffer.is_empty());
    done
}

#[test]
fn two_of_ours_greet_and_exchange_messages_however_the_bytes_are_cut() {
    for cut in [1, 3, 64, 200, 10_000] {
        let (mut one, mut other) = (our_dealer(), our_router());
        // Greetings, HELLO, WELCOME, INITIATE.
        assert_eq!(say(&mut other, &mut one, cut), None);
        assert_eq!(say(&mut one, &mut other, cut), None);
        assert_eq!(say(&mut other, &mut one, cut), None);
        let dealer = say(&mut one, &mut other, cut).expect("INITIATE says it");
        assert_eq!(dealer.identity, [&[1], [7; 16].as_slice()].concat());
        assert!(say(&mut other, &mut one, cut).is_some(), "READY says it");
        let (mut sender, mut receiver) =
            (one.into_mechanism().into_traffic().unwrap(), other.into_mechanism().into_traffic().unwrap());
        let mut plain = Vec::new();
        put_message(&mut plain, &["HELLO"]);
        let opened = open(&mut receiver.opener, &seal(&mut sender.sealer, &plain)).unwrap();
        let mut decoder = Decoder::new(Limits::default());
        let Ok(Step::Message(message)) = decoder.next(&opened) else { panic!("whole") };
        assert_eq!(message.frame(0), Some(b"HELLO".as_slice()));
    }
}

#[test]
fn nothing_is_said_to_a_peer_before_it_has_named_the_same_mechanism() {
    assert_eq!(our_dealer().take_output().len(), 64);
    let mut handshake = our_dealer();
    let _ = handshake.take_output();
    for (name, counter) in [
        ("NULL", "handshake_null_refused"),
        ("PLAIN", "handshake_plain_refused"),
        ("GSSAPI", "handshake_mechanism_mismatch"),
    ] {
        for mut handshake in [our_dealer(), our_router()] {
            let _ = handshake.take_output();
            let greeting = Greeting::new(name, false).encode();
            assert_eq!(handshake.receive(&greeting).unwrap_err().counter(), counter);
            assert!(handshake.take_output().is_empty());
        }
    }
}

#[test]
fn the_servers_flag_in_the_greeting_is_not_asked_for() {
    // libzmq says 0 on both sides.
    let mut handshake = our_dealer();
    let _ = handshake.take_output();
    let greeting = Greeting::new("CURVE", false).encode();
    assert!(handshake.receive(&greeting).is_ok());
    assert_eq!(handshake.take_output().len(), 2 + 200);
}

#[test]
fn a_command_of_more_than_4_kib_is_refused_unopened() {
    let mut handshake = our_router();
    let mut bytes = Greeting::new("CURVE", false).encode().to_vec();
    bytes.extend([6, 0, 0, 0, 0, 0, 0, 0x10, 1]);
    assert_eq!(handshake.receive(&bytes).unwrap_err().counter(), "frame_command_too_large");
}
