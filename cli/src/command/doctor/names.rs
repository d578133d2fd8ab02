//! Names that several nodes have: allowed, but who is meant by such a name is a matter of luck.

use super::findings::Findings;
use crate::output::{Check, counted};
use std::collections::BTreeMap;
use zyre_rs::{PeerId, printable};

const NAME: &str = "names";

pub(super) fn check(findings: &Findings) -> Check {
    let mut names: BTreeMap<&str, Vec<PeerId>> = BTreeMap::new();
    if let Ok(joined) = &findings.node {
        names.entry(&joined.name).or_default().push(joined.id);
        for peer in &joined.peers {
            names.entry(&peer.name).or_default().push(peer.id);
        }
    }
    names.retain(|_, ids| ids.len() > 1);
    let line = |(name, ids): (&&str, &Vec<PeerId>)| {
        let ids: Vec<_> = ids.iter().map(PeerId::to_string).collect();
        format!("{}: {}\n", printable(name), ids.join(", "))
    };
    let lines: String = names.iter().map(line).collect();
    let rows: BTreeMap<_, Vec<_>> =
        names.iter().map(|(name, ids)| (*name, ids.iter().map(PeerId::to_string).collect())).collect();
    let check = match rows.len() {
        0 => Check::ok(NAME, "each name is one node's"),
        n => Check::warning(
            NAME,
            format!("{} in use by several nodes", counted(n as u64, "name")),
            "give each node its own (--name); until then say the UUID instead",
        ),
    };
    check.lines(lines).with("duplicates", rows)
}
