//! The commands that call and serve, between processes and with pyre on the other side.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Event, Process, Spec};
use zyre_interop_tests::{Missing, or_return, provision};

use crate::common::{DELIVERED, DISCOVERED};

/// More than any of these commands takes by itself.
const DONE: Duration = Duration::from_secs(20);

pub(crate) fn zyre(host: &Host, arguments: &[&str]) -> Result<Process, Missing> {
    let mut command = Command::new(provision::program("zyre")?);
    command.args(arguments).env_remove("ZYRE_NAME").env_remove("RUST_LOG");
    Ok(Process::spawn(&format!("zyre {}", arguments.join(" ")), host, command))
}

/// How a command has ended and the JSON it printed, one value per line; other lines are text.
pub(crate) fn ended(mut process: Process) -> (Option<i32>, Vec<Value>) {
    let code = process.wait_end(DONE).code();
    let printed = process.events().into_iter().filter_map(|event| match event.kind() {
        "ENDED" | "STDERR" => None,
        "STDOUT" => Some(serde_json::from_str(event.line()).unwrap_or_else(|_| json!(event.line()))),
        _ => Some(event.json().clone()),
    });
    (code, printed.collect())
}

/// Runs a command that ends by itself.
pub(crate) fn run(host: &Host, arguments: &[&str]) -> Result<(Option<i32>, Vec<Value>), Missing> {
    zyre(host, arguments).map(ended)
}

/// Runs a command that fails, and checks what it says of that.
#[track_caller]
pub(crate) fn fails(host: &Host, arguments: &[&str], code: i32, said: &str) -> Result<(), Missing> {
    has_failed(zyre(host, arguments)?, code, said);
    Ok(())
}

#[track_caller]
fn has_failed(mut process: Process, code: i32, said: &str) {
    assert_eq!(process.wait_end(DONE).code(), Some(code), "{}", process.name());
    // What is written to standard error may be read later than the end of the output.
    eventually(said, || {
        process.events().iter().any(|event| event.is("STDERR") && event.line().contains(said))
    });
}

