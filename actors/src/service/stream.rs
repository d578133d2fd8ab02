//! Answers that come in pieces.

use super::call::Of;
use super::invoke::{self, Answered, Invocation, OpenCall};
use crate::system::Answer;
use crate::{Body, CallError, Context, NoError, RemoteMessage};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use tokio::sync::mpsc;

/// Items a provider may send ahead of their being taken.
const ROOM: usize = 64;

/// Items that may wait of a provider that does not count them: a plain peer, or one that was called with parameters by
/// position, which have no place for `credit`. One more ends the call with `Cancelled`, since no item is ever left out.
const MOST: usize = 1024;

/// The items of a streaming call of message `M`, and then its result. Dropping it cancels the call.
///
/// A provider with this layer sends no more than there is room for. Of others, 1,024 items may wait; one more ends the
/// call with [`CallError::Cancelled`].
pub struct CallStream<M, T> {
    items: Items,
    of: Of<(M, T)>,
}

/// The items of a streaming call by name; see [`CallStream`]. Parameters by position have no place to say how much room
/// there is: whoever streams more than 1,024 items gives them by name.
pub struct ItemStream<T> {
    items: Items,
    of: Of<T>,
}

#[derive(Debug)]
struct Items {
    call: OpenCall,
    items: mpsc::Receiver<Body>,
    answer: Answered,
    /// The request this is done for; the stream ends with it.
    context: Option<Context>,
    /// Taken since room was granted last.
    taken: usize,
}

impl Items {
    fn new(invocation: Invocation) -> Result<Self, CallError> {
        let (call, items, answer, context) = invocation.stream(ROOM, MOST)?;
        Ok(Self { call, items, answer, context, taken: 0 })
    }

    /// `None` once the result or an error ends the stream.
    async fn next<T: DeserializeOwned>(&mut self) -> Option<Result<T, CallError>> {
        let item = tokio::select! {
            biased;
            () = cancelled(self.context.as_ref()) => return None,
            item = self.items.recv() => item?,
        };
        self.taken += 1;
        if self.taken >= ROOM / 2 {
            self.call.grant(u32::try_from(self.taken).unwrap_or(u32::MAX));
            self.taken = 0;
        }
        Some(item.decode().map_err(|error| CallError::Decode(format!("an item does not fit: {error}"))))
    }

    async fn finish(mut self) -> Result<Answer, CallError> {
        // Items nobody takes must not hold the handler up.
        while self.next::<serde::de::IgnoredAny>().await.is_some() {}
        let Self { call, answer, context, .. } = self;
        tokio::select! {
            biased;
            answer = answer => call.answered(answer),
            // Dropping the call tells its provider.
            () = cancelled(context.as_ref()) => Err(CallError::Cancelled),
        }
    }
}

/// Waits until nobody waits any more for the request this is done for, if it is for one.
async fn cancelled(context: Option<&Context>) {
    match context {
        Some(context) => context.cancelled().await,
        None => std::future::pending().await,
    }
}

impl<M: RemoteMessage, T> CallStream<M, T> {
    pub(super) fn new(invocation: Invocation) -> Result<Self, CallError> {
        Ok(Self { items: Items::new(invocation)?, of: PhantomData })
    }

    /// The result, which ends the stream; items not taken are skipped.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// Dropped early, the call is cancelled.
    pub async fn finish(self) -> Result<M::Reply, CallError<M::Error>> {
        invoke::decode::<M>(self.items.finish().await)
    }
}

impl<M, T: DeserializeOwned> CallStream<M, T> {
    /// The next item; `None` when there are no more ([`finish`](Self::finish) then tells how it ended).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Result<T, CallError<NoError>>> {
        self.items.next().await
    }
}

impl<T> ItemStream<T> {
    pub(super) fn new(invocation: Invocation) -> Result<Self, CallError> {
        Ok(Self { items: Items::new(invocation)?, of: PhantomData })
    }

    /// The result, which ends the stream; items not taken are skipped.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// Dropped early, the call is cancelled.
    pub async fn finish(self) -> Result<Value, CallError> {
        let answer = self.items.finish().await?;
        answer.body.decode().map_err(|error| CallError::Decode(error.to_string()))
    }
}

impl<T: DeserializeOwned> ItemStream<T> {
    /// The next item; `None` when there are no more ([`finish`](Self::finish) then tells how it ended).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Result<T, CallError>> {
        self.items.next().await
    }
}

impl<M, T> fmt::Debug for CallStream<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallStream").field(&self.items.call).finish()
    }
}

impl<T> fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ItemStream").field(&self.items.call).finish()
    }
}
