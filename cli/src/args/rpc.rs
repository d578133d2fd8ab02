//! The commands that call and serve.

use clap::ArgGroup;
use clap::builder::NonEmptyStringValueParser;
use serde_json::Value;
use std::time::Duration;

use super::seconds;
use crate::complete;

/// Longest name of a method: with `svc/` before it, it still fits into a group's name.
const MAX_METHOD: usize = 200;

/// `zyre services`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
A service is the group svc/NAME, a pool of workers the group pool/NAME; who is in the group provides it.
CONCURRENCY and QUEUE are known of providers that answer rpc.info. With --timeout and no --watch the command goes
on until there is a provider, and exits with 3 if none comes. --watch ends with Ctrl-C or after --timeout.

Examples:
  zyre services --wait 5
  zyre services --watch --json")]
pub(crate) struct Services {
    /// How long to meet providers before listing them; decimals are fine
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2.5")]
    pub(crate) wait: Duration,

    /// Print providers that come (UP) and go (DOWN, with the reason) as they do; at a terminal the list drawn anew
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `zyre methods`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Asks by rpc.methods. Schemas are shown in short, as {a: int, b?: string}; --json prints them whole.
The peer is awaited for 5 seconds unless --timeout says otherwise, and so is its answer; exit code 3 without one.

Example:
  zyre methods worker-1 --json")]
pub(crate) struct Methods {
    /// The peer's name, its UUID or at least the first four digits of that
    #[arg(value_parser = NonEmptyStringValueParser::new(), add = complete::peers())]
    pub(crate) peer: String,
}

/// `zyre call`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Called is one of the providers in the group svc/SERVICE or, if nobody is in that, pool/SERVICE; with --peer that
peer, whatever its groups; with --all every provider. A provider is awaited for 5 seconds unless --timeout says
otherwise, and so is its answer. Prints the result as one line of JSON. Exit code 1 if a provider answers with an
error, 3 without a provider or an answer in time. Ctrl-C cancels the call, at its provider too.

With --json: {\"peer\", \"name\", \"result\"}, of a provider's error {\"error\": {\"code\", \"message\", \"data\"}}.

Examples:
  zyre call calc.add '{\"a\": 1, \"b\": 2}'      named parameters
  zyre call calc.add '[1, 2]'                positional ones
  zyre call text.upper '\"loud\"'              one alone is put into an array
  jq -n '{a: 1}' | zyre call calc.add -      parameters from standard input
  zyre call rpc.stats --peer worker-1        what every node answers
  zyre call calc.add '[1, 2]' --all          each provider's answer")]
pub(crate) struct Call {
    /// What to call; the service is what stands before the last dot
    #[arg(value_name = "SERVICE.METHOD", value_parser = method, add = complete::methods())]
    pub(crate) method: String,

    /// Parameters: an object, an array, a single value, or `-` to read them [default: {}]
    #[arg(value_name = "JSON", value_parser = params, allow_negative_numbers = true)]
    pub(crate) params: Option<Params>,

    /// Call this peer: its name, its UUID or at least the first four digits of that
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), add = complete::peers())]
    pub(crate) peer: Option<String>,

    /// Call every provider and print each answer, `NAME: RESULT`; exit code 1 if one of them fails
    #[arg(long, conflicts_with_all = ["peer", "stream"])]
    pub(crate) all: bool,

    /// Call every provider, end after this many answers; exit code 3 if fewer come
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["peer", "stream"])]
    pub(crate) replies: Option<u32>,

    /// With --all or --replies: how long to meet providers before calling them
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2.5")]
    pub(crate) wait: Duration,

    /// Print the items of a streaming answer as they come, then the result; --timeout is for all of it
    #[arg(long)]
    pub(crate) stream: bool,
}

/// Parameters of a call as they were given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Params {
    Given(Value),
    /// To be read from standard input.
    Input,
}

