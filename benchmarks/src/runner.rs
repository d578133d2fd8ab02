//! Runs one workload for one contender in child processes and collects what they report.

use crate::Result;
use crate::contender::Contender;
use crate::contender::libzmq::Libzmq;
use crate::contender::pyre::{Pyre, SCRIPT};
use crate::workload::{Job, Side, Workload};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// An idle mesh of n nodes needs two descriptors for each of its n·(n-1) connections.
const MORE_DESCRIPTORS: &str = "ulimit -Sn \"$(ulimit -Hn)\"; exec \"$0\" \"$@\"";

/// How much one run does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) count: u64,
    pub(crate) idle_seconds: f64,
    /// A run that takes longer hangs.
    pub(crate) timeout: Duration,
}

impl Amount {
    /// For figures. Idle for longer than the evasive timeout, so that pings are in it.
    pub(crate) const FULL: Self = Self { count: 0, idle_seconds: 10.0, timeout: Duration::from_secs(120) };
    /// To see that it runs.
    pub(crate) const QUICK: Self = Self { count: 0, idle_seconds: 0.5, timeout: Duration::from_secs(20) };
}

/// What one run gave.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) count: u64,
    /// The result's numbers by name.
    pub(crate) numbers: BTreeMap<String, f64>,
    pub(crate) source: Option<Usage>,
    pub(crate) sink: Usage,
}

/// What one process cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_rss_kib: f64,
}

/// Starts the children.
pub(crate) struct Runner {
    /// Cores for source and sink of workloads that are pinned, where `taskset` exists and there are two cores.
    pub(crate) cores: Option<[String; 2]>,
    pub(crate) pyre: Option<Pyre>,
    pub(crate) libzmq: Option<Libzmq>,
}

impl Runner {
    /// Runs it once.
    pub(crate) async fn run(
        &self,
        contender: Contender,
        workload: Workload,
        amount: Amount,
    ) -> Result<Measurement> {
        let played = self.play(contender, workload, amount);
        tokio::time::timeout(amount.timeout, played)
            .await
            .unwrap_or_else(|_| Err(format!("no result within {} s", amount.timeout.as_secs()).into()))
    }

    async fn play(&self, contender: Contender, workload: Workload, amount: Amount) -> Result<Measurement> {
        let mut job = Job {
            workload,
            side: Side::Sink,
            count: amount.count,
            warmup: (amount.count / 10).max(1),
            port: free_udp_port()?,
            secured: contender.is_secured(workload),
            address: String::new(),
            idle_seconds: amount.idle_seconds,
        };
        let mut sink = self.spawn(contender, &job)?;
        job.address = sink.line("ready").await?.as_str().unwrap_or_default().to_owned();
        if workload.is_alone() {
            let numbers = sink.line("result").await?;
            let sink = sink.end().await?;
            return Ok(Measurement { count: amount.count, numbers: by_name(&numbers), source: None, sink });
        }
        job.side = Side::Source;
        let mut source = self.spawn(contender, &job)?;
        // Whichever holds the watch has the result; from the other one only an error can come before.
        let (watch, other) =
            if workload.measured_by_sink() { (&mut sink, &mut source) } else { (&mut source, &mut sink) };
        let numbers = tokio::select! {
            result = watch.line("result") => result?,
            other = other.line("nothing") => return other.and(Err("unexpected line".into())),
        };
        // The side that holds the watch keeps its connections until the other one has ended.
        let (source, sink) = if workload.measured_by_sink() {
            let source = source.end().await?;
            (source, sink.end().await?)
        } else {
            let sink = sink.end().await?;
            (source.end().await?, sink)
        };
        Ok(Measurement { count: amount.count, numbers: by_name(&numbers), source: Some(source), sink })
    }

    fn spawn(&self, contender: Contender, job: &Job) -> Result<Peer> {
        let mut words: Vec<String> = Vec::new();
        if let (Contender::Pyre, Some(pyre)) = (contender, &self.pyre) {
            words.extend(pyre.enter.iter().cloned());
        }
        if let (true, Some([first, second])) = (job.workload.is_pinned(), &self.cores) {
            let core = if job.side == Side::Source { first } else { second };
            words.extend(["taskset".into(), "-c".into(), core.clone()]);
        }
        if job.workload == Workload::Mesh {
            words.extend(["sh", "-c", MORE_DESCRIPTORS].map(String::from));
        }
        match (contender, &self.pyre, &self.libzmq) {
            (Contender::Pyre, Some(pyre), _) => {
                words.extend([pyre.python.clone(), "-c".into(), SCRIPT.into()])
            }
            (Contender::LibzmqDealer | Contender::LibzmqPush, _, Some(libzmq)) => {
                return Peer::spawn(&mut libzmq.command(contender, job));
            }
            _ => {
                let own = std::env::current_exe()?.into_os_string().into_string();
                let own = own.map_err(|path| format!("the path {path:?} is not UTF-8"))?;
                words.extend([own, "child".into(), contender.name().into()]);
            }
        }
        words.push(serde_json::to_string(job)?);
        let (program, arguments) = words.split_first().ok_or("nothing to run")?;
        Peer::spawn(Command::new(program).args(arguments))
    }
}

fn by_name(numbers: &Value) -> BTreeMap<String, f64> {
    let numbers = numbers.as_object().into_iter().flatten();
    numbers.filter_map(|(name, number)| Some((name.clone(), number.as_f64()?))).collect()
}

/// A port that nobody uses now, so that runs on one machine do not meet.
fn free_udp_port() -> Result<u16> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A child process and the lines it prints; killed when dropped.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("a child without stdout")?;
        Ok(Self { stdin: child.stdin.take(), child, lines: BufReader::new(stdout).lines() })
    }

    /// Waits for the line with this key and returns what it says.
    async fn line(&mut self, key: &str) -> Result<Value> {
        let line = self.lines.next_line().await?.ok_or("a child ended without a word")?;
        let mut line: Value = serde_json::from_str(&line).map_err(|_| format!("unexpected line: {line}"))?;
        match line.get_mut(key) {
            Some(value) => Ok(value.take()),
            None => Err(line.get("error").and_then(Value::as_str).unwrap_or("unexpected line").into()),
        }
    }

    /// Closes the child's stdin, takes its usage and waits for its end.
    async fn end(mut self) -> Result<Usage> {
        drop(self.stdin.take());
        let usage = self.line("usage").await?;
        self.child.wait().await?;
        let number = |name| usage.get(name).and_then(Value::as_f64).unwrap_or_default();
        Ok(Usage { cpu_seconds: number("cpu"), peak_rss_kib: number("peak_rss_kib") })
    }
}
