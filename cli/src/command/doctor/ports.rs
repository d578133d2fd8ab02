//! Whether the ports a node needs can be had.

use super::findings::Findings;
use super::holders::{self, Holder};
use crate::output::Check;

const NAME: &str = "ports";

pub(super) fn check(findings: &Findings) -> Check {
    let port = findings.port;
    if findings.interfaces.is_err() {
        return Check::untried(NAME, "there is no interface to use");
    }
    if let Some(Err(error)) = findings.own_ear().map(|ear| &ear.heard) {
        let remedy =
            "stop the program that has the port without sharing it, or choose another --port for all nodes";
        return held(error, &findings.udp_holders, remedy);
    }
    match &findings.node {
        Ok(joined) => {
            let beside = findings.udp_holders.len();
            let shared = if beside == 0 { String::new() } else { ", shared with others".to_owned() };
            Check::ok(NAME, format!("UDP port {port}{shared}; mailbox at {}", joined.endpoint))
                .lines(holders::lines(&findings.udp_holders))
                .with("holders", &findings.udp_holders)
                .with("endpoint", joined.endpoint.to_string())
        }
        Err(_) if findings.hindrance.is_some() => {
            Check::ok(NAME, format!("UDP port {port} can be had; the mailbox was not tried"))
        }
        Err(error) => {
            held(error, &findings.tcp_holders, "see the message; --endpoint names where the mailbox is to be")
        }
    }
}

fn held(error: &str, holders: &[Holder], remedy: &str) -> Check {
    Check::failure(NAME, error, remedy).lines(holders::lines(holders)).with("holders", holders)
}
