mod greeting;

use super::*;
use crate::zmtp::{
    HandshakeError, Header, Mechanism, Progress, put_command, put_frame, put_message, put_ping,
};
use bytes::BytesMut;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const HELLO: usize = 0;
const INITIATE: usize = 2;

fn pair(n: u8) -> KeyPair {
    KeyPair::from_secret([n; 32])
}

fn fresh(n: u8) -> Fresh {
    Fresh::new(std::array::from_fn(|at| n.wrapping_mul(97).wrapping_add(at as u8)))
}

fn everyone() -> Gate {
    Arc::new(|_| Ok(()))
}

fn client() -> Mechanism {
    Mechanism::client(Client::new(pair(1), pair(2).public(), &fresh(1)))
}

fn server() -> Mechanism {
    server_with(&[2], everyone())
}

fn server_with(keys: &[u8], gate: Gate) -> Mechanism {
    Mechanism::server(Server::new(keys.iter().map(|n| pair(*n)).collect(), gate, fresh(2)))
}

fn dealer() -> Metadata {
    Metadata::default().with("Socket-Type", b"DEALER").with("Identity", &[1; 17])
}

fn router() -> Metadata {
    Metadata::default().with("Socket-Type", b"ROUTER").with("Identity", b"")
}

/// The body of the one command frame that this is.
fn body(frame: &[u8]) -> Vec<u8> {
    let header = Header::decode(frame).unwrap().unwrap();
    assert!(header.command && header.size + header.body as usize == frame.len());
    frame[header.size..].to_vec()
}

/// Lets two mechanisms talk. `change` sees the body of each command before the other side does.
fn exchange(
    mut client: Mechanism,
    mut server: Mechanism,
    mut change: impl FnMut(usize, &mut Vec<u8>),
) -> Result<(Box<Traffic>, Box<Traffic>), HandshakeError> {
    let mut out = Vec::new();
    server.start(&router(), &mut out);
    assert!(out.is_empty(), "the client begins");
    client.start(&dealer(), &mut out);
    for (number, theirs) in [None, None, Some(dealer()), Some(router())].into_iter().enumerate() {
        let mut command = body(&std::mem::take(&mut out));
        change(number, &mut command);
        let hearer = if number % 2 == 0 { &mut server } else { &mut client };
        let progress = hearer.on_command(&command, &mut out)?;
        assert_eq!(progress, theirs.map_or(Progress::Continue, Progress::Done));
    }
    assert!(out.is_empty());
    Ok((client.into_traffic().unwrap(), server.into_traffic().unwrap()))
}

/// A client's half and its server's.
pub(crate) fn joined() -> (Traffic, Traffic) {
    let (client, server) = exchange(client(), server(), |_, _| {}).unwrap();
    (*client, *server)
}

/// What an exchange says that was overheard.
fn overheard() -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    exchange(client(), server(), |_, command| said.push(command.clone())).unwrap();
    said
}

fn refusal(client: Mechanism, server: Mechanism, change: impl FnMut(usize, &mut Vec<u8>)) -> HandshakeError {
    exchange(client, server, change).map(|_| ()).expect_err("refused")
}

fn seal(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    sealer.seal_frames(&mut sealed, plain).unwrap();
    sealed
}

fn open(opener: &mut Opener, sealed: &[u8]) -> Result<BytesMut, CurveError> {
    let mut plain = BytesMut::new();
    opener.open_frames(sealed, &mut plain, 1 << 20).map(|_| plain)
}

#[test]
fn the_commands_have_the_sizes_of_libzmq_and_prove_both_keys() {
    let said = overheard();
    assert_eq!(said.iter().map(Vec::len).collect::<Vec<_>>(), [200, 168, 309, 65]);
    for (command, start) in
        said.iter().zip([b"\x05HELLO\x01\x00".as_slice(), b"\x07WELCOME", b"\x08INITIATE", b"\x05READY"])
    {
        assert!(command.starts_with(start));
    }
    assert_eq!(said[HELLO][8..80], [0; 72]);
    assert_eq!(said[HELLO][112..120], 1_u64.to_be_bytes());
    assert_eq!(said[INITIATE][105..113], 2_u64.to_be_bytes());
    let (client, server) = joined();
    assert_eq!(client.peer, pair(2).public());
    assert_eq!(server.peer, pair(1).public());
}

#[test]
fn equal_keys_and_random_bytes_say_the_same_and_others_do_not() {
    assert_eq!(overheard(), overheard());
    let other = Mechanism::client(Client::new(pair(1), pair(2).public(), &fresh(3)));
    let mut said = Vec::new();
    exchange(other, server(), |_, command| said.push(command.clone())).unwrap();
    assert!(said.iter().zip(overheard()).all(|(one, other)| *one != other));
}

