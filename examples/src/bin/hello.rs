//! Meets others: enters the network, joins a group, greets whoever is in it and whispers back to whoever greets.
//! Twin: `python/hello.py`.

use clap::Parser;
use zyre_examples::{Failure, NodeArgs, next_event};
use zyre_rs::{Event, printable};

/// Greets everybody in the group `hello`.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    /// End after this many peers were greeted and greeted back; without it, on Ctrl-C
    #[arg(long)]
    count: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let (node, mut events) = cli.node.builder("hello-rust").start().await?;
    node.join("hello").await?;
    println!("I am {} at {}", printable(node.name()), node.endpoint());

    let (mut thanked, mut thanks) = (0, 0);
    while cli.count.is_none_or(|count| thanked < count || thanks < count) {
        let Some(event) = next_event(&mut events).await else { break };
        let (peer, answer) = match event {
            Event::Enter { name, endpoint, .. } => {
                println!("{} enters at {endpoint}", printable(&name));
                continue;
            }
            Event::Join { peer, name, group } if group == "hello" => (peer, format!("Hello {name}!")),
            Event::Whisper { peer, name, message } => {
                let text = message.text().unwrap_or("(not text)");
                println!("{} whispers: {}", printable(&name), printable(text));
                if !text.starts_with("Hello") {
                    thanks += 1;
                    continue;
                }
                thanked += 1;
                (peer, format!("Nice to meet you, {name}."))
            }
            Event::Exit { name, reason, .. } => {
                println!("{} has left ({reason})", printable(&name));
                continue;
            }
            _ => continue,
        };
        if let Err(error) = node.whisper(peer, answer).await {
            eprintln!("not sent: {error}");
        }
    }
    node.stop().await;
    Ok(())
}
