//! Runs the command with everything bounded: what does not come within [`PATIENCE`] fails the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Several times what the slowest step needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nodes that see each other and no others.
pub(crate) struct Network {
    port: u16,
}

/// A running command; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Zyre {
    child: Child,
    input: Option<ChildStdin>,
    stdout: Option<Receiver<String>>,
    stderr: Receiver<String>,
}

/// How a command has ended, with what it printed since it was last read.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Network {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        Self { port: socket.local_addr().expect("bound").port() }
    }

    /// The UDP port of their beacons.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts a command with empty input.
    pub(crate) fn zyre<const N: usize>(&self, args: [&str; N]) -> Zyre {
        self.zyre_of(&args)
    }

    /// Starts a command with empty input.
    pub(crate) fn zyre_of(&self, args: &[&str]) -> Zyre {
        let mut zyre = self.start(Command::new(env!("CARGO_BIN_EXE_zyre")).args(args));
        zyre.end_input();
        zyre
    }

    /// Starts a command that reads this input. It must fit into a pipe (64 KiB).
    pub(crate) fn zyre_with_input<const N: usize>(&self, args: [&str; N], input: &[u8]) -> Zyre {
        let mut zyre = self.zyre_typing(args);
        zyre.input.as_mut().expect("open").write_all(input).ok();
        zyre.end_input();
        zyre
    }

    /// Starts a command whose input stays open.
    pub(crate) fn zyre_typing<const N: usize>(&self, args: [&str; N]) -> Zyre {
        self.start(Command::new(env!("CARGO_BIN_EXE_zyre")).args(args))
    }

    /// Starts a program that has this network and finds the command by its name; its input stays open.
    pub(crate) fn start(&self, program: &mut Command) -> Zyre {
        let built = Path::new(env!("CARGO_BIN_EXE_zyre")).parent().expect("in a folder");
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(built.to_owned()).chain(std::env::split_paths(&folders));
        let mut child = program
            .env("PATH", std::env::join_paths(folders).expect("no colons"))
            .env("ZYRE_PORT", self.port.to_string())
            .env("ZYRE_INTERFACE", "127.0.0.1")
            .env_remove("ZYRE_NAME")
            .env_remove("ZYRE_KEY_FILE")
            .env_remove("ZYRE_CERT")
            .env_remove("ZYRE_TRUST")
            .env_remove("ZSYS_INTERFACE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command is built");
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        Zyre { input: child.stdin.take(), stdout: Some(lines(stdout)), stderr: lines(stderr), child }
    }
}

impl Zyre {
    /// Reads on to the first line of output that contains the text, which must be JSON.
    pub(crate) fn line_with(&mut self, text: &str) -> serde_json::Value {
        let until = Instant::now() + PATIENCE;
        let stdout = self.stdout.as_ref().expect("not closed");
        loop {
            match stdout.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return json(&line),
                Ok(_) => {}
                Err(error) => panic!("no line with {text}: {error}"),
            }
        }
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not ended");
        writeln!(input, "{line}").expect("it reads");
    }

    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Stops reading the output: the pipe closes with the next line that comes.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    /// Waits for the end of the command.
    pub(crate) fn finish(mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        let stdout = self.stdout.take().map(|stdout| rest(&stdout, until));
        let stderr = rest(&self.stderr, until);
        let code = self.child.wait().expect("not waited for yet").code();
        Ended { code, stdout: stdout.unwrap_or_default(), stderr }
    }
}

impl Drop for Zyre {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?} is not JSON: {error}"))
}

/// Passes on lines as they come. The pipe is closed once the receiver is gone and a line has come.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// All that comes until the pipe is closed.
fn rest(lines: &Receiver<String>, until: Instant) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => text.push_str(&line),
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("still running; so far: {text}"),
        }
    }
}
