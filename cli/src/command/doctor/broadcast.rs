//! Whether our own beacons come back: what we do not hear ourselves, nobody of this machine hears, and mostly nobody else.

use super::findings::Findings;
use crate::output::Check;
use zyre_rs::Interface;

const NAME: &str = "broadcast";

pub(super) fn check(findings: &Findings) -> Check {
    let (Ok(joined), Ok(interfaces), Some(Ok(heard))) =
        (&findings.node, &findings.interfaces, findings.own_ear().map(|ear| &ear.heard))
    else {
        return Check::untried(NAME, "no node could be started");
    };
    let came_back = |interface: &&Interface| heard.contains_key(&(joined.id, interface.ip));
    let used = interfaces.iter().filter(|interface| interface.is_used);
    let (back, lost): (Vec<_>, Vec<_>) = used.partition(came_back);
    let [back, lost] = [back, lost].map(|list| list.into_iter().map(name).collect::<Vec<_>>());
    let check = if lost.is_empty() {
        Check::ok(NAME, format!("our beacons come back on {}", back.join(", ")))
    } else {
        let port = findings.port;
        let remedy = format!(
            "let UDP port {port} through the firewall of this machine, in and out: `nft list ruleset` or `iptables -L` shows \
             its rules, `firewall-cmd --add-port={port}/udp` or `ufw allow {port}/udp` opens it; where broadcasts cannot pass, \
             use --connect or gossip"
        );
        Check::failure(NAME, format!("our beacons do not come back on {}", lost.join(", ")), remedy)
    };
    check.with("heard", back).with("not_heard", lost)
}

fn name(interface: &Interface) -> String {
    format!("{} ({})", zyre_rs::printable(&interface.name), interface.ip)
}
