//! The commands that record and play.

use clap::{ArgGroup, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

use super::{group, seconds};
use crate::complete;

/// Below this a file would hold little but its own index.
const MIN_SPLIT: u64 = 64 * 1024;

/// `zyre bag`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "\
Recordings are MCAP files (mcap.dev), which Foxglove opens.

Examples:
  zyre bag record CAM IMU             until Ctrl-C, into zyre-YYYYmmdd-HHMMSS.mcap (UTC)
  zyre bag info                       what is in the newest recording of this folder
  zyre bag play --rate 2              says it again, twice as fast")]
pub(crate) enum Bag {
    /// Record what is said in groups, and more, until Ctrl-C
    Record(Record),
    /// Say again what was said in groups
    Play(Play),
    /// Tell what is in a recording
    Info(Info),
}

/// `zyre bag record`
#[derive(Clone, Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
#[command(after_help = "\
Ends with Ctrl-C, or after --duration. A recording that is slower than its senders makes them wait; what a sender drops
all the same (pyre does when it has to wait) is counted as lost. What a sender had under way when it ended is not known
and not counted. Nothing recorded leaves no file; exit code 3 if --timeout is given and nothing came by then. What was
recorded until a second before a crash stays readable.

Groups svc/NAME and pool/NAME are not joined: their members are providers, and calls would come. A call is a whisper
and reaches only whom it is for, so --rpc records the calls and answers sent to this node, and who provides what.

Examples:
  zyre bag record CAM IMU --duration 60       two groups for a minute
  zyre bag record --all --events -o day.mcap  every group, and who comes and goes
  zyre bag record --all -o day.mcap --split 1G  day.mcap, day-0001.mcap … of 1 GiB each")]
pub(crate) struct Record {
    /// Groups to join and record
    #[arg(value_name = "GROUP", value_parser = recorded_group, group = "what", conflicts_with = "all", add = complete::groups())]
    pub(crate) groups: Vec<String>,

    /// Record every group that a peer is in, also those that appear later
    #[arg(long, group = "what")]
    pub(crate) all: bool,

    /// File to write; it must not be there yet [default: zyre-YYYYmmdd-HHMMSS.mcap, in UTC]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Record whispers to this node
    #[arg(long, group = "what")]
    pub(crate) whispers: bool,

    /// Record who enters, joins, leaves and exits
    #[arg(long, group = "what")]
    pub(crate) events: bool,

    /// Record calls and answers sent to this node, and who provides what
    #[arg(long, group = "what")]
    pub(crate) rpc: bool,

    /// Stop after so long; decimals are fine
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,

    /// Start a new file (-0001, -0002 …) when one has this size: bytes, or with k, M or G
    #[arg(long, value_name = "SIZE", value_parser = split_size)]
    pub(crate) split: Option<u64>,
}

/// `zyre bag play`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Shouts what was shouted, frame by frame as it was, at the times it was recorded. Whispers, events and calls were for
the recording node and are not sent again. This node need not be in the groups.

Peers in these groups are awaited for 5 seconds unless --timeout says otherwise; exit code 3 if they do not come.
--wait-peers 0 waits for nobody.

Examples:
  zyre bag play                                 the newest recording of this folder
  zyre bag play -i day.mcap --rate 2            twice as fast
  zyre bag play --groups CAM --remap CAM:=TEST  one group, to another one
  zyre bag play --start-offset 30 --loop        from half a minute on, again and again")]
pub(crate) struct Play {
    /// Recording to play, its further parts included [default: the newest zyre-*.mcap here]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// How many times as fast
    #[arg(long, value_parser = factor, default_value = "1", conflicts_with = "immediate")]
    pub(crate) rate: f64,

    /// As fast as the peers take it
    #[arg(long)]
    pub(crate) immediate: bool,

    /// Start again at the end, until Ctrl-C
    #[arg(long = "loop")]
    pub(crate) again: bool,

    /// Shout to another group than was recorded; repeat for more
    #[arg(long, value_name = "OLD:=NEW", value_parser = remap)]
    pub(crate) remap: Vec<Remap>,

    /// Play only these groups, by their recorded names
    #[arg(long, value_name = "GROUP", num_args = 1.., value_delimiter = ',', value_parser = group)]
    pub(crate) groups: Vec<String>,

    /// Start so many seconds after the begin of the recording
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0", hide_default_value = true)]
    pub(crate) start_offset: Duration,

    /// Start as soon as so many peers are in these groups [default: one, and a second to meet more]
    #[arg(long, value_name = "N")]
    pub(crate) wait_peers: Option<usize>,
}

/// `zyre bag info`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
A recording that was cut off has no index and is read through, up to its last whole chunk.

Examples:
  zyre bag info -i day.mcap
  zyre bag info --json")]
pub(crate) struct Info {
    /// Recording to read, its further parts included [default: the newest zyre-*.mcap here]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}

/// A group that is played to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remap {
    pub(crate) old: String,
    pub(crate) new: String,
}

fn remap(text: &str) -> Result<Remap, String> {
    let Some((old, new)) = text.split_once(":=") else {
        return Err("write OLD:=NEW, for example CAM:=TEST".to_owned());
    };
    Ok(Remap { old: group(old)?, new: group(new)? })
}

fn recorded_group(text: &str) -> Result<String, String> {
    if is_provider_group(text) {
        return Err(
            "whoever is in such a group is called as a provider; use --rpc to record who provides what"
                .to_owned(),
        );
    }
    group(text)
}

/// Whether being in a group means to serve: a recorder stays out of it.
pub(crate) fn is_provider_group(group: &str) -> bool {
    group.starts_with("svc/") || group.starts_with("pool/")
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (0.001..=1e6).contains(&factor) => Ok(factor),
        _ => Err("a rate is how many times as fast, from 0.001 to 1000000, for example 2 or 0.5".to_owned()),
    }
}

