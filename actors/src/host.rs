//! Where actors live: a thread of their own that runs actix, and the only module that names it.
//!
//! Requests come in over a queue per service and go straight to `Handler::handle`, past actix's mailbox, which bounds
//! nothing and knows no callers. Each actor instance runs under `catch_unwind`; what is restarted then, and when,
//! [`supervise`](crate::supervise) decides. A program built with `panic = "abort"` dies with its first panic.
//!
//! A handler that blocks delays every actor on its arbiter, and cannot be stopped.

mod builder;
mod child;
mod intake;
pub(crate) mod serve;
mod set;
#[cfg(test)]
mod tests;

pub use builder::{ServeBuilder, Supervision};

use crate::ServeError;
use actix::{Actor, Addr, Arbiter, System, prelude::ArbiterHandle};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long [`Host::stop`] waits for handlers that block.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens to a served actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostEvent {
    /// It runs for the first time.
    Up,
    /// It is down and will be built anew, not before this time. Not told where that is at once; what was started
    /// waits for the new instance.
    Paused { until: Instant },
    /// A new instance runs.
    Resumed,
    /// It stopped by itself and is not restarted. What was started and waited is answered with −32006.
    Stopped,
    /// There were too many restarts; its whole set has stopped. What was started and waited is answered with −32006.
    GaveUp,
}

/// The thread that runs actix. It ends with the last handle, then without being waited for.
#[derive(Debug)]
pub(crate) struct Host {
    handle: HostHandle,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

/// Starts actors on a host from any thread.
#[derive(Clone, Debug)]
pub(crate) struct HostHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    system: System,
    /// At least one.
    arbiters: Vec<ArbiterHandle>,
    next: AtomicUsize,
}

impl Host {
    /// Starts the thread, and one more per arbiter where more than one is wanted.
    pub(crate) fn start(arbiters: usize) -> io::Result<Self> {
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("zyre-actors".to_owned()).spawn(move || {
            run_system(arbiters, &ready);
            let _ = end.send(());
        })?;
        let handle = started.recv().map_err(io::Error::other)??;
        Ok(Self { handle, thread, ended })
    }

    pub(crate) fn handle(&self) -> &HostHandle {
        &self.handle
    }

    /// Stops all actors and waits for the threads to end, up to 5 s: longer only handlers that block take.
    ///
    /// Cancel safe: the threads end all the same.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        self.handle.0.system.stop();
        let ended = tokio::time::timeout(STOP_TIMEOUT, &mut self.ended).await;
        ended
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "an actor's handler blocks its thread"))?
            .ok();
        self.thread.join().map_err(|_| io::Error::other("the thread of the actors panicked"))
    }
}

/// A host that is started when it is first needed, and not again once it was stopped.
#[derive(Debug)]
pub(crate) struct Lazy {
    arbiters: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    NotNeeded,
    Running(Host),
    Stopped,
}

impl Lazy {
    pub(crate) fn new(arbiters: usize) -> Self {
        Self { arbiters, state: Mutex::new(State::NotNeeded) }
    }

    pub(crate) fn handle(&self) -> Result<HostHandle, ServeError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Running(host) => return Ok(host.handle().clone()),
            State::Stopped => return Err(ServeError::Stopped),
            State::NotNeeded => {}
        }
        let host =
            Host::start(self.arbiters).map_err(|error| ServeError::Host { reason: error.to_string() })?;
        let handle = host.handle().clone();
        *state = State::Running(host);
        Ok(handle)
    }

    pub(crate) async fn stop(&self) {
        let state = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, State::Stopped)
        };
        if let State::Running(host) = state
            && let Err(error) = host.stop().await
        {
            tracing::warn!(%error, "the actors' thread did not end cleanly");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.system.stop();
    }
}

impl HostHandle {
    /// Runs an actor that serves nothing, as actix does: a panic ends it.
    pub(crate) fn spawn<A>(&self, factory: impl FnOnce() -> A + Send + 'static) -> Addr<A>
    where
        A: Actor<Context = actix::Context<A>>,
    {
        A::start_in_arbiter(self.arbiter(), |_| factory())
    }

    /// Turns take turns.
    fn arbiter(&self) -> &ArbiterHandle {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.arbiters.get(turn % self.0.arbiters.len().max(1)).unwrap_or_else(|| self.0.system.arbiter())
    }
}

fn run_system(arbiters: usize, ready: &std::sync::mpsc::SyncSender<io::Result<HostHandle>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let runner = System::with_tokio_rt(|| runtime);
    let system = System::current();
    // The system's own thread is an arbiter too; a second one only pays if there are at least two.
    let threads: io::Result<Vec<Arbiter>> =
        if arbiters > 1 { (0..arbiters).map(|_| Arbiter::try_new()).collect() } else { Ok(Vec::new()) };
    let threads = match threads {
        Ok(threads) => threads,
        Err(error) => {
            // Those that did start end with the system.
            system.stop();
            let _ = runner.run();
            return drop(ready.send(Err(error)));
        }
    };
    let mut arbiters: Vec<_> = threads.iter().map(Arbiter::handle).collect();
    if arbiters.is_empty() {
        arbiters.push(system.arbiter().clone());
    }
    let _ = ready.send(Ok(HostHandle(Arc::new(Shared { system, arbiters, next: AtomicUsize::new(0) }))));
    if let Err(error) = runner.run() {
        tracing::error!("the actors' system ended: {error}");
    }
    for thread in threads {
        thread.stop();
        let _ = thread.join();
    }
}
