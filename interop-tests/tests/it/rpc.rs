//! Calls between processes, of ours and of plain pyre: results, typed errors, batches, streams, cancellation, deadlines.

mod hostile;
mod losses;
mod pool;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use zyre_actors::{ActorSystem, CallError, code};
use zyre_examples::calc::{Add, CalcError, Div};
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Event, Mark, Peer, Process, Spec};
use zyre_interop_tests::{Missing, or_return, provision};
use zyre_rs::Node;

use crate::common::{DELIVERED, DISCOVERED, figure, millis};

/// Runs the test's own system on a host, until `body` has ended.
fn with_system<T: Send>(host: &Host, body: impl AsyncFnOnce(&ActorSystem) -> T + Send) -> T {
    host.enter(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let system = ActorSystem::start(Node::builder("test")).await.expect("a system");
            let outcome = body(&system).await;
            system.stop().await;
            outcome
        })
    })
}

/// `examples/python/actor.py`, which has no other package than pyre.
fn python_actor(host: &Host, call: &[&str]) -> Result<Process, Missing> {
    let mut command = Command::new(provision::pyre()?.interpreter);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python/actor.py")).args(call);
    Ok(Process::spawn("actor.py", host, command))
}

/// An example of ours.
fn example(program: &str, host: &Host, options: &[&str]) -> Result<Process, Missing> {
    let mut command = Command::new(provision::program(program)?);
    command.args(options);
    Ok(Process::spawn(program, host, command))
}

/// Whispers JSON from pyre.
#[track_caller]
fn say(from: &Peer, to: &Peer, message: &Value) {
    from.whisper(to.id(), &[message.to_string().as_bytes()]);
}

fn content(event: &Event) -> Option<Value> {
    serde_json::from_slice(event.frames().first()?).ok()
}

/// Waits for a JSON whisper that pyre has received.
#[track_caller]
fn heard(pyre: &Peer, mark: Mark, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let whispered =
        |event: &Event| event.is("WHISPER") && content(event).is_some_and(|message| wanted(&message));
    content(&pyre.wait_since(mark, what, whispered, DELIVERED)).unwrap_or_default()
}

fn answers(id: &'static str) -> impl Fn(&Value) -> bool {
    move |message| message["id"] == id && message.get("method").is_none()
}