#[test]
fn frames_of_every_shape_come_out_as_they_went_in() {
    let (mut client, mut server) = joined();
    for length in [0, 1, 2, 100, 221, 222, 223, 254, 255, 256, 257, 70_000] {
        let mut plain = Vec::new();
        put_message(&mut plain, &[vec![7; length], vec![8; length / 2]]);
        let sealed = seal(&mut client.sealer, &plain);
        assert_eq!(sealed.len(), sealed_size(length) + sealed_size(length / 2));
        assert_eq!(open(&mut server.opener, &sealed).unwrap(), plain, "{length}");
        let sealed = seal(&mut server.sealer, &plain);
        assert_eq!(open(&mut client.opener, &sealed).unwrap(), plain, "{length}");
    }
    let mut ping = Vec::new();
    put_ping(&mut ping, 30);
    assert_eq!(open(&mut server.opener, &seal(&mut client.sealer, &ping)).unwrap(), ping);
}

#[test]
fn a_message_looks_as_that_of_libzmq_and_the_counters_go_on_after_the_exchange() {
    let (mut client, mut server) = joined();
    let mut plain = Vec::new();
    put_frame(&mut plain, &[9; 102], true);
    let sealed = seal(&mut client.sealer, &plain);
    assert_eq!(sealed[..18], *b"\x00\x87\x07MESSAGE\x00\x00\x00\x00\x00\x00\x00\x03");
    let sealed = seal(&mut server.sealer, &plain);
    assert_eq!(sealed[10..18], 2_u64.to_be_bytes());
}

#[test]
fn however_the_bytes_are_cut_the_same_frames_come_out() {
    let (mut client, _) = joined();
    let mut plain = Vec::new();
    put_message(&mut plain, &[vec![1; 3], vec![2; 300]]);
    put_message(&mut plain, &["last"]);
    let sealed = seal(&mut client.sealer, &plain);
    for size in [1, 2, 7, 50, 1000] {
        let (_, mut server) = joined();
        let (mut buffer, mut got) = (Vec::new(), BytesMut::new());
        for piece in sealed.chunks(size) {
            buffer.extend_from_slice(piece);
            let opened = server.opener.open_frames(&buffer, &mut got, 1000).unwrap();
            buffer.drain(..opened.consumed);
            assert!(opened.missing > 0);
        }
        assert_eq!((got, buffer.len()), (BytesMut::from(plain.as_slice()), 0));
    }
}

#[test]
fn every_prefix_of_every_command_is_refused() {
    let said = overheard();
    for (number, command) in said.iter().enumerate() {
        for end in 0..command.len() {
            refusal(client(), server(), |n, command| {
                if n == number {
                    command.truncate(end)
                }
            });
        }
        refusal(client(), server(), |n, command| {
            if n == number {
                command.push(0)
            }
        });
    }
}

#[test]
fn a_flipped_bit_anywhere_in_any_command_ends_the_exchange() {
    for (number, command) in overheard().iter().enumerate() {
        for at in 0..command.len() {
            let bit = 1 << (at % 8);
            refusal(client(), server(), |n, command| {
                if n == number {
                    command[at] ^= bit
                }
            });
        }
    }
    // X25519 does not look at the highest bit of a key. The vouch does.
    let error = refusal(client(), server(), |n, command| {
        if n == HELLO {
            command[111] ^= 0x80
        }
    });
    assert_eq!(error, CurveError::ClientForged.into());
}

#[test]
fn a_flipped_bit_anywhere_in_a_message_is_refused() {
    let (mut sender, _) = joined();
    let mut plain = Vec::new();
    put_frame(&mut plain, b"text", false);
    let sealed = seal(&mut sender.sealer, &plain);
    // The counter's bits among them: a higher one passes the comparison and makes another box.
    for bit in 0..sealed.len() * 8 {
        let (_, mut receiver) = joined();
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let got = open(&mut receiver.opener, &changed);
        assert!(got.as_ref().map_or(true, BytesMut::is_empty), "bit {bit}: {got:?}");
    }
}

#[test]
fn a_message_said_again_or_out_of_order_is_refused() {
    let (mut client, mut server) = joined();
    let mut plain = Vec::new();
    put_frame(&mut plain, b"pay", false);
    let (first, second) = (seal(&mut client.sealer, &plain), seal(&mut client.sealer, &plain));
    assert!(open(&mut server.opener, &second).is_ok());
    assert_eq!(open(&mut server.opener, &second), Err(CurveError::Replayed));
    assert_eq!(open(&mut server.opener, &first), Err(CurveError::Replayed));
    assert_eq!(open(&mut client.opener, &first), Err(CurveError::MessageForged), "our own words come back");
}

