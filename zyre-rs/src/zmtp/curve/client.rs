//! The client's half of the exchange: it knows the server's key and proves its own.

use super::boxes::{Shared, counted_nonce, random_nonce};
use super::keys::{Fresh, KeyPair, PublicKey};
use super::traffic::{FROM_CLIENT, FROM_SERVER, Opener, Sealer};
use super::{CurveError, Step, Traffic};
use crate::zmtp::HandshakeError;
use crate::zmtp::command::{Command, Metadata, put_command};
use std::fmt;

/// Counters of the client's two commands; its first MESSAGE has the next.
const HELLO: u64 = 1;
const INITIATE: u64 = 2;

/// Bytes of zeros in HELLO, so that no answer is longer than its question.
const PADDING: usize = 72;

/// The side that connects.
pub struct Client {
    pair: KeyPair,
    server: PublicKey,
    short: KeyPair,
    vouch_nonce: [u8; 16],
    metadata: Vec<u8>,
    state: State,
}

enum State {
    /// Nothing said, or the exchange has failed.
    Silent,
    Greeted(Shared),
    Vouched(Shared),
    Done {
        shared: Shared,
        server_counter: u64,
    },
}

impl Client {
    /// A client that proves `pair` to the server whose key is `server`.
    pub fn new(pair: KeyPair, server: PublicKey, fresh: &Fresh) -> Self {
        let (short, vouch_nonce) = (fresh.short_term(), fresh.nonce());
        Self { pair, server, short, vouch_nonce, metadata: Vec::new(), state: State::Silent }
    }

    pub(in crate::zmtp) fn start(&mut self, ours: &Metadata, out: &mut Vec<u8>) {
        self.metadata = ours.encode();
        // Without a key to share, the connection ends when nothing follows.
        let Some(shared) = Shared::between(&self.short, &self.server) else { return };
        let mut data = Vec::with_capacity(194);
        data.extend_from_slice(&[1, 0]);
        data.extend_from_slice(&[0; PADDING]);
        data.extend_from_slice(self.short.public().as_bytes());
        data.extend_from_slice(&HELLO.to_be_bytes());
        shared.put(&mut data, &counted_nonce(*b"CurveZMQHELLO---", HELLO), &[&[0; 64]]);
        put_command(out, b"HELLO", &data);
        self.state = State::Greeted(shared);
    }

    pub(in crate::zmtp) fn on_command(&mut self, body: &[u8], out: &mut Vec<u8>) -> Step {
        match std::mem::replace(&mut self.state, State::Silent) {
            State::Greeted(shared) => {
                self.on_welcome(&shared, body, out)?;
                Ok(None)
            }
            State::Vouched(shared) => self.on_ready(shared, body).map(Some),
            State::Silent | State::Done { .. } => Err(HandshakeError::UnexpectedCommand),
        }
    }

    fn on_welcome(&mut self, shared: &Shared, body: &[u8], out: &mut Vec<u8>) -> Result<(), CurveError> {
        let rest = body.strip_prefix(b"\x07WELCOME").ok_or(CurveError::Malformed)?;
        let (nonce, boxed) = rest.split_first_chunk().ok_or(CurveError::Malformed)?;
        if boxed.len() != 144 {
            return Err(CurveError::Malformed);
        }
        let plain = shared.take(&random_nonce(*b"WELCOME-", nonce), boxed).ok_or(CurveError::ServerForged)?;
        let (server_short, cookie) = plain.split_first_chunk().ok_or(CurveError::Malformed)?;
        let server_short = PublicKey::from_bytes(*server_short);
        let shared = Shared::between(&self.short, &server_short).ok_or(CurveError::ServerForged)?;
        let vouching = Shared::between(&self.pair, &server_short).ok_or(CurveError::ServerForged)?;

        let mut vouch = self.vouch_nonce.to_vec();
        let nonce = random_nonce(*b"VOUCH---", &self.vouch_nonce);
        vouching.put(&mut vouch, &nonce, &[self.short.public().as_bytes(), self.server.as_bytes()]);
        let mut data = Vec::with_capacity(248 + self.metadata.len());
        data.extend_from_slice(cookie);
        data.extend_from_slice(&INITIATE.to_be_bytes());
        let nonce = counted_nonce(*b"CurveZMQINITIATE", INITIATE);
        shared.put(&mut data, &nonce, &[self.pair.public().as_bytes(), &vouch, &self.metadata]);
        put_command(out, b"INITIATE", &data);
        self.state = State::Vouched(shared);
        Ok(())
    }

    fn on_ready(&mut self, shared: Shared, body: &[u8]) -> Result<Metadata, HandshakeError> {
        let Command::Ready { metadata } = Command::decode(body)? else {
            return Err(CurveError::Malformed.into());
        };
        let (counter, boxed) = metadata.split_first_chunk().ok_or(CurveError::Malformed)?;
        let server_counter = u64::from_be_bytes(*counter);
        let nonce = counted_nonce(*b"CurveZMQREADY---", server_counter);
        let plain = shared.take(&nonce, boxed).ok_or(CurveError::ServerForged)?;
        self.state = State::Done { shared, server_counter };
        Ok(Metadata::decode(&plain)?)
    }

    pub(in crate::zmtp) fn into_traffic(self) -> Option<Traffic> {
        let State::Done { shared, server_counter } = self.state else { return None };
        let (sealer, opener) = (
            Sealer::new(shared.duplicate(), FROM_CLIENT, INITIATE),
            Opener::new(shared, FROM_SERVER, server_counter),
        );
        Some(Traffic { peer: self.server, sealer, opener })
    }
}

#[cfg(test)]
impl Client {
    pub(super) fn claim(&mut self, public: PublicKey) {
        self.pair = self.pair.claiming(public);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pair", &self.pair)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
