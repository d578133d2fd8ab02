//! Benchmarks: every contender in the same run, rounds interleaved, medians and ratios as tables.
//!
//! This process plans and reports; each measurement happens in child processes (`session.rs` describes
//! the lines between them). `docs/benchmarks.md` explains the method.

mod calls;
mod contender;
mod curve;
mod machine;
mod pool;
mod report;
mod runner;
mod session;
mod stopwatch;
mod usage;
mod workload;

use clap::{Parser, Subcommand};
use contender::Contender;
use report::Report;
use runner::{Amount, Runner};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use workload::Workload;

/// Anything that ends a run, told to a person.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// How long a calibrated run takes, in seconds. Longer runs say more, but a machine's mood changes too.
const RUN_SECONDS: f64 = 0.7;

/// Compares zyre-rs with raw TCP, the zeromq crate, pyre, tarpc and ractor_cluster in one run.
///
/// pyre runs on the Python that ZYRE_PYTHON names (default python3) and is skipped where it is missing.
#[derive(Parser)]
struct Arguments {
    /// Measures everything this many times; the tables show medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Tiny counts, one round: shows that everything runs. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only these contenders (zyre-rs, tcp, zeromq, pyre, "tcp json", "tarpc json", "tarpc bincode", ractor_cluster, "zyre-rs open",
    /// "libzmq dealer", "libzmq push") and workloads (one-way, echo, ping-pong, shout, discovery, mesh, call, call-sequential, pool,
    /// curve, curve-handshake, curve-attack); may be repeated.
    #[arg(long, value_name = "NAME", value_parser = known_name)]
    only: Vec<String>,
    /// How long each run of a pool is, after a tenth more as warm-up. Pools run in the first round only.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pool_seconds: u32,
    /// Prints Markdown, for a document.
    #[arg(long)]
    markdown: bool,
    /// Writes every measurement to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// One side of one run; the benchmark starts these itself.
    #[command(hide = true)]
    Child { contender: String, job: String },
}

fn known_name(name: &str) -> std::result::Result<String, String> {
    if Contender::from_name(name).is_some() || Workload::NAMES.contains(&name) {
        return Ok(name.into());
    }
    let contenders = Contender::ALL.map(Contender::name).join(", ");
    Err(format!("neither a contender ({contenders}) nor a workload ({})", Workload::NAMES.join(", ")))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Child { contender, job }) => child(contender, job),
        None => parent(&arguments),
    };
    done.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn child(contender: &str, job: &str) -> Result<()> {
    let contender = Contender::from_name(contender).ok_or("no such contender")?;
    session::run(contender, serde_json::from_str(job)?)
}

fn parent(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(arguments));
    print!("{}", report.render(arguments.markdown));
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report.json())?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    match report.failures.len() {
        0 => Ok(()),
        failures => Err(format!("{failures} run(s) failed").into()),
    }
}

/// Runs the whole plan: in each round every workload, and for each workload all contenders in turn.
async fn measure(arguments: &Arguments) -> Report {
    let mut runner = Runner { cores: machine::two_cores(), pyre: None, libzmq: None };
    let rounds = if arguments.quick { 1 } else { arguments.rounds as usize };
    let mut report = Report { rounds, ..Report::default() };
    let mut contenders = chosen(&arguments.only, Contender::ALL.to_vec(), Contender::name);
    let workloads = chosen(&arguments.only, Workload::all(), |workload| workload.name());
    if contenders.contains(&Contender::Pyre) {
        match contender::pyre::Pyre::prepare().await {
            Ok(pyre) => runner.pyre = Some(pyre),
            Err(reason) => {
                eprintln!("SKIPPED pyre: {reason}");
                report.skipped.push((Contender::Pyre, reason));
                contenders.retain(|contender| *contender != Contender::Pyre);
            }
        }
    }
    let is_libzmq =
        |contender: &Contender| matches!(contender, Contender::LibzmqDealer | Contender::LibzmqPush);
    let plays = |contender: &Contender| workloads.iter().any(|workload| contender.plays(*workload));
    if contenders.iter().any(|contender| is_libzmq(contender) && plays(contender)) {
        match contender::libzmq::Libzmq::prepare().await {
            Ok(libzmq) => runner.libzmq = Some(libzmq),
            Err(reason) => {
                eprintln!("SKIPPED libzmq: {reason}");
                report.skipped.push((Contender::LibzmqDealer, reason));
                contenders.retain(|contender| !is_libzmq(contender));
            }
        }
    }
    report.machine = machine::describe(&runner);
    let mut counts = BTreeMap::new();
    for round in 0..rounds {
        for workload in workloads.iter().filter(|workload| round == 0 || !workload.is_long()) {
            // Each round starts with another contender, so that none always follows the same one.
            if !contenders.is_empty() {
                contenders.rotate_left(1);
            }
            for contender in contenders.iter().filter(|contender| contender.plays(*workload)) {
                eprintln!("round {}: {workload}, {contender}", round + 1);
                let key = (*workload, *contender);
                if let Err(error) = one(arguments, &runner, key, round, &mut counts, &mut report).await {
                    let failure = format!("round {}: {workload}, {contender}: {error}", round + 1);
                    eprintln!("FAILED {failure}");
                    report.failures.push(failure);
                }
            }
        }
    }
    report
}

/// What `--only` leaves of a list: all of it unless something in it is named.
fn chosen<T: Copy>(only: &[String], all: Vec<T>, name: impl Fn(T) -> &'static str) -> Vec<T> {
    let named: Vec<_> =
        all.iter().copied().filter(|one| only.iter().any(|only| only == name(*one))).collect();
    if named.is_empty() { all } else { named }
}

async fn one(
    arguments: &Arguments,
    runner: &Runner,
    (workload, contender): (Workload, Contender),
    round: usize,
    counts: &mut BTreeMap<(Workload, Contender), u64>,
    report: &mut Report,
) -> Result<()> {
    let mut amount = if arguments.quick { Amount::QUICK } else { Amount::FULL };
    if workload.is_long() {
        amount.timeout += Duration::from_secs(2 * u64::from(arguments.pool_seconds));
    }
    let count = match counts.get(&(workload, contender)) {
        Some(count) => *count,
        None if arguments.quick => workload.first_count(),
        None if workload.is_calibrated() => calibrate(runner, workload, contender).await?,
        None if workload.is_long() => pool::calls_in(arguments.pool_seconds.into()),
        None => workload.full_count(),
    };
    counts.insert((workload, contender), count);
    let measurement = runner.run(contender, workload, Amount { count, ..amount }).await?;
    report.results.entry((workload, contender)).or_default().insert(round, measurement);
    Ok(())
}

/// Finds the count that takes about `RUN_SECONDS`, by runs that grow until they are long enough to tell.
async fn calibrate(runner: &Runner, workload: Workload, contender: Contender) -> Result<u64> {
    let mut count = workload.first_count();
    loop {
        let measurement = runner.run(contender, workload, Amount { count, ..Amount::FULL }).await?;
        let seconds = measurement.numbers.get("seconds").copied().unwrap_or(RUN_SECONDS).max(1e-6);
        let fitting = (count as f64 * RUN_SECONDS / seconds) as u64;
        let fitting = fitting.clamp(workload.first_count(), contender.max_count());
        if seconds >= RUN_SECONDS / 5.0 || fitting <= count {
            return Ok(fitting);
        }
        count = fitting.min(count * 20);
    }
}
