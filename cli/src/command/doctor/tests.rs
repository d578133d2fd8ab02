//! Checks of what a test cannot bring about on a network: findings are made up.

use super::findings::{Ear, Findings, Heard};
use super::{others, refused};
use crate::args::{OPEN_PORT, SECURED_PORT};
use crate::credentials::Credentials;
use crate::output::{Check, Status};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use zyre_rs::{Endpoint, NetworkKey, NodeKey, PeerId, PublicKey, TrustedKeys};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

/// Each node's port and what its beacon shows.
fn findings(credentials: Credentials, nodes: &[(u16, Option<PublicKey>)]) -> Findings {
    let port = if credentials.public_key().is_some() { SECURED_PORT } else { OPEN_PORT };
    let endpoint: Endpoint = "tcp://10.0.0.7:5000".parse().expect("an endpoint");
    let ear = |port: u16| {
        let here = nodes.iter().zip(1..).filter(|((there, _), _)| *there == port);
        let heard: BTreeMap<_, _> = here
            .map(|((_, key), n)| {
                let heard = Heard { endpoint, key: *key, since: Duration::from_secs(3) };
                ((PeerId::from_bytes([n; 16]), IP), heard)
            })
            .collect();
        Ear { port, heard: Ok(heard), overlooked: 0 }
    };
    Findings {
        credentials,
        port,
        listened: Duration::from_secs(3),
        interfaces: Ok(Vec::new()),
        ears: vec![ear(OPEN_PORT), ear(SECURED_PORT)],
        udp_holders: Vec::new(),
        tcp_holders: Vec::new(),
        hindrance: None,
        node: Err("none".to_owned()),
    }
}

fn text(check: &Check) -> (Status, String) {
    (check.status, format!("{} {}", check.says, check.remedy.as_deref().unwrap_or_default()))
}

#[test]
fn who_is_not_for_us_and_why_follows_from_the_mode_the_port_and_the_key() {
    let [ours, older, theirs] = [1, 2, 3].map(|n| NetworkKey::from_bytes([n; 32]));
    let [shown, accepted, foreign] = [&ours, &older, &theirs].map(|key| Some(key.public_key()));
    let network = || Credentials::Network(ours.clone().accepting(older.clone()));
    let [node, friend] = [7, 8].map(|n| NodeKey::from_secret([n; 32]));
    let list = TrustedKeys::from_iter([friend.public_key()]);
    let nodes = || Credentials::Node(node.clone(), list.clone());
    let trusted = Some(friend.public_key());
    for (credentials, heard, expected) in [
        (Credentials::Open, (OPEN_PORT, None), None),
        (Credentials::Open, (SECURED_PORT, None), Some("--port")),
        (Credentials::Open, (SECURED_PORT, foreign), Some("met with their key")),
        (network(), (SECURED_PORT, shown), None),
        (network(), (SECURED_PORT, accepted), None),
        (network(), (OPEN_PORT, shown), Some("--port")),
        (network(), (SECURED_PORT, foreign), Some("ask for their key file")),
        (network(), (OPEN_PORT, None), Some("leave --key-file")),
        (nodes(), (SECURED_PORT, trusted), None),
        (nodes(), (SECURED_PORT, foreign), Some("once --trust has it")),
        (nodes(), (OPEN_PORT, None), Some("leave --key-file")),
    ] {
        let (status, text) = text(&others::check(&findings(credentials, &[heard])));
        match expected {
            None => assert_eq!(status, Status::Ok, "{text}"),
            Some(remedy) => assert!(status == Status::Warning && text.contains(remedy), "{remedy}: {text}"),
        }
    }
}

#[test]
fn a_secured_beacon_among_open_nodes_is_a_failure_and_alone_on_their_port_none() {
    let secured = Some(NetworkKey::from_bytes([3; 32]).public_key());
    let (status, text) =
        text(&others::check(&findings(Credentials::Open, &[(OPEN_PORT, None), (OPEN_PORT, secured)])));
    assert!(status == Status::Failure && text.contains("end those of pyre"), "{text}");
    let alone = others::check(&findings(Credentials::Open, &[(OPEN_PORT, secured)]));
    assert_eq!(alone.status, Status::Warning);
}

#[test]
fn beacons_beyond_what_is_remembered_are_told() {
    let mut findings = findings(Credentials::Open, &[]);
    findings.ears[0].overlooked = 5;
    assert!(others::check(&findings).says.contains("5 beacons of still more nodes"));
}

#[test]
fn refusals_are_told_from_what_is_usual_and_from_beacons_of_others() {
    for (counters, status) in [
        (&[][..], Status::Ok),
        (&[("own_pauses", 1), ("beacon_unsecured", 9)][..], Status::Ok),
        (&[("curve_client_denied", 1)][..], Status::Warning),
        (&[("beacon_wrong_size", 1)][..], Status::Warning),
    ] {
        let counters: BTreeMap<_, u64> = counters.iter().copied().collect();
        let says = refused::judge(&counters);
        assert_eq!(says.status, status, "{counters:?}");
    }
}
