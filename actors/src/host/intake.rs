//! How requests reach an actor: from a bounded queue, through an actor future, into `Handler::handle`.

use crate::remote::answer;
use crate::work::{Backend, Work};
use crate::{RemoteMessage, RpcError, code, server};
use actix::dev::MessageResponse;
use actix::{Actor, ActorFuture, AsyncContext, Handler, Message};
use serde_json::json;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Requests handled before an actor's other futures get their turn: half of what tokio grants a task at a time, so
/// that those may still make progress.
const BATCH: usize = 64;

/// Handles one request with one of the actor's handlers.
pub(super) type Run<A> = fn(&mut A, &mut <A as Actor>::Context, Work);

/// Both ends of a service's queue. A request that finds it full is answered with −32001.
pub(super) fn queue(limits: server::Limits) -> (Desk, Queue) {
    // Also what was aborted while it waited takes a place until the actor comes to it.
    let capacity = limits.concurrency.saturating_add(limits.queue).clamp(1, Semaphore::MAX_PERMITS);
    let (sender, receiver) = mpsc::channel(capacity);
    (Desk(sender), Queue(receiver))
}

/// Where requests are handed in.
#[derive(Debug)]
pub(super) struct Desk(mpsc::Sender<(usize, Work)>);

impl Backend for Desk {
    fn start(&mut self, method: usize, work: Work) {
        match self.0.try_send((method, work)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, work))) => work.responder.send(Err(overloaded())),
            Err(TrySendError::Closed((_, work))) => work.responder.send(Err(not_executed())),
        }
    }
}

/// Where an actor takes them from. It outlives instances; dropped, it says of what still waits that it was not executed.
#[derive(Debug)]
pub(super) struct Queue(mpsc::Receiver<(usize, Work)>);

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.close();
        while let Ok((_, work)) = self.0.try_recv() {
            work.responder.send(Err(not_executed()));
        }
    }
}

/// A queue on loan to one instance; taken back when that has ended.
pub(super) type Loan = Rc<RefCell<Option<Queue>>>;

/// Runs within the actor, for as long as that lives.
pub(super) struct Intake<A: Actor> {
    pub(super) methods: Rc<[Run<A>]>,
    pub(super) queue: Loan,
}

impl<A: Actor<Context = actix::Context<A>>> ActorFuture<A> for Intake<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut actix::Context<A>,
        task: &mut Context<'_>,
    ) -> Poll<()> {
        for _ in 0..BATCH {
            // A handler wants the actor for itself (`ctx.wait`) or has stopped it. Whatever ends that polls us again.
            if ctx.waiting() {
                return Poll::Pending;
            }
            let next = match self.queue.borrow_mut().as_mut() {
                Some(queue) => queue.0.poll_recv(task),
                None => return Poll::Ready(()),
            };
            match next {
                Poll::Ready(Some((method, work))) => match self.methods.get(method) {
                    Some(run) => run(actor, ctx, work),
                    None => work.responder.send(Err(RpcError::new(code::METHOD_NOT_FOUND, "no such method"))),
                },
                // The service is gone, and its supervisor will stop the actor.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Hands a request to its handler, and the answer back at once if there is one already.
pub(super) fn run<A, M>(actor: &mut A, ctx: &mut actix::Context<A>, work: Work)
where
    A: Actor<Context = actix::Context<A>> + Handler<M>,
    M: RemoteMessage + Message<Result = <M as RemoteMessage>::Output>,
{
    // Should the handler panic, the responder is dropped and says so.
    let Work { params, context, responder } = work;
    if context.is_cancelled() {
        return responder.send(Err(RpcError::new(code::CANCELLED, "nobody waits for the answer")));
    }
    let message: M = match params.decode() {
        Ok(message) => message,
        Err(error) => return responder.send(Err(RpcError::new(code::INVALID_PARAMS, error.to_string()))),
    };
    let codec = params.codec;
    let (sender, mut receiver) = oneshot::channel();
    context.enter(|| actor.handle(message, ctx).handle(ctx, Some(sender)));
    match receiver.try_recv() {
        Ok(output) => responder.send(answer::<M>(output, codec)),
        Err(oneshot::error::TryRecvError::Empty) => drop(tokio::task::spawn_local(async move {
            match receiver.await {
                Ok(output) => responder.send(answer::<M>(output, codec)),
                Err(_) => unanswered::<M>(),
            }
        })),
        Err(oneshot::error::TryRecvError::Closed) => unanswered::<M>(),
    }
}

/// The responder tells the caller.
fn unanswered<M: RemoteMessage>() {
    tracing::warn!(
        method = M::METHOD,
        "a handler ended without an answer: its future panicked or its actor stopped"
    );
}

fn overloaded() -> RpcError {
    let retry_after = u64::try_from(server::RETRY_AFTER.as_millis()).unwrap_or(u64::MAX);
    RpcError::new(code::OVERLOADED, "too many requests wait for the actor")
        .with_data(json!({ "retry_after_ms": retry_after }))
}

fn not_executed() -> RpcError {
    RpcError::new(code::RESTARTING, "not executed: the actor has stopped")
}
