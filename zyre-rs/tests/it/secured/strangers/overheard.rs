//! Strangers that sit on the line of a member: they say again what they heard, or change it.

use super::*;
use dryoc::classic::crypto_kdf::{crypto_kdf_hkdf_sha256_expand, crypto_kdf_hkdf_sha256_extract};
use std::sync::{Arc, Mutex};
use zyre_rs::zmtp::curve::sealed_size;
use zyre_rs::zmtp::put_ping;

/// The pair of `key(1)`, made as docs/security.md says.
fn member() -> KeyPair {
    let (mut prk, mut secret) = ([0; 32], [0; 32]);
    crypto_kdf_hkdf_sha256_extract(&mut prk, Some(b"zyre-rs network key"), &[1; 32]);
    crypto_kdf_hkdf_sha256_expand(&mut secret, b"CURVE key pair\0", &prk).unwrap();
    KeyPair::from_secret(secret)
}

/// What a member says on one connection, and what is done to it on the way.
#[derive(Clone, Default)]
struct Talk {
    /// Said once the handshake is done; nothing ends it there.
    frames: Vec<u8>,
    /// Whether those are said again as they are.
    again: bool,
    /// The bit that is changed, counted from the start of the connection.
    flip: Option<usize>,
}

impl Talk {
    /// Says it, and returns how many bytes the handshake took once the node has closed.
    async fn say(&self, stream: &mut TcpStream) -> usize {
        let client = Mechanism::client(Client::new(member(), member().public(), &fresh()));
        let mut handshake = Handshake::new(Role::dealer(SOMEBODY), client);
        let (mut said, mut buffer) = (0, BytesMut::new());
        loop {
            let (consumed, status) = handshake.receive(&buffer).unwrap();
            buffer.advance(consumed);
            let mut piece = handshake.take_output();
            let changed = change(&mut piece, said, self.flip);
            said += piece.len();
            let _ = stream.write_all(&piece).await;
            if changed {
                // A length that has grown would keep the node waiting until its handshake timeout.
                let _ = stream.shutdown().await;
                rest(stream).await;
                return said;
            }
            if matches!(status, Status::Done(_)) {
                break;
            }
            let read = timeout(PATIENCE, stream.read_buf(&mut buffer)).await.expect("bounded");
            assert!(read.is_ok_and(|read| read > 0), "a member is let in");
        }
        if self.frames.is_empty() {
            return said;
        }
        let sealer = &mut handshake.into_mechanism().into_traffic().unwrap().sealer;
        let mut sealed = Vec::new();
        sealer.seal_frames(&mut sealed, &self.frames).unwrap();
        change(&mut sealed, said, self.flip);
        if self.again {
            sealed.extend_from_within(..);
        }
        // A member goes on talking, so that a frame whose length has grown comes to its end.
        let mut ping = Vec::new();
        put_ping(&mut ping, 0);
        while sealed.len() < 1_000 {
            sealer.seal_frames(&mut sealed, &ping).unwrap();
        }
        let _ = stream.write_all(&sealed).await;
        rest(stream).await;
        said
    }
}

/// Changes the bit, counted from the start of the connection, if it is in this piece, which begins with byte `said`.
fn change(piece: &mut [u8], said: usize, flip: Option<usize>) -> bool {
    let at = flip.and_then(|bit| (bit / 8).checked_sub(said)).filter(|at| *at < piece.len());
    if let (Some(at), Some(bit)) = (at, flip) {
        piece[at] ^= 1 << (bit % 8);
    }
    at.is_some()
}

