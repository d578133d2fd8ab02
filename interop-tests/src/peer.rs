//! One node as a process, foreign or ours, driven over its standard input and output.
//!
//! All kinds take the same commands and print the same events (see [`Event`]). Dropping a peer kills its process.

use std::ops::Deref;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::log::Shortened;
pub use crate::log::{Counted, Event, Mark, hex, unhex};
use crate::netns::Host;
pub use crate::process::Process;
use crate::{Missing, provision};

/// How long a peer may take to start and to answer a command.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);

/// What to start: which implementation, and how it is configured.
#[derive(Debug, Clone)]
pub struct Spec {
    command: fn() -> Result<Command, Missing>,
    options: Map<String, Value>,
    wrapper: Vec<String>,
    variables: Vec<(String, String)>,
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

    /// A node of this crate.
    pub fn ours(name: &str) -> Self {
        Self::new(name, || Ok(Command::new(provision::adapter("zyre-rs-peer")?)))
    }

    /// A node of this crate with actors on it. Its groups are the services it serves (see `bin/zyre-rpc-peer.rs`), and
    /// the only command it takes is [`Peer::counters`].
    pub fn actors(name: &str) -> Self {
        Self::new(name, || Ok(Command::new(provision::adapter("zyre-rpc-peer")?)))
    }

    /// A node of this crate that shouts and calls by itself (see `bin/zyre-soak-peer.rs`).
    pub fn soak(name: &str) -> Self {
        Self::new(name, || Ok(Command::new(provision::adapter("zyre-soak-peer")?)))
    }

    fn new(name: &str, command: fn() -> Result<Command, Missing>) -> Self {
        let spec = Self { command, options: Map::new(), wrapper: Vec::new(), variables: Vec::new() };
        spec.option("name", name)
    }

    /// Joins a group before (pyre, ours) or right after (zyre.js) the start.
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

    /// Sets any option of the adapter: `port` (UDP) for all; `iface`, `mailbox` (TCP port, the first one tried by
    /// zyre.js), `evasive` and `expired` (milliseconds) for zyre.js and ours; `uuid`, `beacon` (bool), `connect` and
    /// `advertise` (endpoints), `keys` (numbers that stand for keys of the network, the first one shown), `overflow` (`block`,
    /// `drop_newest`, `drop_oldest`, `disconnect`) and `echo` (bool: sends whispers back instead of reporting them) for ours.
    #[must_use]
    pub fn option(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.options.insert(key.to_owned(), value.into());
        self
    }

    /// Runs the node's process by another program that ends in it: `prlimit --nofile=64`.
    #[must_use]
    pub fn under(mut self, wrapper: &str) -> Self {
        self.wrapper = wrapper.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
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
        if let Some((program, arguments)) = self.wrapper.split_first() {
            let inner = std::mem::replace(&mut command, Command::new(program));
            command.args(arguments).arg(inner.get_program()).args(inner.get_args());
            command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        }
        command.envs(self.variables.iter().cloned());
        command.arg(Value::Object(self.options.clone()).to_string());
        let name = self.options.get("name").and_then(Value::as_str).unwrap_or("unnamed");
        let process = Process::spawn(name, host, command);
        Ok(Peer::attach(process))
    }
}

/// A running node.
#[derive(Debug)]
pub struct Peer {
    id: String,
    endpoint: String,
    process: Process,
    commands: AtomicU64,
}

