//! Calls between nodes: results, errors, targets, batches, streams.

use crate::common::{Add, CalcError, Div, Lan, PATIENCE, add, div, eventually, heard, met, within};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zyre_actors::{
    ActorSystem, CallError, Context, Params, PoolSettings, RemoteMessage, RpcError, Service, code,
};
use zyre_rs::{Event, Node};

#[derive(Clone, Debug, Serialize, Deserialize, RemoteMessage)]
#[remote("text.size", result = "usize")]
struct Size(String);

async fn calculator(lan: &Lan, name: &str) -> ActorSystem {
    let system = lan.system(name).await;
    system.handle(|message: Add, _| async move { add(&message) }).await.expect("served");
    system.handle(|message: Div, _| async move { div(&message) }).await.expect("served");
    system
}

async fn calc(client: &ActorSystem) -> Service {
    client.service("calc").ready(PATIENCE).await.expect("a provider")
}

#[tokio::test]
async fn a_typed_call_gives_the_result_and_a_typed_error() {
    let lan = Lan::new();
    let _server = calculator(&lan, "server").await;
    let client = lan.system("client").await;
    let calc = calc(&client).await;
    assert_eq!(within(calc.call(Add { a: 40, b: 2 }).into_future()).await, Ok(42));
    let failed = calc.call(Div { a: 7, b: 0 }).await;
    assert_eq!(failed, Err(CallError::Application(CalcError::DivisionByZero { dividend: 7 })));
}

#[tokio::test]
async fn a_node_calls_its_own_services_as_it_calls_those_of_others() {
    let lan = Lan::new();
    let system = calculator(&lan, "alone").await;
    let calc = calc(&system).await;
    assert_eq!(calc.call(Add { a: 1, b: 2 }).await, Ok(3));
    assert_eq!(calc.providers(), [system.node().id()]);
    assert_eq!(calc.on("alone").call(Add { a: 1, b: 2 }).await, Ok(3));
}

#[tokio::test]
async fn without_a_provider_a_call_says_so_at_once_and_ready_in_time() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let error = within(client.call_json("calc.add", json!([1, 2])).into_future())
        .await
        .expect_err("nobody serves it");
    assert_eq!(error, CallError::NoProvider { target: "svc/calc".to_owned() });
    let waited = client.service("calc").ready(Duration::from_millis(50)).await;
    assert!(matches!(waited, Err(CallError::NoProvider { .. })));
}

#[tokio::test]
async fn an_unknown_method_and_parameters_that_do_not_fit_are_told_apart() {
    let lan = Lan::new();
    let _server = calculator(&lan, "server").await;
    let client = lan.system("client").await;
    calc(&client).await;
    let code_of = |outcome: Result<Value, CallError>| match outcome {
        Err(CallError::Remote(error)) => (error.code, error.message),
        other => panic!("{other:?}"),
    };
    let (code, message) = code_of(client.call_json("calc.mul", json!([1, 2])).await);
    assert_eq!(code, code::METHOD_NOT_FOUND);
    assert!(message.ends_with("calc has calc.add, calc.div"), "{message}");
    let (code, message) = code_of(client.call_json("calc.add", json!({"a": 1})).await);
    assert_eq!(code, code::INVALID_PARAMS);
    assert!(message.contains('b'), "{message}");
    assert_eq!(client.call_json("calc.add", json!([1, 2])).await, Ok(json!(3)), "positional");
    assert_eq!(client.call_json("calc.add", json!({"a": 1, "b": 2})).await, Ok(json!(3)), "named");
}

#[tokio::test]
async fn a_call_goes_to_the_peer_that_was_named_by_id_or_by_name() {
    let lan = Lan::new();
    let (one, two) = (calculator(&lan, "one").await, calculator(&lan, "two").await);
    let client = lan.system("client").await;
    let calc = client.service("calc").ready_with(2, PATIENCE).await.expect("both");
    assert_eq!(calc.on(one.node().id()).call(Add { a: 1, b: 1 }).await, Ok(2));
    let (by, sum) =
        client.call_json("calc.add", json!([1, 1])).on("two").answered_by().await.expect("two answers");
    assert_eq!((by, sum), (two.node().id(), json!(2)));
    let nobody = calc.on("three").call(Add { a: 1, b: 1 }).await;
    assert!(matches!(nobody, Err(CallError::NoProvider { .. })), "{nobody:?}");
}

