//! `zyre launch`: nodes that are started in order, restarted, and stopped in order with all they have started.

use crate::process::{Ended, Network, Zyre, json};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A directory with a launch file; removed when dropped.
struct Files(PathBuf);

impl Files {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zyre-launch-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        let files = Self(path);
        std::fs::write(files.launch(), text).expect("it is writable");
        files
    }

    fn launch(&self) -> String {
        self.0.join("launch.yaml").display().to_string()
    }

    /// Starts it, with events as JSON.
    fn start(&self, network: &Network) -> Zyre {
        network.zyre(["--json", "launch", &self.launch()])
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What a node prints, as it stands in a line about it.
fn said(node: &str, text: &str) -> String {
    let text = Value::from(text).to_string();
    format!(r#""node":"{node}","stream":"stdout","text":{}"#, text.trim_end_matches('"'))
}

/// The events of the rest of the output, without lines of nodes, as `STARTED name`.
fn events(ended: &Ended) -> Vec<String> {
    let text = |event: &Value, key: &str| event[key].as_str().expect("text").to_owned();
    let events = ended.stdout.lines().map(json).filter(|event| event["event"] != "LINE");
    events.map(|event| format!("{} {}", text(&event, "event"), text(&event, "node"))).collect()
}

fn position(events: &[String], event: &str) -> usize {
    events.iter().position(|other| other == event).unwrap_or_else(|| panic!("no {event} in {events:?}"))
}

/// Waits until a process has ended; a dead one that nobody has waited for has, too.
fn assert_gone(pid: u64) {
    let until = Instant::now() + Duration::from_secs(20);
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| state != 'Z')
    };
    while lives() {
        assert!(Instant::now() < until, "process {pid} still runs");
        std::thread::yield_now();
    }
}

fn kill(pid: u64) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.expect("kill is installed").success());
}

#[test]
fn a_receiver_that_is_killed_is_started_again_and_all_is_done_in_the_end() {
    let files = Files::new(&format!(
        "\
nodes:
  sender:
    # Until the receivers have what they want.
    command: until [ -e done ]; do echo tick; sleep 0.1; done | {} shout demo --wait-peers 3 --timeout 25
    shell: true
    depends_on:
      receiver: {{group: demo}}
  receiver:
    command: zyre sub demo --json --count 50
    count: 3
    restart: {{policy: on-failure, delay: 0.1}}
",
        env!("CARGO_BIN_EXE_zyre")
    ));
    let network = Network::new();
    let mut launch = files.start(&network);
    let started: Vec<Value> = (0..3).map(|_| launch.line_with("\"STARTED\"")).collect();
    let names: Vec<&str> = started.iter().map(|event| event["node"].as_str().expect("text")).collect();
    assert_eq!(names, ["receiver-1", "receiver-2", "receiver-3"], "what it depends on comes first");
    assert_eq!(launch.line_with("\"WAITING\"")["node"], "sender");
    assert_eq!(launch.line_with("\"STARTED\"")["node"], "sender");
    // At that time all receivers are in the group.
    let first = said("receiver-2", r#"{"event":"SHOUT""#);
    launch.line_with(&first);
    kill(started[1]["pid"].as_u64().expect("a process id"));
    let ended = launch.line_with("\"signal\":9");
    assert_eq!((&ended["node"], &ended["code"]), (&Value::from("receiver-2"), &Value::Null));
    assert_eq!(launch.line_with("\"RESTART\"")["node"], "receiver-2");
    let again = launch.line_with("\"STARTED\"");
    assert_eq!(again["node"], "receiver-2");
    assert_ne!(again["pid"], started[1]["pid"]);
    launch.line_with(&first);
    for _ in 0..3 {
        assert!(
            launch.line_with("\"code\":0")["node"].as_str().is_some_and(|node| node.starts_with("receiver"))
        );
    }
    std::fs::write(files.0.join("done"), "").expect("it is writable");
    let ended = launch.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!events(&ended).iter().any(|event| event.starts_with("STOPPING")), "{ended:?}");
}

