//! `zyre sub`: prints what happens.

use crate::args;
use crate::failure::Failure;
use crate::filter::Subject;
use crate::output::{FieldLine, Heard, Output, counted, note};
use crate::session::Session;
use crate::signals::Signal;
use tokio::time::Instant;
use zyre_rs::{Event, Events, Message};

/// Events taken at once; a burst is printed with few writes.
const MAX_BATCH: usize = 256;

pub(crate) async fn run(session: Session, args: &args::Sub) -> Result<(), Failure> {
    let limit = session.options.timeout;
    let mut heard = Heard::default();
    let mut began = Instant::now();
    let worked = session
        .with_node(&args.groups, async |_node, mut events, output| {
            began = Instant::now();
            let printing = print(&mut events, output, args, &mut heard);
            let Some(limit) = limit else { return printing.await };
            match (tokio::time::timeout(limit, printing).await, args.limit()) {
                (Ok(done), _) => done,
                // Listening for so long was all that was asked for.
                (Err(_), None) => Ok(()),
                (Err(_), Some(count)) => Err(Failure::Timeout(format!(
                    "{} of {} came in {limit:?}; wait longer with --timeout, or check with `zyre peers` \
                     that the senders are there",
                    heard.messages,
                    counted(count, "message")
                ))),
            }
        })
        .await;
    heard.took = began.elapsed();
    let was_interrupted = matches!(worked, Err(Failure::Interrupted(Signal::Interrupt)));
    if heard.without_field > 0 || (was_interrupted && !heard.is_empty()) {
        note(&heard);
    }
    worked
}

/// Prints events until enough messages have come.
async fn print(
    events: &mut Events,
    output: &mut Output,
    args: &args::Sub,
    heard: &mut Heard,
) -> Result<(), Failure> {
    let limit = args.limit();
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while events.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let more_are_ready = batch.len() == MAX_BATCH;
        for event in batch.drain(..) {
            show(&event, output, args, heard)?;
            if limit == Some(heard.messages) {
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

/// Prints the event if it is one of those that were asked for.
fn show(event: &Event, output: &mut Output, args: &args::Sub, heard: &mut Heard) -> Result<(), Failure> {
    let is_asked_for = match event {
        // About this node's setup: these are warnings, whatever is printed.
        Event::IdentityConflict { .. } | Event::KeyMismatch { .. } => return output.event(event),
        Event::Shout { .. } => true,
        Event::Whisper { .. } => args.prints_whispers(),
        _ => args.prints_events(),
    };
    let subject = Subject::new(event);
    if !is_asked_for || args.filter.as_ref().is_some_and(|filter| !filter.admits(&subject)) {
        return Ok(());
    }
    let Some(message) = event.message() else { return output.event(event) };
    match &args.field {
        None if args.raw => raw(message, output)?,
        None => output.event(event)?,
        Some(path) => match subject.field(path) {
            Some(value) => output.line(&FieldLine(value))?,
            None => {
                heard.without_field += 1;
                return Ok(());
            }
        },
    }
    heard.add(event.peer(), message);
    Ok(())
}

fn raw(message: &Message, output: &mut Output) -> Result<(), Failure> {
    message.frames().iter().try_for_each(|frame| output.text(frame))
}
