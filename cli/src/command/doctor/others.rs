//! Nodes that beacon and are not for us: of another mode, with another key, or on another port.

use super::findings::{Findings, Heard};
use crate::args::{OPEN_PORT, SECURED_PORT};
use crate::credentials::Credentials;
use crate::output::{Check, counted, table};
use serde_json::json;
use std::net::IpAddr;
use zyre_rs::PeerId;

const NAME: &str = "others";

/// Why a node is not for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Open,
    Secured,
    OtherKey,
    OtherPort,
}

impl Reason {
    fn of(findings: &Findings, port: u16, heard: &Heard) -> Option<Self> {
        match (&findings.credentials, heard.key) {
            (credentials, key) if credentials.welcomes(key.as_ref()) => {
                (port != findings.port).then_some(Self::OtherPort)
            }
            (Credentials::Open, _) => Some(Self::Secured),
            (_, None) => Some(Self::Open),
            (_, Some(_)) => Some(Self::OtherKey),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Secured => "secured",
            Self::OtherKey => "another key",
            Self::OtherPort => "another port",
        }
    }

    fn remedy(self, credentials: &Credentials) -> &'static str {
        match (self, credentials) {
            (Self::Open, _) => "open nodes are met without keys: leave --key-file, --cert and --trust away",
            (Self::Secured, _) => {
                "secured nodes are met with their key: --key-file FILE, or --cert FILE --trust FILE"
            }
            (Self::OtherKey, Credentials::Node(..)) => {
                "nodes whose key is not in the list are met once --trust has it: `zyre key show` prints it there"
            }
            (Self::OtherKey, _) => "nodes with another key are met with that: ask for their key file",
            (Self::OtherPort, _) => "nodes of our mode on another port are met with --port",
        }
    }
}

pub(super) fn check(findings: &Findings) -> Check {
    let mut rows: Vec<(Reason, u16, PeerId, IpAddr)> = Vec::new();
    for (port, id, ip, heard) in findings.others() {
        rows.extend(Reason::of(findings, port, heard).map(|reason| (reason, port, id, ip)));
    }
    let ports: Vec<_> = findings.ears.iter().filter(|ear| ear.heard.is_ok()).map(|ear| ear.port).collect();
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" and ");
    let overlooked: u64 = findings.ears.iter().map(|ear| ear.overlooked).sum();
    let says = match rows.len() {
        _ if ports.is_empty() => {
            return Check::untried(NAME, "no port could be listened on");
        }
        0 => format!("none heard on UDP port {listed}"),
        n => format!("{} not for us heard on UDP port {listed}", counted(n as u64, "node")),
    };
    let says = match overlooked {
        0 => says,
        n => format!("{says}; {} of still more nodes passed over", counted(n, "beacon")),
    };
    let check = match remedies(findings, &rows) {
        (true, remedy) => Check::failure(NAME, says, remedy),
        (false, remedy) if remedy.is_empty() => Check::ok(NAME, says),
        (false, remedy) => Check::warning(NAME, says, remedy),
    };
    let line = |(reason, port, id, ip): &(Reason, u16, PeerId, IpAddr)| {
        [id.to_string(), ip.to_string(), port.to_string(), reason.text().to_owned()]
    };
    let row = |(reason, port, id, ip): &(Reason, u16, PeerId, IpAddr)| json!({"uuid": id.to_string(), "address": ip.to_string(), "port": port, "why": reason.text()});
    check
        .lines(table(["UUID", "ADDRESS", "PORT", "WHY"], rows.iter().map(line)))
        .with("ports", &ports)
        .with("overlooked", overlooked)
        .with("nodes", rows.iter().map(row).collect::<Vec<_>>())
}

/// What to do about them, and whether one of them does harm.
fn remedies(findings: &Findings, rows: &[(Reason, u16, PeerId, IpAddr)]) -> (bool, String) {
    let on_open_port = |secured: bool| {
        findings.others().any(|(port, _, _, heard)| port == OPEN_PORT && heard.key.is_some() == secured)
    };
    let harm = on_open_port(true) && on_open_port(false);
    let mut remedies = Vec::new();
    if harm {
        remedies.push(format!(
            "secured beacons among open nodes end those of pyre: move the secured ones from UDP port {OPEN_PORT} to \
             {SECURED_PORT}"
        ));
    }
    for reason in [Reason::Open, Reason::Secured, Reason::OtherKey, Reason::OtherPort] {
        if rows.iter().any(|row| row.0 == reason) {
            remedies.push(reason.remedy(&findings.credentials).to_owned());
        }
    }
    (harm, remedies.join("; "))
}
