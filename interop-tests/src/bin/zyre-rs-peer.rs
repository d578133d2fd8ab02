//! A node of this crate driven by JSON lines: commands on standard input, events and replies on standard output (the
//! same words as `peers/pyre_peer.py`). With `RUST_LOG` set it traces to standard error, which ends up in the log.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use zyre_interop_tests::adapter::{Outcome, emit, exit, lines, options};
use zyre_interop_tests::load::{press, round_trips};
use zyre_interop_tests::peer::{Counted, hex, unhex};
use zyre_interop_tests::usage::Usage;
use zyre_rs::{Event, Events, Message, NetworkKey, Node, NodeBuilder, Overflow, PeerId};

/// How long a send may wait under `Overflow::Block`: short, so that some are refused in a test.
const BLOCK: Duration = Duration::from_millis(200);
/// How long tasks may take to end after a stop before they count as leaked.
const ENDED: Duration = Duration::from_secs(2);

/// What commands change while events come in on another task.
struct Shared {
    counting: Mutex<State>,
    reading: watch::Sender<bool>,
    has_echo: bool,
    /// Tasks and descriptors before the node was there.
    before: (usize, usize),
}

#[derive(Default)]
struct State {
    is_on: bool,
    counters: BTreeMap<String, Counted>,
    awaited: BTreeMap<String, u64>,
    /// Who waits for the echoes of a peer.
    echoes: Option<(PeerId, mpsc::UnboundedSender<Vec<u8>>)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        subscriber.with_writer(std::io::stderr).init();
    }
    exit(run().await)
}

async fn run() -> Outcome<()> {
    let options = options()?;
    let shared = Arc::new(Shared {
        counting: Mutex::default(),
        reading: watch::Sender::new(true),
        has_echo: options.get("echo").and_then(Value::as_bool).unwrap_or_default(),
        before: costs(),
    });
    let (node, events) = builder(&options)?.start().await?;
    emit(&json!({
        "event": "READY",
        "peer": node.id().to_string(),
        "name": node.name(),
        "endpoint": node.endpoint().to_string(),
    }));
    tokio::spawn(report(node.clone(), events, shared.clone()));

    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let command: Value = serde_json::from_str(&line)?;
        let mut reply = json!({"event": "REPLY", "id": command.get("id")});
        match obey(&node, &shared, &command).await {
            Ok(value) => reply["value"] = value,
            Err(error) => reply["error"] = error.to_string().into(),
        }
        emit(&reply);
    }
    Ok(())
}

fn builder(options: &Map<String, Value>) -> Outcome<NodeBuilder> {
    let text = |key| options.get(key).and_then(Value::as_str);
    let number = |key| options.get(key).and_then(Value::as_u64);
    let port = |key| number(key).map(u16::try_from).transpose();
    let time = |key| number(key).map(Duration::from_millis);
    let mut builder = text("name").map_or_else(Node::unnamed, Node::builder);
    for group in options.get("groups").and_then(Value::as_array).into_iter().flatten() {
        builder = builder.join(group.as_str().ok_or("a group is text")?);
    }
    for (key, value) in options.get("headers").and_then(Value::as_object).into_iter().flatten() {
        builder = builder.header(key, value.as_str().ok_or("a header is text")?);
    }
    if let Some(port) = port("port")? {
        builder = builder.beacon_port(port);
    }
    if let Some(port) = port("mailbox")? {
        builder = builder.tcp_port(port);
    }
    if let Some(key) = network_key(options)? {
        builder = builder.network_key(key);
    }
    if let Some(interface) = text("iface") {
        builder = builder.interface(interface);
    }
    if let Some(id) = text("uuid") {
        builder = builder.id(id.parse()?);
    }
    if let Some(endpoint) = text("connect") {
        builder = builder.connect(endpoint);
    }
    if let Some(endpoint) = text("advertise") {
        builder = builder.advertise(endpoint);
    }
    match text("overflow") {
        Some("block") => builder = builder.overflow(Overflow::Block(BLOCK)),
        Some("drop_newest") => builder = builder.overflow(Overflow::DropNewest),
        Some("drop_oldest") => builder = builder.overflow(Overflow::DropOldest),
        Some("disconnect") => builder = builder.overflow(Overflow::Disconnect),
        Some(other) => return Err(format!("no overflow policy {other}").into()),
        None => {}
    }
    if let Some(enabled) = options.get("beacon").and_then(Value::as_bool) {
        builder = builder.beacon(enabled);
    }
    if let Some(timeout) = time("evasive") {
        builder = builder.evasive_timeout(timeout);
    }
    if let Some(timeout) = time("expired") {
        builder = builder.expired_timeout(timeout);
    }
    Ok(builder)
}

