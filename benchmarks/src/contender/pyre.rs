//! pyre, the Python node, both of its processes in a network namespace of their own.
//!
//! pyre needs an interface with a broadcast address, and its beacons are nobody else's business. The namespace
//! belongs to a process that waits for its stdin to close, so nothing outlives this program. Traffic between
//! two processes of a namespace takes the loopback path, as it does for the other contenders.

use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Plays pyre's part; speaks the lines of `session.rs`.
pub(crate) const SCRIPT: &str = include_str!("../../peers/pyre_bench.py");

const PROBE: &str = "import importlib.metadata as m, platform, pyre, zmq; \
    print('Python', platform.python_version() + ', pyre', m.version('zeromq-pyre') + ', pyzmq', \
    zmq.pyzmq_version() + ', libzmq', zmq.zmq_version())";

/// Makes an interface with a broadcast address, then holds the namespace until stdin closes.
const NAMESPACE: &str = "ip link set lo up && \
    { ip link add bench0 type dummy 2>/dev/null || \
      { ip link add bench0 type veth peer name bench1 && ip link set bench1 up; }; } && \
    ip addr add 10.66.0.1/24 brd + dev bench0 && ip link set bench0 up && echo ready && exec cat";

/// A Python with pyre, and the namespace to run it in.
pub(crate) struct Pyre {
    pub(crate) python: String,
    /// Python's and the packages' versions.
    pub(crate) versions: String,
    /// The command that enters the namespace.
    pub(crate) enter: Vec<String>,
    _namespace: Child,
}

impl Pyre {
    /// Looks for what pyre needs; the error is the reason to skip it.
    pub(crate) async fn prepare() -> Result<Self, String> {
        let python = std::env::var("ZYRE_PYTHON").unwrap_or_else(|_| "python3".into());
        let probe = Command::new(&python).args(["-c", PROBE]).output().await;
        let probe = probe.map_err(|error| format!("cannot run {python}: {error}"))?;
        if !probe.status.success() {
            let problem = String::from_utf8_lossy(&probe.stderr);
            let problem = problem.lines().last().unwrap_or("no reason given").to_owned();
            return Err(format!(
                "{python} lacks pyre ({problem}); install zeromq-pyre and pyzmq, or set ZYRE_PYTHON to a Python that has them"
            ));
        }
        let versions = String::from_utf8_lossy(&probe.stdout).trim().to_owned();
        let (namespace, enter) = namespace().await?;
        Ok(Self { python, versions, enter, _namespace: namespace })
    }
}

async fn namespace() -> Result<(Child, Vec<String>), String> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    // Without root a user namespace gives the right to make a network one, where the system allows that.
    let flags = if root { "-n" } else { "-rn" };
    let mut holder = Command::new("unshare")
        .args([flags, "sh", "-c", NAMESPACE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run unshare to make a network namespace: {error}"))?;
    let failed = || {
        "cannot make a network namespace with a broadcast interface (needs root or user namespaces, and iproute2)".to_owned()
    };
    let mut lines = BufReader::new(holder.stdout.take().ok_or_else(failed)?).lines();
    let ready = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await;
    if !matches!(ready, Ok(Ok(Some(_)))) {
        return Err(failed());
    }
    let pid = holder.id().ok_or_else(failed)?.to_string();
    let mut enter: Vec<String> = ["nsenter", "-t", &pid, "-n"].map(String::from).into();
    if !root {
        enter.extend(["-U", "--preserve-credentials"].map(String::from));
    }
    Ok((holder, enter))
}
