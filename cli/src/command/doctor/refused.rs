//! What our node has refused or dropped while it listened.

use super::findings::Findings;
use crate::output::{Check, counted};
use std::collections::BTreeMap;

const NAME: &str = "refused";
/// Counted too, and no refusals: how nodes of other implementations greet, and how busy this machine is.
const USUAL: [&str; 10] = [
    "hello_answers",
    "hello_in_band",
    "hello_in_stream",
    "link_message_ignored",
    "own_pauses",
    "reader_stalled",
    "regreeted_mute_peer",
    "session_resumed",
    "sessions_resumed",
    "stale_connection",
];
/// Beacons that are not for us, which have a check of their own.
const OF_OTHERS: [&str; 4] =
    ["beacon_secured", "beacon_unsecured", "beacon_untrusted_key", "beacon_wrong_key"];

pub(super) fn check(findings: &Findings) -> Check {
    match &findings.node {
        Ok(joined) => judge(&joined.counters),
        Err(_) => Check::untried(NAME, "no node could be started"),
    }
}

pub(super) fn judge(counters: &BTreeMap<&'static str, u64>) -> Check {
    let refused: Vec<_> = counters.iter().filter(|(name, _)| !USUAL.contains(name)).collect();
    let lines: String = refused.iter().map(|(name, times)| format!("{times:>6}  {name}\n")).collect();
    let kinds = counted(refused.len() as u64, "kind");
    let check = if refused.iter().all(|(name, _)| OF_OTHERS.contains(name)) {
        match refused.len() {
            0 => Check::ok(NAME, "nothing"),
            _ => Check::ok(NAME, format!("{kinds} of beacons that are not for us")),
        }
    } else {
        Check::warning(
            NAME,
            format!("{kinds} of things"),
            "docs/hardening.md says what each name stands for; -v tells more",
        )
    };
    check.lines(lines).with("counters", counters)
}