/// Keys of tests are numbers; those of people come from a file.
fn network_key(options: &Map<String, Value>) -> Outcome<Option<NetworkKey>> {
    let mut key: Option<NetworkKey> = None;
    for number in options.get("keys").and_then(Value::as_array).into_iter().flatten() {
        let next = NetworkKey::from_bytes([u8::try_from(number.as_u64().ok_or("a key is a number")?)?; 32]);
        key = Some(match key {
            Some(key) => key.accepting(next),
            None => next,
        });
    }
    Ok(key)
}

/// Prints events, or counts the numbered messages among them, or sends whispers back.
async fn report(node: Node, mut events: Events, shared: Arc<Shared>) {
    let (mut taken, mut reading) = (Vec::new(), shared.reading.subscribe());
    while reading.wait_for(|reading| *reading).await.is_ok() && events.recv_many(&mut taken, 1000).await > 0 {
        for event in taken.drain(..) {
            match event {
                Event::Whisper { peer, message, .. } if shared.has_echo => {
                    // A peer that leaves meanwhile wants none.
                    let _ = node.whisper(peer, message).await;
                }
                event => shared.take(&event),
            }
        }
    }
}

fn line_of(event: &Event) -> Value {
    let mut line = json!({"event": event.kind(), "peer": event.peer().to_string(), "name": event.name()});
    if let Some(group) = event.group() {
        line["group"] = group.to_str_lossy().into();
    }
    match event {
        Event::Enter { endpoint, headers, .. } => {
            line["endpoint"] = endpoint.to_string().into();
            let texts = headers.iter().map(|(key, value)| (key, String::from_utf8_lossy(value)));
            line["headers"] = texts.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        }
        Event::Exit { reason, .. } => line["reason"] = reason.as_str().into(),
        Event::Whisper { message, .. } | Event::Shout { message, .. } => {
            line["frames"] = message.frames().iter().map(|frame| hex(frame)).collect();
        }
        _ => {}
    }
    line
}

async fn obey(node: &Node, shared: &Arc<Shared>, command: &Value) -> Outcome<Value> {
    let text = |key| command.get(key).and_then(Value::as_str).ok_or_else(|| format!("{key} missing"));
    let ids = |peers: Vec<zyre_rs::PeerId>| peers.iter().map(ToString::to_string).collect();
    match text("cmd")? {
        "join" => node.join(text("group")?).await?,
        "leave" => node.leave(text("group")?).await?,
        "whisper" => node.whisper(text("peer")?.parse()?, frames(command)).await?,
        "shout" => return Ok(node.shout(text("group")?, frames(command)).await?.into()),
        "flood" => flood(node.clone(), command)?,
        "count" => {
            let is_on = command.get("on").and_then(Value::as_bool).unwrap_or_default();
            let mut state = shared.lock();
            *state = State { is_on, echoes: state.echoes.take(), ..State::default() };
        }
        "counts" => {
            let state = shared.lock();
            return Ok(state
                .counters
                .iter()
                .map(|(peer, counted)| (peer.clone(), counted.to_json()))
                .collect());
        }
        "await" => {
            let next = command.get("next").and_then(Value::as_u64).unwrap_or_default();
            let mut state = shared.lock();
            state.awaited.insert(text("peer")?.to_owned(), next);
            state.report_reached(text("peer")?);
        }
        "peers" => return Ok(ids(node.peers())),
        "peers_in" => return Ok(ids(node.peers_in(text("group")?))),
        "address" => {
            let peer = node.peer(text("peer")?.parse()?);
            return Ok(peer.map(|peer| peer.endpoint.to_string()).into());
        }
        "counters" => return Ok(serde_json::to_value(node.stats().counters)?),
        "read" => {
            shared.reading.send_replace(command.get("on").and_then(Value::as_bool).unwrap_or_default());
        }
        "press" => {
            let (node, peer, time) = (node.clone(), text("peer")?.parse()?, millis(command)?);
            let size = usize::try_from(command.get("size").and_then(Value::as_u64).unwrap_or(8))?;
            tokio::spawn(async move {
                let mut line = press(&node, peer, size, time).await;
                line["event"] = "PRESSED".into();
                emit(&line);
            });
        }
        "time" => {
            let (node, peer, time) = (node.clone(), text("peer")?.parse()?, millis(command)?);
            let (heard, echoes) = mpsc::unbounded_channel();
            shared.lock().echoes = Some((peer, heard));
            tokio::spawn(async move {
                let timed = round_trips(&node, peer, time, echoes).await;
                let mut line = timed.unwrap_or_else(|error| json!({"error": error.to_string()}));
                line["event"] = "TIMED".into();
                emit(&line);
            });
        }
        "clock" => return Ok(wall_clock().into()),
        "stop" => node.stop().await,
        "stop_and_tell" => return Ok(stop_and_tell(node, shared).await),
        unknown => return Err(format!("no command {unknown}").into()),
    }
    Ok(Value::Null)
}

