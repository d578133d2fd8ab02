//! `zyre bag record`: writes what is said until it is told to stop.

use crate::args::{self, is_provider_group};
use crate::bag::{Recorded, Recorder, Recording, Selection, Sink, Tally};
use crate::command::peers::checks;
use crate::failure::Failure;
use crate::output::{Output, PROGRESS_EVERY, Progress, counted, note, sized};
use crate::session::Session;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use zyre_rs::{GroupName, Membership, Node, printable};

/// Most groups that `--all` joins: a HELLO names no more than 1,024.
const MAX_GROUPS: usize = 1000;

pub(super) async fn run(session: Session, args: &args::Record) -> Result<(), Failure> {
    let (port, limit) = (session.options.port, session.options.timeout);
    let mut output = Output::new(session.options.json);
    let sink = Sink::create(args.output.as_deref(), args.split)?;
    let selection = Selection { whispers: args.whispers, events: args.events, rpc: args.rpc };
    let tally = Arc::new(Tally::default());
    let mut recording: Option<(Instant, Recording)> = None;
    let worked = session
        .with_node(&args.groups, async |node, events, _| {
            let started = Recorder::start(sink, selection, tally.clone(), node, events)?;
            let (began, recording) = recording.insert((Instant::now(), started));
            tokio::select! {
                // Why it could not be written is told below.
                () = recording.ended() => Ok(()),
                failure = join_all(node), if args.all => Err(failure),
                () = after(args.duration) => Ok(()),
                () = nothing_within(limit, &tally) => {
                    Err(Failure::Timeout(format!("nothing to record came in {limit:?}; {}", checks(port))))
                }
                () = show(&tally, *began) => Ok(()),
            }
        })
        .await;
    // The node has stopped, so its events have ended; what they were is written before this is over.
    let Some((began, recording)) = recording else { return worked };
    let recorded = recording.finish().await.ok_or(Failure::Stopped)??;
    let report = Report::new(recorded, &tally, began.elapsed());
    output.report(&report)?;
    if report.files.is_empty() && worked.is_ok() {
        note(checks(port));
    }
    worked
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

/// Ends when the time is over without a message.
async fn nothing_within(limit: Option<Duration>, tally: &Tally) {
    after(limit).await;
    if tally.messages.load(Ordering::Relaxed) > 0 {
        pending().await
    }
}

/// Joins every group that a peer is in, also those that appear later.
async fn join_all(node: &Node) -> Failure {
    let mut tried = BTreeSet::new();
    loop {
        let untried = |membership: &Membership| {
            let is_news =
                |group: &&GroupName| !is_provider_group(&group.to_str_lossy()) && !tried.contains(*group);
            membership.peer_groups().filter(is_news).cloned().collect::<Vec<_>>()
        };
        let mut found = Vec::new();
        let found_some = node.wait_until(|membership| {
            found = untried(membership);
            !found.is_empty()
        });
        if !found_some.await {
            return Failure::Stopped;
        }
        for group in found {
            let name = printable(&group.to_str_lossy()).into_owned();
            if tried.len() == MAX_GROUPS {
                note(format_args!(
                    "warning: {name} and further groups are not recorded; {MAX_GROUPS} are the most"
                ));
            } else if tried.len() < MAX_GROUPS {
                match std::str::from_utf8(group.as_bytes()).ok() {
                    Some(text) => {
                        if let Err(error) = node.join(text).await {
                            note(format_args!("warning: {name} is not recorded: {error}"));
                        }
                    }
                    None => note(format_args!("warning: {name} is not recorded: its name is not UTF-8")),
                }
            }
            tried.insert(group);
        }
    }
}

/// Shows how far it is, for ever.
async fn show(tally: &Tally, began: Instant) {
    let progress = Progress::new();
    let (mut before, mut shown_at) = (0, began);
    loop {
        sleep(PROGRESS_EVERY).await;
        let read = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        let (messages, since) = (read(&tally.messages), shown_at.elapsed());
        progress.show(format_args!(
            "{:>6.1} s  {} messages  {:.0}/s  {}  {} on disk  {} lost",
            began.elapsed().as_secs_f64(),
            messages,
            per_second(messages - before, since),
            sized(read(&tally.payload)),
            sized(read(&tally.written)),
            read(&tally.lost),
        ));
        (before, shown_at) = (messages, Instant::now());
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown without digits")]
fn per_second(messages: u64, time: Duration) -> f64 {
    messages as f64 / time.as_secs_f64().max(0.001)
}

/// What was recorded.
#[derive(Serialize)]
struct Report {
    files: Vec<String>,
    messages: u64,
    /// In the frames of the messages.
    payload: u64,
    /// On disk.
    bytes: u64,
    lost: u64,
    seconds: f64,
}

impl Report {
    fn new(recorded: Recorded, tally: &Tally, time: Duration) -> Self {
        Self {
            files: recorded.files.iter().map(|path| path.display().to_string()).collect(),
            messages: recorded.messages,
            payload: tally.payload.load(Ordering::Relaxed),
            bytes: recorded.bytes,
            lost: tally.lost.load(Ordering::Relaxed),
            seconds: time.as_secs_f64(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() {
            return f.write_str("nothing was recorded, so no file is left");
        }
        write!(
            f,
            "recorded {} ({}) in {:.1} s to {} ({})",
            counted(self.messages, "message"),
            sized(self.payload),
            self.seconds,
            self.files.join(", "),
            sized(self.bytes)
        )?;
        match self.lost {
            0 => f.write_str(", none lost"),
            lost => write!(f, "; {lost} were lost before they arrived (a sender dropped them)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_was_lost() {
        let files = vec!["a.mcap".to_owned(), "a-0001.mcap".to_owned()];
        let mut report = Report { files, messages: 1, payload: 2000, bytes: 3000, lost: 0, seconds: 1.25 };
        let text = "recorded 1 message (2.0 kB) in 1.2 s to a.mcap, a-0001.mcap (3.0 kB)";
        assert_eq!(report.to_string(), format!("{text}, none lost"));
        report.lost = 7;
        assert_eq!(
            report.to_string(),
            format!("{text}; 7 were lost before they arrived (a sender dropped them)")
        );
        report.files.clear();
        assert_eq!(report.to_string(), "nothing was recorded, so no file is left");
    }
}
