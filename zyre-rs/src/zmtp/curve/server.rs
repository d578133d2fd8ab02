//! The server's half of the exchange: it lets in whom its gate admits.
//!
//! After WELCOME it has forgotten the client and its own short-term key; both are in the cookie, sealed with a key that only
//! this connection has. libzmq does the same. One key for all connections would need less memory, and would open a cookie that
//! was overheard on another connection.

use super::boxes::{Shared, counted_nonce, random_nonce};
use super::keys::{Fresh, KeyPair, PublicKey, Secret};
use super::traffic::{FROM_CLIENT, FROM_SERVER, Opener, Sealer};
use super::{CurveError, Step, Traffic};
use crate::zmtp::HandshakeError;
use crate::zmtp::command::{Metadata, put_command};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Counter of READY; the server's first MESSAGE has the next.
const READY: u64 = 1;

/// A client that has proven its key is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied;

/// Decides about a client that has proven this key. It is asked in the middle of a handshake: decide fast.
pub type Gate = Arc<dyn Fn(&PublicKey) -> Result<(), Denied> + Send + Sync>;

/// The side that is connected to.
pub struct Server {
    pairs: Arc<[KeyPair]>,
    gate: Gate,
    fresh: Option<Fresh>,
    metadata: Vec<u8>,
    state: State,
}

enum State {
    /// HELLO is due.
    Silent,
    /// INITIATE is due.
    Welcomed {
        cookie_key: Secret,
        client_counter: u64,
        pair: usize,
    },
    Done {
        shared: Shared,
        client: PublicKey,
        client_counter: u64,
    },
    Failed,
}

impl Server {
    /// A server that answers to any of `pairs` and lets in whom `gate` admits.
    pub fn new(pairs: Arc<[KeyPair]>, gate: Gate, fresh: Fresh) -> Self {
        Self { pairs, gate, fresh: Some(fresh), metadata: Vec::new(), state: State::Silent }
    }

    pub(in crate::zmtp) fn start(&mut self, ours: &Metadata) {
        self.metadata = ours.encode();
    }

