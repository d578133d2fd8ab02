//! What a peer sends that is meant to hurt: it is counted, answered by the codes of JSON-RPC, and hurts nobody else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot::{self, error::TryRecvError};
use zyre_actors::code;
use zyre_examples::calc::Add;
use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Event, Peer, Spec};

use super::{content, heard, request, say, with_system};
use crate::common::{DISCOVERED, figure, millis};

/// One of each kind, with the code it is answered by.
fn bad_messages() -> Vec<(&'static str, Vec<u8>, i64)> {
    let deep = |open: &str, close: &str, depth: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"x","method":"calc.add","params":{}1{}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let huge = format!(r#"{{"jsonrpc":"2.0","id":"x","method":"{}"}}"#, "x".repeat(17 << 20));
    let batch: Vec<Value> = (0..300).map(|n| request(&n.to_string(), "calc.add", json!([1, 2]))).collect();
    vec![
        (
            "half",
            text(r#"{"jsonrpc":"2.0","id":"x","method":"calc.add","params":{"a":1,"#),
            code::PARSE_ERROR,
        ),
        ("noise", [b"{\"jsonrpc\"".as_slice(), &[0xFF, 0x00, 0xC3, 0x28]].concat(), code::PARSE_ERROR),
        ("deep arrays", deep("[", "]", 100_000).into_bytes(), code::INVALID_REQUEST),
        ("deep objects", deep(r#"{"a":"#, "}", 100_000).into_bytes(), code::INVALID_REQUEST),
        ("huge", huge.into_bytes(), code::INVALID_REQUEST),
        ("long batch", Value::from(batch).to_string().into_bytes(), code::INVALID_REQUEST),
        ("strange id", text(r#"{"jsonrpc":"2.0","id":{"a":1},"method":"calc.add"}"#), code::INVALID_REQUEST),
        ("no method", text(r#"{"jsonrpc":"2.0","id":"x"}"#), code::INVALID_REQUEST),
        (
            "two results",
            text(r#"{"jsonrpc":"2.0","id":"x","result":1,"error":{"code":1,"message":""}}"#),
            code::INVALID_REQUEST,
        ),
    ]
}

#[test]
fn garbage_of_pyre_is_counted_and_answered_and_a_good_pair_beside_it_notices_nothing() {
    let lan = or_return!(Lan::new(3));
    let server = or_return!(Spec::actors("server").group("calc").spawn(lan.host(0)));
    let pyre = or_return!(Spec::pyre("pyre").spawn(lan.host(1)));
    pyre.wait_join(server.id(), "svc/calc", DISCOVERED);

    let (done, is_done) = oneshot::channel::<()>();
    let slowest = std::thread::scope(|scope| {
        // Calls the very server that is under attack.
        let good = scope.spawn(|| good_calls(&lan, is_done));
        each_kind_is_answered_by_its_code(&pyre, &server);
        what_answers_nothing_is_dropped(&pyre, &server);
        a_flood_is_answered_ten_times_a_second(&pyre, &server);
        drop(done);
        good.join().expect("every good call was answered")
    });
    figure(&format!("while pyre attacks, good calls take at most {slowest:.1?}"));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");

    // The attacker itself is served on.
    let mark = pyre.mark();
    say(&pyre, &server, &request("after", "calc.add", json!([1, 2])));
    assert_eq!(heard(&pyre, mark, "an answer", super::answers("after"))["result"], 3);
}

/// Calls every 5 ms until told to end; the longest a call took.
fn good_calls(lan: &Lan, mut is_done: oneshot::Receiver<()>) -> Duration {
    with_system(lan.host(2), async |system| {
        let calc = system.service("calc").ready(DISCOVERED).await.expect("a provider");
        let mut slowest = Duration::ZERO;
        while is_done.try_recv() == Err(TryRecvError::Empty) {
            let called = Instant::now();
            assert_eq!(calc.call(Add { a: 1, b: 2 }).await, Ok(3));
            slowest = slowest.max(called.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slowest
    })
}

fn each_kind_is_answered_by_its_code(pyre: &Peer, server: &Peer) {
    let bad = bad_messages();
    let kinds = bad.len() as u64;
    for (kind, message, code) in bad {
        let mark = pyre.mark();
        pyre.whisper(server.id(), &[&message]);
        let error = heard(pyre, mark, kind, |answer| answer.get("error").is_some());
        assert_eq!(error["error"]["code"], code, "{kind}: {error}");
        // Not so many at once that they fall silent.
        std::thread::sleep(Duration::from_millis(110));
    }
    assert_eq!(server.counters()["packets_invalid"], kinds);
}

/// Answers, items and cancellations of calls that nobody made.
fn what_answers_nothing_is_dropped(pyre: &Peer, server: &Peer) {
    let mark = pyre.mark();
    for id in [json!("7f3a-12"), json!(1), json!("x".repeat(60))] {
        say(pyre, server, &json!({"jsonrpc": "2.0", "id": id, "result": 1}));
        say(pyre, server, &json!({"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": id}}));
        let item = json!({"id": id, "seq": u64::MAX, "value": 1});
        say(pyre, server, &json!({"jsonrpc": "2.0", "method": "rpc.item", "params": item}));
        say(
            pyre,
            server,
            &json!({"jsonrpc": "2.0", "method": "rpc.credit", "params": {"id": id, "n": u32::MAX}}),
        );
    }
    say(pyre, server, &request("ping", "rpc.ping", json!({})));
    heard(pyre, mark, "an answer", super::answers("ping"));
    assert_eq!(pyre.count_since(mark, "WHISPER", server.id()), 1, "the ping's answer alone");
    let counters = server.counters();
    assert_eq!((&counters["responses_unknown"], &counters["items_unknown"]), (&json!(3), &json!(3)));
}

fn a_flood_is_answered_ten_times_a_second(pyre: &Peer, server: &Peer) {
    const FLOOD: u64 = 3000;
    std::thread::sleep(Duration::from_millis(1100));
    let (mark, begin) = (pyre.mark(), Instant::now());
    let before = server.counters()["packets_invalid"].as_u64().unwrap_or_default();
    for n in 0..FLOOD {
        pyre.whisper(server.id(), &[format!(r#"{{"jsonrpc":"2.0","id":"{n}","method":"#).as_bytes()]);
    }
    say(pyre, server, &request("last", "rpc.ping", json!({})));
    heard(pyre, mark, "an answer", super::answers("last"));
    let took = millis(begin, Instant::now());
    let errors = |event: &&Event| content(event).is_some_and(|answer| answer.get("error").is_some());
    let answered = pyre.events_since(mark).iter().filter(errors).count();
    figure(&format!("{FLOOD} broken requests in {took} ms: {answered} answered"));
    assert!(answered as u128 <= 10 * (took / 1000 + 1) && answered >= 10, "{answered} in {took} ms");
    let counters = server.counters();
    assert_eq!(counters["packets_invalid"], before + FLOOD);
    assert_eq!(counters["errors_unanswered"], FLOOD - answered as u64);
}
