//! libzmq's CURVE over its own sockets: a small C program on the libzmq and libsodium that pyzmq brings along.
//!
//! Python would be the limit, and libzmq built from source has no CURVE unless libsodium's headers are installed.

use super::Contender;
use crate::workload::{Job, Side};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const SOURCE: &str = include_str!("../../peers/libzmq_curve.c");

/// pyzmq's version, and the libraries in its wheel.
const PROBE: &str = "import pathlib, zmq; print(zmq.pyzmq_version()); \
    [print(path) for path in sorted(pathlib.Path(zmq.__file__).parents[1].glob('pyzmq.libs/*'))]";

/// The program, removed when dropped.
pub(crate) struct Libzmq {
    program: PathBuf,
    pub(crate) versions: String,
}

impl Drop for Libzmq {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.program);
    }
}

impl Libzmq {
    /// Builds the program; the error is the reason to skip libzmq.
    pub(crate) async fn prepare() -> Result<Self, String> {
        let python = std::env::var("ZYRE_PYTHON").unwrap_or_else(|_| "python3".into());
        let probe = run(Command::new(&python).args(["-c", PROBE]), "").await;
        let probe = probe.map_err(|problem| {
            format!(
                "{python} lacks pyzmq ({problem}); install it, or set ZYRE_PYTHON to a Python that has it"
            )
        })?;
        let mut lines = probe.lines();
        let pyzmq = lines.next().unwrap_or_default();
        let libraries: Vec<&Path> = lines.map(Path::new).collect();
        let named = |start: &str| {
            let is_it =
                |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
            let found = libraries.iter().find(|path| is_it(path)).copied();
            found.ok_or_else(|| format!("pyzmq {pyzmq} of {python} brings no {start}; install its wheel"))
        };
        let (libzmq, libsodium) = (named("libzmq")?, named("libsodium")?);
        let folder = libzmq.parent().unwrap_or(Path::new("")).display();
        let program = std::env::temp_dir().join(format!("zyre-libzmq-{}", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-x", "c", "-", "-x", "none"]).arg(libzmq).arg("-o").arg(&program);
        compiler.args([format!("-Wl,-rpath,{folder}"), format!("-Wl,-rpath-link,{folder}")]);
        run(&mut compiler, SOURCE).await.map_err(|problem| format!("cannot build it with cc: {problem}"))?;
        let version = run(Command::new(&program).arg("version"), "").await?;
        let libsodium = libsodium.file_name().unwrap_or_default().to_string_lossy();
        let versions = format!("{} of pyzmq {pyzmq}, with {libsodium}", version.trim());
        Ok(Self { program, versions })
    }

    /// One side of a run.
    pub(crate) fn command(&self, contender: Contender, job: &Job) -> Command {
        let side = if job.side == Side::Sink { "sink" } else { "source" };
        let kind = if contender == Contender::LibzmqDealer { "dealer" } else { "push" };
        let mut command = Command::new(&self.program);
        command.args([side, kind]);
        command.args([job.workload.size() as u64, job.warmup, job.count].map(|number| number.to_string()));
        if job.side == Side::Source {
            command.arg(&job.address);
        }
        command
    }
}

/// Runs it with this input; its output, or the last line of what it complains about.
async fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let done = async {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let done = done.await.map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let problem = String::from_utf8_lossy(&done.stderr);
    Err(problem.lines().last().unwrap_or("no reason given").to_owned())
}