#[test]
fn sigterm_stops_those_first_that_depend_on_others_and_leaves_no_process() {
    let files = Files::new(
        "\
nodes:
  worker: {command: zyre sub g --json, count: 2, depends_on: {hub: {group: g}}}
  hub: {command: zyre sub g --json}
",
    );
    let mut launch = files.start(&Network::new());
    let pids: Vec<u64> =
        (0..3).map(|_| launch.line_with("\"STARTED\"")["pid"].as_u64().expect("a process id")).collect();
    launch.line_with(&said("worker-1", r#"{"event":"JOIN""#));
    launch.signal("TERM");
    let ended = launch.finish();
    assert_eq!(ended.code, Some(143), "{ended:?}");
    let events = events(&ended);
    let at = |event: &str| position(&events, event);
    assert_eq!(events.len(), 6, "{events:?}");
    assert!(at("STOPPING worker-1").max(at("STOPPING worker-2")) < 2, "{events:?}");
    assert!(at("ENDED worker-1").max(at("ENDED worker-2")) < at("STOPPING hub"), "{events:?}");
    assert!(at("STOPPING hub") < at("ENDED hub"), "{events:?}");
    // They ended as nodes do, with a goodbye.
    assert!(ended.stdout.contains("goodbye"), "{ended:?}");
    pids.into_iter().for_each(assert_gone);
}

#[test]
fn a_node_that_fails_for_good_stops_the_others_and_exits_with_1() {
    let files = Files::new(
        "\
nodes:
  server: {command: sleep 1000}
  worker:
    command: exit 3
    shell: true
    depends_on: {server: started}
    restart: {policy: on-failure, max: 2, delay: 0.05}
",
    );
    let ended = files.start(&Network::new()).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("worker has ended with exit code 3, which is for good"), "{ended:?}");
    let events = events(&ended);
    assert_eq!(events.iter().filter(|event| *event == "STARTED worker").count(), 3, "{events:?}");
    assert_eq!(events.iter().filter(|event| *event == "RESTART worker").count(), 2, "{events:?}");
    assert_eq!(events[events.len() - 2..], ["STOPPING server", "ENDED server"]);
}

#[test]
fn a_program_that_is_not_there_stops_what_was_started_before() {
    let text = "\
nodes:
  server: {command: sleep 1000}
  broken: {command: no-such-program, depends_on: {server: started}}
  later: {command: sleep 1000, depends_on: {broken: started}}
";
    let files = Files::new(text);
    let ended = files.start(&Network::new()).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("broken cannot be started") && ended.stderr.contains("no-such-program"),
        "{ended:?}"
    );
    assert_eq!(events(&ended), ["STARTED server", "STOPPING server", "ENDED server"]);
}

#[test]
fn a_peer_that_does_not_come_exits_with_3_and_is_named() {
    let text = "\
nodes:
  mute: {command: sleep 1000}
  end: {command: sleep 1000, depends_on: {mute: {group: g, timeout: 0.3}}}
";
    let files = Files::new(text);
    let ended = files.start(&Network::new()).finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("end was not started: after 300ms no peer mute was seen"), "{ended:?}");
    assert_eq!(events(&ended), ["STARTED mute", "WAITING end", "STOPPING mute", "ENDED mute"]);
}

#[test]
fn a_signal_ends_the_wait_for_others() {
    let text = "\
nodes:
  mute: {command: sleep 1000}
  end: {command: sleep 1000, depends_on: {mute: {timeout: 1000}}}
";
    let files = Files::new(text);
    let mut launch = files.start(&Network::new());
    launch.line_with("\"WAITING\"");
    launch.signal("TERM");
    let ended = launch.finish();
    assert_eq!(
        (ended.code, events(&ended)),
        (Some(143), vec!["STOPPING mute".to_owned(), "ENDED mute".to_owned()])
    );
}

