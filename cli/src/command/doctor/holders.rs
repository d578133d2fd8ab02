//! Which programs of this host have a port open, as far as the system tells (Linux: `/proc`, and only of what we may see).

use serde::Serialize;
use std::collections::BTreeSet;

/// Processes looked at; a host with more is not searched to its end.
#[cfg(target_os = "linux")]
const MAX_PROCESSES: usize = 20_000;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Holder {
    pub(super) program: String,
    pub(super) pid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// One line each.
pub(super) fn lines(holders: &[Holder]) -> String {
    let line =
        |holder: &Holder| format!("{} (process {})\n", zyre_rs::printable(&holder.program), holder.pid);
    holders.iter().map(line).collect()
}

/// Who has this port open; for TCP, who listens on it. Empty where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn of(protocol: Protocol, port: u16) -> Vec<Holder> {
    let tables = match protocol {
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let tables = tables.into_iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let inodes: BTreeSet<u64> = tables.flat_map(|table| inodes(&table, protocol, port)).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut holders: Vec<_> = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .take(MAX_PROCESSES)
        .filter(|pid| *pid != std::process::id() && has_socket(*pid, &inodes))
        .map(|pid| {
            let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Holder { program: program.trim_end().to_owned(), pid }
        })
        .collect();
    holders.sort();
    holders
}

#[cfg(not(target_os = "linux"))]
pub(super) fn of(_: Protocol, _: u16) -> Vec<Holder> {
    Vec::new()
}

#[cfg(target_os = "linux")]
fn has_socket(pid: u32, inodes: &BTreeSet<u64>) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(inode)
        .any(|inode| inodes.contains(&inode))
}

/// The sockets on this port in a table of `/proc/net`.
#[cfg(target_os = "linux")]
fn inodes(table: &str, protocol: Protocol, port: u16) -> BTreeSet<u64> {
    /// The state of a socket that listens.
    const LISTENS: &str = "0A";
    let inode = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, state) = (columns.next()?, columns.nth(1)?);
        let bound = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        let fits = bound == port && (protocol == Protocol::Udp || state == LISTENS);
        // Queues, timers, retransmissions, the user and timeouts stand between.
        let inode = columns.nth(5)?.parse().ok()?;
        fits.then_some(inode)
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1000: 00000000:1626 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0
 1001: 0100007F:1626 0100007F:8001 01 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0
 1002: 00000000:1627 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 2 0000000000000000 0
garbage
";

    #[test]
    fn sockets_are_found_by_their_port_and_for_tcp_only_those_that_listen() {
        assert_eq!(inodes(TABLE, Protocol::Udp, 5670), BTreeSet::from([4711, 4712]));
        assert_eq!(inodes(TABLE, Protocol::Tcp, 5670), BTreeSet::new());
        assert_eq!(inodes(TABLE, Protocol::Tcp, 5671), BTreeSet::from([4713]));
        assert_eq!(inodes("", Protocol::Udp, 5670), BTreeSet::new());
    }
}
