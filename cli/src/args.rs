//! Everything a user can write on the command line. Parsed here, trusted afterwards.

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args as _, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use zyre_rs::GroupName;

use crate::complete;
use crate::hidden;

mod bag;
mod bench;
mod key;
mod launch;
mod look;
mod manual;
mod rpc;

pub(crate) use bag::{Bag, Info, Play, Record, Remap, is_provider_group};
pub(crate) use bench::{Bench, Pace};
pub(crate) use key::Key;
pub(crate) use launch::Launch;
pub(crate) use look::{Listing, Rates, Sub};
pub(crate) use manual::{Cheat, Completions, Man, Shell};
pub(crate) use rpc::{Call, Methods, Params, Ping, Serve, Services, parse_params};

const ABOUT: &str =
    "See who is on the local network, listen to groups, shout, whisper, chat, call and serve (ZRE, RFC 36)";

/// The heading above the options that every command knows.
pub(crate) const COMMON: &str = "Options of every command";

/// The port of secured networks, and of those that are not.
pub(crate) const SECURED_PORT: u16 = 5669;
pub(crate) const OPEN_PORT: u16 = 5670;

const EXIT_CODES: &str = "\
Examples:
  zyre peers                          who is there, in which groups
  zyre sub CHAT                       what is said in the group CHAT
  zyre shout CHAT 'hello everybody'   say something to the group
  zyre whisper cam-1 status           say something to one peer
  zyre services                       who provides what
  zyre call calc.add '[1,2]'          call a method of whoever serves it
  zyre launch demo.yaml               start the nodes of a file
  zyre bag record --all               record all groups; `zyre bag play` says it again
  zyre cheat                          more such lines, by topic

Exit codes: 0 done, 1 error, 2 wrong usage, 3 timeout, 129 closed terminal, 130 Ctrl-C, 143 SIGTERM.";

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "zyre", version, about = ABOUT, after_help = EXIT_CODES, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(flatten)]
    pub(crate) repeatable: Repeatable,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Options every command knows, before or after its name; given twice, the later place counts.
// (No doc comment on flattened structs: clap takes it for the description of the command.)
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = COMMON)]
pub(crate) struct Options {
    /// Name peers see [default: the first six digits of the UUID]
    #[arg(long, global = true, env = "ZYRE_NAME", hide_env_values = true)]
    pub(crate) name: Option<String>,

    /// Interface to use: its name, its address, several with commas, or `*` for all
    #[arg(long, global = true, env = "ZYRE_INTERFACE", hide_env_values = true)]
    pub(crate) interface: Option<String>,

    /// UDP port of the beacons; only nodes on the same port see each other [with keys: 5669]
    #[arg(long, global = true, env = "ZYRE_PORT", hide_env_values = true, default_value_t = OPEN_PORT,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// File with the key of a secured network, or several, one a line; only nodes with such a key are met
    #[arg(long, global = true, value_name = "FILE", env = "ZYRE_KEY_FILE", hide_env_values = true)]
    pub(crate) key_file: Option<PathBuf>,

    /// File with the key of this node, beside --trust; its UUID follows from it, so each node and command needs its own
    #[arg(long, global = true, value_name = "FILE", env = "ZYRE_CERT", hide_env_values = true)]
    pub(crate) cert: Option<PathBuf>,

    /// File with the public keys of the nodes to let in, one a line and a name behind it
    #[arg(long, global = true, value_name = "FILE", env = "ZYRE_TRUST", hide_env_values = true)]
    pub(crate) trust: Option<PathBuf>,

    /// Ping a peer after this many quiet milliseconds [default: 5000]
    #[arg(long, global = true, value_name = "MS", value_parser = milliseconds)]
    pub(crate) evasive_ms: Option<Duration>,

    /// Give a peer up after this many quiet milliseconds [default: 30000]
    #[arg(long, global = true, value_name = "MS", value_parser = milliseconds)]
    pub(crate) expired_ms: Option<Duration>,

    /// Open the mailbox at exactly this endpoint, such as tcp://192.168.1.5:9000
    #[arg(long, global = true)]
    pub(crate) endpoint: Option<String>,

    /// Give up when what the command waits for has not come in time (exit code 3); decimals are fine
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// Print JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

// Options of every command that add up, wherever they stand.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = COMMON)]
pub(crate) struct Repeatable {
    /// Header peers see, such as X-ROLE=camera; repeat for more
    #[arg(display_order = 100, long = "header", value_name = "KEY=VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,

    /// Connect to a peer's endpoint without discovery, with node keys `ENDPOINT|PUBLICKEY`; repeat for more
    #[arg(display_order = 100, long, value_name = "ENDPOINT")]
    pub(crate) connect: Vec<String>,

    /// Serve gossip discovery at this endpoint, such as tcp://192.168.1.5:9999
    #[arg(display_order = 100, long, value_name = "ENDPOINT")]
    pub(crate) gossip_bind: Vec<String>,