#[test]
fn a_forged_message_does_not_move_the_counter() {
    let (mut client, mut server) = joined();
    let sealed = seal(&mut client.sealer, b"\x00\x03pay");
    let mut forged = sealed.clone();
    forged[10..18].copy_from_slice(&u64::MAX.to_be_bytes());
    assert_eq!(open(&mut server.opener, &forged), Err(CurveError::MessageForged));
    assert!(open(&mut server.opener, &sealed).is_ok());
}

#[test]
fn counters_are_never_used_twice_but_run_out() {
    let (mut client, mut server) = joined();
    client.sealer.skip_to(u64::MAX - 1);
    assert!(open(&mut server.opener, &seal(&mut client.sealer, b"\x00\x00")).is_ok());
    assert_eq!(client.sealer.seal_frames(&mut Vec::new(), b"\x00\x00"), Err(CurveError::Exhausted));
}

#[test]
fn an_exchange_that_is_said_again_gets_no_further_than_welcome() {
    let said = overheard();
    let mut server = Mechanism::server(Server::new([pair(2)].into(), everyone(), fresh(9)));
    let mut out = Vec::new();
    server.start(&router(), &mut out);
    assert_eq!(server.on_command(&said[HELLO], &mut out), Ok(Progress::Continue));
    out.clear();
    assert_eq!(server.on_command(&said[INITIATE], &mut out), Err(CurveError::WrongCookie.into()));
    assert!(out.is_empty() && server.into_traffic().is_none());
}

#[test]
fn an_initiate_with_a_counter_that_does_not_grow_is_refused() {
    let error = refusal(client(), server(), |n, command| {
        if n == INITIATE {
            command[112] = 1
        }
    });
    assert_eq!(error, CurveError::Replayed.into());
}

#[test]
fn commands_out_of_turn_are_refused() {
    let said = overheard();
    for (number, command) in said.iter().enumerate().skip(1) {
        let mut server = server();
        assert!(server.on_command(command, &mut Vec::new()).is_err(), "{number} first");
    }
    let mut server = server();
    assert!(server.on_command(&said[HELLO], &mut Vec::new()).is_ok());
    assert!(server.on_command(&said[HELLO], &mut Vec::new()).is_err(), "HELLO twice");
    assert_eq!(
        server.on_command(&said[INITIATE], &mut Vec::new()),
        Err(HandshakeError::UnexpectedCommand),
        "after a failure nothing goes on"
    );
}

#[test]
fn a_client_that_knows_another_server_is_refused_and_so_is_another_server() {
    let lost = || Mechanism::client(Client::new(pair(1), pair(3).public(), &fresh(1)));
    assert_eq!(refusal(lost(), server(), |_, _| {}), CurveError::WrongServerKey.into());
    let (mut said, mut imposter, mut lost) = (Vec::new(), server(), lost());
    lost.start(&dealer(), &mut said);
    // It cannot even read HELLO; a WELCOME made up from another exchange does not open.
    assert!(imposter.on_command(&body(&said), &mut Vec::new()).is_err());
    assert_eq!(lost.on_command(&overheard()[1], &mut Vec::new()), Err(CurveError::ServerForged.into()));
}

#[test]
fn a_server_answers_to_each_of_its_keys() {
    for key in [4, 5, 6] {
        let client = Mechanism::client(Client::new(pair(1), pair(key).public(), &fresh(1)));
        assert!(exchange(client, server_with(&[4, 5, 6], everyone()), |_, _| {}).is_ok());
    }
}

