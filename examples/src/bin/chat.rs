//! A chat room: every line typed is shouted to the group. Twin: `python/chat.py`.

use clap::Parser;
use std::io::BufRead;
use zyre_examples::{Failure, NodeArgs, interrupted};
use zyre_rs::{Event, printable};

/// Shouts the lines of standard input to a group and prints what others say there.
#[derive(Parser)]
struct Cli {
    /// The room
    group: String,
    #[command(flatten)]
    node: NodeArgs,
    /// End after this many lines from others; without it, at the end of input or on Ctrl-C
    #[arg(long)]
    count: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let group = cli.group.as_str();
    let (node, mut events) = cli.node.builder("chat-rust").join(group).start().await?;
    let mut lines = stdin_lines();
    println!(
        "You are {} in {}; lines wait until somebody else is here.",
        printable(node.name()),
        printable(group)
    );

    let mut alone = true;
    let mut input_open = true;
    let mut received = 0;
    while cli.count.map_or(input_open, |count| received < count) {
        tokio::select! {
            biased; // lines typed before the last one was received still go out
            line = lines.recv(), if input_open && !alone => match line {
                Some(line) => { node.shout(group, line).await?; }
                None => input_open = false,
            },
            event = events.next() => match event {
                Some(Event::Shout { name, message, .. }) => {
                    println!("{}: {}", printable(&name), printable(message.text().unwrap_or("(not text)")));
                    received += 1;
                }
                Some(Event::Join { name, group: room, .. }) if room == group => {
                    println!("* {} is here", printable(&name));
                }
                Some(Event::Exit { name, reason, .. }) => println!("* {} is gone ({reason})", printable(&name)),
                Some(_) => {}
                None => break,
            },
            () = interrupted() => break,
        }
        alone = node.peers_in(group).is_empty();
    }
    node.stop().await;
    Ok(())
}

/// The lines of standard input. A thread reads them, since nothing can interrupt a read of a terminal.
fn stdin_lines() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(100);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
