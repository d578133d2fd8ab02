//! `zyre doctor` on a LAN with others, and behind a firewall.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Mark, Process, Spec};
use zyre_interop_tests::{Missing, or_return, provision};

use crate::common::{DELIVERED, DISCOVERED};

/// A key file, removed at the end.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(name: &str) -> Result<Self, Missing> {
        let path = std::env::temp_dir().join(format!("zyre-doctor-{}-{name}", std::process::id()));
        let made = Command::new(provision::program("zyre")?).args(["key", "new"]).arg(&path).output();
        assert!(made.expect("the command runs").status.success());
        Ok(Self(path))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn zyre(host: &Host, arguments: &[&str]) -> Result<Process, Missing> {
    let mut command = Command::new(provision::program("zyre")?);
    command.args(arguments);
    Ok(Process::spawn("zyre", host, command))
}

/// What the doctor says, and its exit code.
fn doctor(host: &Host, options: &[&str]) -> Result<(Value, Option<i32>), Missing> {
    let arguments: Vec<_> = ["doctor", "--json", "--timeout", "3"].iter().chain(options).copied().collect();
    let mut process = zyre(host, &arguments)?;
    let code = process.wait_end(Duration::from_secs(30)).code();
    let mut reports = process.events().into_iter().map(|event| event.json().clone());
    let report = reports.rfind(|line| line.get("checks").is_some()).expect("a report");
    Ok((report, code))
}

/// Asks until all that is to be seen has been seen: on a busy machine three seconds may be short.
fn doctor_until(
    host: &Host,
    options: &[&str],
    seen: impl Fn(&Value) -> bool,
) -> Result<(Value, Option<i32>), Missing> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (report, code) = doctor(host, options)?;
        if seen(&report) {
            return Ok((report, code));
        }
        assert!(Instant::now() < until, "not seen: {report}");
    }
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report.get("checks").and_then(Value::as_array).expect("a list");
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"))
}

fn count(report: &Value, name: &str, list: &str) -> usize {
    check(report, name)[list].as_array().map_or(0, Vec::len)
}

#[test]
fn a_doctor_sees_open_pyre_and_a_secured_node_from_both_modes_and_disturbs_neither() {
    let lan = or_return!(Lan::new(3));
    let key = or_return!(KeyFile::new("modes"));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(0)));
    let secured = ["--key-file", key.path(), "--json", "--name", "vault", "sub", "G", "--count", "1"];
    let mut secured = or_return!(zyre(lan.host(1), &secured));
    let both = |report: &Value| count(report, "peers", "peers") == 1 && count(report, "others", "nodes") == 1;

    let (report, code) = or_return!(doctor_until(lan.host(2), &["--name", "doc"], both));
    assert_eq!(code, Some(0), "{report}");
    let peer = &check(&report, "peers")["peers"][0];
    assert_eq!(
        (&peer["name"], &peer["uuid"], &peer["version"]),
        (&"pyre".into(), &pyre.id().into(), &Value::Null)
    );
    let other = &check(&report, "others")["nodes"][0];
    assert_eq!((&other["why"], &other["port"]), (&"secured".into(), &5669.into()), "{report}");
    assert_eq!(other["address"], lan.host(1).address().to_string());
    let used = check(&report, "interfaces")["interfaces"].as_array().expect("a list");
    let used: Vec<_> = used.iter().filter(|interface| interface["used"] == true).collect();
    assert_eq!(used.len(), 1, "{report}");
    let network = lan.host(2).address().octets();
    let broadcast = format!("10.77.{}.255", network[2]);
    assert_eq!((&used[0]["name"], &used[0]["broadcast"]), (&"eth0".into(), &broadcast.into()));

    let (report, code) =
        or_return!(doctor_until(lan.host(2), &["--name", "doc", "--key-file", key.path()], both));
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(check(&report, "peers")["peers"][0]["name"], "vault");
    let other = &check(&report, "others")["nodes"][0];
    assert_eq!(
        (&other["why"], &other["port"], &other["uuid"]),
        (&"open".into(), &5670.into(), &pyre.id().into())
    );

    // Both are as they were: pyre saw the doctor of its own mode only, and still speaks; so does the other.
    let entered = |process: &Process| process.events().iter().filter(|event| event.is("ENTER")).count();
    let seen_by_pyre = pyre.events_since(Mark::START);
    assert!(seen_by_pyre.iter().filter(|event| event.is("ENTER")).all(|event| event.name() == "doc"));
    assert!(entered(&secured) >= 1);
    let mut said = or_return!(zyre(lan.host(2), &["--name", "cli", "shout", "G", "still there?"]));
    assert_eq!(said.wait_end(DISCOVERED).code(), Some(0));
    pyre.wait_for("shout", |event| event.is("SHOUT") && event.frames() == [b"still there?"], DELIVERED);
    let mut said = or_return!(zyre(lan.host(2), &["--key-file", key.path(), "shout", "G", "and you?"]));
    assert_eq!(said.wait_end(DISCOVERED).code(), Some(0));
    assert_eq!(secured.wait_end(DISCOVERED).code(), Some(0));
}

#[test]
fn beacons_that_a_firewall_drops_are_a_failure_that_names_the_firewall() {
    let lan = or_return!(Lan::new(1));
    let (report, code) = or_return!(doctor(lan.host(0), &[]));
    assert_eq!((code, &check(&report, "broadcast")["status"]), (Some(0), &"ok".into()), "{report}");
    let rules = "add table inet f; add chain inet f in { type filter hook input priority 0; }; \
                 add rule inet f in udp dport 5670 drop";
    let ruled = lan.host(0).enter(|| Command::new("nft").arg(rules).output());
    assert!(ruled.as_ref().is_ok_and(|output| output.status.success()), "{ruled:?}");
    let (report, code) = or_return!(doctor(lan.host(0), &[]));
    let broadcast = check(&report, "broadcast");
    assert_eq!((code, &broadcast["status"]), (Some(1), &"failure".into()), "{report}");
    assert!(broadcast["says"].as_str().is_some_and(|text| text.contains("eth0")), "{report}");
    assert!(broadcast["remedy"].as_str().is_some_and(|text| text.contains("firewall")), "{report}");
}

#[test]
fn a_peer_that_is_heard_and_cannot_be_connected_to_is_a_warning() {
    let lan = or_return!(Lan::new(2));
    let sub = or_return!(zyre(lan.host(0), &["--json", "--name", "deaf", "sub", "G"]));
    lan.lose(zyre_interop_tests::netns::Traffic::Tcp, None, None, 1000);
    let heard = |report: &Value| count(report, "peers", "heard_only") == 1;
    let (report, code) = or_return!(doctor_until(lan.host(1), &[], heard));
    let peers = check(&report, "peers");
    assert_eq!((code, &peers["status"]), (Some(0), &"warning".into()), "{report}");
    assert!(peers["remedy"].as_str().is_some_and(|text| text.contains("TCP")), "{report}");
    drop(sub);
}
