//! The node under attack of the bad-input corpus: a process of its own, so that its memory, descriptors and tasks can be
//! told from those of the attacker. It answers every whisper that begins with `echo `, and `look` on standard input with
//! all that it has counted.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use zyre_actors::{ActorSystem, Context, Params};
use zyre_examples::calc::{Add, CalcError};
use zyre_interop_tests::adapter::{Outcome, emit, exit, lines, options};
use zyre_interop_tests::peer::unhex;
use zyre_rs::{Event, Events, NetworkKey, Node, NodeBuilder};

/// What the application has seen: how many events of each kind, and who is in.
#[derive(Default)]
struct Seen {
    events: BTreeMap<&'static str, u64>,
    present: BTreeMap<String, bool>,
}

/// Panics of any thread or task.
static PANICS: AtomicU64 = AtomicU64::new(0);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        print(panic);
    }));
    exit(run().await)
}

async fn run() -> Outcome<()> {
    let options = options()?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let builder = builder(&options)?;
    let (node, system) = if options.get("actors").and_then(Value::as_bool) == Some(true) {
        let system = ActorSystem::builder().node(builder).max_json(1 << 20).start().await?;
        serve(&system).await?;
        let mut events = system.events();
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                note(&noted, &event);
            }
        });
        (system.node().clone(), Some(system))
    } else {
        let (node, events) = builder.start().await?;
        tokio::spawn(listen(node.clone(), events, seen.clone()));
        (node, None)
    };
    emit(&json!({
        "event": "READY",
        "peer": node.id().to_string(),
        "endpoint": node.endpoint().to_string(),
        "hub": node.gossip_addresses().first().map(ToString::to_string),
    }));
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let command: Value = serde_json::from_str(&line)?;
        let value = look(&node, system.as_ref(), &seen).await;
        emit(&json!({"event": "REPLY", "id": command.get("id"), "value": value}));
    }
    Ok(())
}

fn builder(options: &Map<String, Value>) -> Outcome<NodeBuilder> {
    let text = |key| options.get(key).and_then(Value::as_str);
    let port = options.get("port").and_then(Value::as_u64).ok_or("port missing")?;
    let builder = Node::builder(text("name").ok_or("name missing")?).join("all");
    let mut builder = builder.interface("127.0.0.1").beacon_port(u16::try_from(port)?);
    if let Some(key) = text("key") {
        let key: [u8; 32] = unhex(key).try_into().map_err(|_| "a key has 32 bytes")?;
        builder = builder.network_key(NetworkKey::from_bytes(key));
    }
    if let Some(endpoint) = text("hub") {
        builder = builder.gossip_bind(endpoint);
    }
    if let Some(endpoint) = text("leaf_of") {
        builder = builder.gossip_connect(endpoint);
    }
    Ok(builder)
}

/// `calc.add` for the good peer, and a method that anything may be passed to.
async fn serve(system: &ActorSystem) -> Outcome<()> {
    let add = |Add { a, b }: Add, _: Context| async move { a.checked_add(b).ok_or(CalcError::Overflow) };
    system.handle(add).await?;
    system.method("any.thing", |_: Params, _: Context| async { Ok(true) }).await?;
    Ok(())
}

async fn listen(node: Node, mut events: Events, seen: Arc<Mutex<Seen>>) {
    while let Some(event) = events.next().await {
        match &event {
            Event::Whisper { peer, message, .. }
                if message.text().is_some_and(|text| text.starts_with("echo ")) =>
            {
                let _ = node.whisper(*peer, message.clone()).await;
            }
            _ => note(&seen, &event),
        }
    }
}

fn note(seen: &Mutex<Seen>, event: &Event) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    *seen.events.entry(event.kind()).or_default() += 1;
    let peer = event.peer().to_string();
    match event {
        Event::Enter { .. } => _ = seen.present.insert(peer, true),
        Event::Exit { .. } => _ = seen.present.remove(&peer),
        _ => {}
    }
}

async fn look(node: &Node, system: Option<&ActorSystem>, seen: &Mutex<Seen>) -> Value {
    let stats = node.stats();
    let mut counters = stats.counters;
    if let Some(system) = system {
        counters.extend(system.stats().await.counters);
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    json!({
        "counters": counters,
        "events": seen.events,
        "present": seen.present.keys().collect::<Vec<_>>(),
        "tasks": tasks,
        "panics": PANICS.load(Ordering::Relaxed),
    })
}