    /// Find peers through the gossip hub at this endpoint, with node keys `ENDPOINT|PUBLICKEY`
    #[arg(display_order = 100, long, value_name = "ENDPOINT")]
    pub(crate) gossip_connect: Vec<String>,

    /// Tell on standard error what happens; -vv and -vvv tell more (RUST_LOG counts before it)
    #[arg(display_order = 100, short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List who is there without taking part
    Scout(Scout),
    /// Join in and list the peers with their groups and headers
    #[command(after_help = "\
With --timeout the command goes on until there is a peer, and exits with 3 if none comes. --watch prints who comes,
joins, leaves and goes, at a terminal the list drawn anew, and ends with Ctrl-C or after --timeout.

Nodes that only look carry the header X-ZYRE-HIDDEN=1, and are listed with --hidden alone: those of peers, groups, hz,
bw, services and methods. A node of yours that carries it is not listed either; --header X-ZYRE-HIDDEN=0 takes it back.

Examples:
  zyre peers --interface eth0 --wait 5
  zyre peers --watch --json")]
    Peers(Listing),
    /// List the groups that peers are in
    #[command(after_help = "\
With --timeout the command goes on until a peer is in a group, and exits with 3 if none comes. --watch prints who
joins, leaves and goes, at a terminal the list drawn anew, and ends with Ctrl-C or after --timeout. Nodes that
only look, such as that of `zyre hz`, are listed with --hidden alone; see `zyre peers --help`.

Examples:
  zyre groups --json
  zyre groups --watch")]
    Groups(Listing),
    /// Print what happens in groups, and whispers
    Sub(Sub),
    /// Measure how often something is said in groups
    #[command(after_help = "\
Once a second: messages per second, the least and the largest gap between two, their standard deviation, how many
messages that is taken from and how long the group has been quiet. At a terminal as a table, else a line per group.
Times are those at which this command reads the messages. With --timeout and --count it exits with 3 when too few
messages came; with --timeout alone it measures that long.

Examples:
  zyre hz SENSORS CHAT
  zyre hz SENSORS --window 100 --duration 10 --json")]
    Hz(Rates),
    /// Measure how many bytes are said in groups
    #[command(after_help = "\
Once a second: bytes of messages per second, the mean, the least and the largest size of a message, how many messages
that is taken from and how long the group has been quiet. Counted are the frames, not what a transport adds. With
--timeout and --count it exits with 3 when too few messages came; with --timeout alone it measures that long.

Examples:
  zyre bw IMAGES SENSORS
  zyre bw IMAGES --count 100 --json")]
    Bw(Rates),
    /// Send messages to the members of a group
    Shout(Shout),
    /// Send messages to one peer
    Whisper(Whisper),
    /// Talk in a group: lines typed are shouted, events are shown
    Chat(Chat),
    /// List services and worker pools with their providers
    Services(Services),
    /// List the methods of a peer with their parameters and results
    Methods(Methods),
    /// Call a method and print its result
    Call(Call),
    /// Serve a method by a command of yours
    Serve(Serve),
    /// Measure round trips to a peer
    Ping(Ping),
    /// Start the nodes of a file in order, restart those that fail, stop them in order
    Launch(Launch),
    /// Measure whispers, shouts, calls and discovery against `zyre bench serve`
    #[command(subcommand)]
    Bench(Bench),
    /// Record what is said, play it again, tell what is in a recording
    #[command(subcommand)]
    Bag(Bag),
    /// Make, show, export and change the keys of secured networks
    #[command(subcommand)]
    Key(Key),
    /// Check what this host, its network and its peers let a node do
    #[command(after_help = "\
Joins in for three seconds, or as long as --timeout says, and listens: to its own beacons, to peers, and to nodes of
another mode. Give it the options that your node has. Each check is ok, a warning or a failure, with what to do.
Exits with 1 when one has failed.

Examples:
  zyre doctor
  zyre doctor --interface eth0 --key-file mesh.key --json")]
    Doctor,
    /// Show a pool with a slow worker and one that is killed; ends by itself
    #[command(after_help = "\
Starts nodes as processes of their own, on a UDP port of their own: nodes that are there are not disturbed.
Takes some ten seconds.

Example:
  zyre demo")]
    Demo,
    /// Print a cookbook: lines to copy, by topic
    Cheat(Cheat),
    /// Print the script that makes a shell complete, live names included
    Completions(Completions),
    /// Print a manual page, or write all of them
    Man(Man),
    // For those who work on the command; the page says how it is refreshed.
    #[command(hide = true, after_help = "Example:\n  zyre docs-cli > docs/cli.md")]
    DocsCli,
}

/// `zyre scout`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Only listens for beacons: nobody learns of us, and names stay unknown (`-`, in JSON null).

Example:
  zyre scout --wait 5 --json")]
pub(crate) struct Scout {
    /// How long to listen; decimals are fine
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2.5")]
    pub(crate) wait: Duration,
}

/// `zyre shout`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The members are awaited for 5 seconds unless --timeout says otherwise; exit code 3 if they do not come.

Examples:
  zyre shout CHAT hello                 one message
  zyre shout CHAT first second          one message of two frames
  tail -f app.log | zyre shout LOGS     one message per line")]
pub(crate) struct Shout {
    /// Group to shout to; this node need not be in it
    #[arg(value_parser = group, add = complete::groups())]
    pub(crate) group: String,

    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// `zyre whisper`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The peer is awaited for 5 seconds unless --timeout says otherwise; exit code 3 if it does not come.

Examples:
  zyre whisper cam-1 status             to the peer with this name
  zyre whisper 3F2A9C status            to the peer whose UUID starts like this
  zyre whisper cam-1 < commands.txt     one message per line")]
pub(crate) struct Whisper {
    /// The peer's name, its UUID or at least the first four digits of that
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new(), add = complete::peers())]
    pub(crate) peer: String,

