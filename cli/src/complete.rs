//! Completes command lines for a shell: what clap knows of, and the names of who is there now.
//!
//! The shell runs this command with [`VARIABLE`] set and the line behind `--`. Whatever goes wrong ends without a word:
//! it would stand in the middle of the line that is being typed.

mod names;

use crate::args::{Args, Shell};
use crate::credentials::Credentials;
use crate::session;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use names::Wanted;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zyre_actors::ActorSystem;
use zyre_rs::{Membership, Node, PeerId};

/// Names the shell that asks; of our own, since others complete with `COMPLETE`.
const VARIABLE: &str = "ZYRE_COMPLETE";
/// How long peers may take to show up. With the two below it makes a second: a person waits for it.
const MEETING: Duration = Duration::from_millis(600);
/// How long providers may take to tell their methods.
const ASKING: Duration = Duration::from_millis(250);
/// How long the goodbye may take.
const LEAVING: Duration = Duration::from_millis(150);
/// Peers answer our first beacon at once: who has not come this long after the last one is not there.
const QUIET: Duration = Duration::from_millis(200);

/// Answers a shell that asks; `None` when this is a command to run.
pub(crate) fn answer_shell() -> Option<ExitCode> {
    let here = std::env::current_dir().ok();
    let env = CompleteEnv::with_factory(Args::full_command).var(VARIABLE);
    match env.try_complete(std::env::args_os(), here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: Shell) -> io::Result<Vec<u8>> {
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "zyre", "zyre", &this_command()?, &mut script)?;
    Ok(script)
}

/// This command as a shell finds it, wherever that stands: by its name if it was called by that.
fn this_command() -> io::Result<String> {
    let called = std::env::args_os().next().unwrap_or_else(|| "zyre".into());
    if Path::new(&called).components().count() < 2 {
        return Ok(called.to_string_lossy().into_owned());
    }
    Ok(std::env::current_dir()?.join(called).to_string_lossy().into_owned())
}

/// Completes peers: by their names or, where those will not do, by their UUIDs.
pub(crate) fn peers() -> ArgValueCompleter {
    completer(Wanted::Peers)
}

/// Completes groups that peers are in.
pub(crate) fn groups() -> ArgValueCompleter {
    completer(Wanted::Groups)
}

/// Completes methods of the services that are there.
pub(crate) fn methods() -> ArgValueCompleter {
    completer(Wanted::Methods)
}

/// Completes worker pools.
pub(crate) fn pools() -> ArgValueCompleter {
    completer(Wanted::Pools)
}

fn completer(wanted: Wanted) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        // An option is being typed, or something that no name is.
        let Some(typed) = typed.to_str().filter(|typed| !typed.starts_with('-')) else { return Vec::new() };
        let names = look(wanted).unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with(typed)).map(CompletionCandidate::new).collect()
    })
}

/// Joins in for a moment, as the line wants it, and lists what is there.
fn look(wanted: Wanted) -> Option<BTreeSet<String>> {
    // The word that is not begun yet is none.
    let line = std::env::args_os().skip_while(|word| word != "--").skip(1).filter(|word| !word.is_empty());
    let (mut options, mut repeatable) = Args::read_unfinished(line).ok()?;
    // A name and places for one node alone, which may be running.
    (options.name, options.endpoint) = (None, None);
    repeatable.gossip_bind.clear();
    repeatable.hide();
    let builder = session::builder(&options, &repeatable, &Credentials::load(&options).ok()?);
    let runtime = Runtime::new().ok()?;
    let names = runtime.block_on(async {
        let system = ActorSystem::start(builder).await.ok()?;
        _ = timeout(MEETING, meet(system.node())).await;
        let membership = system.node().membership();
        let names = match wanted {
            Wanted::Methods => names::methods(&membership, &told_methods(&system, &membership).await),
            wanted => names::of(wanted, &membership),
        };
        _ = timeout(LEAVING, system.stop()).await;
        Some(names)
    });
    runtime.shutdown_background();
    names
}

/// Waits until somebody is there and nobody comes any more.
async fn meet(node: &Node) {
    let mut seen = Vec::new();
    node.wait_until(|membership| membership.peers().next().is_some()).await;
    loop {
        let changed = node.wait_until(|membership| {
            let now: Vec<_> = membership.peers().map(|peer| (peer.id, peer.groups.len())).collect();
            let changed = now != seen;
            seen = now;
            changed
        });
        if timeout(QUIET, changed).await.is_err() {
            return;
        }
    }
}

/// What the providers among the peers say that they serve.
async fn told_methods(system: &ActorSystem, membership: &Membership) -> Vec<(PeerId, Vec<String>)> {
    let mut asked = JoinSet::new();
    for peer in names::providers(membership) {
        let call = system.call_json("rpc.methods", json!({})).on(peer).timeout(ASKING);
        asked.spawn(async move {
            let Value::Array(methods) = call.await.ok()? else { return None };
            let name = |method: &Value| Some(method.get("name")?.as_str()?.to_owned());
            Some((peer, methods.iter().filter_map(name).collect()))
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}
