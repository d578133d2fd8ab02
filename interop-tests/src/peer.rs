//! One foreign node as a process, driven over its standard input and output.
//!
//! Every line the process prints is kept in the peer's log. Waits look at the whole log or at what came after a
//! [`Mark`], are bounded, and print the log when they fail. Dropping a peer kills its process.

mod log;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

pub use self::log::{Counted, Event, Mark};
use self::log::{Log, Shortened, hex};
use crate::netns::Host;
use crate::{Missing, fail, provision};

/// How long a peer may take to start and to answer a command.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);

/// What to start: which implementation, and how it is configured.
#[derive(Debug, Clone)]
pub struct Spec {
    command: fn() -> Result<Command, Missing>,
    options: Map<String, Value>,
}

impl Spec {
    /// A pyre node. It picks the first interface that is not loopback, or multicast on `lo` when there is none.
    pub fn pyre(name: &str) -> Self {
        Self::new(name, || {
            let mut command = Command::new(provision::pyre()?.interpreter);
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/pyre_peer.py"));
            Ok(command)
        })
    }

    /// A zyre.js node. It picks the first interface that is not internal; see [`Spec::option`] `iface`.
    pub fn zyrejs(name: &str) -> Self {
        Self::new(name, || {
            let node = provision::zyrejs()?;
            let mut command = Command::new(node.interpreter);
            command.env("NODE_PATH", node.modules);
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/zyrejs_peer.js"));
            Ok(command)
        })
    }

    fn new(name: &str, command: fn() -> Result<Command, Missing>) -> Self {
        Self { command, options: Map::new() }.option("name", name)
    }

