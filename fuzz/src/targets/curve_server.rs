//! Our side of CURVE that is connected to, against a client that says anything in boxes that open.

use crate::Target;
use crate::curve_peer::{Keys, byte, command, open, seal, some_bytes, spoil, talk};
use arbitrary::Unstructured;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use zyre_rs::zmtp::curve::{Denied, Fresh, Gate, KeyPair, PublicKey, Server};
use zyre_rs::zmtp::{HandshakeError, Mechanism, Metadata, Progress};

pub(crate) const TARGET: Target =
    Target { name: "curve_server", run, seeds, max_len: 512, smoke_runs: 2_500 };

fn seeds() -> Vec<Vec<u8>> {
    let options = (0..32).map(|options| vec![options]);
    // A spoilt HELLO, its box, INITIATE and so on: one byte of each.
    let spoilt = (1..9).map(|at| [vec![0; at], vec![1, 0, 9, 1]].concat());
    let messages =
        (0..4).map(|flags| [vec![0; 9], vec![flags, 0, 70, 0, 0, 20, flags, 0, 170, 0, 0, 0]].concat());
    options.chain(spoilt).chain(messages).collect()
}

fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let options = byte(&mut u);
    let has = |bit: u8| options >> bit & 1 == 1;
    let (asked, denies) = (Arc::new(AtomicUsize::new(0)), has(1));
    let seen = asked.clone();
    let gate: Gate = Arc::new(move |_: &PublicKey| {
        seen.fetch_add(1, Ordering::Relaxed);
        if denies { Err(Denied) } else { Ok(()) }
    });
    let pairs: Vec<KeyPair> =
        [9, 2].map(|n| KeyPair::from_secret([n; 32])).into_iter().skip(usize::from(!has(0))).collect();
    let fresh = Fresh::new(std::array::from_fn(|at| at as u8 + 1));
    let mut server = Mechanism::server(Server::new(pairs.into(), gate, fresh));
    assert!(server.is_server() && !server.starts_early() && !format!("{server:?}").is_empty());
    let mut said = Vec::new();
    server.start(&Metadata::default().with("Socket-Type", b"ROUTER").with("Identity", b""), &mut said);
    assert!(said.is_empty(), "the client begins");

    let client = Client::new(has(2));
    let mut honest = !has(2);
    let hello = client.hello(&mut u, &mut honest);
    if let Err(error) = server.on_command(&hello, &mut said) {
        return refused(server, &error, &hello, honest);
    }
    let (server_short, cookie) = client.on_welcome(command(&said, b"WELCOME"));
    said.clear();

    let metadata = Metadata::default().with("Socket-Type", b"DEALER").with("Identity", &[1; 17]).encode();
    let metadata = if has(3) { some_bytes(&mut u).to_vec() } else { metadata };
    let counter = if has(4) { u.arbitrary().unwrap_or(0) } else { 2_u64 };
    honest &= counter > 1;
    let (initiate, metadata, shared) =
        client.initiate(&mut u, &mut honest, &server_short, &cookie, counter, &metadata);
    let theirs = match server.on_command(&initiate, &mut said) {
        Ok(Progress::Done(theirs)) => theirs,
        Ok(Progress::Continue) => panic!("nothing more is due"),
        Err(error) => {
            let unfit = honest && (denies || Metadata::decode(&metadata).is_err());
            assert_eq!(asked.load(Ordering::Relaxed) > 0, honest, "the gate is asked about proven keys");
            return refused(server, &error, &initiate, honest && !unfit);
        }
    };
    assert!(honest && !denies && asked.load(Ordering::Relaxed) == 1);
    assert_eq!(Metadata::decode(&metadata), Ok(theirs));
    let (nonce, boxed) = command(&said, b"READY").split_at_checked(8).expect("a nonce");
    let ready = open(&shared, b"CurveZMQREADY---", nonce, boxed).expect("READY opens");
    assert_eq!(Metadata::decode(&ready).expect("metadata").get("Socket-Type"), Some(b"ROUTER".as_slice()));
    let traffic = server.into_traffic().expect("the exchange is over");
    assert_eq!(*traffic.peer.as_bytes(), client.long.public);
    talk(&mut u, *traffic, &shared, b"CurveZMQMESSAGES", b"CurveZMQMESSAGEC", [1, counter]);
}

/// Only what is not honest is refused, and for good.
fn refused(mut server: Mechanism, error: &HandshakeError, said: &[u8], honest: bool) {
    assert!(!honest, "{error}");
    assert!(!error.to_string().is_empty() && !error.counter().is_empty());
    assert_eq!(error.farewell().is_some(), error.counter() == "curve_client_denied");
    assert!(server.on_command(said, &mut Vec::new()).is_err());
    assert!(server.into_traffic().is_none());
}

struct Client {
    long: Keys,
    short: Keys,
    /// The server it believes to talk to.
    server: [u8; 32],
}

impl Client {
    fn new(misled: bool) -> Self {
        let [long, short, server] = [1, 77, if misled { 5 } else { 2 }].map(|n| Keys::of([n; 32]));
        Self { long, short, server: server.public }
    }

    fn hello(&self, u: &mut Unstructured<'_>, honest: &mut bool) -> Vec<u8> {
        let mut zeros = vec![0; 64];
        *honest &= !spoil(u, &mut zeros);
        let boxed = seal(&self.short.share(&self.server), b"CurveZMQHELLO---", &1_u64.to_be_bytes(), &zeros);
        let mut hello =
            [b"\x05HELLO\x01\0", &[0; 72][..], &self.short.public, &1_u64.to_be_bytes(), &boxed].concat();
        *honest &= !spoil(u, &mut hello);
        hello
    }

    /// The server's short-term key and its cookie.
    fn on_welcome(&self, welcome: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (nonce, boxed) = welcome.split_at_checked(16).expect("a nonce");
        let plain = open(&self.short.share(&self.server), b"WELCOME-", nonce, boxed).expect("WELCOME opens");
        let (short, cookie) = plain.split_at_checked(32).expect("a key");
        assert_eq!(cookie.len(), 96);
        (short.to_vec(), cookie.to_vec())
    }

    fn initiate(
        &self,
        u: &mut Unstructured<'_>,
        honest: &mut bool,
        server_short: &[u8],
        cookie: &[u8],
        counter: u64,
        metadata: &[u8],
    ) -> (Vec<u8>, Vec<u8>, [u8; 32]) {
        let mut vouch = [self.short.public, self.server].concat();
        *honest &= !spoil(u, &mut vouch);
        let vouch = seal(&self.long.share(server_short), b"VOUCH---", &[6; 16], &vouch);
        let mut plain = [&self.long.public[..], &[6; 16], &vouch].concat();
        let proof = plain.clone();
        spoil(u, &mut plain);
        // The highest bit of a key counts for nothing (RFC 7748), so this would be the same key for the vouch.
        if let (Some(last), Some(own)) = (plain.get_mut(31), self.long.public.last()) {
            *last = *last & 0x7F | own & 0x80;
        }
        // What follows the proof is metadata, whoever put it there.
        *honest &= plain.starts_with(&proof);
        plain.extend_from_slice(metadata);
        let metadata = plain.get(proof.len()..).unwrap_or_default().to_vec();
        let shared = self.short.share(server_short);
        let boxed = seal(&shared, b"CurveZMQINITIATE", &counter.to_be_bytes(), &plain);
        let mut initiate = [b"\x08INITIATE", cookie, &counter.to_be_bytes(), &boxed].concat();
        *honest &= !spoil(u, &mut initiate);
        (initiate, metadata, shared)
    }
}
