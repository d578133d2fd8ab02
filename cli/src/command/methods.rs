//! `zyre methods`: what a peer can be called with.

use super::send::DEFAULT_TIMEOUT;
use super::services::speaks_rpc;
use super::whisper::wait_for_peer;
use crate::args;
use crate::failure::Failure;
use crate::output::note;
use crate::session::Session;
use serde_json::{Value, json};
use std::time::Duration;
use zyre_actors::CallError;
use zyre_rs::{Node, PeerId, printable};

pub(crate) async fn run(session: Session, args: &args::Methods) -> Result<(), Failure> {
    let port = session.options.port;
    let limit = session.options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    session
        .with_system(async |system, output| {
            let peer = wait_for_peer(system.node(), &args.peer, 0, limit, port).await?;
            let listed = system.call_json("rpc.methods", json!({})).on(peer).timeout(limit).await;
            match listed.map_err(|error| no_answer(system.node(), peer, limit, error))? {
                Value::Array(methods) if methods.is_empty() => {
                    note(format_args!("{} serves no method", named(system.node(), peer)));
                    Ok(())
                }
                Value::Array(methods) => output.methods(&methods),
                other => {
                    Err(CallError::Decode(format!("rpc.methods is a list, and not {other:.100}")).into())
                }
            }
        })
        .await
}

/// Says of a peer that does not answer whether it can at all.
pub(super) fn no_answer(node: &Node, peer: PeerId, limit: Duration, error: CallError) -> Failure {
    let silent = matches!(error, CallError::TimedOut { .. });
    if !silent {
        return error.into();
    }
    Failure::Timeout(why_silent(node, peer, limit))
}

/// What to think of a peer that has not answered a built-in method in time.
pub(super) fn why_silent(node: &Node, peer: PeerId, limit: Duration) -> String {
    let who = named(node, peer);
    if node.peer(peer).is_some_and(|peer| !speaks_rpc(&peer)) {
        return format!(
            "{who} does not answer RPC, nor does it announce it (no header X-RPC); whisper to it instead"
        );
    }
    format!("{who} has not answered in {limit:?}; wait longer with --timeout")
}

/// `worker-1 (3F2A9C…)`
fn named(node: &Node, peer: PeerId) -> String {
    node.peer(peer).map_or_else(|| peer.to_string(), |known| format!("{} ({peer})", printable(&known.name)))
}