    #[command(flatten)]
    pub(crate) messages: Messages,
}

// What `shout` and `whisper` send, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Messages {
    /// Frames of one message; without any, each line of standard input is a message
    #[arg(value_name = "MSG", allow_negative_numbers = true)]
    pub(crate) frames: Vec<OsString>,

    /// Wait for this many peers first (for a shout: members of the group)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) wait_peers: usize,

    /// Send each message this many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,

    /// Send at most this many messages per second [default: as fast as they are taken]
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
}

/// `zyre chat`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Ends with the input (Ctrl-D) or with Ctrl-C.

Example:
  zyre --name alice chat CHAT")]
pub(crate) struct Chat {
    /// Group to talk in
    #[arg(value_parser = group, add = complete::groups())]
    pub(crate) group: String,
}

impl Args {
    /// Reads the command line of this process; ends it with usage and exit code 2 when that is wrong.
    pub(crate) fn from_command_line() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn read(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut command = Self::full_command();
        let matches = command.try_get_matches_from_mut(args)?;
        let mut read = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        key::check_files(&matches, &read.options, &read.command)
            .map_err(|error| error.format(&mut command))?;
        read.options.choose_port(&matches);
        read.repeatable.extend_from(&matches)?;
        Ok(read)
    }

    /// Reads what makes a node of a line that is still being typed, as far as it can be read.
    pub(crate) fn read_unfinished(
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<(Options, Repeatable), clap::Error> {
        let matches = Self::full_command().ignore_errors(true).try_get_matches_from(words)?;
        let mut options = Options::from_arg_matches(&matches)?;
        options.choose_port(&matches);
        let mut repeatable = Repeatable::from_arg_matches(&matches)?;
        repeatable.extend_from(&matches)?;
        Ok((options, repeatable))
    }

    /// The command with its repeatable options in every place. They cannot be `global`: clap would
    /// forget those before the subcommand when there are more after it.
    pub(crate) fn full_command() -> clap::Command {
        Self::command().mut_subcommands(|command| {
            Repeatable::augment_args(command.mut_subcommands(Repeatable::augment_args))
        })
    }
}

impl Options {
    /// Moves to the port of secured networks with a key, unless one was given.
    fn choose_port(&mut self, matches: &ArgMatches) {
        if matches.value_source("port") == Some(ValueSource::DefaultValue) {
            self.port = self.usual_port();
        }
    }

    /// The port of those in this mode, unless they are told another.
    pub(crate) fn usual_port(&self) -> u16 {
        if self.key_file.is_some() || self.cert.is_some() { SECURED_PORT } else { OPEN_PORT }
    }
}

impl Repeatable {
    /// Keeps the node out of lists, unless the headers that were given say otherwise.
    pub(crate) fn hide(&mut self) {
        self.headers.insert(0, (hidden::HEADER.to_owned(), hidden::YES.to_owned()));
    }

    /// Adds what stands behind the names of commands.
    fn extend_from(&mut self, mut matches: &ArgMatches) -> Result<(), clap::Error> {
        while let Some((_, later)) = matches.subcommand() {
            self.extend(Self::from_arg_matches(later)?);
            matches = later;
        }
        Ok(())
    }

    fn extend(&mut self, later: Self) {
        self.headers.extend(later.headers);
        self.connect.extend(later.connect);
        self.gossip_bind.extend(later.gossip_bind);
        self.gossip_connect.extend(later.gossip_connect);
        self.verbose = self.verbose.saturating_add(later.verbose);
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a header is written KEY=VALUE, for example --header X-ROLE=camera".to_owned()),
    }
}

fn group(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a group name has at least one character".to_owned());
    }
    GroupName::try_from(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Up to a century, so that it can be added to any time of day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds <= 3.2e9);
    let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a time is a number of seconds, for example 2 or 0.5".to_owned())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err("a time is a whole number of milliseconds above 0, for example 5000".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number of messages per second from 0.001 on, for example 100".to_owned()),
    }
}

#[cfg(test)]
mod tests;
