//! A queue of messages.

use super::{Incoming, Membership, Sink};
use futures_core::Stream;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use zyre_rs::PeerId;

/// A message and who published it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Received<T> {
    /// What was published.
    pub value: T,
    /// Who published it.
    pub peer: PeerId,
    /// The publisher's name; names are not unique.
    pub name: Arc<str>,
}

/// The messages of a topic, made by [`Topic::subscribe`](super::Topic::subscribe). Also a [`Stream`]. Dropping it unsubscribes.
pub struct Subscription<T> {
    queue: Arc<Queue>,
    undecodable: u64,
    _membership: Membership,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Subscription<T> {
    pub(super) fn new(queue: Arc<Queue>, membership: Membership) -> Self {
        Self { queue, undecodable: 0, _membership: membership, of: PhantomData }
    }

    /// The next message; `None` once the system has ended. What is shouted to the group and is no `T` is skipped and counted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Received<T>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Messages dropped because this subscriber was slower than they came.
    pub fn dropped(&self) -> u64 {
        self.queue.lock().dropped
    }

    /// Messages skipped because they were no `T`.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Received<T>>> {
        loop {
            let Incoming { peer, name, frame } = {
                let mut state = self.queue.lock();
                match state.waiting.pop_front() {
                    Some(incoming) => incoming,
                    None if state.ended => return Poll::Ready(None),
                    None => {
                        state.waker = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            match serde_json::from_slice(&frame) {
                Ok(value) => return Poll::Ready(Some(Received { value, peer, name })),
                Err(_) => self.undecodable += 1,
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Received<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received<T>>> {
        self.get_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Keeps the newest messages; the oldest are dropped for them and counted.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Incoming>,
    dropped: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The driver's end; it ends the queue when it goes.
#[derive(Debug)]
pub(super) struct QueueSink(pub(super) Arc<Queue>);

impl Sink for QueueSink {
    fn put(&self, incoming: Incoming) {
        let mut state = self.0.lock();
        if state.waiting.len() >= self.0.capacity {
            state.waiting.pop_front();
            state.dropped += 1;
        }
        state.waiting.push_back(incoming);
        state.wake();
    }

    fn is_read(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Drop for QueueSink {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
