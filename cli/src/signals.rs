//! Ctrl-C and SIGTERM: the first ends the command cleanly, the second at once.

use crate::failure::Failure;
use std::io;
use tokio::sync::watch;

/// What asked the command to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C (SIGINT).
    Interrupt,
    /// SIGTERM.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has SIGTERM"))]
    Terminate,
}

impl Signal {
    /// 128 + the signal's number, as shells report it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Tells when the first signal has come.
#[derive(Clone, Debug)]
pub(crate) struct Signals(watch::Receiver<Option<Signal>>);

impl Signals {
    /// Catches the signals from now on. They are watched by a task of their own, so that the second
    /// one works even while the command is stuck writing to a reader that does not read.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let mut listener = Listener::new().map_err(Failure::Runtime)?;
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let first = listener.next().await;
            sender.send_replace(Some(first));
            let second = listener.next().await;
            crate::children::kill_all();
            std::process::exit(second.exit_code().into());
        });
        Ok(Self(receiver))
    }

    /// Runs the work unless a signal comes first; the work is dropped then.
    pub(crate) async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            signal = self.first() => Err(Failure::Interrupted(signal)),
            done = work => Ok(done),
        }
    }

    async fn first(&mut self) -> Signal {
        let signal = self.0.wait_for(Option::is_some).await.ok().and_then(|signal| *signal);
        match signal {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
struct Listener {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Listener {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Listener;

#[cfg(not(unix))]
impl Listener {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
