//! The application's end of the queue.

use super::batch::Batch;
use super::queue::{Item, Turn};
use super::{DISCARDED, Inbox};
use crate::Event;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// After so many events in a row without a wait the task lets others run: an application that awaits in a
/// loop would else hold its thread for as long as peers send.
const PAUSE_AFTER: usize = 1024;

/// Everything a node tells its application, in order per peer (see [`Event`]) and in fair turns between peers.
///
/// Take events steadily: peers of an application that does not are read no further, which slows them
/// down and in the end fills their queues. Dropping it says that nobody is interested: events are then discarded and
/// counted as `events_discarded`, and the node goes on.
///
/// It is also a [`Stream`] of [`Event`].
#[derive(Debug)]
pub struct Events {
    inbox: Inbox,
    turn: Turn,
    batch: Option<Box<Batch>>,
    since_pause: usize,
}

impl Events {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self { inbox, turn: Turn::default(), batch: None, since_pause: 0 }
    }

    /// Waits for the next event; `None` once the node has stopped and everything has been taken.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Waits for an event, then appends those that are there to `events`, `limit` at most; returns how many.
    ///
    /// 0 means that the node has stopped and everything has been taken (or that `limit` is 0). The
    /// fastest way to receive: nothing is awaited per message.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn recv_many(&mut self, events: &mut Vec<Event>, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        let Some(first) = self.next().await else { return 0 };
        events.push(first);
        let mut taken = 1;
        while taken < limit
            && let Some(event) = self.try_next()
        {
            events.push(event);
            taken += 1;
        }
        self.since_pause += taken;
        taken
    }

    /// The next event if one is there.
    #[inline]
    pub fn try_next(&mut self) -> Option<Event> {
        match self.take(None) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.since_pause >= PAUSE_AFTER {
            self.since_pause = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.since_pause += 1;
        let event = self.take(Some(cx));
        if event.is_pending() {
            self.since_pause = 0;
        }
        event
    }

    #[inline]
    fn take(&mut self, mut cx: Option<&mut Context<'_>>) -> Poll<Option<Event>> {
        loop {
            if !self.turn.is_spent()
                && let Some(batch) = &mut self.batch
                && let Some((event, bytes)) = batch.next()
            {
                self.turn.spend(bytes);
                return Poll::Ready(Some(event));
            }
            match self.refill(cx.as_deref_mut()) {
                Poll::Ready(Some(Item::Batch(batch))) => self.batch = Some(batch),
                Poll::Ready(Some(Item::Event(event))) => {
                    self.turn.spend(0);
                    return Poll::Ready(Some(event));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Once per turn or batch, the only place that locks.
    fn refill(&mut self, cx: Option<&mut Context<'_>>) -> Poll<Option<Item>> {
        let mut queue = self.inbox.lock();
        if let Some(batch) = self.batch.take() {
            queue.put_back(batch);
        }
        match queue.next(&mut self.turn) {
            Some(item) => Poll::Ready(Some(item)),
            None if queue.closed => Poll::Ready(None),
            None => {
                if let Some(cx) = cx {
                    queue.reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let lost = self.inbox.lock().abandon(self.batch.as_deref());
        self.inbox.0.counters.add(DISCARDED, lost);
    }
}
