//! `zyre sub`: prints what happens.

use crate::args;
use crate::failure::Failure;
use crate::output::{Output, counted};
use crate::session::Session;
use zyre_rs::Events;

/// Events taken at once; a burst is printed with few writes.
const MAX_BATCH: usize = 256;

pub(crate) async fn run(session: Session, args: &args::Sub) -> Result<(), Failure> {
    let limit = session.options.timeout;
    session
        .with_node(&args.groups, async |_node, mut events, output| {
            let mut printed = 0;
            let printing = print(&mut events, output, args.count, &mut printed);
            let Some(limit) = limit else { return printing.await };
            match (tokio::time::timeout(limit, printing).await, args.count) {
                (Ok(done), _) => done,
                // Listening for so long was all that was asked for.
                (Err(_), None) => Ok(()),
                (Err(_), Some(count)) => Err(Failure::Timeout(format!(
                    "{printed} of {} came in {limit:?}; wait longer with --timeout, or check with `zyre peers` \
                     that the senders are there",
                    counted(count, "message")
                ))),
            }
        })
        .await
}

/// Prints events until enough messages have come.
async fn print(
    events: &mut Events,
    output: &mut Output,
    count: Option<u64>,
    printed: &mut u64,
) -> Result<(), Failure> {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while events.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let more_are_ready = batch.len() == MAX_BATCH;
        for event in batch.drain(..) {
            output.event(&event)?;
            *printed += u64::from(event.message().is_some());
            if count == Some(*printed) {
                return Ok(());
            }
        }
        if !more_are_ready {
            output.flush()?;
        }
        // A stream that never runs dry must not shut out Ctrl-C and the timeout.
        tokio::task::yield_now().await;
    }
    Err(Failure::Stopped)
}
