//! Fetches pyre and zyre.js into a cache folder, once per machine.
//!
//! The cache is `interop-tests/.provisioned/`, or the folder named by `ZYRE_INTEROP_CACHE`. Each part is built under
//! a file lock, so that test binaries that start together build it once, and a stamp file is written last, so that
//! an interrupted build is started over.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::Missing;

/// The pyre release under test, the newest on PyPI.
pub const PYRE_VERSION: &str = "0.3.4";
/// The zyre.js release under test, the newest on npm.
pub const ZYREJS_VERSION: &str = "1.3.0";

/// A Python that can `import pyre`.
#[derive(Debug, Clone)]
pub struct Python {
    /// The interpreter of the virtual environment.
    pub interpreter: PathBuf,
}

/// A Node.js that can `require('zyre.js')` when `NODE_PATH` is set to `modules`.
#[derive(Debug, Clone)]
pub struct Node {
    /// The interpreter.
    pub interpreter: PathBuf,
    /// The `node_modules` folder.
    pub modules: PathBuf,
}

/// Provides Python with pyre, installing it on first use (about 4 s).
///
/// # Errors
/// [`Missing`] when there is no `python3`, or it cannot install packages.
pub fn pyre() -> Result<Python, Missing> {
    static PROVIDED: OnceLock<Result<Python, Missing>> = OnceLock::new();
    PROVIDED.get_or_init(install_pyre).clone()
}

/// Provides Node.js with zyre.js, installing it on first use (about 15 s with the Debian packages it needs).
///
/// # Errors
/// [`Missing`] when there is no `node` or `npm`, or the native part of zyre.js cannot be built.
pub fn zyrejs() -> Result<Node, Missing> {
    static PROVIDED: OnceLock<Result<Node, Missing>> = OnceLock::new();
    PROVIDED.get_or_init(install_zyrejs).clone()
}

/// Provides the commands `ip` and `nft`, and checks that this process may make network namespaces.
///
/// # Errors
/// [`Missing`] when not run as root, or the commands cannot be installed.
pub fn namespaces() -> Result<(), Missing> {
    static PROVIDED: OnceLock<Result<(), Missing>> = OnceLock::new();
    PROVIDED.get_or_init(install_namespace_tools).clone()
}

/// Provides the library that, preloaded, gives a process another time of day (Debian's `libfaketime`).
///
/// # Errors
/// [`Missing`] when it cannot be installed.
pub fn faketime() -> Result<PathBuf, Missing> {
    static PROVIDED: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    PROVIDED.get_or_init(install_faketime).clone()
}

/// Provides an adapter that runs a node of ours: `zyre-rs-peer`, `zyre-rpc-peer` with actors on it, `zyre-mesh-peer`
/// (many nodes) or `zyre-soak-peer`.
///
/// # Errors
/// [`Missing`] when Cargo has not built it next to the tests.
pub fn adapter(name: &str) -> Result<PathBuf, Missing> {
    let path = target()?.join(name);
    if path.is_file() { Ok(path) } else { Err(Missing::new(format!("{} is not built", path.display()))) }
}

/// Provides a program of this workspace (`zyre` or an example), built as the tests are.
///
/// # Errors
/// [`Missing`] when it does not build.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    static BUILT: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let build = || {
        let target = target()?;
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
        ]);
        cargo.args(["-p", "zyre-cli", "-p", "zyre-examples", "--bins"]);
        cargo.arg("--target-dir").arg(target.parent().unwrap_or(&target));
        if target.ends_with("release") {
            cargo.arg("--release");
        }
        run(&mut cargo).map(|()| target)
    };
    Ok(BUILT.get_or_init(build).clone()?.join(name))
}

/// Where Cargo has put what it built together with the running test.
fn target() -> Result<PathBuf, Missing> {
    let test = std::env::current_exe().map_err(|error| io("find the running test", &error))?;
    let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    folder.map(Path::to_path_buf).ok_or_else(|| Missing::new("the running test is nowhere"))
}

fn install_pyre() -> Result<Python, Missing> {
    let system = find("python3").ok_or_else(|| Missing::new("python3 is not installed"))?;
    let home = cache()?.join(format!("pyre-{PYRE_VERSION}"));
    let interpreter = home.join("bin/python");
    once(&home, || {
        let packages = [format!("zeromq-pyre=={PYRE_VERSION}"), "pyzmq==27.*".to_owned()];
        let with_outer_pip = || {
            run(Command::new(&system).args(["-m", "venv", "--without-pip"]).arg(&home))?;
            run(Command::new(&system)
                .args(["-m", "pip", "--python"])
                .arg(&interpreter)
                .args(["install", "--quiet"])
                .args(&packages))
        };
        // Needs no ensurepip, which Debian packages apart; but a pip older than 22.3 has no --python.
        with_outer_pip().or_else(|_| {
            run(Command::new(&system).args(["-m", "venv", "--clear"]).arg(&home))?;
            run(Command::new(&interpreter).args(["-m", "pip", "install", "--quiet"]).args(&packages))
        })?;
        run(Command::new(&interpreter).args(["-c", "import pyre"]))
    })?;
    Ok(Python { interpreter })
}

