//! Works off JSON requests: answers each whisper to whoever sent it. Twin: `python/worker.py`; `dealer` sends the
//! requests.

use clap::Parser;
use std::time::Duration;
use zyre_examples::{Failure, NodeArgs, next_event, rpc};
use zyre_rs::{Event, printable};

/// Answers JSON requests (`calc.add`) whispered to it.
#[derive(Parser)]
struct Cli {
    /// The group to offer work in
    #[arg(default_value = "pool/calc")]
    group: String,
    #[command(flatten)]
    node: NodeArgs,
    /// End after this many answers; without it, on Ctrl-C
    #[arg(long)]
    count: Option<usize>,
    /// Pretend that each request takes this many milliseconds
    #[arg(long, default_value_t = 0)]
    work_ms: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let builder = cli.node.builder("worker-rust").header("X-RPC", "jsonrpc/2.0").join(&cli.group);
    let (node, mut events) = builder.start().await?;
    println!("{} works in {}", printable(node.name()), printable(&cli.group));

    let mut answered = 0;
    while cli.count.is_none_or(|count| answered < count) {
        let Some(event) = next_event(&mut events).await else { break };
        let Event::Whisper { peer, name, message } = event else { continue };
        let Some(answer) = message.first().and_then(|frame| rpc::answer(frame)) else {
            println!("{} whispers what is no request", printable(&name));
            continue;
        };
        tokio::time::sleep(Duration::from_millis(cli.work_ms)).await;
        match node.whisper(peer, answer).await {
            Ok(()) => answered += 1,
            Err(error) => eprintln!("no answer to {}: {error}", printable(&name)),
        }
    }
    println!("{} has answered {answered} requests", printable(node.name()));
    node.stop().await;
    Ok(())
}
