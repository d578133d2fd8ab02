//! The life of a supervised actor: built, run and taken down on its arbiter, as its set orders.

use super::intake::{Intake, Loan, Queue, Run};
use super::set::Command;
use crate::supervise::{ChildId, Exit, Input};
use actix::dev::ContextFut;
use actix::{Actor, AsyncContext};
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// What a set tells an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Start,
    /// May come when it has ended already.
    Stop,
}

/// What is needed to run an actor again and again. Ends when its orders do.
pub(super) struct Child<A: Actor> {
    pub(super) id: ChildId,
    /// For the log.
    pub(super) name: String,
    pub(super) factory: Box<dyn FnMut() -> A + Send>,
    pub(super) methods: Vec<Run<A>>,
    pub(super) queue: Queue,
    /// A set orders one thing after the other, so there are few at a time.
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// Weak, so that a set ends with its last service.
    pub(super) set: mpsc::WeakUnboundedSender<Command>,
}

impl<A: Actor<Context = actix::Context<A>>> Child<A> {
    pub(super) async fn run(self) {
        let Self { id, name, mut factory, methods, queue, mut orders, set } = self;
        let methods: Rc<[Run<A>]> = methods.into();
        let loan = Loan::default();
        let mut queue = Some(queue);
        let tell = |input| {
            if let Some(set) = set.upgrade() {
                let _ = set.send(Command::Tell(input));
            }
        };
        while let Some(order) = orders.recv().await {
            if order == Order::Stop {
                continue;
            }
            let Some(actor) = guard(&name, &mut factory) else {
                tell(Input::Exited(id, Exit::Panicked));
                continue;
            };
            let mut ctx = actix::Context::new();
            loan.replace(queue.take());
            ctx.spawn(Intake { methods: methods.clone(), queue: loan.clone() });
            let mut instance = Instance { name: &name, future: Some(ctx.into_future(actor)) };

            let mut told = false;
            let exit = poll_fn(|cx| {
                if let Poll::Ready(exit) = instance.poll(cx) {
                    return Poll::Ready(exit);
                }
                if !std::mem::replace(&mut told, true) {
                    tell(Input::Started(id));
                }
                orders.poll_recv(cx).map(|_| Exit::Stopped)
            })
            .await;
            // Before the instance goes: what waits is for the next one, even if this one wakes once more on its way out.
            queue = loan.take();
            instance.end();
            tell(Input::Exited(id, exit));
        }
    }
}

/// One run of an actor.
struct Instance<'a, A: Actor<Context = actix::Context<A>>> {
    name: &'a str,
    future: Option<ContextFut<A, actix::Context<A>>>,
}

impl<A: Actor<Context = actix::Context<A>>> Instance<'_, A> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Exit> {
        let Some(future) = &mut self.future else { return Poll::Ready(Exit::Stopped) };
        match guard(self.name, || Pin::new(future).poll(cx)) {
            Some(poll) => poll.map(|()| Exit::Stopped),
            None => Poll::Ready(Exit::Panicked),
        }
    }

    /// Dropping a context calls the actor's `stopping` and `stopped`, if that has not been done.
    fn end(&mut self) {
        let future = self.future.take();
        guard(self.name, || drop(future));
    }
}

/// What is left behind by a panic is dropped and never looked at again, which makes it unwind safe.
fn guard<T>(name: &str, run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run))
        .inspect_err(|panic| {
            tracing::error!(service = name, "an actor panicked: {}", message(panic.as_ref()))
        })
        .ok()
}

fn message(panic: &(dyn Any + Send)) -> std::borrow::Cow<'_, str> {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    // It may quote what a peer sent.
    zyre_rs::printable(text.unwrap_or("(not a text)"))
}
