//! Runs the requests of a closure.
//!
//! Most handlers are done at their first poll, for which a task each would cost more than the work. So one task per method
//! begins them, and those that wait for something go on as tasks of their own. Where beginning takes long, as with
//! a handler that computes, each gets its task from the start, so that they run side by side.

use super::{Handled, Handler};
use crate::work::{Backend, Context, Responder, Work};
use futures_util::task::noop_waker_ref;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Requests begun before other tasks get their turn.
const TURN: usize = 64;
/// A first poll of this length is worth a task: it is far more than what one costs.
const LONG: Duration = Duration::from_micros(50);

/// The way to the task that begins requests; dropping it lets the task end. Bounded by the service's concurrency.
#[derive(Debug)]
pub(super) struct Runner(mpsc::UnboundedSender<Work>);

impl Runner {
    /// On the system's runtime: the one a method is served from may be gone sooner.
    pub(super) fn spawn(runtime: &Handle, handler: Handler) -> Self {
        let (queue, taken) = mpsc::unbounded_channel();
        runtime.spawn(run(handler, taken));
        Self(queue)
    }
}

impl Backend for Runner {
    fn start(&mut self, _: usize, work: Work) {
        // Without its task, dropping the work answers that nobody is there.
        _ = self.0.send(work);
    }
}

async fn run(handler: Handler, mut queue: mpsc::UnboundedReceiver<Work>) {
    let is_long = Arc::new(AtomicBool::new(false));
    let mut turn = Vec::with_capacity(TURN);
    while queue.recv_many(&mut turn, TURN).await > 0 {
        for work in turn.drain(..) {
            begin(&handler, work, &is_long);
        }
        give_way().await;
    }
}

/// Lets other tasks run. Unlike with `tokio::task::yield_now`, which waits for this very thread to come back to its
/// own affairs, any thread may go on with the next requests: on this one a handler may be computing by then.
async fn give_way() {
    let mut gave_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn begin(handler: &Handler, work: Work, is_long: &Arc<AtomicBool>) {
    if work.context.is_cancelled() {
        return;
    }
    if is_long.load(Ordering::Relaxed) {
        let (handler, is_long) = (handler.clone(), is_long.clone());
        tokio::spawn(async move {
            if let Some(request) = first_poll(&handler, work, &is_long) {
                request.run().await;
            }
        });
    } else if let Some(request) = first_poll(handler, work, is_long) {
        tokio::spawn(request.run());
    }
}

/// Begins a request; what is left of it is polled again at once, by the task that carries it on.
fn first_poll(handler: &Handler, work: Work, is_long: &AtomicBool) -> Option<Request> {
    let Work { params, context, responder } = work;
    let begun_at = Instant::now();
    // A panic ends this request only: the responder, dropped with it, answers that.
    let request = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let handled = context.enter(|| handler(params, context.clone()));
        let mut request = Request { handled, context, responder: Some(responder) };
        let polled = request.poll_handler(&mut task::Context::from_waker(noop_waker_ref()));
        polled.is_pending().then_some(request)
    }));
    is_long.store(begun_at.elapsed() > LONG, Ordering::Relaxed);
    request.ok().flatten()
}

/// A handler at work.
struct Request {
    handled: Handled,
    context: Context,
    responder: Option<Responder>,
}

impl Request {
    fn poll_handler(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let handled = self.handled.as_mut();
        self.context.enter(|| handled.poll(cx)).map(|outcome| {
            if let Some(responder) = self.responder.take() {
                responder.send(outcome);
            }
        })
    }

    /// Until it is done, or dropped unfinished because nobody waits for it.
    async fn run(mut self) {
        let context = self.context.clone();
        tokio::select! {
            biased;
            () = poll_fn(|cx| self.poll_handler(cx)) => {}
            () = context.cancelled() => {}
        }
    }
}
