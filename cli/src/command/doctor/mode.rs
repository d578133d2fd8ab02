//! In which mode we are, and whether that and the port go together.

use super::findings::{Findings, Hindrance};
use crate::args::{OPEN_PORT, SECURED_PORT};
use crate::credentials::Credentials;
use crate::output::{Check, counted};

const NAME: &str = "mode";

pub(super) fn check(findings: &Findings) -> Check {
    let (mode, detail) = match &findings.credentials {
        Credentials::Open => ("open", "everybody takes part, nothing is encrypted".to_owned()),
        Credentials::Network(key) => {
            ("network key", format!("{} accepted", counted(key.accepted() as u64, "key")))
        }
        Credentials::Node(key, trusted) => {
            ("node key", format!("UUID {}, {} trusted", key.peer_id(), counted(trusted.len() as u64, "key")))
        }
    };
    let (port, key) = (findings.port, findings.credentials.public_key());
    let says = format!("{mode}, UDP port {port}: {detail}");
    let check = match findings.hindrance {
        None => Check::ok(NAME, says),
        Some(Hindrance::Harm) => {
            let remedy = format!(
                "leave --port away ({SECURED_PORT}) or choose another; open nodes are on {OPEN_PORT}, and a secured \
                 beacon ends those of pyre"
            );
            Check::failure(NAME, says, remedy)
        }
        Some(Hindrance::Twin(address)) => Check::failure(
            NAME,
            format!("{says}; the node with this key runs already, at {address}"),
            "stop it, or give this command a key of its own (`zyre key new --node`), which the others trust",
        ),
    };
    let check = check.with("mode", mode).with("port", port);
    match key {
        Some(key) => check.lines(format!("fingerprint {key}")).with("fingerprint", key.to_string()),
        None => check,
    }
}
