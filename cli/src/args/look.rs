//! The commands that look at what is said.

use super::bench::duration;
use super::{group, seconds};
use crate::complete;
use crate::filter::{Filter, Path};
use std::time::Duration;

// What `peers` and `groups` list, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Listing {
    /// How long to meet peers before listing them; decimals are fine
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2.5")]
    pub(crate) wait: Duration,

    /// Go on, and print changes as they come
    #[arg(long, conflicts_with = "wait")]
    pub(crate) watch: bool,

    /// List nodes that only look too
    #[arg(long)]
    pub(crate) hidden: bool,
}

/// `zyre sub`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Prints all there is, whispers and who comes and goes included. With --whispers, --events, --raw or --field it prints
the shouts of the groups named and what these ask for. Ctrl-C ends it with a summary on standard error.
With --timeout and --count it exits with 3 when too few messages came; with --timeout alone it listens that long.

Filters compare (== != < <= > >=, ~ for \"contains\") and join by && || ! and parentheses:
  event peer name group size      kind of event, UUID and name of the sender, bytes of the message
  temp, position.x, items.0.id    fields of the payload, which is the first frame, if that is JSON
  json, json.name                 the whole payload; a field called like one of the words above
  21.5 \"text\" 'text' true null    values; what is not there is null

Examples:
  zyre sub CHAT SENSORS --count 10 --json --timeout 60
  zyre sub SENSORS --filter 'temp > 20 && name ~ \"cam\"' --field temp
  zyre sub IMAGES --once --raw > image.jpg
  zyre sub --events --whispers")]
pub(crate) struct Sub {
    /// Groups to join
    #[arg(value_name = "GROUP", required_unless_present_any = ["whispers", "events"], value_parser = group,
          add = complete::groups())]
    pub(crate) groups: Vec<String>,

    /// Print whispers
    #[arg(long)]
    pub(crate) whispers: bool,

    /// Print who comes, goes, joins, leaves and falls silent
    #[arg(long, conflicts_with_all = ["raw", "field"])]
    pub(crate) events: bool,

    /// Print the bytes of messages and nothing else, not even line ends, for pipes
    #[arg(long, conflicts_with_all = ["json", "field"])]
    pub(crate) raw: bool,

    /// Print this field of messages that are JSON, one per line; others are counted
    #[arg(long, value_name = "A.B")]
    pub(crate) field: Option<Path>,

    /// Print only what this is true of
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,

    /// Stop after this many shouts and whispers; those that are not printed do not count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Stop after the first: --count 1
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,
}

impl Sub {
    /// How many messages end it.
    pub(crate) fn limit(&self) -> Option<u64> {
        if self.once { Some(1) } else { self.count }
    }

    /// Whether all there is is printed, or what was asked for.
    fn prints_all(&self) -> bool {
        !self.whispers && !self.events && !self.raw && self.field.is_none()
    }

    pub(crate) fn prints_whispers(&self) -> bool {
        self.whispers || self.prints_all()
    }

    pub(crate) fn prints_events(&self) -> bool {
        self.events || self.prints_all()
    }
}

// What `hz` and `bw` measure, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Rates {
    /// Groups to join and measure
    #[arg(value_name = "GROUP", required = true, value_parser = group, add = complete::groups())]
    pub(crate) groups: Vec<String>,

    /// Take the figures from this many of the latest messages of each group
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub(crate) window: u32,

    /// Stop after this time
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    pub(crate) duration: Option<Duration>,

    /// Stop after this many messages, of all groups together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}
