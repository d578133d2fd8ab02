//! Ctrl-C, SIGTERM and the end of the terminal: the first ends the command cleanly, the second at once.

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
    /// The terminal was closed (SIGHUP).
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "elsewhere it is not known whether it counts")
    )]
    HangUp,
}

impl Signal {
    /// 128 + the signal's number, as shells report it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
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

    /// Waits for the first signal.
    pub(crate) async fn first(&mut self) -> Signal {
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
    /// Not there where it does not count.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Listener {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = hang_up_counts().then(|| signal(SignalKind::hangup())).transpose()?;
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hang_up })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            Some(_) = async { Some(self.hang_up.as_mut()?.recv().await) } => Signal::HangUp,
        }
    }
}

/// Whether a closed terminal is to end the command: not under `nohup`, which has it ignored, and catching it would undo that.
#[cfg(unix)]
fn hang_up_counts() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores_hang_up(&status))
}

/// Whether the first of the ignored signals is among them, as `/proc/self/status` tells it.
#[cfg(unix)]
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_command_under_nohup_outlives_its_terminal() {
        assert!(ignores_hang_up("Name:\tzyre\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hang_up("Name:\tzyre\nSigIgn:\t0000000000001000\nSigCgt:\t1\n"));
        assert!(ignores_hang_up("something else"), "left alone where it is not known");
    }
}
