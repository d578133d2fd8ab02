//! Our side of CURVE that connects, against a server that says anything in boxes that open.

use crate::Target;
use crate::curve_peer::{Keys, byte, command, open, seal, some_bytes, spoil, talk};
use arbitrary::Unstructured;
use zyre_rs::zmtp::curve::{Client, Fresh, KeyPair, PublicKey};
use zyre_rs::zmtp::{HandshakeError, Mechanism, Metadata, Progress};

pub(crate) const TARGET: Target =
    Target { name: "curve_client", run, seeds, max_len: 512, smoke_runs: 2_500 };

fn seeds() -> Vec<Vec<u8>> {
    let options = (0..8).map(|options| vec![options]);
    let spoilt = (1..7).map(|at| [vec![0; at], vec![1, 0, 9, 1]].concat());
    let messages =
        (0..4).map(|flags| [vec![0; 6], vec![flags, 0, 70, 0, 0, 20, flags, 0, 170, 0, 0, 0]].concat());
    let error = [&[0, 0, 4, 10][..], b"\x05ERROR\x03400"].concat();
    options.chain(spoilt).chain(messages).chain([error]).collect()
}

fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let options = byte(&mut u);
    let has = |bit: u8| options >> bit & 1 == 1;
    let (long, short) = (Keys::of([2; 32]), Keys::of([88; 32]));
    // A key of low order: nothing is shared with it.
    let known = if has(2) { [0; 32] } else { long.public };
    let fresh = Fresh::new(std::array::from_fn(|at| at as u8 + 1));
    let pair = KeyPair::from_secret([1; 32]);
    let ours = pair.public();
    let mut client = Mechanism::client(Client::new(pair, PublicKey::from_bytes(known), &fresh));
    assert!(!client.is_server() && !client.starts_early() && !format!("{client:?}{fresh:?}").is_empty());
    let mut said = Vec::new();
    client.start(&Metadata::default().with("Socket-Type", b"DEALER").with("Identity", &[1; 17]), &mut said);
    if has(2) {
        return assert!(said.is_empty() && client.on_command(some_bytes(&mut u), &mut said).is_err());
    }

    // HELLO: version, padding, key, counter, box of zeros.
    let hello = command(&said, b"HELLO");
    let (client_short, rest) = hello.get(74..).and_then(|rest| rest.split_at_checked(32)).expect("a key");
    let (nonce, boxed) = rest.split_at_checked(8).expect("a nonce");
    let greeting = long.share(client_short);
    assert_eq!(open(&greeting, b"CurveZMQHELLO---", nonce, boxed), Some(vec![0; 64]));
    let client_short = client_short.to_vec();
    said.clear();

    let mut honest = true;
    let cookie = [byte(&mut u); 96];
    let mut plain = [&short.public[..], &cookie].concat();
    let odd = spoil(&mut u, &mut plain);
    let boxed = seal(&greeting, b"WELCOME-", &[4; 16], &plain);
    let mut welcome = [b"\x07WELCOME", &[4; 16][..], &boxed].concat();
    honest &= !spoil(&mut u, &mut welcome);
    match client.on_command(&welcome, &mut said) {
        Ok(progress) => assert!(honest && progress == Progress::Continue && plain.len() == 128),
        // What was sealed as it should be is not refused, unless it holds a key that shares nothing.
        Err(error) => return refused(client, &error, &welcome, honest && !odd),
    }
    // The client believes in whatever keys and cookie were sealed for it.
    let initiate = command(&said, b"INITIATE");
    let (sent_cookie, rest) = initiate.split_at_checked(96).expect("a cookie");
    assert_eq!(plain.get(32..), Some(sent_cookie));
    if plain.get(..32) != Some(&short.public) {
        return;
    }
    let shared = short.share(&client_short);
    let (nonce, boxed) = rest.split_at_checked(8).expect("a nonce");
    let proof = open(&shared, b"CurveZMQINITIATE", nonce, boxed).expect("INITIATE opens");
    let (public, rest) = proof.split_at_checked(32).expect("a key");
    let (nonce, rest) = rest.split_at_checked(16).expect("a nonce");
    let (vouch, metadata) = rest.split_at_checked(80).expect("a vouch");
    assert_eq!(public, ours.as_bytes());
    let vouched = open(&short.share(public), b"VOUCH---", nonce, vouch).expect("the vouch opens");
    assert_eq!(vouched, [&client_short[..], &long.public].concat());
    assert_eq!(Metadata::decode(metadata).expect("metadata").get("Identity"), Some([1; 17].as_slice()));
    said.clear();

    let metadata = Metadata::default().with("Socket-Type", b"ROUTER").with("Identity", b"").encode();
    let metadata = if has(0) { some_bytes(&mut u).to_vec() } else { metadata };
    let counter = if has(1) { u.arbitrary().unwrap_or(1) } else { 1_u64 };
    let boxed = seal(&shared, b"CurveZMQREADY---", &counter.to_be_bytes(), &metadata);
    let mut ready = [b"\x05READY", &counter.to_be_bytes()[..], &boxed].concat();
    honest &= !spoil(&mut u, &mut ready);
    match client.on_command(&ready, &mut said) {
        Ok(Progress::Done(theirs)) => assert!(honest && Metadata::decode(&metadata) == Ok(theirs)),
        Ok(Progress::Continue) => panic!("nothing more is due"),
        Err(error) => {
            let fit = Metadata::decode(&metadata).is_ok();
            assert!(!honest || !fit, "{error}");
            return assert!(client.on_command(&ready, &mut said).is_err());
        }
    }
    assert!(said.is_empty());
    let traffic = client.into_traffic().expect("the exchange is over");
    assert_eq!(*traffic.peer.as_bytes(), known);
    talk(&mut u, *traffic, &shared, b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES", [2, counter]);
}

/// Only what is not honest is refused, and for good.
fn refused(mut client: Mechanism, error: &HandshakeError, said: &[u8], honest: bool) {
    assert!(!honest, "{error}");
    assert!(!error.to_string().is_empty() && !error.counter().is_empty());
    assert!(client.on_command(said, &mut Vec::new()).is_err());
    assert!(client.into_traffic().is_none());
}
