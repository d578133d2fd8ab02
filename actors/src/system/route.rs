//! The way back from a handler to its caller, from whichever thread the handler runs on: stream items and the answer.

use super::command::{Command, Mailbox};
use crate::server::Ticket;
use crate::wire::{self, Id, Packet, Response};
use crate::work::Context;
use crate::{Body, Codec, ItemError, RpcError, code};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use zyre_rs::{Message, Node, PeerId, SendError};

/// See the module.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) node: Node,
    pub(super) mailbox: Mailbox,
    pub(super) ticket: Ticket,
    /// `None`: a notification, which gets no answer.
    pub(super) id: Option<Id>,
    /// How the caller encoded its request.
    pub(super) codec: Codec,
    /// The answer is kept for retries.
    pub(super) keep: bool,
    pub(super) batch: Option<Arc<BatchReply>>,
    /// Items the caller has room for; `None`: it does not count.
    pub(super) credit: Option<Semaphore>,
    pub(super) sequence: AtomicU64,
}

impl Route {
    /// The request's id if its caller counts items.
    pub(super) fn stream_id(&self) -> Option<&Id> {
        self.id.as_ref().filter(|_| self.credit.is_some())
    }

    /// The caller has room for more items. More than a semaphore can hold is as good as all it can.
    pub(super) fn grant(&self, n: u32) {
        if let Some(credit) = &self.credit {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            credit.add_permits(n.min(
                Semaphore::MAX_PERMITS / 2 - credit.available_permits().min(Semaphore::MAX_PERMITS / 2),
            ));
        }
    }

    pub(crate) async fn item(
        &self,
        peer: PeerId,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), ItemError> {
        let Some(id) = &self.id else { return Err(ItemError::NotWaitedFor) };
        let value =
            Body::encode(self.codec, value).map_err(|error| ItemError::NotEncoded(error.to_string()))?;
        let is_local = peer == self.node.id();
        if is_local && self.credit.is_none() {
            // A call of this very node that takes no items: nothing would slow them down on their way.
            return Ok(());
        }
        if let Some(credit) = &self.credit {
            credit.acquire().await.map_err(|_| ItemError::NotWaitedFor)?.forget();
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        if is_local {
            let packet = Packet::Item { id: id.clone(), seq: sequence, value };
            return self.mailbox.send(Command::Local(Box::new(packet))).map_err(|_| ItemError::NotWaitedFor);
        }
        self.node.whisper(peer, wire::encode_item(id, sequence, &value)).await.map_err(ItemError::Send)
    }

    /// Sends the answer, unless nobody waits for it any more, and tells the driver that the work has ended.
    pub(crate) fn answer(&self, context: &Context, outcome: Result<Body, RpcError>) {
        let waited_for = context.cancel();
        let Some(id) = self.id.as_ref().filter(|_| waited_for) else { return self.finish(None) };
        let peer = context.peer();
        if peer == self.node.id() {
            let response = Response { id: id.clone(), outcome: outcome.clone() };
            _ = self.mailbox.send(Command::Local(Box::new(Packet::Response(response))));
            return self.finish(Some(outcome));
        }
        let (message, sent) = match &self.batch {
            None => {
                let message = encode_outcome(id, &outcome);
                (message.clone(), self.node.try_whisper(peer, message))
            }
            Some(batch) => {
                let Some(answers) = batch.add(id, &outcome) else { return self.finish(Some(outcome)) };
                (answers.array(), answers.whisper(&self.node, peer))
            }
        };
        match sent {
            Ok(()) => self.finish(Some(outcome)),
            Err(SendError::Full { .. } | SendError::Reconnecting { .. }) => {
                send_patiently(context.clone(), message, outcome)
            }
            Err(SendError::TooLarge { size, .. }) => {
                let outcome = Err(too_large(size));
                _ = self.node.try_whisper(peer, encode_outcome(id, &outcome));
                self.finish(Some(outcome));
            }
            Err(error) => self.dropped(peer, &error, outcome),
        }
    }

    /// The answer is lost; it may be asked for again.
    fn dropped(&self, peer: PeerId, error: &SendError, outcome: Result<Body, RpcError>) {
        tracing::debug!(%peer, %error, "answer not sent");
        _ = self.mailbox.send(Command::ReplyDropped);
        self.finish(Some(outcome));
    }

    fn finish(&self, outcome: Option<Result<Body, RpcError>>) {
        let answer = outcome.filter(|_| self.keep).map(Arc::new);
        _ = self.mailbox.send(Command::Finished { ticket: self.ticket, answer });
    }
}

/// An answer, whichever it is.
pub(super) fn encode_outcome(id: &Id, outcome: &Result<Body, RpcError>) -> Message {
    match outcome {
        Ok(result) => wire::encode_response(id, result),
        Err(error) => wire::encode_error(id, error),
    }
}

/// The link is full: the request keeps its place in the service until there is room, which slows its caller down.
fn send_patiently(context: Context, message: Message, outcome: Result<Body, RpcError>) {
    let send = async move {
        let Some(route) = context.route() else { return };
        match route.node.whisper(context.peer(), message).await {
            Ok(()) => route.finish(Some(outcome)),
            Err(error) => route.dropped(context.peer(), &error, outcome),
        }
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => _ = runtime.spawn(send),
        Err(_) => tracing::warn!("answer dropped: the runtime has ended"),
    }
}

fn too_large(size: usize) -> RpcError {
    let error = format!("the result is too large for a message ({size} bytes); split it or stream it");
    RpcError::new(code::INTERNAL_ERROR, error)
}

/// The answers to an array of requests, each with its id.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<(Id, Message)>);

impl Answers {
    fn array(&self) -> Message {
        wire::encode_batch(self.0.iter().map(|(_, answer)| answer.clone()))
    }

    /// Sends them as one array; one by one where that is too large for a message.
    pub(super) fn whisper(&self, node: &Node, peer: PeerId) -> Result<(), SendError> {
        let sent = node.try_whisper(peer, self.array());
        if !matches!(sent, Err(SendError::TooLarge { .. })) {
            return sent;
        }
        self.0.iter().try_for_each(|(id, answer)| match node.try_whisper(peer, answer.clone()) {
            Err(SendError::TooLarge { size, .. }) => {
                node.try_whisper(peer, wire::encode_error(id, &too_large(size)))
            }
            sent => sent,
        })
    }
}

/// Collects the answers to an array of requests; they travel as one array.
#[derive(Debug)]
pub(super) struct BatchReply {
    state: Mutex<(usize, Answers)>,
}

impl BatchReply {
    pub(super) fn new(answers: usize) -> Self {
        Self { state: Mutex::new((answers, Answers::default())) }
    }

    /// What to send, once this was the last answer.
    pub(super) fn add(&self, id: &Id, outcome: &Result<Body, RpcError>) -> Option<Answers> {
        let outcome = match outcome.as_ref().map(Body::to_json) {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => Err(RpcError::new(code::INTERNAL_ERROR, error.to_string())),
            Err(error) => Err(error.clone()),
        };
        self.settle(Some((id.clone(), encode_outcome(id, &outcome))))
    }

    /// One of the requests is answered elsewhere. What to send, if the others wait for it alone.
    pub(super) fn skip(&self) -> Option<Answers> {
        self.settle(None)
    }

    fn settle(&self, answer: Option<(Id, Message)>) -> Option<Answers> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.0.extend(answer);
        state.0 = state.0.saturating_sub(1);
        (state.0 == 0 && !state.1.0.is_empty()).then(|| std::mem::take(&mut state.1))
    }
}
