//! A node of this crate driven by JSON lines: commands on standard input, events and replies on standard output (the
//! same words as `peers/pyre_peer.py`). With `RUST_LOG` set it traces to standard error, which ends up in the log.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use zyre_interop_tests::peer::{Counted, hex, unhex};
use zyre_rs::{Event, Events, Message, Node, NodeBuilder};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Counting starts and ends by command while events come in on another task.
#[derive(Default)]
struct Counting(Mutex<State>);

#[derive(Default)]
struct State {
    is_on: bool,
    counters: BTreeMap<String, Counted>,
    awaited: BTreeMap<String, u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        subscriber.with_writer(std::io::stderr).init();
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            emit(&json!({"event": "DIED", "error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let options = std::env::args().nth(1).ok_or("options missing")?;
    let (node, events) = builder(&serde_json::from_str(&options)?)?.start().await?;
    emit(&json!({
        "event": "READY",
        "peer": node.id().to_string(),
        "name": node.name(),
        "endpoint": node.endpoint().to_string(),
    }));
    let counting = Arc::new(Counting::default());
    tokio::spawn(report(events, counting.clone()));

    let (line_read, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line_read.send(line).is_err() {
                break;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        let command: Value = serde_json::from_str(&line)?;
        let mut reply = json!({"event": "REPLY", "id": command.get("id")});
        match obey(&node, &counting, &command).await {
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
    if let Some(interface) = text("iface") {
        builder = builder.interface(interface);
    }
    if let Some(id) = text("uuid") {
        builder = builder.id(id.parse()?);
    }
    if let Some(endpoint) = text("connect") {
        builder = builder.connect(endpoint);
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

/// Prints events, or counts the numbered messages among them.
async fn report(mut events: Events, counting: Arc<Counting>) {
    let mut taken = Vec::new();
    while events.recv_many(&mut taken, 1000).await > 0 {
        for event in taken.drain(..) {
            match event.message() {
                Some(message) if counting.lock().is_on => {
                    counting.lock().take(&event.peer().to_string(), message);
                }
                _ => emit(&line_of(&event)),
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

async fn obey(node: &Node, counting: &Arc<Counting>, command: &Value) -> Outcome<Value> {
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
            *counting.lock() = State { is_on, ..State::default() };
        }
        "counts" => {
            let state = counting.lock();
            return Ok(state
                .counters
                .iter()
                .map(|(peer, counted)| (peer.clone(), counted.to_json()))
                .collect());
        }
        "await" => {
            let next = command.get("next").and_then(Value::as_u64).unwrap_or_default();
            let mut state = counting.lock();
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
        "stop" => node.stop().await,
        unknown => return Err(format!("no command {unknown}").into()),
    }
    Ok(Value::Null)
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

impl Counting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

fn emit(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
