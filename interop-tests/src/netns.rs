//! A LAN in a box: one network namespace per host and one with the bridge that joins them.
//!
//! Names start with `zyrt<pid>-`, so that what a killed run left behind is recognised and removed by the next one.
//! Interfaces live inside the namespaces (`eth0` in a host, `h0`, `h1`… on the bridge) and need no global names.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Missing, fail, provision};

const PREFIX: &str = "zyrt";

/// A switched network of hosts 10.77.x.1, 10.77.x.2 … /24; removed when dropped.
#[derive(Debug)]
pub struct Lan {
    bridge: Namespace,
    hosts: Vec<Host>,
}

/// One machine: a network namespace with `lo` and, on a LAN, `eth0`.
#[derive(Debug)]
pub struct Host {
    namespace: Option<Namespace>,
    address: Ipv4Addr,
}

/// Which frames a loss rule hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Every frame, ARP included.
    All,
    /// IPv4 UDP, which is the beacons.
    Udp,
    /// IPv4 TCP, which is everything after discovery.
    Tcp,
}

impl Lan {
    /// Makes a LAN with `hosts` hosts (at most 250).
    ///
    /// # Errors
    /// [`Missing`] when this machine does not let us make namespaces.
    pub fn new(hosts: u8) -> Result<Self, Missing> {
        static LANS: AtomicU8 = AtomicU8::new(0);
        ready()?;
        let lan = LANS.fetch_add(1, Ordering::Relaxed);
        let bridge = Namespace::new(&format!("{lan}b"))?;
        bridge.ip("link add br0 type bridge")?;
        bridge.ip("link set br0 up")?;
        let mut made = Self { bridge, hosts: Vec::new() };
        for index in 0..hosts {
            let namespace = Namespace::new(&format!("{lan}h{index}"))?;
            let address = Ipv4Addr::new(10, 77, lan, index + 1);
            let bridge = &made.bridge;
            bridge.ip(&format!("link add h{index} type veth peer name eth0 netns {}", namespace.name))?;
            bridge.ip(&format!("link set h{index} master br0 up"))?;
            namespace.ip(&format!("addr add {address}/24 brd + dev eth0"))?;
            namespace.ip("link set eth0 up")?;
            namespace.ip("route add 224.0.0.0/4 dev eth0")?;
            made.hosts.push(Host { namespace: Some(namespace), address });
        }
        Ok(made)
    }

    /// The host with this index.
    ///
    /// # Panics
    /// When the LAN has fewer hosts.
    #[track_caller]
    pub fn host(&self, index: usize) -> &Host {
        self.hosts.get(index).unwrap_or_else(|| fail(&format!("the LAN has no host {index}")))
    }

    /// Pulls the host's cable out of the switch; the host keeps its address and sees the carrier go.
    #[track_caller]
    pub fn unplug(&self, host: usize) {
        expect(self.bridge.ip(&format!("link set h{host} down")));
    }

    /// Puts the cable back.
    #[track_caller]
    pub fn plug(&self, host: usize) {
        expect(self.bridge.ip(&format!("link set h{host} up")));
    }

    /// Drops `permille` of the frames the switch forwards from one host to another; `None` means any host.
    ///
    /// Rules add up until [`Lan::heal`].
    #[track_caller]
    pub fn lose(&self, traffic: Traffic, from: Option<usize>, to: Option<usize>, permille: u16) {
        let mut rule = String::new();
        if let Some(host) = from {
            rule.push_str(&format!("iifname \"h{host}\" "));
        }
        if let Some(host) = to {
            rule.push_str(&format!("oifname \"h{host}\" "));
        }
        match traffic {
            Traffic::All => {}
            Traffic::Udp => rule.push_str("ether type ip ip protocol udp "),
            Traffic::Tcp => rule.push_str("ether type ip ip protocol tcp "),
        }
        if permille < 1000 {
            rule.push_str(&format!("numgen random mod 1000 < {permille} "));
        }
        expect(self.bridge.nft(&format!(
            "add table bridge faults\n\
             add chain bridge faults f {{ type filter hook forward priority 0; }}\n\
             add rule bridge faults f {rule}counter drop\n"
        )));
    }

    /// Removes all loss rules.
    #[track_caller]
    pub fn heal(&self) {
        expect(self.bridge.nft("add table bridge faults\ndelete table bridge faults\n"));
    }
}

