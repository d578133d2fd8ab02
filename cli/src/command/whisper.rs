//! `zyre whisper`: waits for one peer, then sends.

use super::peers::checks;
use super::send::{DEFAULT_TIMEOUT, send_all};
use crate::args;
use crate::failure::Failure;
use crate::lookup::{Found, find};
use crate::session::{Session, ignore, wait_for};
use std::time::Duration;
use zyre_rs::{Membership, Node, PeerId, printable};

pub(crate) async fn run(session: Session, args: args::Whisper) -> Result<(), Failure> {
    let port = session.options.port;
    let limit = session.options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let args::Whisper { peer, messages } = args;
    session
        .with_node(&[], async |node, events, output| {
            ignore(events);
            let peer = wait_for_peer(node, &peer, messages.wait_peers, limit, port).await?;
            let send = async |message| node.whisper(peer, message).await.map(|()| 1);
            send_all(node, output, messages, send).await
        })
        .await
}

/// Waits for the one peer that fits the text, and for this many in all.
pub(super) async fn wait_for_peer(
    node: &Node,
    text: &str,
    wanted: usize,
    limit: Duration,
    port: u16,
) -> Result<PeerId, Failure> {
    let mut found = Found::Nobody;
    let complete = wait_for(node, limit, |membership| {
        found = find(text, names(membership));
        found != Found::Nobody && membership.peers().count() >= wanted
    })
    .await?;
    match found {
        Found::Several(fitting) => Err(Failure::Ambiguous(format!(
            "{text:?} fits several peers: {}; give more of the UUID",
            listed(fitting.iter().map(|(id, name)| (*id, name.as_str())))
        ))),
        Found::One(id) if complete => Ok(id),
        Found::One(_) => {
            let there = node.membership().peers().count();
            Err(Failure::Timeout(format!("{there} of {wanted} peers met in {limit:?}; {}", checks(port))))
        }
        Found::Nobody => Err(Failure::Timeout(missing(&node.membership(), text, limit, port))),
    }
}

fn missing(membership: &Membership, text: &str, limit: Duration, port: u16) -> String {
    match listed(names(membership)) {
        nobody if nobody.is_empty() => {
            format!("no peer {text:?} after {limit:?}, nor any other; {}", checks(port))
        }
        there => format!("no peer {text:?} after {limit:?}; there are: {there}"),
    }
}

fn names(membership: &Membership) -> impl Iterator<Item = (PeerId, &str)> + Clone {
    let peers: Vec<_> = membership.peers().map(|peer| (peer.id, &*peer.name)).collect();
    peers.into_iter()
}

fn listed<'a>(peers: impl Iterator<Item = (PeerId, &'a str)>) -> String {
    peers.map(|(id, name)| format!("{} ({id})", printable(name))).collect::<Vec<_>>().join(", ")
}
