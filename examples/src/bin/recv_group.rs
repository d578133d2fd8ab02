//! Listens to a group: reads a sender's headers when it enters, and its JSON when it shouts.
//! Twin: `python/recv_group.py`.

use clap::Parser;
use std::collections::HashMap;
use zyre_examples::{Failure, NodeArgs, next_event};
use zyre_rs::{Event, printable};

/// Prints the JSON shouted to a group, with the unit its sender names in its header `X-UNIT`.
#[derive(Parser)]
struct Cli {
    /// The group
    #[arg(default_value = "sensors")]
    group: String,
    #[command(flatten)]
    node: NodeArgs,
    /// End after this many readings; without it, on Ctrl-C
    #[arg(long)]
    count: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let (node, mut events) = cli.node.builder("listener-rust").join(&cli.group).start().await?;
    println!("{} listens to {}", printable(node.name()), printable(&cli.group));

    let mut units = HashMap::new();
    let mut received = 0;
    while cli.count.is_none_or(|count| received < count) {
        let Some(event) = next_event(&mut events).await else { break };
        match event {
            Event::Enter { peer, name, headers, .. } => {
                let unit = headers.get("X-UNIT").unwrap_or("no unit").to_owned();
                println!("{} enters, X-UNIT: {}", printable(&name), printable(&unit));
                units.insert(peer, unit);
            }
            Event::Shout { peer, name, message, .. } => {
                let body = message.first().map_or(&[][..], |frame| frame);
                let reading: serde_json::Value = match serde_json::from_slice(body) {
                    Ok(reading) => reading,
                    Err(error) => {
                        eprintln!("{} shouts what is not JSON: {error}", printable(&name));
                        continue;
                    }
                };
                let unit = units.get(&peer).map_or("", String::as_str);
                println!("{} [{}] {reading}", printable(&name), printable(unit));
                received += 1;
            }
            Event::Exit { peer, name, reason } => {
                println!("{} has left ({reason})", printable(&name));
                units.remove(&peer);
            }
            _ => {}
        }
    }
    node.stop().await;
    Ok(())
}