fn install_zyrejs() -> Result<Node, Missing> {
    let interpreter = find("node").ok_or_else(|| Missing::new("node is not installed"))?;
    let npm = find("npm").ok_or_else(|| Missing::new("npm is not installed"))?;
    let home = cache()?.join(format!("zyre.js-{ZYREJS_VERSION}"));
    let modules = home.join("node_modules");
    // Built against the system's libzmq, because the bundled build downloads its sources and has no prebuilt
    // binary for a current Node.js. The library is also needed at run time, so it is checked outside the stamp.
    let mut wanted = Vec::new();
    if !Path::new("/usr/include/zmq.h").exists() {
        wanted.push("libzmq3-dev");
    }
    if find("make").is_none() || find("g++").is_none() {
        wanted.push("build-essential");
    }
    apt(&wanted)?;
    once(&home, || {
        let package = r#"{"private": true, "description": "zyre.js for the interop tests"}"#;
        fs::write(home.join("package.json"), package).map_err(|error| io("write package.json", &error))?;
        let npm = |arguments: &[&str]| {
            let mut command = Command::new(&npm);
            command.current_dir(&home).args(arguments).env("npm_config_zmq_external", "true");
            // Node's own headers, when installed, spare their download.
            if let Some(prefix) = interpreter.parent().and_then(Path::parent)
                && prefix.join("include/node/node.h").exists()
            {
                command.env("npm_config_nodedir", prefix);
            }
            run(&mut command)
        };
        let loads = || {
            let mut command = Command::new(&interpreter);
            run(command.args(["-e", "require('zyre.js')"]).env("NODE_PATH", &modules))
        };
        let zyrejs = format!("zyre.js@{ZYREJS_VERSION}");
        npm(&["install", "--no-audit", "--no-fund", &zyrejs])?;
        // An npm that holds back install scripts leaves the native part unbuilt.
        loads().or_else(|_| npm(&["rebuild", "zeromq"]).and_then(|()| loads()))
    })?;
    Ok(Node { interpreter, modules })
}

fn install_namespace_tools() -> Result<(), Missing> {
    if !rustix::process::geteuid().is_root() {
        return Err(Missing::new("network namespaces need root; run the tests as root"));
    }
    let mut wanted = Vec::new();
    if find("ip").is_none() {
        wanted.push("iproute2");
    }
    if find("nft").is_none() {
        wanted.push("nftables");
    }
    apt(&wanted)?;
    let probe = format!("zyrt{}-probe", std::process::id());
    run(Command::new("ip").args(["netns", "add", &probe]))?;
    run(Command::new("ip").args(["netns", "del", &probe]))
}

fn install_faketime() -> Result<PathBuf, Missing> {
    // In the folder of the machine's architecture.
    let library = || {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let mut files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
        files.find(|file| file.is_file())
    };
    if library().is_none() {
        apt(&["libfaketime"])?;
    }
    library().ok_or_else(|| Missing::new("libfaketime is installed without libfaketimeMT.so.1"))
}

/// Installs Debian packages; does nothing when none are wanted.
fn apt(packages: &[&str]) -> Result<(), Missing> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find("apt-get").is_none() || !rustix::process::geteuid().is_root() {
        return Err(Missing::new(format!("{list} is missing; install it or run as root on Debian")));
    }
    let _lock = lock("apt")?;
    // Another installer may be at work; its lock is waited for.
    let patient = ["-o", "DPkg::Lock::Timeout=120", "-qq"];
    run(Command::new("apt-get").args(patient).arg("update"))?;
    run(Command::new("apt-get")
        .args(patient)
        .args(["-y", "--no-install-recommends", "install"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Runs `build` unless the stamp of an earlier success is there; one process at a time.
fn once(home: &Path, build: impl FnOnce() -> Result<(), Missing>) -> Result<(), Missing> {
    let stamp = home.join(".complete");
    let name = home.file_name().and_then(OsStr::to_str).unwrap_or("part");
    let _lock = lock(name)?;
    // The stamp holds the folder's own path, as a virtual environment does not survive being moved.
    if fs::read(&stamp).is_ok_and(|path| path == home.as_os_str().as_encoded_bytes()) {
        return Ok(());
    }
    if home.exists() {
        fs::remove_dir_all(home).map_err(|error| io("clear the cache", &error))?;
    }
    fs::create_dir_all(home).map_err(|error| io("make the cache", &error))?;
    build()?;
    fs::write(&stamp, home.as_os_str().as_encoded_bytes()).map_err(|error| io("write the stamp", &error))
}

/// Holds a lock among all processes until the returned file is dropped.
fn lock(name: &str) -> Result<File, Missing> {
    let path = cache()?.join(format!("{name}.lock"));
    let file = File::create(path).map_err(|error| io("make a lock file", &error))?;
    file.lock().map_err(|error| io("lock the cache", &error))?;
    Ok(file)
}

fn cache() -> Result<PathBuf, Missing> {
    let path = match std::env::var_os("ZYRE_INTEROP_CACHE") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".provisioned"),
    };
    fs::create_dir_all(&path).map_err(|error| io("make the cache", &error))?;
    path.canonicalize().map_err(|error| io("find the cache", &error))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn run(command: &mut Command) -> Result<(), Missing> {
    let text = format!("{command:?}");
    let output = command.output().map_err(|error| io(&format!("start {text}"), &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Missing::new(format!("{text} failed ({}): {}", output.status, said.trim())))
}

fn io(what: &str, error: &std::io::Error) -> Missing {
    Missing::new(format!("could not {what}: {error}"))
}
