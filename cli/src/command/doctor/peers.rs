//! Who was met, and who was only heard.

use super::findings::Findings;
use crate::command::peers::checks;
use crate::output::{Check, counted, table};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use zyre_rs::{Peer, PeerId, printable};

const NAME: &str = "peers";
/// Signs shown of a version, which a peer may make as long as it likes.
const MAX_VERSION: usize = 40;
/// Who beacons that long has been connected to, if that can be.
const MEETING: Duration = Duration::from_millis(1_500);

pub(super) fn check(findings: &Findings) -> Check {
    let Ok(joined) = &findings.node else {
        return Check::untried(NAME, "no node could be started");
    };
    let met: BTreeSet<PeerId> = joined.peers.iter().map(|peer| peer.id).collect();
    let unmet: BTreeSet<PeerId> = findings
        .others()
        .filter(|(port, _, _, heard)| {
            *port == findings.port
                && heard.since >= MEETING
                && findings.credentials.welcomes(heard.key.as_ref())
        })
        .map(|(_, id, ..)| id)
        .filter(|id| !met.contains(id))
        .collect();
    let ours = joined.peers.iter().filter(|peer| peer.version.is_some()).count();
    let says = format!("{} met: {ours} of zyre-rs, {} of others", met.len(), met.len() - ours);
    let check = if !unmet.is_empty() {
        let says = format!("{says}; {} but not met", counted(unmet.len() as u64, "node") + " heard");
        let remedy = "let TCP through the firewalls on both sides (--endpoint fixes the port); it may also have just started: \
                      look again";
        Check::warning(NAME, says, remedy)
    } else if met.is_empty() {
        Check::warning(NAME, format!("nobody met in {:?}", findings.listened), checks(findings.port))
    } else {
        Check::ok(NAME, says)
    };
    let line = |peer: &Peer| {
        [printable(&peer.name).into_owned(), peer.id.to_string(), peer.endpoint.to_string(), kind(peer)]
    };
    let row = |peer: &Peer| {
        json!({
            "name": &*peer.name, "uuid": peer.id.to_string(), "endpoint": peer.endpoint.to_string(),
            "version": peer.version.as_deref(),
        })
    };
    check
        .lines(table(["NAME", "UUID", "ENDPOINT", "KIND"], joined.peers.iter().map(line)))
        .with("peers", joined.peers.iter().map(row).collect::<Vec<_>>())
        .with("heard_only", unmet.iter().map(PeerId::to_string).collect::<Vec<_>>())
}

/// What it is made with, as far as it tells.
pub(super) fn kind(peer: &Peer) -> String {
    match &peer.version {
        Some(version) => {
            format!("zyre-rs {}", printable(version).chars().take(MAX_VERSION).collect::<String>())
        }
        None => "another implementation".to_owned(),
    }
}
