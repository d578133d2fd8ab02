//! What the nodes are made with.

use super::findings::Findings;
use super::peers::kind;
use crate::output::Check;
use std::collections::BTreeMap;

const NAME: &str = "versions";

pub(super) fn check(findings: &Findings) -> Check {
    let own = format!("zyre-rs {}", zyre_rs::VERSION);
    let mut versions = BTreeMap::from([(own.clone(), 1_usize)]);
    for peer in findings.node.iter().flat_map(|joined| &joined.peers) {
        *versions.entry(kind(peer)).or_default() += 1;
    }
    let lines: String = versions.iter().map(|(kind, nodes)| format!("{nodes:>3}  {kind}\n")).collect();
    let check = Check::ok(NAME, format!("this command is {own}"));
    let check = if versions.len() > 1 { check.lines(lines) } else { check };
    check.with("versions", versions)
}
