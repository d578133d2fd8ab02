//! `zyre bag play`: says again what was said.
//!
//! Each message is due at a fixed distance from the first one, so that a late one delays none of those after it.

mod schedule;
mod source;

use super::files;
use crate::args;
use crate::bag::{Overview, SHOUT};
use crate::command::peers::checks;
use crate::command::send::{DEFAULT_TIMEOUT, deliver};
use crate::failure::Failure;
use crate::output::{Output, PROGRESS_EVERY, Progress, counted};
use crate::session::{Session, ignore, wait_for};
use schedule::Schedule;
use serde::Serialize;
use source::{Source, Targets};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use zyre_rs::{Membership, Node};

/// Unless a number of peers is asked for, so long further ones may come: a beacon's interval.
const SETTLE: Duration = Duration::from_secs(1);

/// Milliseconds from which on a late message is worth telling: less is what a scheduler does.
const TELL_LATE: f64 = 20.0;

pub(super) async fn run(session: Session, args: args::Play) -> Result<(), Failure> {
    let files = files(args.input.as_deref())?;
    let overview = Overview::of(&files)?;
    let targets = Targets::new(&args.remap, &args.groups);
    let groups: BTreeSet<String> = overview.topics.keys().filter_map(|topic| targets.of(topic)).collect();
    let Some((first, _)) = overview.times.filter(|_| !groups.is_empty()) else {
        return Err(Failure::Usage(nothing_to_play(&overview)));
    };
    let start = first.0.saturating_add(u64::try_from(args.start_offset.as_nanos()).unwrap_or(u64::MAX));
    let (port, limit) = (session.options.port, session.options.timeout.unwrap_or(DEFAULT_TIMEOUT));
    let mut output = Output::new(session.options.json);
    let mut played = Played::default();
    let mut has_begun = false;
    let worked = session
        .with_node(&[], async |node, events, _| {
            ignore(events);
            meet(node, &groups, args.wait_peers, limit, port).await?;
            let progress = Progress::new();
            has_begun = true;
            let began = Instant::now();
            let mut shown_at = began;
            loop {
                let schedule = (!args.immediate).then(|| Schedule::new(Instant::now(), start, args.rate));
                let mut source = Source::open(&files, &targets, start)?;
                let before = played.sent;
                while let Some(shout) = source.next().await? {
                    if let Some(schedule) = &schedule {
                        let due = schedule.due(shout.time);
                        sleep_until(due).await;
                        played.latest = played.latest.max(due.elapsed().as_secs_f64() * 1000.0);
                    }
                    played.unheard += u64::from(node.shout(&shout.group, shout.message).await? == 0);
                    played.sent += 1;
                    played.seconds = began.elapsed().as_secs_f64();
                    // Peers that take everything at once must not shut out Ctrl-C.
                    tokio::task::consume_budget().await;
                    if shown_at.elapsed() >= PROGRESS_EVERY {
                        shown_at = Instant::now();
                        progress.show(&played);
                    }
                }
                played.skipped = source.skipped();
                if !args.again || played.sent == before {
                    break;
                }
            }
            deliver(node).await
        })
        .await;
    if has_begun {
        output.report(&played)?;
    }
    worked
}

fn nothing_to_play(overview: &Overview) -> String {
    let groups: Vec<_> = overview.topics.keys().filter_map(|topic| topic.strip_prefix(SHOUT)).collect();
    if groups.is_empty() {
        return "nothing was shouted in this recording, so there is nothing to play; see `zyre bag info`"
            .to_owned();
    }
    format!("nothing was shouted to these groups; recorded were {}", groups.join(", "))
}

/// Waits for those who listen.
async fn meet(
    node: &Node,
    groups: &BTreeSet<String>,
    wanted: Option<usize>,
    limit: Duration,
    port: u16,
) -> Result<(), Failure> {
    let listeners = |membership: &Membership| {
        let ids: BTreeSet<_> =
            groups.iter().flat_map(|group| membership.members(group)).map(|peer| peer.id).collect();
        ids.len()
    };
    let settled_at = Instant::now() + SETTLE;
    if !wait_for(node, limit, |membership| listeners(membership) >= wanted.unwrap_or(1)).await? {
        let names: Vec<_> = groups.iter().map(String::as_str).collect();
        let peers = node.membership().peers().count() as u64;
        let remedy = if peers == 0 {
            checks(port)
        } else {
            "listen with `zyre sub`, choose another group with --remap, or do not wait with --wait-peers 0"
                .to_owned()
        };
        return Err(Failure::Timeout(format!(
            "{} listening to {} after {limit:?}, {} there; {remedy}",
            counted(listeners(&node.membership()) as u64, "peer"),
            names.join(", "),
            counted(peers, "peer"),
        )));
    }
    if wanted.is_none() {
        sleep_until(settled_at).await;
    }
    Ok(())
}

/// How far a replay is. The keys in the order JSON shows them.
#[derive(Debug, Default, Serialize)]
struct Played {
    sent: u64,
    /// Sent to nobody, as no peer was in the group.
    unheard: u64,
    /// Of the recording, what is not played.
    skipped: u64,
    /// How many milliseconds late the latest message was.
    latest: f64,
    seconds: f64,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "played {} in {:.1} s", counted(self.sent, "message"), self.seconds)?;
        if self.latest >= TELL_LATE {
            write!(f, ", at most {:.0} ms late", self.latest)?;
        }
        if self.unheard > 0 {
            write!(f, ", {} of them to groups nobody is in", self.unheard)?;
        }
        if self.skipped > 0 {
            write!(f, "; {} of other kinds or groups are not played", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_was_not_as_it_was_recorded() {
        let mut played = Played { sent: 7, seconds: 1.04, latest: 3.9, ..Played::default() };
        assert_eq!(played.to_string(), "played 7 messages in 1.0 s");
        (played.latest, played.unheard, played.skipped) = (44.5, 2, 1);
        assert_eq!(
            played.to_string(),
            "played 7 messages in 1.0 s, at most 44 ms late, 2 of them to groups nobody is in; 1 of other kinds or groups \
             are not played"
        );
    }
}