#[test]
fn the_gate_is_asked_about_the_key_that_was_proven_and_its_word_counts() {
    let asked = Arc::new(AtomicUsize::new(0));
    let gate = |known: u8| -> Gate {
        let asked = asked.clone();
        Arc::new(move |key| {
            asked.fetch_add(1, Ordering::SeqCst);
            if *key == pair(known).public() { Ok(()) } else { Err(Denied) }
        })
    };
    assert!(exchange(client(), server_with(&[2], gate(1)), |_, _| {}).is_ok());
    let error = refusal(client(), server_with(&[2], gate(7)), |_, _| {});
    assert_eq!(error, CurveError::ClientDenied.into());
    assert_eq!(error.counter(), "curve_client_denied");
    assert_eq!(error.farewell().unwrap(), b"\x04\x0a\x05ERROR\x03400");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // A claim that is not proven is no question for it.
    refusal(client(), server_with(&[2], gate(1)), |n, command| {
        if n == INITIATE {
            command[200] ^= 1
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_claim_to_a_key_whose_secret_is_not_held_is_refused() {
    // The right box round a vouch that was made with another secret.
    let mut thief = Client::new(pair(7), pair(2).public(), &fresh(1));
    thief.claim(pair(1).public());
    assert_eq!(refusal(Mechanism::client(thief), server(), |_, _| {}), CurveError::ClientForged.into());
}

#[test]
fn what_is_not_sealed_is_refused_after_the_exchange() {
    let mut ping = Vec::new();
    put_ping(&mut ping, 0);
    let mut sealed_as_command = Vec::new();
    put_command(&mut sealed_as_command, b"MESSAGE", &[0; 40]);
    for bytes in [&ping, b"\x00\x05HELLO".as_slice(), b"\x01\x00", b"\x00\x00", &sealed_as_command] {
        let (_, mut server) = joined();
        assert_eq!(open(&mut server.opener, bytes), Err(CurveError::Unsealed), "{bytes:?}");
    }
    for length in 0..25 {
        let (_, mut server) = joined();
        let mut short = Vec::new();
        put_frame(&mut short, &[b"\x07MESSAGE".as_slice(), &vec![0xFF; length]].concat(), false);
        assert_eq!(open(&mut server.opener, &short), Err(CurveError::Malformed), "{length}");
    }
}

#[test]
fn a_claim_beyond_the_limit_is_refused_before_its_bytes_are_here() {
    let (_, mut server) = joined();
    let mut plain = BytesMut::new();
    let most = (1000 + SEALED_OVERHEAD) as u64;
    let header = |claim: u64| [&[2], claim.to_be_bytes().as_slice()].concat();
    assert!(server.opener.open_frames(&header(most), &mut plain, 1000).is_ok());
    let error = server.opener.open_frames(&header(most + 1), &mut plain, 1000).unwrap_err();
    assert_eq!(error.counter(), "frame_message_too_large");
}

#[test]
fn what_stands_before_a_forged_message_is_opened_and_the_forged_one_refused_next() {
    let (mut client, mut server) = joined();
    let (mut sealed, mut plain) = (Vec::new(), BytesMut::new());
    client.sealer.seal_frames(&mut sealed, b"\x00\x04good").unwrap();
    let good = sealed.len();
    sealed.extend_from_within(..);
    let opened = server.opener.open_frames(&sealed, &mut plain, 1000).unwrap();
    assert_eq!((opened.consumed, &plain[..]), (good, &b"\x00\x04good"[..]));
    assert_eq!(open(&mut server.opener, &sealed[good..]), Err(CurveError::Replayed));
}

#[test]
fn flags_inside_a_box_that_nobody_knows_are_refused() {
    let (mut client, mut server) = joined();
    let mut sealed = Vec::new();
    client.sealer.seal_with_flags(&mut sealed, 4, b"x");
    assert_eq!(open(&mut server.opener, &sealed), Err(CurveError::Malformed));
}

#[test]
fn an_error_of_the_peer_ends_the_exchange_with_its_reason() {
    let mut client = client();
    client.start(&dealer(), &mut Vec::new());
    let error = client.on_command(b"\x05ERROR\x03400", &mut Vec::new()).unwrap_err();
    assert_eq!(error, HandshakeError::Refused { reason: "400".to_owned() });
}

#[test]
fn a_public_key_prints_as_z85_and_nothing_prints_a_secret() {
    let bytes = *b"\xce\x4a\x87\x8e\xa8\xc6\x21\x5d\x63\x07\xce\x03\x2e\xa4\xb6\x20\x6d\xf1\x2b\x67\x31\xf5\xec\x9d\x63\xdb\xa5\x97\x51\xb2\x46\x04";
    assert_eq!(PublicKey::from_bytes(bytes).to_string(), "=pS>LSkY#^v*yoYe#k]#zsGb?g4<[7w80&Dql&T]");
    let pair = KeyPair::from_secret([0x5A; 32]);
    let (client, server) = joined();
    let all = format!(
        "{pair:?} {:?} {client:?} {server:?} {:?} {:?}",
        fresh(1),
        greeting::our_dealer(),
        greeting::our_router()
    );
    for secret in ["90, 90, 90", "5a5a", "5A5A", "ZZZ"] {
        assert!(!all.contains(secret), "{all}");
    }
}

proptest! {
    #[test]
    fn no_command_panics_either_side(which in 0..4_usize, bytes in proptest::collection::vec(any::<u8>(), 0..400), keep in 0..12_usize) {
        let said = overheard();
        let start = &said[which][..keep.min(said[which].len())];
        let command = [start, &bytes].concat();
        let (mut client, mut server) = (client(), server());
        client.start(&dealer(), &mut Vec::new());
        let _ = server.on_command(&said[HELLO], &mut Vec::new());
        prop_assert!(client.on_command(&command, &mut Vec::new()).is_err());
        prop_assert!(server.on_command(&command, &mut Vec::new()).is_err());
    }

    #[test]
    fn no_bytes_panic_the_opener(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (_, mut server) = joined();
        let framed = [b"\x00\xff\x07MESSAGE".as_slice(), &bytes].concat();
        for input in [&bytes, &framed] {
            let mut plain = BytesMut::new();
            let _ = server.opener.open_frames(input, &mut plain, 1 << 20);
            prop_assert!(plain.is_empty());
        }
    }
}
