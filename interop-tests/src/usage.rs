//! What a process costs, read from its `/proc` folder.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Kernel clock ticks per second in `/proc/*/stat`; 100 on every Linux user space (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// A running process whose costs are asked for.
#[derive(Debug, Clone)]
pub struct Usage {
    folder: PathBuf,
}

impl Usage {
    /// That of the process with this id.
    pub fn of(process: u32) -> Self {
        Self { folder: PathBuf::from(format!("/proc/{process}")) }
    }

    /// Heap and stacks that are resident now, in KiB: without the program's code.
    ///
    /// # Panics
    /// As all functions here, when the process has ended.
    #[track_caller]
    pub fn memory_kib(&self) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok());
        kib.unwrap_or_else(|| crate::fail("no RssAnon in /proc"))
    }

    /// CPU time so far, of all threads, user and system.
    #[track_caller]
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        // The second field is the program's name in parentheses and may contain spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |index| fields.split_whitespace().nth(index).and_then(|field| field.parse::<u64>().ok());
        let ticks = ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// How many file descriptors are open.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        match fs::read_dir(self.folder.join("fd")) {
            Ok(open) => open.count(),
            Err(error) => crate::fail(&format!("cannot count descriptors: {error}")),
        }
    }

    #[track_caller]
    fn read(&self, file: &str) -> String {
        match fs::read_to_string(self.folder.join(file)) {
            Ok(text) => text,
            Err(error) => crate::fail(&format!("cannot read {file} of a process: {error}")),
        }
    }
}

/// TCP connections that this thread's network namespace has tried to open since it was made.
///
/// # Panics
/// When the kernel does not tell.
#[track_caller]
pub fn connects_tried() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let tried = pairs.find(|(name, _)| *name == "ActiveOpens").and_then(|(_, value)| value.parse().ok());
    tried.unwrap_or_else(|| crate::fail("no ActiveOpens in /proc/net/snmp"))
}
