//! One process on a host: what it prints is kept in its log, waits on the log are bounded.
//!
//! Dropping kills; when the test fails, every process in it prints its log as it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fail;
use crate::log::{Event, Log, Mark};
use crate::netns::Host;
use crate::usage::Usage;

/// A running program and what it has printed so far.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<Mutex<ChildStdin>>,
    log: Arc<Log>,
}

impl Process {
    /// Starts a program on a host; `name` is for failures.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(name: &str, host: &Host, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = host.enter(|| command.spawn());
        let mut child = child.unwrap_or_else(|error| fail(&format!("cannot start {command:?}: {error}")));
        let log = Arc::new(Log::default());
        if let Some(stdout) = child.stdout.take() {
            follow(stdout, Arc::clone(&log), Event::parse, true);
        }
        if let Some(stderr) = child.stderr.take() {
            follow(stderr, Arc::clone(&log), |line| Event::text("STDERR", line), false);
        }
        let stdin = child.stdin.take().map(Mutex::new);
        Self { name: name.to_owned(), child, stdin, log }
    }

    /// What failures call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it costs.
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When it does not read any more.
    pub fn write_line(&self, line: &str) -> std::io::Result<()> {
        let stdin = self.stdin.as_ref().ok_or(std::io::ErrorKind::BrokenPipe)?;
        let mut stdin = stdin.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stdin, "{line}").and_then(|()| stdin.flush())
    }

    /// Closes its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line that is no event, with this text in it.
    #[track_caller]
    pub fn wait_line(&self, part: &str, timeout: Duration) -> Event {
        self.wait_for(&format!("line with {part:?}"), |event| event.line().contains(part), timeout)
    }

    /// The present end of the log.
    pub fn mark(&self) -> Mark {
        Mark(self.log.lock().events.len())
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events_since(Mark::START)
    }

    /// The events after a mark.
    pub fn events_since(&self, mark: Mark) -> Vec<Event> {
        self.log.lock().events.iter().skip(mark.0).cloned().collect()
    }

    /// How many events after a mark are of this kind and about this peer.
    pub fn count_since(&self, mark: Mark, kind: &str, peer: &str) -> usize {
        self.events_since(mark).iter().filter(|event| event.is(kind) && event.peer() == peer).count()
    }

    /// Waits for an event anywhere in the log; `what` names it in the failure.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool, timeout: Duration) -> Event {
        self.wait_since(Mark::START, what, wanted, timeout)
    }

    /// Waits for an event after a mark.
    ///
    /// # Panics
    /// When it does not come in time, or the process ended; the log is printed.
    #[track_caller]
    pub fn wait_since(
        &self,
        mark: Mark,
        what: &str,
        wanted: impl Fn(&Event) -> bool,
        timeout: Duration,
    ) -> Event {
        match self.log.find(mark.0, &wanted, timeout) {
            Some(event) => event,
            None => self.fail(&format!("no {what} within {timeout:?}")),
        }
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub fn wait_end(&mut self, timeout: Duration) -> ExitStatus {
        self.wait_for("end of the process", |event| event.is("ENDED"), timeout);
        match self.child.wait() {
            Ok(status) => status,
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Ends the process at once; a node gets no chance for a goodbye.
    pub fn kill(&mut self) {
        // A paused process dies of it too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Freezes the process.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ctrl-C.
    #[track_caller]
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// What service managers send.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if pid.is_none_or(|pid| kill_process(pid, signal).is_err()) {
            self.fail("cannot signal the process");
        }
    }

    /// Fails the test, naming the process.
    ///
    /// # Panics
    /// Always.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        fail(&format!("{}: {why}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the log of {}:\n{}", self.name, self.log);
        }
    }
}

/// Keeps the lines of a stream in the log, in a thread of its own.
fn follow(stream: impl Read + Send + 'static, log: Arc<Log>, read: fn(&str) -> Event, is_output: bool) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            log.push(read(&line));
        }
        if is_output {
            log.push(Event::text("ENDED", "the process closed its output"));
        }
    });
}