/// `zyre serve`
#[derive(Clone, Debug, clap::Args)]
#[command(group = ArgGroup::new("answerer").required(true))]
#[command(after_help = "\
The command is run by `sh -c` for each request. It reads the parameters as one line of JSON on its standard input;
ZYRE_PEER, ZYRE_PEER_NAME, ZYRE_METHOD and ZYRE_DEADLINE_MS tell who calls, what, and how long the caller waits yet.
What it prints is the result: JSON if it is JSON, else text without the last line end. An exit code other than 0
is an error of that code, with the last line of its standard error as message. It is killed, with the processes it
has started, when the caller cancels, goes away or waits no longer.

Callers take any provider of the service: let all of them serve the same methods.

Ends with Ctrl-C: leaves its groups, finishes what it works on (5 seconds at most), and goes. With --count and
--timeout it exits with 3 when too few requests came; with --timeout alone it serves that long.

Examples:
  zyre serve text.upper --command \"jq '.[0] | ascii_upcase'\"
  zyre serve render.page --command ./render.sh --concurrency 2 --pool render
  zyre serve test.echo --echo -v")]
pub(crate) struct Serve {
    /// What to serve; the service is what stands before the last dot
    #[arg(value_name = "SERVICE.METHOD", value_parser = served_method)]
    pub(crate) method: String,

    /// Answer the parameters
    #[arg(long, group = "answerer")]
    pub(crate) echo: bool,

    /// Run this by the shell for each request
    #[arg(long, value_name = "CMD", group = "answerer", value_parser = command)]
    pub(crate) command: Option<String>,

    /// Work on this many requests at once [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: Option<u32>,

    /// Let this many more wait; callers of others hear that it is overloaded [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) queue: Option<u32>,

    /// Be a worker of this pool too: join pool/NAME
    #[arg(long, value_name = "NAME", value_parser = pool, add = complete::pools())]
    pub(crate) pool: Option<String>,

    /// End after this many answers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,

    // For the demo: what an echo pretends to work.
    #[arg(long, hide = true, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    pub(crate) work: Duration,
}

/// `zyre ping`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Asks by rpc.ping. The peer is awaited for 5 seconds unless --timeout says otherwise, and so is each answer.
Without --count it goes on until Ctrl-C. Exit code 3 if no answer came.

Example:
  zyre ping cam-1 --count 100 --interval 0.1")]
pub(crate) struct Ping {
    /// The peer's name, its UUID or at least the first four digits of that
    #[arg(value_parser = NonEmptyStringValueParser::new(), add = complete::peers())]
    pub(crate) peer: String,

    /// Stop after this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Time from one to the next; decimals are fine
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub(crate) interval: Duration,
}

/// Reads parameters. JSON-RPC knows named and positional ones: anything else becomes the only positional one.
pub(crate) fn parse_params(text: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice(text) {
        Ok(params @ (Value::Object(_) | Value::Array(_))) => Ok(params),
        Ok(single) => Ok(Value::Array(vec![single])),
        Err(error) => Err(format!(
            "parameters are JSON, for example '{{\"a\": 1}}', '[1, 2]' or '\"text\"' with these quotes; this is not: {error}"
        )),
    }
}

fn params(text: &str) -> Result<Params, String> {
    if text == "-" { Ok(Params::Input) } else { parse_params(text.as_bytes()).map(Params::Given) }
}

fn method(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a method is written SERVICE.METHOD, for example calc.add".to_owned()),
        _ if text.len() > MAX_METHOD => Err(format!("a method name has at most {MAX_METHOD} bytes")),
        _ => Ok(text.to_owned()),
    }
}

fn served_method(text: &str) -> Result<String, String> {
    if text.starts_with("rpc.") {
        return Err(
            "names that begin with rpc. are built in; choose another, for example calc.add".to_owned()
        );
    }
    method(text)
}

fn command(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("a command is what a shell can run, for example --command 'jq .a'".to_owned());
    }
    Ok(text.to_owned())
}

fn pool(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a pool has a name, for example --pool calc".to_owned());
    }
    super::group(&format!("pool/{text}")).map(|_| text.to_owned())
}
