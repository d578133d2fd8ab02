//! What a process has cost so far, read from `/proc/self`.

use crate::Result;
use std::fs;

/// Kernel clock ticks per second in `/proc/*/stat`; 100 on every Linux user space (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of this process in seconds, all threads, user and system.
pub(crate) fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in parentheses and may contain spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |index| fields.split_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err("cannot read CPU times from /proc/self/stat".into()),
    }
}

/// Largest resident memory so far, in KiB.
pub(crate) fn peak_rss_kib() -> Result<f64> {
    status("VmHWM:")
}

/// Resident memory that is not file-backed now, in KiB: heap and stacks, without the program's code.
pub(crate) fn anonymous_rss_kib() -> Result<f64> {
    status("RssAnon:")
}

fn status(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok());
    kib.ok_or_else(|| format!("cannot read {field} from /proc/self/status").into())
}
