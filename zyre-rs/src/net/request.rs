//! How tasks talk to the driver, the owner of the protocol machine.

use super::line::Line;
use crate::proto::Input;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// What a task asks of the driver.
#[derive(Debug)]
pub(crate) enum Request {
    /// Something happened.
    Tell(Input),
    /// Something happened, and its consequences (events, snapshot) must be there before the asker goes on.
    Ordered(Input, oneshot::Sender<()>),
    /// The application wants something of the driver itself.
    Ask(Ask),
    /// A connection says HELLO or resumes and waits to be let in. The leash stays with the driver.
    Admit(Input, Arc<Leash>, oneshot::Sender<Admission>),
}

/// What the application asks of the driver itself.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Stop the node; answered when it has stopped.
    Stop {
        /// How long delivery of what is queued may take.
        timeout: Duration,
        /// Told when the node has stopped.
        done: oneshot::Sender<()>,
    },
}

/// A connection has been let in; a dropped sender means that it was refused.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The peer's name, for its events.
    pub(crate) name: Arc<str>,
    /// Shared with the peer's link.
    pub(crate) line: Arc<Line>,
}

/// The driver's end of a connection: pulls it back.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    pulled: AtomicBool,
    notify: Notify,
}

impl Leash {
    /// Tells the connection to close.
    pub(crate) fn pull(&self) {
        self.pulled.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_pulled(&self) -> bool {
        self.pulled.load(Ordering::Acquire)
    }

    /// Completes once the leash is pulled. Cancel safe.
    pub(crate) async fn pulled(&self) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_pulled() {
            notified.await;
        }
    }
}

/// Where requests go. Bounded: askers wait when the driver is busy.
#[derive(Clone, Debug)]
pub(crate) struct Driver(pub(crate) mpsc::Sender<Request>);

/// The driver has ended, and with it the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

impl Driver {
    /// Whether the node has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.0.is_closed()
    }

    /// Tells the driver. Waits while its queue is full.
    pub(crate) async fn tell(&self, input: Input) -> Result<(), Stopped> {
        self.0.send(Request::Tell(input)).await.map_err(|_| Stopped)
    }

    /// Tells the driver and waits until it has acted.
    pub(crate) async fn tell_ordered(&self, input: Input) -> Result<(), Stopped> {
        let (done, acted) = oneshot::channel();
        self.0.send(Request::Ordered(input, done)).await.map_err(|_| Stopped)?;
        acted.await.map_err(|_| Stopped)
    }

    /// Asks to be let in; `Ok(None)` is a refusal.
    pub(crate) async fn admit(&self, input: Input, leash: Arc<Leash>) -> Result<Option<Admission>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Admit(input, leash, reply)).await.map_err(|_| Stopped)?;
        Ok(answer.await.ok())
    }
}