fn millis(command: &Value) -> Outcome<Duration> {
    Ok(Duration::from_millis(command.get("ms").and_then(Value::as_u64).ok_or("ms missing")?))
}

#[expect(clippy::disallowed_types, reason = "shows that the clock the node must not use has been set")]
fn wall_clock() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map(|since| since.as_secs()).unwrap_or_default()
}

/// Tasks and descriptors of this process now.
fn costs() -> (usize, usize) {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    (tasks, Usage::of(std::process::id()).descriptors())
}

/// How long the stop took, and what is left of the node afterwards.
async fn stop_and_tell(node: &Node, shared: &Shared) -> Value {
    let begin = Instant::now();
    node.stop().await;
    let took = begin.elapsed();
    // The application's own tasks end too, by the error of their next send and the end of the events.
    shared.reading.send_replace(true);
    let left = || {
        let (tasks, descriptors) = costs();
        (tasks.saturating_sub(shared.before.0), descriptors.saturating_sub(shared.before.1))
    };
    while left() != (0, 0) && begin.elapsed() < took + ENDED {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (tasks, descriptors) = left();
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    json!({"ms": ms, "tasks": tasks, "descriptors": descriptors})
}

fn frames(command: &Value) -> Message {
    let frames = command.get("frames").and_then(Value::as_array);
    frames.into_iter().flatten().filter_map(Value::as_str).map(unhex).collect()
}

/// Sends numbered messages on a task of its own.
fn flood(node: Node, command: &Value) -> Outcome<()> {
    let number = |key| command.get(key).and_then(Value::as_u64);
    let (start, count) = (number("start").unwrap_or_default(), number("count").unwrap_or_default());
    let size = usize::try_from(number("size").unwrap_or(8))?;
    let peer = command.get("peer").and_then(Value::as_str).map(str::parse).transpose()?;
    let group = command.get("group").and_then(Value::as_str).unwrap_or_default().to_owned();
    tokio::spawn(async move {
        for number in start..start + count {
            let mut frame = number.to_be_bytes().to_vec();
            frame.resize(size, 0);
            let sent = match peer {
                Some(peer) => node.whisper(peer, frame).await,
                None => node.shout(&group, frame).await.map(drop),
            };
            if let Err(error) = sent {
                return emit(&json!({"event": "DIED", "error": format!("message {number}: {error}")}));
            }
        }
        emit(&json!({"event": "FLOODED", "sent": start + count}));
    });
    Ok(())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &Event) {
        let mut state = self.lock();
        match (event.message(), &state.echoes) {
            (Some(message), Some((peer, echoes))) if *peer == event.peer() => {
                // Nobody waits for late ones.
                let _ = echoes.send(message.first().map_or_else(Vec::new, |frame| frame.to_vec()));
            }
            (Some(message), _) if state.is_on => state.take(&event.peer().to_string(), message),
            _ => emit(&line_of(event)),
        }
    }
}

impl State {
    fn take(&mut self, peer: &str, message: &Message) {
        let counted = self.counters.entry(peer.to_owned()).or_default();
        counted.take(message.first().map_or(&[][..], |frame| frame));
        self.report_reached(peer);
    }

    fn report_reached(&mut self, peer: &str) {
        let Some(counted) = self.counters.get(peer) else { return };
        if self.awaited.get(peer).is_some_and(|next| counted.next >= *next) {
            self.awaited.remove(peer);
            let mut line = counted.to_json();
            line["event"] = "REACHED".into();
            line["peer"] = peer.into();
            emit(&line);
        }
    }
}