/// A request as it stands on the wire.
fn request(id: &str, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[test]
fn a_typed_call_between_two_processes_gives_its_result_and_its_own_error() {
    let lan = or_return!(Lan::new(2));
    let server = or_return!(Spec::actors("server").group("calc").spawn(lan.host(1)));
    typed_calls(lan.host(0), server.id());
}

#[test]
fn a_rust_program_calls_a_pyre_program_as_one_of_its_own_kind() {
    let lan = or_return!(Lan::new(2));
    let _server = or_return!(python_actor(lan.host(1), &[]));
    with_system(lan.host(0), async |system| {
        let calc = system.service("calc").ready(DISCOVERED).await.expect("a provider");
        let pyre = calc.providers()[0];
        typed_calls_of(system, &pyre.to_string()).await;
        let failed = |outcome: Result<Value, CallError>| match outcome {
            Err(CallError::Remote(error)) => error.code,
            other => panic!("{other:?}"),
        };
        let call = |method: &str, params: Value| system.call_json(method, params).into_future();
        assert_eq!(failed(call("calc.mul", json!([1, 2])).await), code::METHOD_NOT_FOUND);
        for wrong in
            [json!([1]), json!([1, 2, 3]), json!({"a": 1}), json!({"a": 1, "b": "2"}), json!([1, 2.5])]
        {
            assert_eq!(failed(call("calc.add", wrong.clone()).await), code::INVALID_PARAMS, "{wrong}");
        }
        assert_eq!(call("calc.add", json!([1, 2])).await, Ok(json!(3)), "positional");
        assert_eq!(call("calc.div", json!({"a": -7, "b": 2})).await, Ok(json!(-3)), "named");
        assert_eq!(call("text.upper", json!({"text": "grüße"})).await, Ok(json!("GRÜSSE")));
        // What is no request stays unanswered, and disturbs nothing.
        for whisper in [
            "hello",
            "{",
            "[1,2]",
            "null",
            r#"{"jsonrpc":"2.0","method":"calc.add"}"#,
            r#"{"jsonrpc":"2.0"}"#,
        ] {
            system.node().whisper(pyre, whisper).await.expect("queued");
        }
        assert_eq!(calc.call(Add { a: 1, b: 2 }).await, Ok(3));
        assert_eq!(system.stats().await.counters.get("responses_unknown"), None);
    });
}

fn typed_calls(host: &Host, server: &str) {
    with_system(host, async |system| {
        system.service("calc").ready(DISCOVERED).await.expect("a provider");
        typed_calls_of(system, server).await;
    });
}

async fn typed_calls_of(system: &ActorSystem, server: &str) {
    let calc = system.service("calc");
    assert_eq!(calc.providers().iter().map(ToString::to_string).collect::<Vec<_>>(), [server]);
    assert_eq!(calc.call(Add { a: 40, b: 2 }).await, Ok(42));
    assert_eq!(calc.call(Div { a: 7, b: 2 }).await, Ok(3));
    let by_zero = Err(CallError::Application(CalcError::DivisionByZero));
    assert_eq!(calc.call(Div { a: 7, b: 0 }).await, by_zero);
    let too_large = Err(CallError::Application(CalcError::Overflow));
    assert_eq!(calc.call(Add { a: i64::MAX, b: 1 }).await, too_large);
    let batch = calc.batch([Div { a: 6, b: 2 }, Div { a: 1, b: 0 }, Div { a: 9, b: 3 }]).await;
    assert_eq!(batch, [Ok(3), by_zero, Ok(3)]);
}

#[test]
fn a_pyre_program_calls_rust_and_sees_code_message_and_data() {
    let lan = or_return!(Lan::new(2));
    let mut server = or_return!(example("calc_server", lan.host(0), &[]));
    server.wait_line("serves calc.add and calc.div", DISCOVERED);
    let by_zero = json!({"code": 1, "message": "cannot divide by zero", "data": "DivisionByZero"});
    let calls = [
        ("calc.add", r#"{"a": 40, "b": 2}"#, json!({"result": 42}), 0),
        ("calc.div", "[7, 0]", json!({"error": by_zero}), 1),
    ];
    for (method, params, outcome, status) in calls {
        let mut client = or_return!(python_actor(lan.host(1), &[method, params]));
        assert_eq!(client.wait_end(DISCOVERED).code(), Some(status), "{method}");
        let is_answer = |event: &Event| event.json().get("jsonrpc").is_some();
        let mut answer = client.wait_for("the answer", is_answer, DELIVERED).json().clone();
        let members = answer.as_object_mut().expect("an object");
        members.retain(|member, _| member == "result" || member == "error");
        assert_eq!(answer, outcome);
    }
    server.interrupt();
    assert!(server.wait_end(DISCOVERED).success());
}

#[test]
fn the_client_example_calls_a_server_in_rust_and_one_in_python() {
    for python in [false, true] {
        let lan = or_return!(Lan::new(2));
        let server =
            if python { python_actor(lan.host(0), &[]) } else { example("calc_server", lan.host(0), &[]) };
        let _server = or_return!(server);
        let mut client = or_return!(example("calc_client", lan.host(1), &["7", "0"]));
        assert!(client.wait_end(DISCOVERED).success());
        for line in ["7 + 0 = 7", "7 / 0 is not defined", "a batch of three: [2, 4, 6]", "says 7"] {
            client.wait_line(line, DELIVERED);
        }
    }
}

#[test]
fn a_batch_of_pyre_is_answered_by_one_array_whatever_is_in_it() {
    let lan = or_return!(Lan::new(2));
    let server = or_return!(Spec::actors("server").group("calc").spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("pyre").spawn(lan.host(1)));
    pyre.wait_join(server.id(), "svc/calc", DISCOVERED);
    let mark = pyre.mark();
    let batch = json!([
        request("1", "calc.add", json!([1, 2])),
        {"jsonrpc": "2.0", "method": "calc.add", "params": [0, 0]},
        request("2", "calc.div", json!({"a": 1, "b": 0})),
        request("3", "calc.mul", json!([])),
        request("4", "calc.add", json!([1])),
        request("5", "rpc.ping", json!({})),
    ]);
    say(&pyre, &server, &batch);
    let answer = heard(&pyre, mark, "an array", Value::is_array);
    let mut outcomes: Vec<_> = answer.as_array().into_iter().flatten().collect();
    outcomes.sort_by_key(|outcome| outcome["id"].to_string());
    let seen: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            (outcome["id"].as_str().unwrap_or_default(), outcome["error"]["code"].as_i64().unwrap_or(0))
        })
        .collect();
    assert_eq!(seen, [("1", 0), ("2", 1), ("3", -32601), ("4", -32602), ("5", 0)], "{answer:#}");
    assert_eq!(outcomes[0]["result"], 3);
    let count = pyre.count_since(mark, "WHISPER", server.id());
    assert_eq!(count, 1, "one answer to one message");
}

