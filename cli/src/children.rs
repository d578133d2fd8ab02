//! Processes this command has started: each in a process group of its own, so that all it starts ends with it.
//!
//! Ctrl-C at a terminal therefore does not reach them: a request that is being worked on can be finished.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::process::{Child, Command};

/// The groups that are to be killed should this process end at once.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The process group of a child; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group(Option<u32>);

impl Group {
    /// Of a child that was started by a command that was [`apart`].
    pub(crate) fn of(child: &Child) -> Self {
        let group = child.id();
        locked(|running| running.extend(group));
        Self(group)
    }

    /// Asks all of the group to end (SIGTERM), where there is such a thing; whether there was somebody to ask.
    pub(crate) fn end(&self) -> bool {
        self.0.is_some_and(terminate)
    }

    /// Kills all of the group (SIGKILL), where there is such a thing.
    pub(crate) fn kill(&self) {
        self.0.into_iter().for_each(kill);
    }

    /// Lets what is left of the group live.
    pub(crate) fn release(mut self) {
        if let Some(group) = self.0.take() {
            locked(|running| running.remove(&group));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            locked(|running| running.remove(&group));
            kill(group);
        }
    }
}

/// Has the command's process start in a group of its own.
pub(crate) fn apart(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true)
}

/// For the sudden end.
pub(crate) fn kill_all() {
    locked(std::mem::take).into_iter().for_each(kill);
}

fn locked<T>(work: impl FnOnce(&mut BTreeSet<u32>) -> T) -> T {
    work(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(unix)]
fn terminate(group: u32) -> bool {
    signal(group, rustix::process::Signal::TERM)
}

#[cfg(not(unix))]
fn terminate(_: u32) -> bool {
    false
}

#[cfg(unix)]
fn kill(group: u32) {
    signal(group, rustix::process::Signal::KILL);
}

#[cfg(not(unix))]
fn kill(_: u32) {}

/// It fails when all have ended by themselves.
#[cfg(unix)]
fn signal(group: u32, signal: rustix::process::Signal) -> bool {
    let group = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw);
    group.is_some_and(|group| rustix::process::kill_process_group(group, signal).is_ok())
}