#[tokio::test]
async fn a_frame_that_was_overheard_is_refused_when_it_is_said_again() {
    let stage = Stage::new().await;
    let address = stage.address();
    let mut talk = Talk { again: true, ..Talk::default() };
    put_ping(&mut talk.frames, 0);
    each_try(|_| {
        let talk = talk.clone();
        async move {
            talk.say(&mut touch(address).await).await;
        }
    })
    .await;
    stage.counts(&[("curve_replayed", TRIES)]).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_bit_that_flips_anywhere_behind_the_greeting_ends_the_connection_and_is_counted_once() {
    let stage = Stage::new().await;
    let address = stage.address();
    let handshake = Talk::default().say(&mut stage.touch().await).await;
    let whole = handshake + sealed_size(hello().len() - 2);
    let (first, bits) = (Greeting::SIZE * 8, (whole - Greeting::SIZE) * 8);
    each_try(move |n| async move {
        let flip = Some(first + usize::from(n) * bits / usize::from(TRIES));
        Talk { frames: hello(), flip, ..Talk::default() }.say(&mut touch(address).await).await;
    })
    .await;
    stage.refused(TRIES.into()).await;
    let counted = stage.counted();
    assert_eq!(counted.values().sum::<u64>(), u64::from(TRIES), "one name for each: {counted:?}");
    for name in counted.keys() {
        let known = ["curve_", "frame_", "handshake_"].iter().any(|known| name.starts_with(known));
        assert!(known, "{counted:?}");
    }
    stage.finish().await;
}

/// Lies between two nodes: passes everything on and notes what the caller says, or changes one bit of it.
async fn wire_tap(to: SocketAddr, flip: Option<usize>) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (door.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let tape = heard.clone();
    tokio::spawn(async move {
        while let Ok((caller, _)) = door.accept().await {
            let Ok(called) = TcpStream::connect(to).await else { return };
            let (mut from_caller, mut to_caller) = caller.into_split();
            let (mut from_called, mut to_called) = called.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_called, &mut to_caller).await });
            let (mut passed, mut piece) = (0, vec![0; 64 * 1024]);
            while let Ok(count @ 1..) = from_caller.read(&mut piece).await {
                change(&mut piece[..count], passed, flip);
                passed += count;
                tape.lock().unwrap().extend_from_slice(&piece[..count]);
                if to_called.write_all(&piece[..count]).await.is_err() {
                    break;
                }
            }
        }
    });
    (address, heard)
}

#[tokio::test]
async fn a_connection_that_was_overheard_opens_nothing_when_it_is_said_again() {
    let mut stage = Stage::new().await;
    let (tap, heard) = wire_tap(stage.address(), None).await;
    let caller = Node::builder("caller").interface("127.0.0.1").beacon(false).join("all");
    let caller = caller.network_key(key(1)).connect(format!("tcp://{tap}")).start();
    let (caller, _events) = caller.await.unwrap();
    stage.members.push(caller.id());
    meet(&caller, &stage.node).await;
    caller.whisper(stage.node.id(), "pay 10").await.unwrap();
    timeout(PATIENCE, caller.stop()).await.unwrap();
    let gone = stage.node.wait_until(|members| members.peers().count() == 1);
    timeout(PATIENCE, gone).await.unwrap();

    let tape = heard.lock().unwrap().clone();
    assert!(tape.len() > 64 + 202 + 318, "a whole handshake and more");
    let address = stage.address();
    stage.before = stage.node.stats().counters;
    each_try(|_| {
        let tape = tape.clone();
        async move {
            let mut stream = touch(address).await;
            let _ = stream.write_all(&tape).await;
            let said = rest(&mut stream).await;
            assert!(said.len() <= 64 + 170, "no more than WELCOME: {}", said.len());
        }
    })
    .await;
    stage.counts(&[("curve_wrong_cookie", TRIES)]).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_bit_that_flips_between_two_nodes_keeps_them_apart() {
    let stage = Stage::new().await;
    let names = || {
        let counters = stage.counted();
        counters.into_iter().filter(|(name, _)| name.starts_with("curve_")).map(|(_, n)| n).sum::<u64>()
    };
    // In HELLO's box, in INITIATE's cookie and box, in the MESSAGE with the ZRE HELLO: its name, counter, tag, content.
    for at in [64 + 130, 64 + 202 + 30, 64 + 202 + 200, 584 + 4, 584 + 16, 584 + 25, 584 + 60] {
        let before = names();
        let (tap, _) = wire_tap(stage.address(), Some(at * 8 + 4)).await;
        let caller = Node::builder("caller").interface("127.0.0.1").beacon(false).network_key(key(1));
        let (caller, _events) = caller.connect(format!("tcp://{tap}")).start().await.unwrap();
        let refused = timeout(PATIENCE, async {
            while names() == before {
                sleep(Duration::from_millis(5)).await;
            }
        });
        refused.await.unwrap_or_else(|_| panic!("byte {at}: {:?}", stage.node.stats().counters));
        assert_eq!(stage.node.peers().len(), 1, "byte {at}");
        caller.stop().await;
    }
    stage.finish().await;
}