#[tokio::test]
async fn a_call_of_all_gives_each_providers_answer_with_its_name() {
    let lan = Lan::new();
    let servers =
        [calculator(&lan, "one").await, calculator(&lan, "two").await, calculator(&lan, "three").await];
    let client = lan.system("client").await;
    let calc = client.service("calc").ready_with(3, PATIENCE).await.expect("all");
    let mut all = calc.call_all(Add { a: 1, b: 2 });
    let mut answered = BTreeSet::new();
    while let Some((peer, sum)) = within(all.next()).await {
        assert_eq!(sum, Ok(3));
        assert!(answered.insert(peer), "each answers once");
    }
    assert_eq!(answered, servers.iter().map(|server| server.node().id()).collect());
}

#[tokio::test]
async fn a_batch_gives_one_result_each_in_order_and_travels_as_one_array() {
    let lan = Lan::new();
    let server = calculator(&lan, "server").await;
    let client = lan.system("client").await;
    let calc = calc(&client).await;
    let sums = calc.batch([Div { a: 6, b: 2 }, Div { a: 1, b: 0 }, Div { a: 9, b: 3 }]).await;
    let by_zero = CallError::Application(CalcError::DivisionByZero { dividend: 1 });
    assert_eq!(sums, [Ok(3), Err(by_zero), Ok(3)]);
    let (plain, mut events) = lan.plain("plain").await;
    within(plain.wait_until(|members| members.peer(server.node().id()).is_some())).await;
    let array = r#"[{"jsonrpc":"2.0","id":1,"method":"calc.add","params":[1,2]},{"jsonrpc":"2.0","id":"x","method":"calc.add","params":[3,4]}]"#;
    plain.whisper(server.node().id(), array).await.expect("queued");
    let reply = within(async {
        loop {
            if let Some(Event::Whisper { message, .. }) = events.next().await {
                return serde_json::from_slice::<Value>(&message[0]).expect("JSON");
            }
        }
    })
    .await;
    let mut replies = reply.as_array().expect("an array").clone();
    replies.sort_by_key(|reply| reply["result"].as_i64());
    assert_eq!(replies[0], json!({"jsonrpc": "2.0", "id": 1, "result": 3}));
    assert_eq!(replies[1], json!({"jsonrpc": "2.0", "id": "x", "result": 7}));
}

#[tokio::test]
async fn an_array_is_answered_whatever_becomes_of_one_of_its_requests() {
    let lan = Lan::new();
    let node = Node::builder("server").network(lan.network()).max_message(64 * 1024);
    let server = ActorSystem::start(node).await.expect("a system");
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let slow = move |_: Params, _: Context| {
        let held = held.clone();
        async move {
            held.acquire().await.map_err(|_| RpcError::new(1, "closed"))?.forget();
            Ok("done")
        }
    };
    server.method("slow.work", slow).idempotent().await.expect("served");
    let text = |params: Params, _: Context| async move { Ok("x".repeat(params.parse::<(usize,)>()?.0)) };
    server.method("text.of", text).await.expect("served");
    let (plain, mut events) = lan.plain("plain").await;
    met(&plain, server.node().id()).await;
    let whisper = async |message: Value| {
        plain.whisper(server.node().id(), message.to_string()).await.expect("queued");
    };
    let request =
        |id, method, params| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let of = |id, replies: &Value| {
        let replies = replies.as_array().expect("an array").iter();
        replies.into_iter().find(|reply| reply["id"] == id).expect("answered").clone()
    };

    // Its deadline passes while it runs.
    let late = request(1, "slow.work", json!({"_meta": {"deadline_ms": 50}}));
    whisper(json!([late, request(2, "text.of", json!([1]))])).await;
    let replies = heard(&mut events).await;
    assert_eq!(of(1, &replies)["error"]["code"], code::DEADLINE_EXCEEDED);
    assert_eq!(of(2, &replies)["result"], "x");

    // It is at work already.
    whisper(request(3, "slow.work", json!({}))).await;
    whisper(json!([request(3, "slow.work", json!({})), request(4, "text.of", json!([1]))])).await;
    eventually(async || server.stats().await.services["slow.work"].repeated == 1).await;
    gate.add_permits(1);
    let replies = [heard(&mut events).await, heard(&mut events).await];
    let array = replies.iter().find(|reply| reply.is_array()).expect("an array");
    assert_eq!(of(4, array)["result"], "x");
    assert!(replies.iter().any(|reply| reply["id"] == 3 && reply["result"] == "done"), "{replies:?}");

    // Together they are too large for a message, and one is by itself.
    let sizes = [(5, 40_000), (6, 40_000), (7, 100_000)];
    whisper(sizes.map(|(id, size)| request(id, "text.of", json!([size]))).into_iter().collect()).await;
    for (id, size) in sizes {
        let reply = heard(&mut events).await;
        assert_eq!(reply["id"], id);
        match size {
            100_000 => assert_eq!(reply["error"]["code"], code::INTERNAL_ERROR),
            size => assert_eq!(reply["result"].as_str().map(str::len), Some(size)),
        }
    }
}