fn split_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("a size is a number of bytes, or one with k, M or G, for example 500M".to_owned()),
    };
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(size) if size >= MIN_SPLIT => Ok(size),
        Some(_) => Err("a file has at least 64k".to_owned()),
        None => Err("a size is a number of bytes, or one with k, M or G, for example 500M".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::tests::{error, read};
    use super::*;

    fn record(line: &str) -> Record {
        let Command::Bag(Bag::Record(record)) = read(line).command else { panic!("not record") };
        record
    }

    fn play(line: &str) -> Play {
        let Command::Bag(Bag::Play(play)) = read(line).command else { panic!("not play") };
        play
    }

    #[test]
    fn a_recording_is_of_groups_of_all_or_of_what_comes_to_this_node() {
        assert_eq!(record("zyre bag record a b").groups, ["a", "b"]);
        assert!(record("zyre bag record --all").all);
        assert!(record("zyre bag record --whispers").groups.is_empty());
        assert!(error("zyre bag record").contains("--all"));
        assert!(error("zyre bag record a --all").contains("cannot be used with"));
        assert!(error("zyre bag record svc/calc").contains("--rpc"));
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, size) in [("65536", 65536), ("100k", 102_400), ("2M", 2 << 20), ("1G", 1 << 30)] {
            assert_eq!(split_size(text), Ok(size), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "10", "1T", "99999999999G"] {
            assert!(split_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn groups_of_a_replay_are_chosen_by_their_old_names_and_renamed() {
        let play = play("zyre bag play --groups a,b c --remap a:=x --remap b:=y:=z --rate 2.5");
        assert_eq!(play.groups, ["a", "b", "c"]);
        let renamed: Vec<_> = play.remap.iter().map(|remap| (&*remap.old, &*remap.new)).collect();
        assert_eq!(renamed, [("a", "x"), ("b", "y:=z")]);
        assert!((play.rate - 2.5).abs() < 1e-9);
        assert!(error("zyre bag play --remap a=b").contains("OLD:=NEW"));
        assert!(error("zyre bag play --rate 0").contains("for example 2"));
        assert!(error("zyre bag play --rate 2 --immediate").contains("cannot be used with"));
    }
}
