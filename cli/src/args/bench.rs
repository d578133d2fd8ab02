//! `zyre bench`

use super::{rate, seconds};
use clap::Subcommand;
use std::time::Duration;

/// Largest payload: what messages of the default limit carry with room to spare.
const MAX_SIZE: i64 = 16 << 20;

/// `zyre bench`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "\
Measures between this command and each `zyre bench serve` that it meets: start one elsewhere first. They are awaited for
5 seconds unless --timeout says otherwise, and so is each answer; exit code 3 if they do not come or nothing is answered.

Closed loop, without --rate: each of the --clients sends when its last answer has come. That shows how much goes through,
and latencies of a load that waits.
Open loop, with --rate: messages are due at even distances, whatever has become of those before. A latency counts from
when a message was due, not from when it could be sent, so that what it waits behind others counts too (no coordinated
omission); what the timers here are late, some tenths of a millisecond, counts with it. At most --clients are on their
way at once; messages that were due and could not even begin are told as missed.

Latencies are those of complete answers. Rates count answers, of a shout one for each member. What is not answered in
time is lost. Ctrl-C ends it early, with the figures so far. On a terminal a bar shows how far it is.

Examples:
  zyre bench serve                                  on another host: answers
  zyre bench whisper                                round trips, one after the other
  zyre bench call --clients 16 --size 1000          calls, 16 at once
  zyre bench call --rate 500 --duration 60 --csv    500 a second, a line for a table
  zyre bench shout --peers 3                        shouts to three and more
  zyre bench discovery                              how soon a new node knows the others")]
pub(crate) enum Bench {
    /// Answer those that measure, until Ctrl-C or for as long as --timeout says
    #[command(after_help = "\
Example:
  zyre bench serve --name server-1")]
    Serve,
    /// Whisper to those that serve, in turn; each whispers the same back
    #[command(after_help = "\
Example:
  zyre bench whisper --size 10000 --clients 4 --duration 5")]
    Whisper(Load),
    /// Shout to those that serve; each whispers a short answer back
    #[command(after_help = "\
A latency is the time until the last member's answer has come.

Example:
  zyre bench shout --peers 3 --rate 1000")]
    Shout(Load),
    /// Call those that serve; each answers what it was called with
    #[command(after_help = "\
The payload is a string in JSON; a call goes to the provider that will likely answer first.

Example:
  zyre bench call --clients 16 --json")]
    Call(Load),
    /// Start a node and wait until it has met those that serve, again and again
    #[command(after_help = "\
A latency is the time from the start of a node until it knows --peers of them and their groups.

Example:
  zyre bench discovery --duration 30 --peers 2")]
    Discovery(Pace),
}

// What is sent, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Load {
    /// Bytes of payload in each message
    #[arg(long, value_name = "B", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=MAX_SIZE))]
    pub(crate) size: u32,

    #[command(flatten)]
    pub(crate) pace: Pace,
}

// How long, how many at once, how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Pace {
    /// Wait for this many that serve
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) peers: u32,

    /// How long to measure; decimals are fine
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = duration)]
    pub(crate) duration: Duration,

    /// How many may be on their way at once [default: 1, with --rate 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) clients: Option<u32>,

    /// Send this many a second, whether answers come or not
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Print the figures as CSV, a line of names and a line of values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

impl Pace {
    /// How many may be on their way at once.
    pub(crate) fn clients(&self) -> u32 {
        self.clients.unwrap_or(if self.rate.is_some() { 64 } else { 1 })
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(duration) if duration.is_zero() => Err("measuring takes time, for example 10 or 0.5".to_owned()),
        read => read,
    }
}
