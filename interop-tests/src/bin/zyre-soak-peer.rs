//! A node with actors that shouts numbers, calls a pool and works in it, all the time, and keeps count of what becomes of
//! it. Prints ENTER and EXIT as `zyre-rs-peer` does; `{"cmd": "totals"}` asks for the counts. Stops on SIGTERM.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use zyre_actors::{ActorSystem, CallError, Context, Params};
use zyre_interop_tests::adapter::{Outcome, emit, exit, lines, options};
use zyre_interop_tests::peer::Counted;
use zyre_rs::{Event, Node, PeerId};

const GROUP: &str = "soak";
const SHOUT_EVERY: Duration = Duration::from_millis(250);
const CALL_EVERY: Duration = Duration::from_millis(100);
/// Longer than any worker is frozen.
const DEADLINE: Duration = Duration::from_secs(15);

/// What became of everything.
#[derive(Default)]
struct Totals {
    shouts_sent: u64,
    shouts_heard: u64,
    missing: u64,
    reordered: u64,
    calls: BTreeMap<String, u64>,
    slowest_call: Duration,
    /// Of the present sessions.
    counted: BTreeMap<PeerId, Counted>,
}

type Shared = Arc<Mutex<Totals>>;

fn with(totals: &Shared, change: impl FnOnce(&mut Totals)) {
    change(&mut totals.lock().unwrap_or_else(PoisonError::into_inner));
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run().await)
}

async fn run() -> Outcome<()> {
    let options = options()?;
    let name = options.get("name").and_then(Value::as_str).ok_or("name missing")?;
    let mut stop = signal(SignalKind::terminate())?;
    let system = ActorSystem::start(Node::builder(name).join(GROUP)).await?;
    let events = system.events();
    system
        .method("soak.echo", |params: Params, _: Context| async move {
            let (number,): (u64,) = params.parse()?;
            Ok(number)
        })
        .pool(GROUP)
        .await?;
    let endpoint = system.node().endpoint().to_string();
    emit(&json!({"event": "READY", "peer": system.node().id().to_string(), "endpoint": endpoint}));

    let totals = Shared::default();
    let mut work = JoinSet::new();
    work.spawn(listen(events, totals.clone()));
    work.spawn(shout(system.node().clone(), totals.clone()));
    work.spawn(call(system.clone(), totals.clone()));
    let mut lines = lines();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = stop.recv() => None,
        };
        let Some(line) = line else { break };
        let command: Value = serde_json::from_str(&line)?;
        emit(&json!({"event": "REPLY", "id": command.get("id"), "value": told(&system, &totals)}));
    }
    work.shutdown().await;
    system.stop().await;
    emit(&json!({"event": "STOPPED"}));
    Ok(())
}

fn told(system: &ActorSystem, totals: &Shared) -> Value {
    let totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
    json!({
        "peers": system.node().peers_in(GROUP).len(),
        "shouts_sent": totals.shouts_sent,
        "shouts_heard": totals.shouts_heard,
        "missing": totals.missing,
        "reordered": totals.reordered,
        "calls": totals.calls,
        "slowest_call_ms": u64::try_from(totals.slowest_call.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Within a session whatever a peer shouts arrives in order and without a gap, from the first that is heard.
async fn listen(mut events: mpsc::Receiver<Event>, totals: Shared) {
    while let Some(event) = events.recv().await {
        match &event {
            Event::Shout { peer, message, .. } => with(&totals, |totals| {
                let Some(number) = message.first().and_then(|frame| frame.first_chunk()) else { return };
                let first = Counted { next: u64::from_be_bytes(*number), ..Counted::default() };
                let counted = totals.counted.entry(*peer).or_insert(first);
                let before = *counted;
                counted.take(number);
                totals.shouts_heard += 1;
                totals.missing += counted.missing - before.missing;
                totals.reordered += counted.reordered - before.reordered;
            }),
            Event::Exit { peer, reason, .. } => {
                with(&totals, |totals| _ = totals.counted.remove(peer));
                emit(
                    &json!({"event": "EXIT", "peer": peer.to_string(), "name": event.name(), "reason": reason.as_str()}),
                );
            }
            Event::Enter { peer, .. } => {
                emit(&json!({"event": "ENTER", "peer": peer.to_string(), "name": event.name()}));
            }
            _ => {}
        }
    }
}

async fn shout(node: Node, totals: Shared) {
    let mut tick = tokio::time::interval(SHOUT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        tick.tick().await;
        if let Err(error) = node.shout(GROUP, number.to_be_bytes().to_vec()).await {
            return emit(&json!({"event": "DIED", "error": error.to_string()}));
        }
        with(&totals, |totals| totals.shouts_sent += 1);
    }
}

async fn call(system: ActorSystem, totals: Shared) {
    let pool = system.pool(GROUP);
    let mut tick = tokio::time::interval(CALL_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = JoinSet::new();
    for number in 0_u64.. {
        tick.tick().await;
        let (call, totals) =
            (pool.call_json("soak.echo", json!([number])).timeout(DEADLINE).into_future(), totals.clone());
        calls.spawn(async move {
            let begin = Instant::now();
            let outcome = match call.await {
                Ok(answer) if answer == json!(number) => "answered",
                Ok(_) => "wrong answer",
                Err(error) => {
                    let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
                    emit(
                        &json!({"event": "FAILED", "call": number, "ms": ms, "error": format!("{error:?}")}),
                    );
                    kind(&error)
                }
            };
            with(&totals, |totals| {
                *totals.calls.entry(outcome.to_owned()).or_default() += 1;
                totals.slowest_call = totals.slowest_call.max(begin.elapsed());
            });
        });
        while calls.try_join_next().is_some() {}
    }
}

fn kind(error: &CallError) -> &'static str {
    match error {
        CallError::PeerLost { .. } => "lost with its worker",
        CallError::TimedOut { .. } => "timed out",
        CallError::NoProvider { .. } => "no worker",
        CallError::NotSent { .. } => "not sent",
        CallError::Rejected { .. } => "rejected",
        CallError::Remote(_) => "remote error",
        _ => "other error",
    }
}
