//! One process of a node: how it is started, read, stopped and cleared away with all it has started.

use super::file::Node;
use crate::args::Options;
use crate::children::{Group, apart};
use crate::output::{Stream, What};
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// A line that is longer is passed on in parts.
const MAX_LINE: u64 = 64 << 10;
/// How long the pipes of a process that was killed may stay open: one that has left its group may hold them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What nodes find in their environment, and where they run.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Where relative directories begin.
    base: PathBuf,
    /// What `zyre` stands for.
    program: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
}

/// A line, and whose.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) process: usize,
    pub(super) stream: Stream,
    pub(super) text: Vec<u8>,
}

/// How a process has ended.
#[derive(Debug)]
pub(super) struct End {
    status: io::Result<ExitStatus>,
    pub(super) ran: Duration,
    /// It was told to end and did not.
    killed: bool,
    /// Something that it has started and that has left its group still has its output.
    pub(super) escaped: bool,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Process {
    // Before the child, so that its group is killed while the child's id is still its own.
    group: Group,
    child: Child,
    grace: Duration,
    began: Instant,
    readers: JoinSet<()>,
}

impl Surroundings {
    /// For the nodes of a file; what the options say of the network is passed on.
    pub(super) fn new(file: &Path, options: &Options) -> io::Result<Self> {
        let Options { interface, port, key_file, trust, .. } = options;
        let base = absolute(file)?.parent().unwrap_or(Path::new("/")).to_owned();
        let mut variables: Vec<(&'static str, PathBuf)> = Vec::new();
        // Else a node with keys of its own would send secured beacons to the open port, which end nodes of pyre.
        if *port != options.usual_port() {
            variables.push(("ZYRE_PORT", port.to_string().into()));
        }
        variables.extend(interface.as_ref().map(|interface| ("ZYRE_INTERFACE", interface.into())));
        for (name, file) in [("ZYRE_KEY_FILE", key_file), ("ZYRE_TRUST", trust)] {
            if let Some(file) = file {
                // Nodes run elsewhere.
                variables.push((name, absolute(file)?));
            }
        }
        Ok(Self { base, program: std::env::current_exe()?, variables })
    }

    /// Where a node runs.
    pub(super) fn directory(&self, node: &Node) -> PathBuf {
        node.directory.as_ref().map_or_else(|| self.base.clone(), |directory| self.base.join(directory))
    }

    fn command(&self, node: &Node, name: &str) -> io::Result<Command> {
        let (program, arguments) = node.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = match program.as_str() {
            "zyre" => Command::new(&self.program),
            program => Command::new(program),
        };
        command
            .args(arguments)
            .current_dir(self.directory(node))
            // It is the key of our own node, and no two nodes may have the same.
            .env_remove("ZYRE_CERT")
            .env_remove("ZYRE_PORT")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("ZYRE_NAME", name)
            .envs(&node.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }
}

impl Process {
    /// Starts one; its lines go to `lines` under this number.
    pub(super) fn start(
        surroundings: &Surroundings,
        node: &Node,
        name: &str,
        number: usize,
        lines: &mpsc::Sender<Line>,
    ) -> io::Result<Self> {
        let mut child = apart(&mut surroundings.command(node, name)?).spawn()?;
        let group = Group::of(&child);
        let mut readers = JoinSet::new();
        if let Some(pipe) = child.stdout.take() {
            readers.spawn(pass_on(pipe, number, Stream::Stdout, lines.clone()));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.spawn(pass_on(pipe, number, Stream::Stderr, lines.clone()));
        }
        Ok(Self { group, child, grace: node.grace, began: Instant::now(), readers })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it has ended, by itself or since `stop` came, and nothing of its group is left. All its lines were
    /// passed on then. Dropped early, all of the group is killed.
    pub(super) async fn end(mut self, stop: oneshot::Receiver<()>) -> End {
        let (status, killed) = tokio::select! {
            status = self.child.wait() => (status, false),
            // That nobody can stop it any more means so, too.
            _ = stop => {
                self.group.end();
                match timeout(self.grace, self.child.wait()).await {
                    Ok(status) => (status, false),
                    Err(_) => (self.kill().await, true),
                }
            }
        };
        let ran = self.began.elapsed();
        // What it leaves behind has the same time to end as it had itself; open pipes tell that there is something.
        let group = if self.group.end() {
            Some(self.group)
        } else {
            // Nothing is left, and its number may soon be that of a group of somebody else.
            self.group.release();
            None
        };
        let silent = timeout(self.grace, drained(&mut self.readers)).await;
        drop(group);
        let escaped = silent.is_err() && timeout(LAST_WORDS, drained(&mut self.readers)).await.is_err();
        End { status, ran, killed, escaped }
    }

    async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.group.kill();
        // Where there are no groups.
        _ = self.child.start_kill();
        self.child.wait().await
    }
}

impl End {
    pub(super) fn success(&self) -> bool {
        self.status.as_ref().is_ok_and(ExitStatus::success)
    }

    /// As it is told to the user.
    pub(super) fn told(&self) -> What {
        let status = self.status.as_ref().ok();
        let signal = status.copied().and_then(signal_of);
        What::Ended { code: status.and_then(ExitStatus::code), signal, killed: self.killed }
    }
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}

async fn drained(readers: &mut JoinSet<()>) {
    while readers.join_next().await.is_some() {}
}

async fn pass_on(pipe: impl AsyncRead + Unpin, process: usize, stream: Stream, lines: mpsc::Sender<Line>) {
    let mut pipe = BufReader::new(pipe);
    loop {
        let mut text = Vec::new();
        match (&mut pipe).take(MAX_LINE).read_until(b'\n', &mut text).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let end = [&b"\r\n"[..], b"\n"].into_iter().find(|end| text.ends_with(end));
        text.truncate(text.len() - end.map_or(0, <[u8]>::len));
        if lines.send(Line { process, stream, text }).await.is_err() {
            return;
        }
    }
}
