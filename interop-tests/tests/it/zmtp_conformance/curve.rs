//! CURVE against libzmq through pyzmq, as client and as server.

use super::*;
use std::io::Read;
use std::sync::Arc;
use zyre_rs::zmtp::curve::{Client, CurveError, Denied, Fresh, Gate, KeyPair, PublicKey, Server};

/// As `DEALER`, with keys: the server's, its own public and its own secret one.
const CURVE_DEALER: &str = "
import sys, zmq
s = zmq.Context().socket(zmq.DEALER)
s.setsockopt(zmq.IDENTITY, bytes([1]) + bytes(range(16)))
s.setsockopt(zmq.HEARTBEAT_IVL, 100)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 300)
server, public, secret = (bytes.fromhex(key) for key in sys.argv[2:5])
s.setsockopt(zmq.CURVE_SERVERKEY, server)
s.setsockopt(zmq.CURVE_PUBLICKEY, public)
s.setsockopt(zmq.CURVE_SECRETKEY, secret)
s.connect(sys.argv[1])
s.send_multipart([b'HELLO'])
while True:
    frames = s.recv_multipart()
    s.send_multipart(frames)
    if frames == [b'bye']:
        break
s.close()
";

/// As `ROUTER`, with its secret key; lets in the clients whose keys follow, or all if none do.
const CURVE_ROUTER: &str = "
import sys, zmq
from zmq.auth.thread import ThreadAuthenticator
c = zmq.Context()
secret, *clients = (bytes.fromhex(key) for key in sys.argv[1:])
if clients:
    class Allowed:
        def callback(self, domain, key):
            return zmq.utils.z85.decode(key) in clients
    auth = ThreadAuthenticator(c)
    auth.start()
    auth.configure_curve_callback(domain='*', credentials_provider=Allowed())
s = c.socket(zmq.ROUTER)
s.setsockopt(zmq.HEARTBEAT_IVL, 100)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 300)
s.setsockopt(zmq.CURVE_SERVER, 1)
s.setsockopt(zmq.CURVE_SECRETKEY, secret)
s.bind('tcp://127.0.0.1:*')
print(s.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
while True:
    frames = s.recv_multipart()
    assert frames[0] == bytes([1]) + bytes(range(16)), frames[0]
    s.send_multipart(frames)
    if frames[1:] == [b'bye']:
        break
s.close()
if clients:
    auth.stop()
";

const OURS: [u8; 32] = [21; 32];
const THEIRS: [u8; 32] = [42; 32];

fn fresh() -> Fresh {
    let mut bytes = [0; Fresh::SIZE];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    Fresh::new(bytes)
}

fn public(secret: [u8; 32]) -> PublicKey {
    KeyPair::from_secret(secret).public()
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn everyone() -> Gate {
    Arc::new(|_| Ok(()))
}

/// The arguments of a program: the endpoint, if any, and keys.
fn arguments(endpoint: Option<String>, keys: &[[u8; 32]]) -> Vec<String> {
    endpoint.into_iter().chain(keys.iter().map(hex)).collect()
}

type Opened = Result<(Connection, Peer), HandshakeError>;

/// Our server, called by a client that believes its key to be `believed`.
async fn serve(python: &Python, believed: PublicKey, gate: Gate) -> (Child, Opened) {
    let (listener, endpoint) = listen().await;
    let keys = [*believed.as_bytes(), *public(THEIRS).as_bytes(), THEIRS];
    let child = run(python, CURVE_DEALER, &arguments(Some(endpoint), &keys));
    let (stream, _) = in_time("connect", listener.accept()).await.unwrap();
    let server = Server::new([KeyPair::from_secret(OURS)].into(), gate, fresh());
    let role = Role::Router { accept: Identities::Nodes };
    (child, in_time("handshake", Connection::try_open(stream, role, Mechanism::server(server))).await)
}

/// Our client, calling a server that lets in `allowed` (or everybody).
async fn call(python: &Python, allowed: &[[u8; 32]]) -> (Child, Opened) {
    let keys = [&[THEIRS], allowed].concat();
    let mut child = run(python, CURVE_ROUTER, &arguments(None, &keys));
    let stream = connect(&mut child).await;
    let client = Client::new(KeyPair::from_secret(OURS), public(THEIRS), &fresh());
    let role = Role::dealer(PeerId::from_bytes(UUID));
    (child, in_time("handshake", Connection::try_open(stream, role, Mechanism::client(client))).await)
}

#[tokio::test]
async fn our_server_and_a_client_of_libzmq_exchange_messages_and_heartbeats() {
    let python = or_return!(provision::pyre());
    let gate: Gate = Arc::new(|key| if *key == public(THEIRS) { Ok(()) } else { Err(Denied) });
    let (child, opened) = serve(&python, public(OURS), gate).await;
    let (mut ours, peer) = opened.expect("let in");
    assert_eq!(peer_id(&peer.identity), Ok((PeerId::from_bytes(UUID), true)));
    assert_eq!(in_time("hello", ours.receive()).await, Some(vec![b"HELLO".to_vec()]));
    converse(ours, child).await;
}

#[tokio::test]
async fn our_client_and_a_server_of_libzmq_exchange_messages_and_heartbeats() {
    let python = or_return!(provision::pyre());
    let (child, opened) = call(&python, &[]).await;
    converse(opened.expect("let in").0, child).await;
}

#[tokio::test]
async fn a_server_of_libzmq_that_lists_our_key_lets_us_in_and_another_says_400() {
    let python = or_return!(provision::pyre());
    let (child, opened) = call(&python, &[*public(OURS).as_bytes()]).await;
    converse(opened.expect("let in").0, child).await;
    let (_child, opened) = call(&python, &[[9; 32]]).await;
    let refused = HandshakeError::Refused { reason: "400".to_owned() };
    assert_eq!(opened.map(|_| ()), Err(refused));
}

#[tokio::test]
async fn a_client_of_libzmq_that_is_not_let_in_or_believes_in_another_server_is_refused() {
    let python = or_return!(provision::pyre());
    let (_child, opened) = serve(&python, public(OURS), Arc::new(|_| Err(Denied))).await;
    assert_eq!(opened.map(|_| ()), Err(CurveError::ClientDenied.into()));
    let (_child, opened) = serve(&python, public([7; 32]), everyone()).await;
    assert_eq!(opened.map(|_| ()), Err(CurveError::WrongServerKey.into()));
}