    /// Joins a group before (pyre) or right after (zyre.js) the start.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        let groups = self.options.entry("groups").or_insert_with(|| json!([]));
        if let Some(groups) = groups.as_array_mut() {
            groups.push(group.into());
        }
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, key: &str, value: &str) -> Self {
        let headers = self.options.entry("headers").or_insert_with(|| json!({}));
        if let Some(headers) = headers.as_object_mut() {
            headers.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Sets any option of the adapter: `port` (UDP) for both; `iface`, `mailbox` (first TCP port tried), `evasive`
    /// and `expired` (milliseconds) for zyre.js.
    #[must_use]
    pub fn option(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.options.insert(key.to_owned(), value.into());
        self
    }

    /// Starts the node on `host` and waits until it runs.
    ///
    /// # Errors
    /// [`Missing`] when the implementation cannot be provided.
    ///
    /// # Panics
    /// When the process does not report a running node in time.
    #[track_caller]
    pub fn spawn(&self, host: &Host) -> Result<Peer, Missing> {
        let mut command = (self.command)()?;
        command.arg(Value::Object(self.options.clone()).to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = host.enter(|| command.spawn());
        let child = child.unwrap_or_else(|error| fail(&format!("cannot start {command:?}: {error}")));
        let name = self.options.get("name").and_then(Value::as_str).unwrap_or("unnamed");
        Ok(Peer::attach(name, child))
    }
}

/// A running foreign node.
#[derive(Debug)]
pub struct Peer {
    name: String,
    id: String,
    endpoint: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: Arc<Log>,
    commands: AtomicU64,
}

impl Peer {
    #[track_caller]
    fn attach(name: &str, mut child: Child) -> Self {
        let log = Arc::new(Log::default());
        if let Some(stdout) = child.stdout.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    log.push(Event::parse(&line));
                }
                log.push(Event::text("ENDED", "the process closed its output"));
            });
        }
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.push(Event::text("STDERR", &line));
                }
            });
        }
        let stdin = child.stdin.take();
        let mut peer = Self {
            name: name.to_owned(),
            id: String::new(),
            endpoint: String::new(),
            child,
            stdin,
            log,
            commands: AtomicU64::new(1),
        };
        let ready = peer.wait_for("READY", |event| event.is("READY"), REPLY_TIMEOUT);
        peer.id = ready.peer().to_owned();
        peer.endpoint = ready.endpoint().to_owned();
        peer
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's UUID as 32 upper-case hex digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The endpoint the node announces.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Joins a group.
    #[track_caller]
    pub fn join(&self, group: &str) {
        self.call(json!({"cmd": "join", "group": group}));
    }

    /// Leaves a group.
    #[track_caller]
    pub fn leave(&self, group: &str) {
        self.call(json!({"cmd": "leave", "group": group}));
    }

    /// Sends a message to one peer; zyre.js refuses anything but one frame, pyre refuses none.
    #[track_caller]
    pub fn whisper(&self, peer: &str, frames: &[&[u8]]) {
        self.call(json!({"cmd": "whisper", "peer": peer, "frames": hex_all(frames)}));
    }

    /// Sends a message to a group, with the limits of [`Peer::whisper`].
    #[track_caller]
    pub fn shout(&self, group: &str, frames: &[&[u8]]) {
        self.call(json!({"cmd": "shout", "group": group, "frames": hex_all(frames)}));
    }

    /// The peers this node knows, as 32 upper-case hex digits each.
    #[track_caller]
    pub fn peers(&self) -> Vec<String> {
        strings(&self.call(json!({"cmd": "peers"})))
    }

    /// The peers this node knows in a group.
    #[track_caller]
    pub fn peers_in(&self, group: &str) -> Vec<String> {
        strings(&self.call(json!({"cmd": "peers_in", "group": group})))
    }

    /// The endpoint this node is connected to for a peer; empty when it knows none.
    #[track_caller]
    pub fn address_of(&self, peer: &str) -> String {
        self.call(json!({"cmd": "address", "peer": peer})).as_str().unwrap_or_default().to_owned()
    }

    /// Starts sending `count` whispers of `size` (8 or more) bytes, numbered upwards from `start` in their first
    /// eight bytes, as fast as the implementation can. A `FLOODED` event tells when all are handed over.
    ///
    /// pyre cuts off a receiver that falls 3000 messages behind, so pace it when the receiver is slower than
    /// Python ([`flood_in_step`]).
    #[track_caller]
    pub fn flood_whispers(&self, peer: &str, start: u64, count: u64, size: usize) {
        self.call(json!({"cmd": "flood", "peer": peer, "start": start, "count": count, "size": size}));
    }

    /// As [`Peer::flood_whispers`], to a group.
    #[track_caller]
    pub fn flood_shouts(&self, group: &str, start: u64, count: u64, size: usize) {
        self.call(json!({"cmd": "flood", "group": group, "start": start, "count": count, "size": size}));
    }

    /// From now on counts arriving whispers and shouts as numbered ones per sender instead of reporting each.
    #[track_caller]
    pub fn start_counting(&self) {
        self.call(json!({"cmd": "count", "on": true}));
    }

    /// What was counted of one sender so far.
    #[track_caller]
    pub fn counted(&self, sender: &str) -> Counted {
        Counted::read(self.call(json!({"cmd": "counts"})).get(sender).unwrap_or(&Value::Null))
    }

    /// Waits until `sender`'s messages up to number `next - 1` have been counted.
    #[track_caller]
    pub fn wait_counted(&self, sender: &str, next: u64, timeout: Duration) -> Counted {
        let since = self.mark();
        self.call(json!({"cmd": "await", "peer": sender, "next": next}));
        let reached = |event: &Event| event.is("REACHED") && event.peer() == sender;
        Counted::read(&self.wait_since(since, &format!("number {next} from {sender}"), reached, timeout).0)
    }

    /// Stops the node with its goodbye; the process stays.
    #[track_caller]
    pub fn stop(&self) {
        self.call(json!({"cmd": "stop"}));
    }

    /// Ends the process at once, without a goodbye.
    pub fn kill(&mut self) {
        // A paused process dies of it too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Freezes the process.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if pid.is_none_or(|pid| kill_process(pid, signal).is_err()) {
            self.fail("cannot signal the process");
        }
    }

    /// Sends a command and returns the value of its reply.
    ///
    /// # Panics
    /// When the adapter reports an error, or does not answer in time.
    #[track_caller]
    pub fn call(&self, command: Value) -> Value {
        match self.try_call(command) {
            Ok(value) => value,
            Err(error) => self.fail(&error),
        }
    }

    /// Sends a command and returns the value of its reply, or the adapter's error.
    #[track_caller]
    pub fn try_call(&self, mut command: Value) -> Result<Value, String> {
        let id = self.commands.fetch_add(1, Ordering::Relaxed);
        let name = command.to_string();
        if let Some(command) = command.as_object_mut() {
            command.insert("id".to_owned(), id.into());
        }
        let since = self.mark();
        let sent =
            self.stdin.as_ref().map(|mut stdin| writeln!(stdin, "{command}").and_then(|()| stdin.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(format!("the process does not take commands: {}", Shortened(&name)));
        }
        let answers = |event: &Event| event.is("REPLY") && event.number("id") == Some(id);
        let reply = self.wait_since(since, &format!("reply to {}", Shortened(&name)), answers, REPLY_TIMEOUT);
        match reply.0.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{}: {error}", Shortened(&name))),
            None => Ok(reply.0.get("value").cloned().unwrap_or(Value::Null)),
        }
    }

    /// The present end of the log.
    pub fn mark(&self) -> Mark {
        Mark(self.log.lock().events.len())
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events_since(Mark(0))
    }

    /// The events after a mark.
    pub fn events_since(&self, mark: Mark) -> Vec<Event> {
        self.log.lock().events.iter().skip(mark.0).map(|(_, event)| event.clone()).collect()
    }

    /// Waits for an event anywhere in the log; `what` names it in the failure.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool, timeout: Duration) -> Event {
        self.wait_since(Mark(0), what, wanted, timeout)
    }

    /// Waits for an event after a mark.
    ///
    /// # Panics
    /// When it does not come in time, or the process ended; the message has the log.
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

    /// Waits for the ENTER of a peer and returns it.
    #[track_caller]
    pub fn wait_enter(&self, peer: &str, timeout: Duration) -> Event {
        self.wait_for(&format!("ENTER of {peer}"), |event| event.is("ENTER") && event.peer() == peer, timeout)
    }

    /// Waits for the JOIN of a peer.
    #[track_caller]
    pub fn wait_join(&self, peer: &str, group: &str, timeout: Duration) -> Event {
        let joins = |event: &Event| event.is("JOIN") && event.peer() == peer && event.group() == group;
        self.wait_for(&format!("JOIN {group} of {peer}"), joins, timeout)
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        fail(&format!("{} ({}): {why}\nits log:\n{}", self.name, self.id, self.log))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Floods `count` numbered whispers from `sender` and keeps it at most `window` messages ahead of `receiver`, which
/// must be counting; returns what the receiver counted.
#[track_caller]
pub fn flood_in_step(sender: &Peer, receiver: &Peer, count: u64, size: usize, window: u64) -> Counted {
    let mut sent = 0;
    while sent < count {
        let slice = window.min(count - sent);
        sender.flood_whispers(receiver.id(), sent, slice, size);
        sent += slice;
        receiver.wait_counted(sender.id(), sent, REPLY_TIMEOUT);
    }
    receiver.counted(sender.id())
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn hex_all(frames: &[&[u8]]) -> Vec<String> {
    frames.iter().map(|frame| hex(frame)).collect()
}