    pub(in crate::zmtp) fn on_command(&mut self, body: &[u8], out: &mut Vec<u8>) -> Step {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Silent => {
                self.on_hello(body, out)?;
                Ok(None)
            }
            State::Welcomed { cookie_key, client_counter, pair } => {
                self.on_initiate(cookie_key, client_counter, pair, body, out).map(Some)
            }
            State::Done { .. } | State::Failed => Err(HandshakeError::UnexpectedCommand),
        }
    }

    fn on_hello(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), CurveError> {
        let hello = Hello::decode(body).ok_or(CurveError::Malformed)?;
        let nonce = counted_nonce(*b"CurveZMQHELLO---", hello.counter);
        let ours = self.pairs.iter().enumerate().find_map(|(index, pair)| {
            let shared = Shared::between(pair, &hello.client)?;
            let plain = shared.take(&nonce, hello.boxed)?;
            bool::from(plain.as_slice().ct_eq(&[0; 64])).then_some((index, shared))
        });
        let (pair, shared) = ours.ok_or(CurveError::WrongServerKey)?;
        let fresh = self.fresh.take().ok_or(CurveError::Malformed)?;
        let (short, cookie_key) = (fresh.short_term(), fresh.cookie_key());

        let mut cookie = fresh.cookie_nonce().to_vec();
        let nonce = random_nonce(*b"COOKIE--", &fresh.cookie_nonce());
        let content: [&[u8]; 2] = [hello.client.as_bytes(), short.secret().as_slice()];
        Shared::own(cookie_key.clone()).put(&mut cookie, &nonce, &content);
        let mut data = fresh.nonce().to_vec();
        let nonce = random_nonce(*b"WELCOME-", &fresh.nonce());
        shared.put(&mut data, &nonce, &[short.public().as_bytes(), &cookie]);
        put_command(out, b"WELCOME", &data);
        self.state = State::Welcomed { cookie_key, client_counter: hello.counter, pair };
        Ok(())
    }

    fn on_initiate(
        &mut self,
        cookie_key: Secret,
        last_counter: u64,
        pair: usize,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Metadata, HandshakeError> {
        let initiate = Initiate::decode(body).ok_or(CurveError::Malformed)?;
        let cookie = Shared::own(cookie_key)
            .take(&random_nonce(*b"COOKIE--", initiate.cookie_nonce), initiate.cookie)
            .ok_or(CurveError::WrongCookie)?;
        let (client_short, secret) = cookie.split_first_chunk().ok_or(CurveError::WrongCookie)?;
        let secret: &[u8; 32] = secret.try_into().map_err(|_| CurveError::WrongCookie)?;
        let (client_short, short) =
            (PublicKey::from_bytes(*client_short), KeyPair::new(Zeroizing::new(*secret)));

        if initiate.counter <= last_counter {
            return Err(CurveError::Replayed.into());
        }
        let shared = Shared::between(&short, &client_short).ok_or(CurveError::ClientForged)?;
        let nonce = counted_nonce(*b"CurveZMQINITIATE", initiate.counter);
        let plain = shared.take(&nonce, initiate.boxed).ok_or(CurveError::ClientForged)?;
        let claim = Claim::decode(&plain).ok_or(CurveError::Malformed)?;
        let vouched = Shared::between(&short, &claim.client)
            .and_then(|shared| shared.take(&random_nonce(*b"VOUCH---", claim.nonce), claim.vouch));
        let server = self.pairs.get(pair).ok_or(CurveError::Malformed)?.public();
        let expected = [client_short.as_bytes().as_slice(), server.as_bytes()].concat();
        if !vouched.is_some_and(|vouched| bool::from(vouched.ct_eq(&expected))) {
            return Err(CurveError::ClientForged.into());
        }
        (self.gate)(&claim.client).map_err(|Denied| CurveError::ClientDenied)?;
        let theirs = Metadata::decode(claim.metadata)?;

        let mut data = READY.to_be_bytes().to_vec();
        shared.put(&mut data, &counted_nonce(*b"CurveZMQREADY---", READY), &[&self.metadata]);
        put_command(out, b"READY", &data);
        self.state = State::Done { shared, client: claim.client, client_counter: initiate.counter };
        Ok(theirs)
    }

    pub(in crate::zmtp) fn into_traffic(self) -> Option<Traffic> {
        let State::Done { shared, client, client_counter } = self.state else { return None };
        let (sealer, opener) = (
            Sealer::new(shared.duplicate(), FROM_SERVER, READY),
            Opener::new(shared, FROM_CLIENT, client_counter),
        );
        Some(Traffic { peer: client, sealer, opener })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

struct Hello<'a> {
    client: PublicKey,
    counter: u64,
    boxed: &'a [u8],
}

impl<'a> Hello<'a> {
    fn decode(body: &'a [u8]) -> Option<Self> {
        let (version, rest) = body.strip_prefix(b"\x05HELLO")?.split_first_chunk()?;
        let (padding, rest) = rest.split_first_chunk::<72>()?;
        let (client, rest) = rest.split_first_chunk()?;
        let (counter, boxed) = rest.split_first_chunk()?;
        let known = *version == [1, 0] && *padding == [0; 72] && boxed.len() == 80;
        known.then(|| Self {
            client: PublicKey::from_bytes(*client),
            counter: u64::from_be_bytes(*counter),
            boxed,
        })
    }
}

struct Initiate<'a> {
    cookie_nonce: &'a [u8; 16],
    cookie: &'a [u8; 80],
    counter: u64,
    boxed: &'a [u8],
}

impl<'a> Initiate<'a> {
    fn decode(body: &'a [u8]) -> Option<Self> {
        let (cookie_nonce, rest) = body.strip_prefix(b"\x08INITIATE")?.split_first_chunk()?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let (counter, boxed) = rest.split_first_chunk()?;
        Some(Self { cookie_nonce, cookie, counter: u64::from_be_bytes(*counter), boxed })
    }
}

/// What INITIATE says once it is open.
struct Claim<'a> {
    client: PublicKey,
    nonce: &'a [u8; 16],
    vouch: &'a [u8; 80],
    metadata: &'a [u8],
}

impl<'a> Claim<'a> {
    fn decode(plain: &'a [u8]) -> Option<Self> {
        let (client, rest) = plain.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (vouch, metadata) = rest.split_first_chunk()?;
        Some(Self { client: PublicKey::from_bytes(*client), nonce, vouch, metadata })
    }
}
