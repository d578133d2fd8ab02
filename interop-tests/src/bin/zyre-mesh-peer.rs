//! As many nodes as the argument says in one process: how long until each has met all others, and what an idle link
//! costs then.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use zyre_interop_tests::usage::Usage;
use zyre_rs::{Event, Node};

/// How long the mesh is left alone before its memory is taken, so that what the start needed has been given back.
const IDLE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let told = run().await.unwrap_or_else(|error| json!({"event": "DIED", "error": error.to_string()}));
    println!("{told}");
    ExitCode::SUCCESS
}

async fn run() -> Result<serde_json::Value, Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("how many?")?.parse()?;
    let others = usize::try_from(count)?.saturating_sub(1);
    let usage = Usage::of(std::process::id());
    let (before, begin, exits) = (usage.memory_kib(), Instant::now(), Arc::new(Mutex::new(BTreeMap::new())));
    let mut nodes = Vec::new();
    for index in 0..count {
        let (node, mut events) = Node::builder(format!("node-{index}")).start().await?;
        let exits = Arc::clone(&exits);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let Event::Exit { reason, .. } = event {
                    let mut exits = exits.lock().unwrap_or_else(PoisonError::into_inner);
                    *exits.entry(reason.as_str()).or_insert(0_u64) += 1;
                }
            }
        });
        nodes.push(node);
    }
    for node in &nodes {
        node.wait_until(|members| members.peers().count() == others).await;
    }
    let took = begin.elapsed();
    tokio::time::sleep(IDLE).await;
    let mut counters = BTreeMap::<&str, u64>::new();
    for (name, count) in nodes.iter().flat_map(|node| node.stats().counters) {
        *counters.entry(name).or_default() += count;
    }
    let links = count.saturating_mul(count.saturating_sub(1)).max(1);
    Ok(json!({
        "event": "MESH",
        "ms": u64::try_from(took.as_millis())?,
        "bytes_per_link": usage.memory_kib().saturating_sub(before) * 1024 / links,
        "exits": *exits.lock().unwrap_or_else(PoisonError::into_inner),
        "counters": counters,
    }))
}
