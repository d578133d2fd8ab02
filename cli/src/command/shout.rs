//! `zyre shout`: waits for members of the group, then sends.

use super::peers::checks;
use super::send::{DEFAULT_TIMEOUT, send_all};
use crate::args;
use crate::failure::Failure;
use crate::output::counted;
use crate::session::{Session, ignore, wait_for};
use std::time::Duration;
use zyre_rs::Node;

pub(crate) async fn run(session: Session, args: args::Shout) -> Result<(), Failure> {
    let port = session.options.port;
    let limit = session.options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let args::Shout { group, messages } = args;
    session
        .with_node(&[], async |node, events, output| {
            ignore(events);
            let wanted = messages.wait_peers;
            if !wait_for(node, limit, |membership| membership.members(&group).count() >= wanted).await? {
                return Err(Failure::Timeout(too_few(node, &group, wanted, limit, port)));
            }
            send_all(node, output, messages, async |message| node.shout(&group, message).await).await
        })
        .await
}

/// Says how far it got, and where the peers are that did come.
fn too_few(node: &Node, group: &str, wanted: usize, limit: Duration, port: u16) -> String {
    let membership = node.membership();
    let peers = membership.peers().count() as u64;
    let members = membership.members(group).count();
    if peers == 0 {
        return format!("no peer met in {limit:?}; {}", checks(port));
    }
    let groups: Vec<_> = node.peer_groups().iter().map(ToString::to_string).collect();
    let groups =
        if groups.is_empty() { "in no group".to_owned() } else { format!("in: {}", groups.join(", ")) };
    format!(
        "{members} of {} in group {group:?} after {limit:?}, with {} there ({groups}); check the group's name, or wait \
         longer with --timeout",
        counted(wanted as u64, "member"),
        counted(peers, "peer"),
    )
}