#[tokio::test]
async fn a_stream_does_not_begin_again_at_another_provider() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let (first, mut events) = lan.plain("first").await;
    first.join("svc/calc").await.expect("joined");
    let calc = calc(&client).await;
    // The method is idempotent, so a plain call would be retried.
    let stream = calc.call(Add { a: 1, b: 2 }).timeout(PATIENCE).stream::<i64>().expect("sent");
    assert_eq!(heard(&mut events).await["method"], "calc.add");
    let (second, _events) = lan.plain("second").await;
    second.join("svc/calc").await.expect("joined");
    calc.ready_with(2, PATIENCE).await.expect("both");
    first.stop().await;
    let lost = within(stream.finish()).await;
    assert_eq!(lost, Err(CallError::PeerLost { peer: first.id(), maybe_executed: true }));
}

#[tokio::test]
async fn a_batch_that_fits_no_message_travels_in_several() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let size = |params: Params, _: Context| async move {
        let (text,): (String,) = params.parse()?;
        Ok(text.len())
    };
    server.method("text.size", size).concurrency(512).queue(4096).await.expect("served");
    let node = Node::builder("client").network(lan.network()).max_message(64 * 1024);
    let client = ActorSystem::start(node).await.expect("a system");
    let text = client.service("text").configure(PoolSettings::new().queue(4096));
    let text = text.ready(PATIENCE).await.expect("a provider");
    // More than one array may hold, then more than a message may.
    for (calls, bytes) in [(3000, 1), (3, 40 * 1024)] {
        let sizes = within(text.batch((0..calls).map(|_| Size("x".repeat(bytes)))).into_future()).await;
        assert_eq!(sizes, vec![Ok(bytes); calls]);
    }
    // One that never fits fails at once, although nothing else happens here.
    let sizes = within(text.batch([Size("x".repeat(100 * 1024)), Size("x".to_owned())]).into_future()).await;
    assert!(matches!(sizes[..], [Err(CallError::NotSent { .. }), Ok(1)]), "{sizes:?}");
}

#[tokio::test]
async fn what_is_told_arrives_and_is_not_answered() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (heard, mut told) = tokio::sync::mpsc::unbounded_channel();
    server
        .handle(move |message: Add, context: Context| {
            let heard = heard.clone();
            async move {
                heard.send((message.a, context.name().to_owned())).expect("the test listens");
                add(&message)
            }
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    let calc = calc(&client).await;
    calc.tell(Add { a: 1, b: 0 }).await.expect("told");
    calc.on(server.node().id()).tell(Add { a: 2, b: 0 }).await.expect("told");
    let got =
        [within(told.recv()).await, within(told.recv()).await].map(|told| told.expect("a notification"));
    let numbers: BTreeSet<_> = got.iter().map(|(a, _)| *a).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2]));
    assert!(got.iter().all(|(_, name)| name == "client"));
}