impl Deref for Peer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Peer {
    #[track_caller]
    fn attach(process: Process) -> Self {
        let ready = process.wait_for("READY", |event| event.is("READY"), REPLY_TIMEOUT);
        let (id, endpoint) = (ready.peer().to_owned(), ready.endpoint().to_owned());
        Self { id, endpoint, process, commands: AtomicU64::new(1) }
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

    /// Makes pyre or zyre.js act as if the last message *to* a peer had got lost on the way.
    #[track_caller]
    pub fn lose_sent(&self, peer: &str) {
        self.call(json!({"cmd": "skip", "peer": peer, "way": "out"}));
    }

    /// Makes pyre or zyre.js act as if the last message *from* a peer had got lost on the way.
    #[track_caller]
    pub fn lose_received(&self, peer: &str) {
        self.call(json!({"cmd": "skip", "peer": peer, "way": "in"}));
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
        Counted::read(
            &self.wait_since(since, &format!("number {next} from {sender}"), reached, timeout).value,
        )
    }

    /// What our node has counted, by name; what never occurred is missing.
    #[track_caller]
    pub fn counters(&self) -> Value {
        self.call(json!({"cmd": "counters"}))
    }

    /// Our node's application stops taking events, or goes on.
    #[track_caller]
    pub fn read_events(&self, reading: bool) {
        self.call(json!({"cmd": "read", "on": reading}));
    }

    /// Our node begins to whisper numbered messages as fast as they are queued; see [`Peer::wait_pressed`].
    #[track_caller]
    pub fn press(&self, peer: &str, size: usize, time: Duration) {
        self.call(json!({"cmd": "press", "peer": peer, "size": size, "ms": millis(time)}));
    }

    /// What became of [`Peer::press`]; see [`crate::load::press`].
    #[track_caller]
    pub fn wait_pressed(&self, mark: Mark, timeout: Duration) -> Value {
        self.wait_since(mark, "end of the load", |event| event.is("PRESSED"), timeout).value
    }

    /// Our node times round trips to a peer that echoes; see [`crate::load::round_trips`].
    #[track_caller]
    pub fn time_round_trips(&self, peer: &str, time: Duration) -> Value {
        let mark = self.mark();
        self.call(json!({"cmd": "time", "peer": peer, "ms": millis(time)}));
        self.wait_since(mark, "round trips", |event| event.is("TIMED"), time + 2 * REPLY_TIMEOUT).value
    }

    /// Stops our node; what it took in milliseconds (`ms`), and the tasks and descriptors there are afterwards more
    /// than before it was started (`tasks`, `descriptors`).
    #[track_caller]
    pub fn stop_and_tell(&self) -> Value {
        self.call(json!({"cmd": "stop_and_tell"}))
    }

    /// What time of day it is for our node's process, in seconds since 1970.
    #[track_caller]
    pub fn wall_clock(&self) -> u64 {
        self.call(json!({"cmd": "clock"})).as_u64().unwrap_or_default()
    }

    /// SIGTERM, on which a node with actors stops cleanly, and the wait for its end.
    #[track_caller]
    pub fn terminate(&mut self, timeout: Duration) {
        self.process.terminate();
        let status = self.process.wait_end(timeout);
        if !status.success() {
            self.fail(&format!("ended with {status}"));
        }
    }

    /// Stops the node with its goodbye; the process stays.
    #[track_caller]
    pub fn stop(&self) {
        self.call(json!({"cmd": "stop"}));
    }

    /// As [`Peer::stop`], without waiting for its end: zyre.js may die of an assertion of its libzmq (`pipe.cpp`) in
    /// it, after its goodbye is out.
    #[track_caller]
    pub fn begin_stop(&self) {
        if self.write_line(r#"{"cmd": "stop"}"#).is_err() {
            self.fail("the process does not take commands");
        }
    }

    /// Ends the process at once, without a goodbye.
    pub fn kill(&mut self) {
        self.process.kill();
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
        if self.write_line(&command.to_string()).is_err() {
            return Err(format!("the process does not take commands: {}", Shortened(&name)));
        }
        let answers = |event: &Event| event.is("REPLY") && event.number("id") == Some(id);
        let reply = self.wait_since(since, &format!("reply to {}", Shortened(&name)), answers, REPLY_TIMEOUT);
        match reply.value.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{}: {error}", Shortened(&name))),
            None => Ok(reply.value.get("value").cloned().unwrap_or(Value::Null)),
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

    /// Waits for the EXIT of a peer after a mark.
    #[track_caller]
    pub fn wait_exit(&self, mark: Mark, peer: &str, timeout: Duration) -> Event {
        let exits = |event: &Event| event.is("EXIT") && event.peer() == peer;
        self.wait_since(mark, &format!("EXIT of {peer}"), exits, timeout)
    }

    /// Waits for a whisper of a peer after a mark.
    #[track_caller]
    pub fn wait_whisper(&self, mark: Mark, peer: &str, timeout: Duration) -> Event {
        let whispers = |event: &Event| event.is("WHISPER") && event.peer() == peer;
        self.wait_since(mark, &format!("whisper of {peer}"), whispers, timeout)
    }

    /// Waits for a shout of a peer after a mark.
    #[track_caller]
    pub fn wait_shout(&self, mark: Mark, peer: &str, group: &str, timeout: Duration) -> Event {
        let shouts = |event: &Event| event.is("SHOUT") && event.peer() == peer && event.group() == group;
        self.wait_since(mark, &format!("shout of {peer} to {group}"), shouts, timeout)
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn hex_all(frames: &[&[u8]]) -> Vec<String> {
    frames.iter().map(|frame| hex(frame)).collect()
}
