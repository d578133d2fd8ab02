//! The addresses of this host, and which of them a node works on.

use super::findings::Findings;
use crate::output::{Check, table};
use serde_json::json;
use zyre_rs::{Interface, printable};

const NAME: &str = "interfaces";

pub(super) fn check(findings: &Findings) -> Check {
    let interfaces = match &findings.interfaces {
        Ok(interfaces) => interfaces,
        Err(error) => {
            return Check::failure(NAME, error, "name one that is there with --interface, or bring one up");
        }
    };
    let used: Vec<_> = interfaces.iter().filter(|interface| interface.is_used).collect();
    let says = format!("{} of {} addresses used", used.len(), interfaces.len());
    let check = if used.iter().all(|interface| interface.ip.is_loopback()) {
        let remedy =
            "bring a network interface up, or name one with --interface, to meet nodes on other machines";
        Check::warning(NAME, says + ": loopback only, so only nodes of this machine are met", remedy)
    } else {
        Check::ok(NAME, says)
    };
    let titles = ["NAME", "ADDRESS", "BROADCAST", "STATE"];
    check
        .lines(table(titles, interfaces.iter().map(line)))
        .with("interfaces", interfaces.iter().map(row).collect::<Vec<_>>())
}

fn line(interface: &Interface) -> [String; 4] {
    [
        printable(&interface.name).into_owned(),
        subnet(interface),
        interface.broadcast.map_or_else(|| "-".to_owned(), |address| address.to_string()),
        match (interface.is_up, interface.is_used) {
            (true, true) => "used",
            (true, false) => "not used",
            (false, true) => "used, but down",
            (false, false) => "down",
        }
        .to_owned(),
    ]
}

fn row(interface: &Interface) -> serde_json::Value {
    json!({
        "name": interface.name,
        "address": interface.ip.to_string(),
        "subnet": subnet(interface),
        "broadcast": interface.broadcast.map(|address| address.to_string()),
        "up": interface.is_up,
        "used": interface.is_used,
    })
}

/// The address with the length of its prefix.
fn subnet(interface: &Interface) -> String {
    format!("{}/{}", interface.ip, interface.prefix_len)
}