#[test]
fn a_node_that_needs_a_service_starts_once_it_is_there() {
    let text = "\
nodes:
  client: {command: \"zyre call calc.add '[1, 2]' --timeout 25\", depends_on: {server: {service: calc}}}
  server: {command: zyre serve calc.add --echo --count 1}
";
    let files = Files::new(text);
    let ended = files.start(&Network::new()).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(events(&ended)[..3], ["STARTED server", "WAITING client", "STARTED client"]);
    assert!(ended.stdout.contains(&said("client", "[1,2]")), "{ended:?}");
}

#[test]
fn of_a_process_that_leaves_its_group_the_user_is_told() {
    let text = "\
nodes:
  parent: {command: \"setsid sh -c 'echo $$; exec sleep 60' & sleep 1000\", shell: true, grace: 0.2}
";
    let files = Files::new(text);
    let mut launch = files.start(&Network::new());
    let escaped = launch.line_with("\"LINE\"")["text"].as_str().and_then(|text| text.parse().ok());
    launch.signal("TERM");
    let ended = launch.finish();
    kill(escaped.expect("a process id"));
    assert_eq!(ended.code, Some(143), "{ended:?}");
    assert!(ended.stderr.contains("parent has started a process that left its group"), "{ended:?}");
}

#[test]
fn what_ignores_sigterm_is_killed_with_all_it_has_started() {
    let text = "\
nodes:
  stubborn:
    command: trap '' TERM; sleep 1000 & echo $!; wait
    shell: true
    grace: 0.3
";
    let files = Files::new(text);
    let mut launch = files.start(&Network::new());
    let printed = launch.line_with("\"LINE\"");
    let child: u64 = printed["text"].as_str().and_then(|text| text.parse().ok()).expect("a process id");
    launch.signal("INT");
    let ended = launch.finish();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stdout.contains(r#""signal":9,"killed":true"#), "{ended:?}");
    assert_gone(child);
}

#[test]
fn a_second_signal_kills_all_at_once() {
    let text = "\
nodes:
  stubborn:
    command: trap '' TERM; echo ready; sleep 1000; sleep 1000
    shell: true
    grace: 1000
";
    let files = Files::new(text);
    let mut launch = files.start(&Network::new());
    let pid = launch.line_with("\"STARTED\"")["pid"].as_u64().expect("a process id");
    launch.line_with("\"LINE\"");
    launch.signal("TERM");
    launch.line_with("\"STOPPING\"");
    launch.signal("INT");
    assert_eq!(launch.finish().code, Some(130));
    assert_gone(pid);
}

#[test]
fn a_closed_terminal_stops_the_nodes() {
    let files = Files::new("nodes: {a: {command: sleep 1000}}");
    let mut launch = files.start(&Network::new());
    let pid = launch.line_with("\"STARTED\"")["pid"].as_u64().expect("a process id");
    launch.signal("HUP");
    let ended = launch.finish();
    assert_eq!(ended.code, Some(129), "{ended:?}");
    assert_eq!(events(&ended), ["STOPPING a", "ENDED a"]);
    assert_gone(pid);
}

#[test]
fn a_reader_that_goes_away_stops_the_nodes_quietly_with_0() {
    let files = Files::new("nodes: {a: {command: 'echo $$; exec yes', shell: true}}");
    let mut launch = files.start(&Network::new());
    let pid = launch.line_with("\"LINE\"")["text"].as_str().and_then(|text| text.parse().ok());
    launch.close_stdout();
    let ended = launch.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert_gone(pid.expect("a process id"));
}

#[test]
fn nodes_find_the_key_of_the_network_wherever_they_run_and_no_node_key() {
    let files = Files::new(
        "nodes: {a: {command: 'echo $ZYRE_KEY_FILE $ZYRE_PORT ${ZYRE_CERT-none}', shell: true, directory: /}}",
    );
    let network = Network::new();
    let key = files.0.join("mesh.key").display().to_string();
    assert_eq!(network.zyre(["key", "new", &key]).finish().code, Some(0));
    let ended = network.zyre(["--key-file", &key, "launch", &files.launch()]).finish();
    assert_eq!(ended.stdout, format!("a | {key} {} none\n", network.port()), "{ended:?}");
}

#[test]
fn what_a_process_leaves_behind_ends_with_it() {
    let text = "nodes: {parent: {command: sleep 1000 & echo $!, shell: true}}";
    let files = Files::new(text);
    let mut launch = files.start(&Network::new());
    let printed = launch.line_with("\"LINE\"");
    let child: u64 = printed["text"].as_str().and_then(|text| text.parse().ok()).expect("a process id");
    assert_eq!(launch.finish().code, Some(0));
    assert_gone(child);
}

#[test]
fn lines_stand_behind_the_name_of_their_node_which_knows_name_port_and_directory() {
    let text = "\
environment: {LEVEL: 1.10}
nodes:
  short: {command: 'echo $LEVEL $ZYRE_PORT; echo oh >&2', shell: true}
  longer:
    command: echo $ZYRE_NAME; cat mark
    shell: true
    count: 1
    directory: sub
";
    let files = Files::new(text);
    std::fs::create_dir(files.0.join("sub")).expect("it is writable");
    std::fs::write(files.0.join("sub/mark"), "no line end").expect("it is writable");
    let network = Network::new();
    let ended = network.zyre(["launch", &files.launch()]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut lines: Vec<_> = ended.stdout.lines().collect();
    lines.sort_unstable();
    let port = format!("short    | 1.10 {}", network.port());
    assert_eq!(lines, ["longer-1 | longer-1", "longer-1 | no line end", &port]);
    assert!(
        ended.stderr.contains("short    | oh\n") && ended.stderr.contains("zyre: short has started"),
        "{ended:?}"
    );
}

#[test]
fn a_mistake_in_the_file_is_shown_with_its_place_and_nothing_starts() {
    let files = Files::new("nodes:\n  a: {command: echo hi}\n  b: {comand: echo hi}\n");
    let ended = Network::new().zyre(["launch", &files.launch()]).finish();
    let said = format!("zyre: {}:3:7: unknown key `comand`; did you mean `command`?\n", files.launch());
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(1), "", said.as_str()));
    let missing = Network::new().zyre(["launch", "/no/such/launch.yaml"]).finish();
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("cannot read /no/such/launch.yaml"), "{missing:?}");
}

#[test]
fn a_dry_run_of_the_example_shows_order_and_commands_of_those_that_are_wanted() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/launch/demo.yaml");
    let network = Network::new();
    let ended = network.zyre(["launch", demo, "--dry-run"]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.starts_with("1. receiver-1, receiver-2, receiver-3: zyre sub demo --count 10\n"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("once receiver-1, receiver-2, receiver-3 in group demo seen"), "{ended:?}");
    let ended = network.zyre(["--json", "launch", demo, "--dry-run", "--only", "sender"]).finish();
    let row = json(ended.stdout.trim_end());
    assert_eq!((&row["order"], &row["node"]), (&Value::from(1), &Value::from("sender")));
    assert_eq!(row["waits_for"], json("[]"));
    let unknown = network.zyre(["launch", demo, "--except", "reciever"]).finish();
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("did you mean `receiver`?"), "{unknown:?}");
}
