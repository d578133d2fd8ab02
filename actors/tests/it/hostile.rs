//! What a peer that breaks the rules can do: be counted, be answered by the codes of JSON-RPC, and nothing else.

use crate::common::{
    Add, Lan, PATIENCE, add, address, at_rest, counted, eventually, heard, met, whispered, within,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use zyre_actors::{ActorSystem, Context, Params, RpcError, code};
use zyre_rs::{Event, Events, LinkLimit, Message, Node, Overflow};

/// More than this of JSON is refused in these tests.
const MAX_JSON: usize = 256 * 1024;

/// A server, a client that calls it, and a plain node that means no good.
struct Scene {
    server: ActorSystem,
    client: ActorSystem,
    evil: Node,
    heard: Events,
    /// Each permit lets one call of `slow.work` end.
    gate: Arc<Semaphore>,
}

impl Scene {
    async fn new(lan: &Lan) -> Self {
        let node = Node::builder("server").network(lan.network());
        let server = ActorSystem::builder().node(node).max_json(MAX_JSON).start().await.expect("a server");
        server.handle(|message: Add, _| async move { add(&message) }).await.expect("served");
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        server
            .method("slow.work", move |params: Params, _: Context| {
                let held = held.clone();
                async move {
                    held.acquire().await.map_err(|_| RpcError::new(1, "closed"))?.forget();
                    params.json()
                }
            })
            .await
            .expect("served");
        server
            .method("count.to", |params: Params, context: Context| async move {
                let (n,): (u64,) = params.parse()?;
                for i in 0..n {
                    context.item(&i).await?;
                }
                Ok(n)
            })
            .await
            .expect("served");
        let client = lan.system("client").await;
        for service in ["calc", "slow", "count"] {
            client.service(service).ready(PATIENCE).await.expect("a provider");
        }
        let (evil, heard) = lan.plain("evil").await;
        met(&evil, server.node().id()).await;
        met(&evil, client.node().id()).await;
        Self { server, client, evil, heard, gate }
    }

    async fn whisper(&self, message: impl Into<Message>) {
        self.evil.whisper(self.server.node().id(), message).await.expect("queued");
    }

    /// The next answer's id and error code.
    async fn refused(&mut self) -> (Value, i64) {
        let reply = heard(&mut self.heard).await;
        (reply["id"].clone(), reply["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {reply}")))
    }

    /// All answers until everything whispered so far has been handled.
    async fn answers(&mut self) -> Vec<Value> {
        self.whisper(r#"{"jsonrpc":"2.0","id":"end","method":"rpc.ping"}"#).await;
        let mut answers = Vec::new();
        loop {
            let answer = heard(&mut self.heard).await;
            if answer["id"] == "end" {
                return answers;
            }
            answers.push(answer);
        }
    }

    async fn counted(&self, name: &str) -> u64 {
        counted(&self.server, name).await
    }
}

/// A good pair: calls without a pause, until it is asked how many there were.
fn hammer(client: &ActorSystem) -> (oneshot::Sender<()>, JoinHandle<i64>) {
    let calc = client.service("calc");
    let (stop, mut stopped) = oneshot::channel();
    let calls = tokio::spawn(async move {
        let mut calls = 0;
        while stopped.try_recv().is_err() {
            assert_eq!(calc.call(Add { a: calls, b: 1 }).await, Ok(calls + 1), "after {calls} good calls");
            calls += 1;
        }
        calls
    });
    (stop, calls)
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_is_answered_by_its_code_and_counted() {
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}"#, "[".repeat(100_000));
    let huge = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":["{}"]}}"#, "x".repeat(MAX_JSON));
    let entry = r#"{"jsonrpc":"2.0","id":1,"method":"calc.add","params":[1,2]}"#;
    let batch = format!("[{}]", vec![entry; 300].join(","));
    let parse = code::PARSE_ERROR;
    let invalid = code::INVALID_REQUEST;
    let cases: Vec<(&str, Vec<u8>, i64)> = vec![
        ("half", br#"{"jsonrpc":"2.0","id":1,"meth"#.to_vec(), parse),
        (
            "half an array",
            br#"[{"jsonrpc":"2.0","id":1,"method":"calc.add","params":[1,2]},"#.to_vec(),
            parse,
        ),
        ("invalid UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}".to_vec(), parse),
        ("trailing garbage", format!("{entry} {entry}").into(), parse),
        ("deep", deep.into(), invalid),
        ("huge", huge.into(), invalid),
        ("too many entries", batch.into(), invalid),
        ("a method that is a number", br#"{"jsonrpc":"2.0","id":1,"method":1}"#.to_vec(), invalid),
        (
            "an endless method",
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "m".repeat(300)).into(),
            invalid,
        ),
        (
            "params that are a number",
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":3}"#.to_vec(),
            invalid,
        ),
        ("an id that is an object", br#"{"jsonrpc":"2.0","id":{},"method":"a"}"#.to_vec(), invalid),
        (
            "an endless id",
            format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"a"}}"#, "i".repeat(300)).into(),
            invalid,
        ),
        ("another version", br#"{"jsonrpc":"1.0","id":1,"method":"a"}"#.to_vec(), invalid),
        ("a member twice", br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#.to_vec(), invalid),
        (
            "result and error",
            br#"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#.to_vec(),
            invalid,
        ),
        ("an error without code", br#"{"jsonrpc":"2.0","id":1,"error":"no"}"#.to_vec(), invalid),
        ("a response without id", br#"{"jsonrpc":"2.0","result":1}"#.to_vec(), invalid),
        ("nothing at all", br#"{"jsonrpc":"2.0"}"#.to_vec(), invalid),
        ("a cancel of nothing", br#"{"jsonrpc":"2.0","method":"rpc.cancel","params":[]}"#.to_vec(), invalid),
        (
            "negative credit",
            br#"{"jsonrpc":"2.0","method":"rpc.credit","params":{"id":1,"n":-1}}"#.to_vec(),
            invalid,
        ),
        (
            "an item without number",
            br#"{"jsonrpc":"2.0","method":"rpc.item","params":{"id":1}}"#.to_vec(),
            invalid,
        ),
        ("a missing frame", br#"{"jsonrpc":"2.0","id":1,"codec":"msgpack","method":"a"}"#.to_vec(), invalid),
        (
            "an unknown codec",
            br#"{"jsonrpc":"2.0","id":1,"codec":"pickle","method":"a"}"#.to_vec(),
            code::UNSUPPORTED,
        ),
    ];
    for (n, (name, frame, code)) in cases.into_iter().enumerate() {
        // Ten are answered in a second.
        tokio::time::sleep(Duration::from_millis(101)).await;
        scene.whisper(frame).await;
        let (id, answered) = scene.refused().await;
        assert_eq!(answered, code, "{name}");
        assert!(id.is_null() || id.is_number(), "{name}: {id}");
        assert_eq!(scene.counted("packets_invalid").await, n as u64 + 1, "{name}");
    }
    assert_eq!(scene.counted("errors_unanswered").await, 0);
    assert_eq!(scene.client.service("calc").call(Add { a: 1, b: 2 }).await, Ok(3));
}

#[tokio::test]
async fn requests_that_do_not_fit_a_method_are_answered_each_by_its_code() {
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    let broken: Message =
        [&br#"{"jsonrpc":"2.0","id":3,"codec":"msgpack","method":"calc.add"}"#[..], &[0xc1, 0xff]]
            .into_iter()
            .collect();
    let cases: [(Message, i64); 4] = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"no.such"}"#.into(), code::METHOD_NOT_FOUND),
        (r#"{"jsonrpc":"2.0","id":2,"method":"rpc.format_disk"}"#.into(), code::METHOD_NOT_FOUND),
        (broken, code::INVALID_PARAMS),
        (
            r#"{"jsonrpc":"2.0","id":4,"method":"calc.add","params":{"a":"one","b":[]}}"#.into(),
            code::INVALID_PARAMS,
        ),
    ];
    for (n, (message, code)) in cases.into_iter().enumerate() {
        scene.whisper(message).await;
        assert_eq!(scene.refused().await, (json!(n + 1), code));
    }
    scene.whisper(r#"{"jsonrpc":"2.0","method":"no.such"}"#).await;
    scene.whisper(r#"{"jsonrpc":"2.0","method":"rpc.no_such"}"#).await;
    assert_eq!(scene.answers().await, [] as [Value; 0], "notifications are not answered");
    assert_eq!(scene.counted("methods_unknown").await, 4);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_answered_ten_times_a_second_and_counted_every_time() {
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    for second in 1..=3 {
        for _ in 0..200 {
            scene.whisper("{\"jsonrpc\"").await;
        }
        assert_eq!(scene.answers().await.len(), 10);
        assert_eq!(scene.counted("packets_invalid").await, 200 * second);
        assert_eq!(scene.counted("errors_unanswered").await, 190 * second);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn nobody_answers_or_ends_a_call_but_the_peer_that_has_it() {
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    scene.evil.join("svc/trap").await.expect("joined");
    scene.client.service("trap").ready(PATIENCE).await.expect("the trap");
    // Being called shows how this caller numbers its calls, and so the ids of those to others.
    let trapped = tokio::spawn(scene.client.call_json("trap.work", json!({})).into_future());
    let request = heard(&mut scene.heard).await;
    let id = request["id"].as_str().expect("a string").to_owned();
    let (incarnation, number) = id.split_once('-').expect("two parts");
    let number: u64 = number.parse().expect("a number");
    let victim = tokio::spawn(scene.client.call_json("slow.work", json!(["true"])).into_future());
    eventually(async || scene.server.stats().await.services["slow.work"].running == 1).await;

    let late = counted(&scene.client, "responses_late").await;
    let to_client = async |message: String| {
        scene.evil.whisper(scene.client.node().id(), message).await.expect("queued");
    };
    for n in (number + 1..number + 20).chain(0..number.min(20)) {
        to_client(format!(r#"{{"jsonrpc":"2.0","id":"{incarnation}-{n}","result":"forged"}}"#)).await;
        to_client(format!(
            r#"{{"jsonrpc":"2.0","id":"{incarnation}-{n}","error":{{"code":-32001,"message":"go elsewhere"}}}}"#
        ))
        .await;
        to_client(format!(
            r#"{{"jsonrpc":"2.0","method":"rpc.item","params":{{"id":"{incarnation}-{n}","seq":0}}}}"#
        ))
        .await;
        scene
            .whisper(format!(
                r#"{{"jsonrpc":"2.0","method":"rpc.cancel","params":{{"id":"{incarnation}-{n}"}}}}"#
            ))
            .await;
    }
    // What it may answer is its own call, and that only once.
    for _ in 0..2 {
        to_client(format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":"caught"}}"#)).await;
    }
    assert_eq!(within(trapped).await.expect("no panic"), Ok(json!("caught")));
    eventually(async || counted(&scene.client, "responses_late").await > late + 40).await;
    assert!(scene.answers().await.is_empty(), "cancels are not answered");
    assert!(scene.counted("cancels_too_late").await >= 19);
    assert!(counted(&scene.client, "items_unknown").await >= 19);
    assert!(!victim.is_finished());
    scene.gate.add_permits(1);
    assert_eq!(within(victim).await.expect("no panic"), Ok(json!(["true"])));
    at_rest(&scene.client).await;
    at_rest(&scene.server).await;
}

#[tokio::test]
async fn answers_items_credits_and_cancels_that_nobody_asked_for_are_counted() {
    const TIMES: u64 = 1000;
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    for n in 0..TIMES {
        scene.whisper(format!(r#"{{"jsonrpc":"2.0","id":{n},"result":1}}"#)).await;
        scene.whisper(format!(r#"{{"jsonrpc":"2.0","id":"deadbeef-{n}","result":1}}"#)).await;
        for (method, rest) in
            [("cancel", ""), ("item", r#","seq":1,"value":2"#), ("credit", r#","n":4294967295"#)]
        {
            scene
                .whisper(format!(
                    r#"{{"jsonrpc":"2.0","method":"rpc.{method}","params":{{"id":"x-{n}"{rest}}}}}"#
                ))
                .await;
        }
    }
    assert!(scene.answers().await.is_empty());
    let names = ["responses_unknown", "items_unknown", "credits_unknown", "cancels_too_late"];
    let mut counts = Vec::new();
    for name in names {
        counts.push(scene.counted(name).await);
    }
    assert_eq!(counts, [2 * TIMES, TIMES, TIMES, TIMES], "{names:?}");
}

#[tokio::test]
async fn credit_of_four_billion_gives_every_item_and_no_more() {
    const ITEMS: u64 = 300;
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    scene
        .whisper(format!(
            r#"{{"jsonrpc":"2.0","id":"s","method":"count.to","params":{{"n":{ITEMS},"_meta":{{"credit":4294967295}}}}}}"#
        ))
        .await;
    let credit = r#"{"jsonrpc":"2.0","method":"rpc.credit","params":{"id":"s","n":4294967295}}"#;
    for _ in 0..50 {
        scene.whisper(credit).await;
    }
    // The parameters are by name and the method wants a tuple.
    assert_eq!(scene.refused().await.1, code::INVALID_PARAMS);

    scene.whisper(format!(r#"{{"jsonrpc":"2.0","id":"s","method":"count.to","params":[{ITEMS}]}}"#)).await;
    for _ in 0..50 {
        scene.whisper(credit).await;
    }
    for n in 0..ITEMS {
        let item = heard(&mut scene.heard).await;
        assert_eq!(item["params"], json!({"id": "s", "seq": n, "value": n}));
    }
    assert_eq!(heard(&mut scene.heard).await["result"], ITEMS);
    assert!(scene.answers().await.is_empty());
    at_rest(&scene.server).await;
}

#[tokio::test]
async fn an_id_in_use_is_refused_and_the_first_request_with_it_goes_on() {
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    let request = r#"{"jsonrpc":"2.0","id":"twin","method":"slow.work","params":["first"]}"#;
    scene.whisper(request).await;
    scene.whisper(request).await;
    assert_eq!(scene.refused().await, (json!("twin"), code::INVALID_REQUEST));
    scene.whisper(format!("[{request},{request}]")).await;
    let reply = heard(&mut scene.heard).await;
    let codes = |reply: &Value| reply["error"]["code"].as_i64();
    assert!(
        reply.as_array().map_or(codes(&reply), |all| codes(&all[0])) == Some(code::INVALID_REQUEST),
        "{reply}"
    );
    scene.gate.add_permits(1);
    let result = within(async {
        loop {
            let reply = heard(&mut scene.heard).await;
            if reply.get("result").is_some() {
                return reply;
            }
        }
    })
    .await;
    assert_eq!(result, json!({"jsonrpc": "2.0", "id": "twin", "result": ["first"]}));
    at_rest(&scene.server).await;
}

#[tokio::test]
async fn a_peer_that_goes_away_takes_its_requests_with_it() {
    let lan = Lan::new();
    let scene = Scene::new(&lan).await;
    let entry = |n| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"slow.work","params":[]}}"#);
    for batch in 0..2 {
        let entries: Vec<_> = (0..100).map(|n| entry(batch * 100 + n)).collect();
        scene.whisper(format!("[{}]", entries.join(","))).await;
    }
    eventually(async || {
        let load = scene.server.stats().await.services["slow.work"];
        (load.running, load.waiting) == (16, 184)
    })
    .await;
    scene.evil.stop().await;
    at_rest(&scene.server).await;
    let load = scene.server.stats().await.services["slow.work"];
    assert_eq!((load.lost, load.aborted), (200, 0));
}

#[tokio::test]
async fn a_queue_filled_by_one_peer_has_room_for_another() {
    let lan = Lan::new();
    let mut scene = Scene::new(&lan).await;
    for n in 0..1000 {
        scene.whisper(format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"slow.work","params":[]}}"#)).await;
    }
    assert_eq!(scene.answers().await.len(), 1000 - 16 - 256, "the rest is refused at once");
    let good = tokio::spawn(scene.client.call_json("slow.work", json!(["good"])).into_future());
    // It takes a place in the full queue, and its turn is the first or the second after those that run.
    let (_, refused) = whispered(&mut scene.heard).await;
    assert!(refused.text().is_some_and(|text| text.contains("-32001")), "{refused:?}");
    scene.gate.add_permits(18);
    assert_eq!(within(good).await.expect("no panic"), Ok(json!(["good"])));
    scene.evil.stop().await;
    at_rest(&scene.server).await;
}

#[tokio::test]
async fn answers_to_a_caller_that_does_not_read_are_dropped_and_counted() {
    let lan = Lan::new();
    let limit = LinkLimit { messages: 4, bytes: 1 << 20 };
    let node =
        Node::builder("server").network(lan.network()).link_limit(limit).overflow(Overflow::DropNewest);
    let server = ActorSystem::start(node).await.expect("a server");
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    server
        .method("slow.work", move |_: Params, _: Context| {
            let held = held.clone();
            async move {
                held.acquire().await.map(|_| "x".repeat(100_000)).map_err(|_| RpcError::new(1, "closed"))
            }
        })
        .concurrency(100)
        .await
        .expect("served");
    let (evil, _heard) = lan.plain("evil").await;
    met(&evil, server.node().id()).await;
    for n in 0..100 {
        let request = format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"slow.work"}}"#);
        evil.whisper(server.node().id(), request).await.expect("queued");
    }
    eventually(async || server.stats().await.services["slow.work"].running == 100).await;
    lan.network().partition(address(&evil), address(server.node()));
    gate.add_permits(1);
    at_rest(&server).await;
    assert!(counted(&server, "replies_dropped").await > 50, "{:?}", server.stats().await);
}

#[tokio::test]
async fn whatever_a_peer_whispers_a_good_pair_loses_no_call() {
    let lan = Lan::new();
    let scene = Scene::new(&lan).await;
    let mut events = scene.client.events();
    let (stop, calls) = hammer(&scene.client);
    let deep = format!(r#"{{"jsonrpc":"2.0","params":{}"#, "[".repeat(100_000));
    let huge = format!(r#"{{"jsonrpc":"2.0","params":["{}"]}}"#, "x".repeat(MAX_JSON));
    let entry = |n: usize| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"slow.work","params":[]}}"#);
    let targets = [scene.server.node().id(), scene.client.node().id()];
    for round in 0..20 {
        let batch = (0..250).map(|n| entry(round * 250 + n)).collect::<Vec<_>>().join(",");
        let messages = [
            "{\"jsonrpc\":".to_owned(),
            deep.clone(),
            huge.clone(),
            format!("[{batch}]"),
            format!("[{batch},{batch}]"),
            entry(round),
            format!(r#"{{"jsonrpc":"2.0","method":"rpc.cancel","params":{{"id":{round}}}}}"#),
            r#"{"jsonrpc":"2.0","method":"rpc.credit","params":{"id":1,"n":4294967295}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","method":"rpc.restarted","params":{"groups":["svc/calc",1]}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","method":"rpc.restarted","params":{"groups":["svc/calc"]}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":9,"method":"rpc.stats","params":{"_meta":{"deadline_ms":1e99,"traceparent":"x","credit":"y"}}}"#.to_owned(),
            "x".repeat(10_000),
        ];
        for message in messages {
            for target in targets {
                scene.evil.whisper(target, message.as_str()).await.expect("queued");
            }
        }
    }
    eventually(async || scene.counted("packets_invalid").await >= 20).await;
    // The good pair goes on for a while beside what is left of it.
    let before = counted(&scene.client, "calls_answered").await;
    eventually(async || counted(&scene.client, "calls_answered").await > before + 200).await;
    stop.send(()).expect("it runs");
    let calls = within(calls).await.expect("no call failed");
    assert!(calls > 200, "{calls}");
    scene.evil.stop().await;
    at_rest(&scene.server).await;
    at_rest(&scene.client).await;
    for system in [&scene.server, &scene.client] {
        assert!(counted(system, "errors_unanswered").await > 0);
        assert!(counted(system, "restarts_unknown").await > 0);
        assert!(counted(system, "restarts_unreadable").await > 0);
    }
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Exit { peer, .. } if peer == scene.server.node().id()), "{event:?}");
    }
}
