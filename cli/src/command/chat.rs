//! `zyre chat`: standard input goes to a group, events come out.

use crate::args;
use crate::failure::Failure;
use crate::input::{self, Lines};
use crate::output::{Output, note};
use crate::session::Session;
use std::time::Duration;
use zyre_rs::{Events, Node};

/// How long the last line may take to leave after the input has ended.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BATCH: usize = 256;

pub(crate) async fn run(session: Session, args: &args::Chat) -> Result<(), Failure> {
    let limit = session.options.timeout;
    session
        .with_node(std::slice::from_ref(&args.group), async |node, mut events, output| {
            if input::is_typed() {
                note(format_args!("you are {} in {:?}; end with Ctrl-D", node.name(), args.group));
            }
            let talking = talk(node, &mut events, output, &args.group);
            match limit {
                // There is nothing a chat waits for, so its time being over is a usual end.
                Some(limit) => tokio::time::timeout(limit, talking).await.unwrap_or(Ok(())),
                None => talking.await,
            }?;
            node.flush(FLUSH_TIMEOUT).await;
            Ok(())
        })
        .await
}

async fn talk(node: &Node, events: &mut Events, output: &mut Output, group: &str) -> Result<(), Failure> {
    let mut lines = Lines::of_stdin();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            line = lines.next() => {
                let Some(line) = line? else { return Ok(()) };
                if node.shout(group, line).await? == 0 {
                    note(format_args!("nobody else is in {group:?} yet, so nobody has heard that"));
                }
            }
            received = events.recv_many(&mut batch, MAX_BATCH) => {
                if received == 0 {
                    return Err(Failure::Stopped);
                }
                batch.drain(..).try_for_each(|event| output.event(&event))?;
                output.flush()?;
                // A group that never falls silent must not shut out Ctrl-C and the timeout.
                tokio::task::yield_now().await;
            }
        }
    }
}