#[test]
fn pyre_gets_a_stream_in_order_and_cancels_what_it_does_not_want_any_more() {
    let lan = or_return!(Lan::new(2));
    let server = or_return!(Spec::actors("server").group("count").group("endless").spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("pyre").spawn(lan.host(1)));
    pyre.wait_join(server.id(), "svc/count", DISCOVERED);
    let mark = pyre.mark();
    say(&pyre, &server, &request("s", "count.to", json!([100])));
    assert_eq!(heard(&pyre, mark, "the result", answers("s"))["result"], 100);
    let streamed: Vec<Value> = pyre.events_since(mark).iter().filter_map(content).collect();
    let items = streamed.iter().filter(|message| message["method"] == "rpc.item");
    let items: Vec<Value> = items.map(|item| item["params"].clone()).collect();
    let expected: Vec<Value> = (0..100).map(|n| json!({"id": "s", "seq": n, "value": n})).collect();
    assert_eq!(items, expected);
    assert_eq!(streamed.last(), Some(&json!({"jsonrpc": "2.0", "id": "s", "result": 100})));

    say(&pyre, &server, &request("c", "endless.work", json!({})));
    server.wait_for("BEGUN", |event| event.is("BEGUN"), DELIVERED);
    let (mark, cancelled) = (pyre.mark(), std::time::Instant::now());
    say(&pyre, &server, &json!({"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": "c"}}));
    let dropped = server.wait_for("DROPPED", |event| event.is("DROPPED"), DELIVERED);
    figure(&format!("a handler stops {} ms after pyre has cancelled", millis(cancelled, dropped.at())));
    // pyre asked, so it is told how its call ended.
    assert_eq!(heard(&pyre, mark, "the end", answers("c"))["error"]["code"], code::CANCELLED);
}

#[test]
fn a_stream_of_pyre_is_taken_in_order_with_room_granted_and_cancelled_when_dropped() {
    const ITEMS: u64 = 40;
    let lan = or_return!(Lan::new(2));
    let pyre = or_return!(Spec::pyre("pyre").group("svc/hand").spawn(lan.host(0)));
    with_system(lan.host(1), async |system| {
        system.service("hand").ready(DISCOVERED).await.expect("a provider");
        let enters = |event: &Event| event.is("ENTER") && event.name() == "test";
        let caller = pyre.wait_for("ENTER of the test", enters, DISCOVERED).peer().to_owned();
        let reply = |message: Value| pyre.whisper(&caller, &[message.to_string().as_bytes()]);
        for finish in [true, false] {
            let mark = pyre.mark();
            let mut items = system.call_json("hand.count", json!([ITEMS])).stream().expect("sent");
            let request = heard(&pyre, mark, "the request", |message| message["method"] == "hand.count");
            let id = &request["id"];
            for n in 0..ITEMS {
                let item = json!({"id": id, "seq": n, "value": n});
                reply(json!({"jsonrpc": "2.0", "method": "rpc.item", "params": item}));
                assert_eq!(items.next().await, Some(Ok(json!(n))));
            }
            let credit = heard(&pyre, mark, "more room", |message| message["method"] == "rpc.credit");
            assert!(credit["params"]["id"] == *id && credit["params"]["n"].as_u64() > Some(0), "{credit}");
            if finish {
                reply(json!({"jsonrpc": "2.0", "id": id, "result": ITEMS}));
                assert_eq!(items.finish().await, Ok(json!(ITEMS)));
            } else {
                drop(items);
                let cancel = heard(&pyre, mark, "rpc.cancel", |message| message["method"] == "rpc.cancel");
                assert_eq!(cancel["params"]["id"], *id);
            }
        }
    });
}

#[test]
fn a_deadline_of_100_ms_over_two_hops_stops_both_servers() {
    let lan = or_return!(Lan::new(3));
    let back = or_return!(Spec::actors("back").group("endless").spawn(lan.host(2)));
    let front = or_return!(Spec::actors("front").group("front").spawn(lan.host(1)));
    let deadline = Duration::from_millis(100);
    let outcome = with_system(lan.host(0), async |system| {
        system.service("front").ready(DISCOVERED).await.expect("a provider");
        system.call_json("front.work", json!({})).timeout(deadline).await
    });
    assert_eq!(outcome, Err(CallError::TimedOut { maybe_executed: true }));
    let told = |peer: &Peer| {
        let begun = peer.wait_for("BEGUN", |event| event.is("BEGUN"), DELIVERED);
        let dropped = peer.wait_for("DROPPED", |event| event.is("DROPPED"), DELIVERED);
        (begun.json()["left_ms"].as_u64().expect("a deadline"), millis(begun.at(), dropped.at()))
    };
    let (first, second) = (told(&front), told(&back));
    figure(&format!(
        "100 ms over two hops: the first server saw {} ms and stopped after {}, the second {} and {}",
        first.0, first.1, second.0, second.1
    ));
    assert!(second.0 <= first.0 && first.0 <= 100, "{first:?} {second:?}");
    assert!(first.1 < 1000 && second.1 < 1000, "{first:?} {second:?}");
}