#[tokio::test]
async fn a_streaming_answer_gives_every_item_in_order_however_slowly_they_are_taken() {
    const ITEMS: u64 = 3000;
    let lan = Lan::new();
    let server = lan.system("server").await;
    server
        .method("count.to", |params: Params, context: Context| async move {
            let n = params.json()?["n"].as_u64().unwrap_or(0);
            for i in 0..n {
                context.item(&i).await.map_err(|error| RpcError::new(1, error.to_string()))?;
            }
            Ok(n)
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("count").ready(PATIENCE).await.expect("a provider");
    let mut items = client.call_json("count.to", json!({"n": ITEMS})).stream().expect("sent");
    for i in 0..ITEMS {
        assert_eq!(within(items.next()).await, Some(Ok(json!(i))));
        if i % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(within(items.next()).await, None);
    assert_eq!(items.finish().await, Ok(json!(ITEMS)));
    assert_eq!(client.stats().await.counters.get("items_over_credit"), None);
}

#[tokio::test]
async fn a_provider_that_streams_more_than_can_wait_is_cancelled_and_no_item_is_left_out() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let (plain, mut events) = lan.plain("plain").await;
    plain.join("svc/flood").await.expect("joined");
    client.service("flood").ready(PATIENCE).await.expect("a provider");
    let mut items = client.call_json("flood.all", json!({})).stream().expect("sent");
    let id = heard(&mut events).await["id"].clone();
    for seq in 0..1025 {
        let params = json!({"id": id, "seq": seq, "value": seq});
        let item = json!({"jsonrpc": "2.0", "method": "rpc.item", "params": params});
        plain.whisper(client.node().id(), item.to_string()).await.expect("queued");
    }
    let cancel = heard(&mut events).await;
    assert_eq!((&cancel["method"], &cancel["params"]["id"]), (&json!("rpc.cancel"), &id));
    for seq in 0..1024 {
        assert_eq!(within(items.next()).await, Some(Ok(json!(seq))));
    }
    assert_eq!(within(items.next()).await, None);
    assert_eq!(items.finish().await, Err(CallError::Cancelled));
    let stats = client.stats().await;
    assert_eq!((stats.counters.get("items_over_credit"), stats.calls_open), (Some(&1), 0));
}

#[tokio::test]
async fn every_node_answers_the_built_in_methods() {
    let lan = Lan::new();
    let server = calculator(&lan, "server").await;
    let client = lan.system("client").await;
    calc(&client).await;
    let ask = |method: &'static str| client.call_json(method, json!({})).on("server");
    assert_eq!(ask("rpc.ping").await.expect("pong")["name"], "server");
    let info = ask("rpc.info").await.expect("info");
    assert_eq!(
        (&info["id"], &info["groups"]["svc/calc"]["concurrency"]),
        (&json!(server.node().id().to_string()), &json!(16))
    );
    let methods = ask("rpc.methods").await.expect("methods");
    let add = &methods[0];
    assert_eq!((&add["name"], &add["idempotent"]), (&json!("calc.add"), &json!(true)));
    assert_eq!(add["params"]["properties"]["a"]["type"], "integer", "{add:#}");
    assert_eq!(add["result"]["type"], "integer", "{add:#}");
    let stats = ask("rpc.stats").await.expect("stats");
    assert_eq!(stats["services"]["calc.add"]["running"], 0);
}

#[tokio::test]
async fn plain_whispers_and_shouts_reach_the_application_untouched() {
    let lan = Lan::new();
    let server = calculator(&lan, "server").await;
    let mut events = server.events();
    let (plain, _) = lan.plain("plain").await;
    within(plain.wait_until(|members| members.peer(server.node().id()).is_some())).await;
    for text in ["hello", "{\"id\":1}", "[]", "[1,2]", "{}", "null", ""] {
        plain.whisper(server.node().id(), text).await.expect("queued");
        let got = within(async {
            loop {
                if let Some(Event::Whisper { message, .. }) = events.recv().await {
                    return message;
                }
            }
        })
        .await;
        assert_eq!(got.text(), Some(text));
    }
}
