//! The latest message only.

use super::{Incoming, Membership, Received, Sink};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use tokio::sync::watch;

/// The latest message of a topic, made by [`Topic::latest`](super::Topic::latest). Dropping it unsubscribes.
pub struct Latest<T> {
    current: watch::Receiver<Option<Incoming>>,
    _membership: Membership,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Latest<T> {
    pub(super) fn new(current: watch::Receiver<Option<Incoming>>, membership: Membership) -> Self {
        Self { current, _membership: membership, of: PhantomData }
    }

    /// The latest message so far; `None` before the first, or when the latest shout was no `T`.
    pub fn get(&self) -> Option<Received<T>> {
        self.current.borrow().as_ref().and_then(decode)
    }

    /// Waits for a message that [`changed`](Self::changed) has not given yet; `None` once the system has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<Received<T>> {
        loop {
            self.current.changed().await.ok()?;
            if let Some(received) = self.current.borrow_and_update().as_ref().and_then(decode) {
                return Some(received);
            }
        }
    }
}

fn decode<T: DeserializeOwned>(incoming: &Incoming) -> Option<Received<T>> {
    let value = serde_json::from_slice(&incoming.frame).ok()?;
    Some(Received { value, peer: incoming.peer, name: incoming.name.clone() })
}

impl<T> fmt::Debug for Latest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latest").finish_non_exhaustive()
    }
}

/// The driver's end.
#[derive(Debug)]
pub(super) struct LatestSink(pub(super) watch::Sender<Option<Incoming>>);

impl Sink for LatestSink {
    fn put(&self, incoming: Incoming) {
        self.0.send_replace(Some(incoming));
    }

    fn is_read(&self) -> bool {
        !self.0.is_closed()
    }
}
