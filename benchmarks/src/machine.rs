//! Describes the machine and the versions, so that figures can be read later.

use crate::runner::Runner;
use std::fs;
use std::process::Command;

/// The locked versions of what is compared.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The crates whose versions matter.
const CRATES: [&str; 5] = ["zyre-rs", "tokio", "zeromq", "tarpc", "ractor_cluster"];

/// Name and description, line by line.
pub(crate) fn describe(runner: &Runner) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut lines = vec![
        ("CPU", format!("{}, {cores} cores", cpu_model())),
        ("Memory", format!("{:.0} GiB", memory_gib())),
        ("Kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease"))),
        // Figures taken on a busy machine say little; this shows them.
        ("Load", format!("{} (1, 5 and 15 minutes, before the run)", load())),
        ("Compiler", compiler()),
        ("Crates", CRATES.map(|name| format!("{name} {}", locked(name))).join(", ")),
    ];
    if let Some(pyre) = &runner.pyre {
        lines.push(("pyre", pyre.versions.clone()));
    }
    if let Some(libzmq) = &runner.libzmq {
        lines.push(("libzmq", libzmq.versions.clone()));
    }
    let pinned = match &runner.cores {
        Some([source, sink]) => format!(
            "in ping-pong and sequential calls the sender to core {source}, the receiver to core {sink} (taskset)"
        ),
        None => "nothing".into(),
    };
    lines.push(("Pinned", pinned));
    lines
}

/// The first two cores this process may use, when `taskset` can pin to them.
pub(crate) fn two_cores() -> Option<[String; 2]> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = list.trim().split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u32>().unwrap_or(1)..=last.parse::<u32>().unwrap_or(0)
    });
    let cores = [cores.next()?.to_string(), cores.next()?.to_string()];
    let pins = |core: &String| {
        Command::new("taskset").args(["-c", core, "true"]).output().is_ok_and(|done| done.status.success())
    };
    cores.iter().all(pins).then_some(cores)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

fn load() -> String {
    read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn cpu_model() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':'])).to_owned()
}

fn memory_gib() -> f64 {
    let info = read("/proc/meminfo");
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or_default() / f64::from(1 << 20)
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output
        .map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn locked(package: &str) -> &'static str {
    let mut lines = LOCK.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.map_or("unknown", |version| version.trim_matches('"'))
}
