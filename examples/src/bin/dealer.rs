//! Deals JSON requests round-robin to the peers of a group and counts their answers. Twin: `python/dealer.py`.
//!
//! What a worker leaves unanswered when it dies goes to another one, so a request may be worked on twice.

use clap::Parser;
use serde_json::json;
use zyre_examples::{Failure, NodeArgs, next_event, rpc, work::WorkList};
use zyre_rs::{Event, printable};

/// Whispers JSON requests round-robin to the workers of a group.
#[derive(Parser)]
struct Cli {
    /// The group the workers are in
    #[arg(default_value = "pool/calc")]
    group: String,
    #[command(flatten)]
    node: NodeArgs,
    /// Requests to send
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Wait for this many workers before the first request
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let (node, mut events) = cli.node.builder("dealer-rust").start().await?;
    let mut work = WorkList::new(cli.count, cli.workers);

    while !work.is_done() {
        while let Some((id, worker)) = work.deal() {
            let request = rpc::request(id, "calc.add", &json!({"a": id, "b": id}));
            if let Err(error) = node.whisper(worker, request).await {
                eprintln!("request {id}: {error}");
                work.remove_worker(worker);
            }
        }
        let Some(event) = next_event(&mut events).await else { break };
        match event {
            Event::Join { peer, name, group } if group == cli.group.as_str() => {
                println!("{} works in {group}", printable(&name));
                work.add_worker(peer, &name);
            }
            Event::Leave { peer, name, group } if group == cli.group.as_str() => {
                println!("{} has left, {} requests to others", printable(&name), work.remove_worker(peer));
            }
            Event::Exit { peer, name, reason } => {
                println!(
                    "{} has left ({reason}), {} requests to others",
                    printable(&name),
                    work.remove_worker(peer)
                );
            }
            Event::Whisper { peer, name, message } => {
                match message.first().and_then(|frame| rpc::response(frame)) {
                    Some((id, Ok(sum))) if sum == json!(id * 2) => _ = work.answered(peer, id),
                    Some((id, outcome)) => {
                        return Err(format!("{name} got request {id} wrong: {outcome:?}").into());
                    }
                    None => println!("{} whispers what is no answer", printable(&name)),
                }
            }
            _ => {}
        }
    }
    println!("{}", work.summary());
    node.stop().await;
    if work.is_done() { Ok(()) } else { Err("interrupted before every request had its answer".into()) }
}
