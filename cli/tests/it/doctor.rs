//! `zyre doctor`.

use crate::process::{Ended, Network, json};
use crate::secured::Folder;
use serde_json::Value;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

fn report(ended: &Ended) -> Value {
    json(ended.stdout.trim_end())
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"))
}

/// Asks again until the doctor has seen what is wished: others may need their time on a busy machine.
fn asked_until<const N: usize>(
    network: &Network,
    args: [&str; N],
    wish: impl Fn(&Value) -> bool,
) -> (Ended, Value) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = network.zyre(args).finish();
        let report = report(&ended);
        if wish(&report) {
            return (ended, report);
        }
        assert!(Instant::now() < until, "not seen: {report}");
    }
}

fn peers(report: &Value) -> usize {
    check(report, "peers")["peers"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_doctor_beside_a_healthy_node_finds_nothing_to_do() {
    let network = Network::new();
    let _sub = network.zyre(["--name", "cam-1", "sub", "g"]);
    let (ended, report) =
        asked_until(&network, ["doctor", "--json", "--timeout", "2"], |report| peers(report) == 1);
    assert_eq!((ended.code, &report["ok"]), (Some(0), &Value::Bool(true)), "{ended:?}");
    assert_eq!(
        (check(&report, "mode")["mode"].as_str(), &check(&report, "mode")["port"]),
        (Some("open"), &network.port().into())
    );
    assert_eq!(check(&report, "broadcast")["heard"], json(r#"["lo (127.0.0.1)"]"#));
    let peer = &check(&report, "peers")["peers"][0];
    assert_eq!(
        (peer["name"].as_str(), peer["version"].as_str()),
        (Some("cam-1"), Some(env!("CARGO_PKG_VERSION")))
    );
    let used: Vec<_> = check(&report, "interfaces")["interfaces"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|interface| interface["used"] == true)
        .map(|interface| &interface["subnet"])
        .collect();
    assert_eq!(used, ["127.0.0.1/8"]);
    for name in ["ports", "others", "names", "versions", "refused"] {
        assert_eq!(check(&report, name)["status"], "ok", "{report}");
    }
}

#[test]
fn people_read_one_line_a_check_with_what_to_do_below() {
    let network = Network::new();
    let ended = network.zyre(["doctor", "--timeout", "0.5"]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("ok       mode        open, UDP port"), "{ended:?}");
    assert!(ended.stdout.contains("\nwarning  peers       nobody met in 500ms\n"), "{ended:?}");
    assert!(ended.stdout.contains("to do: check that others run with --port"), "{ended:?}");
}

#[test]
fn nodes_of_the_other_mode_are_seen_from_both_sides_with_the_remedy() {
    let (network, folder) = (Network::new(), Folder::new("modes"));
    let key = folder.file("mesh.key");
    network.zyre(["key", "new", &key]).finish();
    let _open = network.zyre(["--name", "open", "sub", "g"]);
    let _secured = network.zyre(["--name", "secured", "--key-file", &key, "sub", "g"]);
    let heard = |report: &Value| !check(report, "others")["nodes"].as_array().expect("a list").is_empty();
    let both = |report: &Value| heard(report) && peers(report) == 1;

    let (ended, report) = asked_until(&network, ["doctor", "--json", "--timeout", "2"], both);
    let others = check(&report, "others");
    assert_eq!((ended.code, others["status"].as_str()), (Some(0), Some("warning")), "{report}");
    assert_eq!(
        (&others["nodes"][0]["why"], others["nodes"].as_array().map(Vec::len)),
        (&"secured".into(), Some(1))
    );
    assert!(others["remedy"].as_str().expect("text").contains("--key-file"), "{report}");
    assert_eq!(check(&report, "peers")["peers"][0]["name"], "open");

    let (_, report) = asked_until(&network, ["doctor", "--json", "--timeout", "2", "--key-file", &key], both);
    let others = check(&report, "others");
    assert_eq!(others["nodes"][0]["why"], "open", "{report}");
    assert_eq!(check(&report, "peers")["peers"][0]["name"], "secured");
    assert_eq!(check(&report, "mode")["mode"], "network key");
    assert_eq!(check(&report, "mode")["fingerprint"].as_str().map(str::len), Some(40));
    assert!(check(&report, "refused")["counters"]["beacon_unsecured"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_secured_node_is_not_put_on_the_port_of_open_ones() {
    let (network, folder) = (Network::new(), Folder::new("port"));
    let key = folder.file("mesh.key");
    network.zyre(["key", "new", &key]).finish();
    let ended =
        network.zyre(["doctor", "--json", "--timeout", "0.2", "--key-file", &key, "--port", "5670"]).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = report(&ended);
    assert_eq!(check(&report, "mode")["status"], "failure");
    assert!(check(&report, "mode")["remedy"].as_str().expect("text").contains("5669"), "{report}");
    assert_eq!(check(&report, "peers")["says"], "not tried, since no node could be started");
}

#[test]
fn a_doctor_with_the_key_of_a_node_that_runs_says_so_and_takes_no_part() {
    let (network, folder) = (Network::new(), Folder::new("twin"));
    let [cam, viewer, trust] = ["cam.key", "viewer.key", "all.trust"].map(|name| folder.file(name));
    let lines = [&cam, &viewer].map(|key| network.zyre(["key", "new", "--node", key]).finish().stdout);
    std::fs::write(&trust, lines.concat()).expect("written");
    let mut node = network.zyre(["--json", "--name", "cam", "--cert", &cam, "--trust", &trust, "sub", "g"]);
    let twin = ["doctor", "--json", "--timeout", "0.2", "--cert", &cam, "--trust", &trust];
    let failed = |report: &Value| check(report, "mode")["status"] == "failure";
    let (ended, report) = asked_until(&network, twin, failed);
    assert_eq!(ended.code, Some(1), "{report}");
    assert!(check(&report, "mode")["remedy"].as_str().expect("text").contains("key of its own"), "{report}");
    assert_eq!(check(&report, "others")["status"], "ok", "{report}");

    let other = ["doctor", "--json", "--timeout", "2", "--cert", &viewer, "--trust", &trust];
    let (ended, report) = asked_until(&network, other, |report| peers(report) == 1);
    assert_eq!((ended.code, &check(&report, "mode")["mode"]), (Some(0), &"node key".into()), "{report}");
    assert_eq!(check(&report, "peers")["peers"][0]["name"], "cam");
    node.line_with("\"ENTER\"");
}

#[test]
fn ports_that_others_hold_are_failures_that_name_the_program() {
    let network = Network::new();
    let me = std::process::id();
    let held = UdpSocket::bind(("0.0.0.0", network.port())).expect("free");
    let ended = network.zyre(["doctor", "--json", "--timeout", "0.2"]).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("checks failed"), "{ended:?}");
    let taken = report(&ended);
    assert_eq!(check(&taken, "ports")["status"], "failure", "{taken}");
    assert_eq!(check(&taken, "ports")["holders"][0]["pid"], me, "{taken}");
    drop(held);

    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("bound"));
    let ended = network.zyre(["doctor", "--json", "--timeout", "0.2", "--endpoint", &endpoint]).finish();
    let taken = report(&ended);
    assert_eq!(
        (ended.code, check(&taken, "ports")["status"].as_str()),
        (Some(1), Some("failure")),
        "{taken}"
    );
    assert_eq!(check(&taken, "ports")["holders"][0]["pid"], me, "{taken}");
}

#[test]
fn nodes_with_one_name_are_told_apart_by_their_uuids() {
    let network = Network::new();
    let _twins = [(); 2].map(|()| network.zyre(["--name", "twin", "sub", "g"]));
    let (_, report) =
        asked_until(&network, ["doctor", "--json", "--timeout", "2"], |report| peers(report) == 2);
    let names = check(&report, "names");
    assert_eq!(names["status"], "warning", "{report}");
    assert_eq!(names["duplicates"]["twin"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn an_interface_that_is_not_there_is_one_failure_and_the_rest_is_not_tried() {
    let ended =
        Network::new().zyre(["doctor", "--json", "--timeout", "0.2", "--interface", "nosuch0"]).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = report(&ended);
    let failed: Vec<_> = report["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|check| check["status"] == "failure")
        .collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert!(failed[0]["says"].as_str().expect("text").contains("there are: lo"), "{report}");
}
