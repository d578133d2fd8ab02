//! The demo's workers: processes of this same program, which end with it.

use super::{METHOD, POOL};
use crate::args::Options;
use crate::children::{Group, apart};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// After so many seconds a worker ends by itself: this process may be killed before it can see to that.
const LIFE: &str = "60";

pub(super) struct Crew {
    program: PathBuf,
    interface: Option<String>,
    key_file: Option<PathBuf>,
    port: u16,
    workers: BTreeMap<&'static str, Worker>,
}

struct Worker {
    // Before the child, so that its processes are killed while the child's id is still its own.
    group: Group,
    _child: Child,
}

impl Crew {
    pub(super) fn new(options: &Options) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let interface = options.interface.clone();
        let key_file = options.key_file.clone();
        Ok(Self { program, interface, key_file, port: options.port, workers: BTreeMap::new() })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Starts a worker that takes so many seconds for a call.
    pub(super) fn start(&mut self, name: &'static str, seconds: &str) -> io::Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["serve", METHOD, "--echo", "--work", seconds, "--concurrency", "4", "--pool", POOL])
            .args(["--name", name, "--timeout", LIFE, "--port", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(interface) = &self.interface {
            command.args(["--interface", interface]);
        }
        if let Some(key_file) = &self.key_file {
            command.arg("--key-file").arg(key_file);
        }
        let child = apart(&mut command).spawn()?;
        self.workers.insert(name, Worker { group: Group::of(&child), _child: child });
        Ok(())
    }

    /// Kills a worker: it gets no chance for a goodbye.
    pub(super) fn kill(&mut self, name: &str) {
        self.workers.remove(name);
    }

    /// Asks a worker to end.
    pub(super) fn end(&mut self, name: &str) {
        if let Some(worker) = self.workers.get(name) {
            worker.group.end();
        }
    }
}