/// A file for what commands leave behind; removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("zyre-rpc-cli-{}-{name}", std::process::id())))
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    /// The process ids that were written into it, once there are so many.
    #[track_caller]
    fn pids(&self, count: usize) -> Vec<u32> {
        let mut pids = Vec::new();
        eventually("process ids", || {
            let text = std::fs::read_to_string(&self.0).unwrap_or_default();
            pids = text.lines().filter_map(|line| line.parse().ok()).collect();
            pids.len() >= count && text.ends_with('\n')
        });
        pids
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DONE;
    while !holds() {
        assert!(Instant::now() < until, "not seen within {DONE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that has ended may still wait for its parent to notice.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn an_echo_gives_back_what_it_is_called_with() {
    let host = or_return!(Host::alone());
    let _server = or_return!(zyre(&host, &["--name", "server", "serve", "test.echo", "--echo"]));
    for (params, result) in [
        (&[][..], json!({})),
        (&[r#"{"a":[1,2.5,null]}"#], json!({"a": [1, 2.5, null]})),
        (&["[1,2]"], json!([1, 2])),
        (&[r#""text""#], json!(["text"])),
        (&["-5"], json!([-5])),
    ] {
        let line = [&["call", "test.echo"][..], params].concat();
        assert_eq!(or_return!(run(&host, &line)), (Some(0), vec![result]), "{line:?}");
    }
    let mut from_input = or_return!(zyre(&host, &["call", "test.echo", "-"]));
    from_input.write_line("{\"from\":").expect("it reads");
    from_input.write_line("\"input\"}").expect("it reads");
    from_input.end_input();
    assert_eq!(ended(from_input), (Some(0), vec![json!({"from": "input"})]));
    let (code, printed) = or_return!(run(&host, &["--json", "call", "test.echo", "7", "--peer", "server"]));
    assert_eq!((code, printed.len()), (Some(0), 1));
    assert_eq!((&printed[0]["name"], &printed[0]["result"]), (&json!("server"), &json!([7])));
    assert_eq!(printed[0]["peer"].as_str().map(str::len), Some(32));
}

#[test]
fn a_command_reads_its_parameters_and_learns_who_calls() {
    let host = or_return!(Host::alone());
    let script = r#"read -r params; printf '{"params":%s,"peer":"%s","by":"%s","method":"%s","left":%s}\n' \
                    "$params" "$ZYRE_PEER" "$ZYRE_PEER_NAME" "$ZYRE_METHOD" "$ZYRE_DEADLINE_MS""#;
    let _server = or_return!(zyre(&host, &["serve", "test.ask", "--command", script]));
    let call = ["--name", "asker", "call", "test.ask", r#"{"a":"'$(no)"}"#, "--timeout", "9"];
    let (code, printed) = or_return!(run(&host, &call));
    assert_eq!((code, printed.len()), (Some(0), 1), "{printed:?}");
    let told = &printed[0];
    assert_eq!(told["params"]["a"], "'$(no)");
    assert_eq!((&told["by"], &told["method"]), (&json!("asker"), &json!("test.ask")));
    assert_eq!(told["peer"].as_str().map(str::len), Some(32));
    let left = told["left"].as_u64().expect("milliseconds");
    assert!((1..=9000).contains(&left), "{left}");
}

#[test]
fn what_a_command_prints_that_is_no_json_is_text() {
    let host = or_return!(Host::alone());
    let _server = or_return!(zyre(&host, &["serve", "test.text", "--command", "echo two words"]));
    let printed = or_return!(run(&host, &["call", "test.text"]));
    assert_eq!(printed, (Some(0), vec![json!("two words")]));
}

#[test]
fn a_command_that_fails_is_an_error_with_its_exit_code_and_last_words() {
    let host = or_return!(Host::alone());
    let script = "echo not this >&2; echo no such page >&2; exit 7";
    let _server = or_return!(zyre(&host, &["serve", "test.fail", "--command", script]));
    or_return!(fails(&host, &["call", "test.fail"], 1, "no such page (code 7)"));
    let (code, printed) = or_return!(run(&host, &["--json", "call", "test.fail"]));
    assert_eq!(code, Some(1));
    assert_eq!(printed, [json!({"error": {"code": 7, "message": "no such page"}})]);
    or_return!(fails(&host, &["call", "test.nothing"], 1, "test.fail (code -32601)"));
}

#[test]
fn nobody_there_and_no_answer_in_time_exit_with_3_and_wrong_parameters_with_2() {
    let host = or_return!(Host::alone());
    or_return!(fails(
        &host,
        &["call", "test.slow", "--timeout", "0.3"],
        3,
        "svc/test or pool/test after 300ms"
    ));
    or_return!(fails(&host, &["methods", "nobody", "--timeout", "0.3"], 3, "no peer \"nobody\""));
    or_return!(fails(&host, &["ping", "nobody", "--timeout", "0.3"], 3, "no peer \"nobody\""));
    or_return!(fails(&host, &["services", "--timeout", "0.3"], 3, "zyre serve test.echo --echo"));
    let _server = or_return!(zyre(&host, &["serve", "test.slow", "--command", "sleep 60"]));
    or_return!(fails(&host, &["call", "test.slow", "--timeout", "2"], 3, "wait longer with --timeout"));
    or_return!(fails(&host, &["call", "test.slow", "{a"], 2, "for example '{\"a\": 1}'"));
    or_return!(fails(&host, &["call", "rpc.info"], 2, "--peer"));
    let mut call = or_return!(zyre(&host, &["call", "test.slow", "-"]));
    call.write_line("nonsense").expect("it reads");
    call.end_input();
    has_failed(call, 2, "for example '{\"a\": 1}'");
}

#[test]
fn all_providers_answer_and_one_that_fails_shows_in_the_exit_code() {
    let host = or_return!(Host::alone());
    let serve = |name, script| zyre(&host, &["--name", name, "serve", "test.who", "--command", script]);
    let _one = or_return!(serve("one", "echo 1"));
    let _two = or_return!(serve("two", "echo 2"));
    let (code, mut printed) = or_return!(run(&host, &["call", "test.who", "--replies", "2"]));
    printed.sort_by_key(Value::to_string);
    assert_eq!((code, printed), (Some(0), vec![json!("one: 1"), json!("two: 2")]));
    let (code, printed) = or_return!(run(&host, &["call", "test.who", "--replies", "1"]));
    assert_eq!((code, printed.len()), (Some(0), 1), "{printed:?}");
    or_return!(fails(&host, &["call", "test.who", "--replies", "3", "--wait", "1"], 3, "2 of 3 answers"));

    let _three = or_return!(serve("three", "echo broken >&2; exit 4"));
    or_return!(fails(&host, &["call", "test.who", "--all"], 1, "three: broken (code 4)"));
    let (code, mut printed) = or_return!(run(&host, &["--json", "call", "test.who", "--all"]));
    assert_eq!((code, printed.len()), (Some(1), 3), "{printed:?}");
    printed.sort_by_key(|answer| answer["name"].to_string());
    assert_eq!((&printed[0]["name"], &printed[0]["result"]), (&json!("one"), &json!(1)));
    assert_eq!(printed[1]["error"], json!({"code": 4, "message": "broken"}));
    assert_eq!((&printed[2]["name"], &printed[2]["result"]), (&json!("two"), &json!(2)));
}

#[test]
fn methods_and_services_list_what_is_served_and_ping_measures() {
    let host = or_return!(Host::alone());
    let serve = [
        "--name",
        "server",
        "serve",
        "test.echo",
        "--echo",
        "--concurrency",
        "3",
        "--queue",
        "9",
        "--pool",
        "p",
    ];
    let _server = or_return!(zyre(&host, &serve));
    let (code, printed) = or_return!(run(&host, &["--json", "methods", "server"]));
    assert_eq!(code, Some(0));
    let entry = json!({"name": "test.echo", "idempotent": false, "params": null, "result": null});
    assert_eq!(printed, [entry]);
    let (code, printed) = or_return!(run(&host, &["methods", "server"]));
    assert_eq!(code, Some(0));
    assert_eq!(printed[1], "test.echo  no          -       -");

    let (code, printed) = or_return!(run(&host, &["--json", "services"]));
    assert_eq!(code, Some(0));
    for (row, group) in printed.iter().zip(["pool/p", "svc/test"]) {
        assert_eq!((&row["group"], &row["name"]), (&json!(group), &json!("server")));
        assert_eq!((&row["concurrency"], &row["queue"]), (&json!(3), &json!(9)));
    }
    assert_eq!(printed.len(), 2, "{printed:?}");

    let (code, printed) =
        or_return!(run(&host, &["--json", "ping", "server", "--count", "5", "--interval", "0.01"]));
    assert_eq!((code, printed.len()), (Some(0), 6), "{printed:?}");
    assert!(printed.iter().take(5).all(|ping| ping["ms"].as_f64().is_some()), "{printed:?}");
    assert_eq!((&printed[5]["sent"], &printed[5]["answered"]), (&json!(5), &json!(5)));
    assert_eq!(printed[5]["loss_percent"], 0.0);

    let mut endless = or_return!(zyre(&host, &["ping", "server", "--interval", "0.01"]));
    endless.wait_line("seq=3", DISCOVERED);
    endless.interrupt();
    endless.wait_line("0% lost; min ", DELIVERED);
    assert_eq!(endless.wait_end(DONE).code(), Some(130));
}

#[test]
fn watching_services_shows_who_comes_and_who_goes_and_why() {
    let host = or_return!(Host::alone());
    let mut watch = or_return!(zyre(&host, &["--json", "services", "--watch"]));
    let change = |event: &'static str, name: &'static str| {
        move |change: &Event| change.is(event) && change.name() == name && change.group() == "svc/test"
    };
    let serve = |name| zyre(&host, &["--name", name, "serve", "test.echo", "--echo"]);
    let drained = or_return!(serve("drained"));
    watch.wait_for("UP", change("UP", "drained"), DISCOVERED);
    let mut killed = or_return!(serve("killed"));
    watch.wait_for("UP", change("UP", "killed"), DISCOVERED);
    drained.interrupt();
    assert_eq!(watch.wait_for("DOWN", change("DOWN", "drained"), DISCOVERED).reason(), "left");
    killed.kill();
    assert_eq!(watch.wait_for("DOWN", change("DOWN", "killed"), DISCOVERED).reason(), "gone");
    watch.interrupt();
    assert_eq!(watch.wait_end(DONE).code(), Some(130));
}

#[test]
fn a_cancelled_or_late_call_leaves_no_process_of_its_command_behind() {
    let host = or_return!(Host::alone());
    let pids = Scratch::new("cancelled");
    let script = format!("sleep 600 & printf '%s\\n%s\\n' $$ $! >> {}; wait", pids.path());
    let _server = or_return!(zyre(&host, &["serve", "test.slow", "--command", &script]));

    let mut cancelled = or_return!(zyre(&host, &["call", "test.slow", "--timeout", "60"]));
    let first = pids.pids(2);
    assert!(first.iter().all(|pid| is_alive(*pid)), "{first:?}");
    cancelled.interrupt();
    eventually("the cancelled command's end", || !first.iter().any(|pid| is_alive(*pid)));
    assert_eq!(cancelled.wait_end(DONE).code(), Some(130));

    or_return!(fails(&host, &["call", "test.slow", "--timeout", "2"], 3, "wait longer with --timeout"));
    let second = pids.pids(4);
    eventually("the late command's end", || !second.iter().any(|pid| is_alive(*pid)));

    let mut lost = or_return!(zyre(&host, &["call", "test.slow", "--timeout", "60"]));
    let third = pids.pids(6);
    lost.kill();
    eventually("the lost caller's command's end", || !third.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn a_server_told_to_end_finishes_what_it_works_on_and_told_twice_it_kills_that() {
    let host = or_return!(Host::alone());
    let pids = Scratch::new("drained");
    let script = format!("echo $$ >> {}; sleep 1; echo finished", pids.path());
    let mut server = or_return!(zyre(&host, &["serve", "test.slow", "--command", &script]));
    let call = or_return!(zyre(&host, &["call", "test.slow"]));
    pids.pids(1);
    server.interrupt();
    assert_eq!(ended(call), (Some(0), vec![json!("finished")]));
    assert_eq!(server.wait_end(DONE).code(), Some(130));

    let pids = Scratch::new("twice");
    let script = format!("sleep 600 & printf '%s\\n%s\\n' $$ $! >> {}; wait", pids.path());
    let mut server = or_return!(zyre(&host, &["serve", "test.slow", "--command", &script]));
    let _call = or_return!(zyre(&host, &["call", "test.slow", "--timeout", "60"]));
    let running = pids.pids(2);
    let mut watch = or_return!(zyre(&host, &["--json", "services", "--watch"]));
    watch.wait_for("UP", |change| change.is("UP"), DISCOVERED);
    server.interrupt();
    watch.wait_for("DOWN", |change| change.is("DOWN"), DISCOVERED);
    server.interrupt();
    assert_eq!(server.wait_end(DONE).code(), Some(130));
    eventually("the command's end", || !running.iter().any(|pid| is_alive(*pid)));
    watch.interrupt();
    watch.wait_end(DONE);
}

#[test]
fn a_server_ends_after_its_count_and_too_few_requests_are_a_timeout() {
    let host = or_return!(Host::alone());
    let mut server = or_return!(zyre(&host, &["serve", "test.echo", "--echo", "--count", "2"]));
    for n in ["1", "2"] {
        assert_eq!(or_return!(run(&host, &["call", "test.echo", n])).0, Some(0));
    }
    assert_eq!(server.wait_end(DONE).code(), Some(0));
    let none = ["serve", "test.echo", "--echo", "--count", "2", "--timeout", "0.3"];
    or_return!(fails(&host, &none, 3, "0 of 2 requests"));
}

/// A worker in plain pyre, in the pool `pool/calc` and in no service.
fn python_worker(host: &Host) -> Result<Process, Missing> {
    let mut command = Command::new(provision::pyre()?.interpreter);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python/worker.py"));
    let worker = Process::spawn("worker.py", host, command);
    worker.wait_line("works in pool/calc", DISCOVERED);
    Ok(worker)
}

#[test]
fn a_pyre_worker_is_called_through_its_pool() {
    let lan = or_return!(Lan::new(2));
    let _worker = or_return!(python_worker(lan.host(0)));
    let host = lan.host(1);
    let sum = or_return!(run(host, &["call", "calc.add", r#"{"a": 40, "b": 2}"#]));
    assert_eq!(sum, (Some(0), vec![json!(42)]));
    let wrong = ["call", "calc.add", r#"{"a": "x"}"#, "--peer", "worker-pyre"];
    or_return!(fails(host, &wrong, 1, "takes the integers a and b (code -32602)"));
    let (code, printed) = or_return!(run(host, &["--json", "services"]));
    assert_eq!(code, Some(0));
    assert_eq!(printed.len(), 1, "{printed:?}");
    assert_eq!((&printed[0]["group"], &printed[0]["name"]), (&json!("pool/calc"), &json!("worker-pyre")));
    assert_eq!(printed[0].get("concurrency"), None);
    or_return!(fails(host, &["methods", "worker-pyre"], 1, "(code -32601)"));
}

#[test]
fn of_a_peer_without_rpc_ping_and_methods_say_so() {
    let lan = or_return!(Lan::new(2));
    let _pyre = or_return!(Spec::pyre("plain").group("G").spawn(lan.host(0)));
    let host = lan.host(1);
    let ping = ["ping", "plain", "--count", "1", "--timeout", "3"];
    or_return!(fails(host, &ping, 3, "does not answer RPC"));
    or_return!(fails(host, &["methods", "plain", "--timeout", "3"], 3, "does not answer RPC"));
}

#[test]
fn pyre_calls_what_a_command_serves() {
    let lan = or_return!(Lan::new(2));
    let pyre = or_return!(Spec::pyre("caller").spawn(lan.host(0)));
    let script = "read -r params; echo \"{\\\"got\\\":$params}\"";
    let _server =
        or_return!(zyre(lan.host(1), &["--name", "cli", "serve", "test.wrap", "--command", script]));
    let joins = |event: &Event| event.is("JOIN") && event.name() == "cli" && event.group() == "svc/test";
    let server = pyre.wait_for("JOIN of the command", joins, DISCOVERED).peer().to_owned();
    for (request, reply) in [
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"test.wrap","params":{"a":1}}"#,
            json!({"jsonrpc": "2.0", "id": 7, "result": {"got": {"a": 1}}}),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"p","method":"test.wrap","params":[1]}"#,
            json!({"jsonrpc": "2.0", "id": "p", "result": {"got": [1]}}),
        ),
    ] {
        let mark = pyre.mark();
        pyre.whisper(&server, &[request.as_bytes()]);
        let answer = pyre.wait_whisper(mark, &server, DISCOVERED).frames();
        assert_eq!(serde_json::from_slice::<Value>(&answer[0]).expect("JSON"), reply);
    }
}

#[test]
fn items_of_a_streaming_answer_are_printed_as_they_come() {
    let lan = or_return!(Lan::new(2));
    let pyre = or_return!(Spec::pyre("streamer").group("svc/count").spawn(lan.host(0)));
    let mut call = or_return!(zyre(lan.host(1), &["--json", "call", "count.up", "--stream"]));
    let request = pyre.wait_for("request", |event| event.is("WHISPER"), DISCOVERED);
    let frame: Value = serde_json::from_slice(&request.frames()[0]).expect("JSON");
    let (caller, id) = (request.peer().to_owned(), frame["id"].clone());
    let send = |value: Value| pyre.whisper(&caller, &[value.to_string().as_bytes()]);
    for n in 0..2 {
        let item = json!({"id": id, "seq": n, "value": {"n": n}});
        send(json!({"jsonrpc": "2.0", "method": "rpc.item", "params": item}));
        let printed = move |line: &Event| line.json()["item"] == json!({"n": n});
        call.wait_for("item", printed, DELIVERED);
    }
    send(json!({"jsonrpc": "2.0", "id": id, "result": 2}));
    call.wait_for("result", |line| line.json()["result"] == json!(2), DELIVERED);
    assert_eq!(call.wait_end(DONE).code(), Some(0));
}

#[test]
fn the_demo_loses_no_call_and_ends_by_itself() {
    let host = or_return!(Host::alone());
    let (code, printed) = or_return!(run(&host, &["--json", "demo"]));
    assert_eq!(code, Some(0), "{printed:?}");
    let total = printed.last().expect("a summary");
    assert_eq!((&total["failed"], &total["answered"]), (&json!(0), &total["calls"]));
    assert!(total["calls"].as_u64().is_some_and(|calls| calls > 1000), "{total}");
    assert!(total["seconds"].as_f64().is_some_and(|seconds| seconds < 15.0), "{total}");
}