impl Host {
    /// This machine as it is, without a namespace; for nodes that keep to the loopback interface.
    pub fn local() -> Self {
        Self { namespace: None, address: Ipv4Addr::LOCALHOST }
    }

    /// A machine that has nothing but `lo`, with a multicast route so that pyre can discover there.
    ///
    /// # Errors
    /// [`Missing`] when this machine does not let us make namespaces.
    pub fn alone() -> Result<Self, Missing> {
        static HOSTS: AtomicU8 = AtomicU8::new(0);
        ready()?;
        let namespace = Namespace::new(&format!("alone{}", HOSTS.fetch_add(1, Ordering::Relaxed)))?;
        namespace.ip("route add 224.0.0.0/4 dev lo")?;
        Ok(Self { namespace: Some(namespace), address: Ipv4Addr::LOCALHOST })
    }

    /// The host's address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Runs `body` on a thread inside this host. Sockets it opens, threads it starts (a runtime's, say) and
    /// processes it spawns belong to this host.
    ///
    /// # Panics
    /// When `body` does, and when the namespace cannot be entered.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let outcome = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    if let Some(namespace) = &self.namespace {
                        expect(namespace.enter());
                    }
                    body()
                })
                .join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Takes the interface down from the host's side: its routes go, its address stays.
    #[track_caller]
    pub fn interface_down(&self) {
        self.ip("link set eth0 down");
    }

    /// Takes the interface up again.
    #[track_caller]
    pub fn interface_up(&self) {
        self.ip("link set eth0 up");
        self.ip("route replace 224.0.0.0/4 dev eth0");
    }

    /// Runs an `ip` command on this host, for example `addr add 10.99.0.1/24 dev eth0`.
    ///
    /// # Panics
    /// When the command fails, and on [`Host::local`], whose network is not ours to change.
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        match &self.namespace {
            Some(namespace) => expect(namespace.ip(arguments)),
            None => fail("the machine's own network is not changed by tests"),
        }
    }
}

/// A named network namespace with `lo` up; removed when dropped.
#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Namespace {
    fn new(suffix: &str) -> Result<Self, Missing> {
        let name = format!("{PREFIX}{}-{suffix}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    fn ip(&self, arguments: &str) -> Result<(), Missing> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        ip(&all)
    }

    fn nft(&self, rules: &str) -> Result<(), Missing> {
        let mut command = Command::new("ip");
        run(command.args(["netns", "exec", &self.name, "nft", "-f", "-"]), rules).map(drop)
    }

    fn enter(&self) -> Result<(), Missing> {
        let path = Path::new("/run/netns").join(&self.name);
        let enter = |file: File| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(std::io::Error::from)
        };
        let entered = File::open(path).and_then(enter);
        entered.map_err(|error| Missing::new(format!("cannot enter namespace {}: {error}", self.name)))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

/// Checks the tools, and once per process removes what dead runs left behind.
fn ready() -> Result<(), Missing> {
    static SWEPT: Once = Once::new();
    provision::namespaces()?;
    SWEPT.call_once(|| {
        let listed = run(Command::new("ip").args(["netns", "list"]), "").unwrap_or_default();
        for name in
            listed.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| is_stale(name))
        {
            let _ = ip(&["netns", "del", name]);
        }
    });
    Ok(())
}

/// Whether a namespace is one of ours whose process has ended.
fn is_stale(namespace: &str) -> bool {
    namespace
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'))
        .and_then(|(pid, _)| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn ip(arguments: &[&str]) -> Result<(), Missing> {
    run(Command::new("ip").args(arguments), "").map(drop)
}

fn run(command: &mut Command, input: &str) -> Result<String, Missing> {
    let text = format!("{command:?}");
    let failed = |why: &str| Missing::new(format!("{text} failed: {why}"));
    let fed = |command: &mut Command| {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // Taken, so that it is closed before the wait.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = fed(command).map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
fn expect<T>(outcome: Result<T, Missing>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => fail(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_dead_runs_are_stale() {
        assert!(!is_stale(&format!("zyrt{}-0b", std::process::id())));
        assert!(is_stale("zyrt4294967295-0h1"));
        assert!(!is_stale("zyrtx-0b"));
        assert!(!is_stale("docker0"));
    }
}
