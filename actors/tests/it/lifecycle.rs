//! How services and systems begin and end.

use crate::common::{Add, Div, Lan, PATIENCE, add, at_rest, counted, div, eventually, heard, met, within};
use actix::{Actor, Context as ActorContext};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use zyre_actors::{
    ActorSystem, CallError, Context, OneForOne, Params, RpcError, ServeError, Serving, Topic, TopicError,
};
use zyre_rs::{Event, Events, GroupName, Node, PeerId};

async fn serve_add(system: &ActorSystem, ran: &Arc<AtomicUsize>) -> Serving {
    let ran = ran.clone();
    let work = move |message: Add, _| {
        let ran = ran.clone();
        async move {
            ran.fetch_add(1, Ordering::SeqCst);
            // So that some requests are always under way.
            tokio::time::sleep(Duration::from_millis(1)).await;
            add(&message)
        }
    };
    system.handle(work).await.expect("served")
}

/// Serves a method whose requests wait for a permit, and says how many have begun.
async fn gated(
    system: &ActorSystem,
    method: &str,
) -> (Arc<Semaphore>, mpsc::UnboundedReceiver<Context>, Serving) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let (begun, begins) = mpsc::unbounded_channel();
    let serving = system
        .method(method, move |_: Params, context: Context| {
            let (held, begun) = (held.clone(), begun.clone());
            async move {
                _ = begun.send(context);
                held.acquire().await.map_err(|_| RpcError::new(1, "closed"))?.forget();
                Ok("done")
            }
        })
        .await
        .expect("served");
    (gate, begins, serving)
}

async fn exit_of(events: &mut Events, peer: PeerId) {
    within(async {
        loop {
            match events.next().await {
                Some(Event::Exit { peer: gone, .. }) if gone == peer => return,
                Some(_) => {}
                None => panic!("the node has stopped"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_drains_under_load_loses_no_call_and_runs_none_twice() {
    let lan = Lan::new();
    let (one, two) = (lan.system("one").await, lan.system("two").await);
    let ran = Arc::new(AtomicUsize::new(0));
    let mut serving = serve_add(&one, &ran).await;
    let _stays = serve_add(&two, &ran).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let client = lan.system(name).await;
        let calc = client.service("calc").ready_with(2, PATIENCE).await.expect("both");
        for _ in 0..8 {
            let (calc, stop) = (calc.clone(), stop.clone());
            callers.push(tokio::spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::SeqCst) {
                    // At most once, although the method is idempotent.
                    assert_eq!(calc.call(Add { a: calls, b: 1 }).retry(0).await, Ok(calls + 1));
                    calls += 1;
                }
                calls
            }));
        }
    }
    let reached = |n| {
        let ran = ran.clone();
        move || {
            let ran = ran.clone();
            async move { ran.load(Ordering::SeqCst) >= n }
        }
    };
    for round in 1..=3 {
        eventually(reached(round * 400)).await;
        assert!(within(serving.drain(PATIENCE)).await, "clean");
        let after = one.stats().await;
        assert!(after.services.is_empty(), "{after:?}");
        eventually(reached(round * 400 + 200)).await;
        serving = serve_add(&one, &ran).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut calls = 0;
    for caller in callers {
        calls += within(caller).await.expect("no call failed") as usize;
    }
    assert_eq!(ran.load(Ordering::SeqCst), calls, "each ran once");
}

#[tokio::test]
async fn a_drain_waits_for_what_runs_and_what_waits_and_then_nobody_provides() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (gate, mut begins, serving) = gated(&server, "slow.work").await;
    let client = lan.system("client").await;
    let slow = client.service("slow").ready(PATIENCE).await.expect("a provider");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let call = client.call_json("slow.work", json!({})).on("server").timeout(PATIENCE);
            tokio::spawn(call.into_future())
        })
        .collect();
    for _ in 0..16 {
        within(begins.recv()).await.expect("begun");
    }
    eventually(async || server.stats().await.services["slow.work"].waiting == 4).await;
    let drain = tokio::spawn(async move { serving.drain(PATIENCE).await });
    // It is out of its group long before it has finished.
    eventually(async || slow.providers().is_empty()).await;
    assert_eq!(slow.call(Add { a: 1, b: 1 }).await, Err(CallError::NoProvider { target: "svc/slow".into() }));
    assert!(slow.ready(Duration::from_millis(20)).await.is_err());
    assert!(!drain.is_finished());
    gate.add_permits(20);
    for call in calls {
        assert_eq!(within(call).await.expect("no panic"), Ok(json!("done")));
    }
    assert!(within(drain).await.expect("no panic"), "clean");
    assert!(server.stats().await.services.is_empty());
    // What is named directly is told that it was not executed and may go elsewhere.
    let gone = client.call_json("slow.work", json!({})).on("server").await;
    assert!(matches!(gone, Err(CallError::Rejected { .. })), "{gone:?}");
}

#[tokio::test]
async fn what_still_runs_when_a_drain_times_out_is_aborted_and_its_caller_is_told() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (_gate, mut begins, serving) = gated(&server, "slow.work").await;
    let client = lan.system("client").await;
    client.service("slow").ready(PATIENCE).await.expect("a provider");
    let call = tokio::spawn(client.call_json("slow.work", json!({})).timeout(PATIENCE).into_future());
    let context = within(begins.recv()).await.expect("begun");
    assert!(!within(serving.drain(Duration::from_millis(100))).await, "not clean");
    assert!(context.is_cancelled());
    let told = within(call).await.expect("no panic");
    assert!(matches!(told, Err(CallError::Remote(RpcError { code: -32000, .. }))), "{told:?}");
    at_rest(&client).await;
}

#[tokio::test]
async fn a_system_that_stops_ends_its_open_calls_as_cancelled() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (_gate, mut begins, _serving) = gated(&server, "slow.work").await;
    let client = lan.system("client").await;
    client.service("slow").ready(PATIENCE).await.expect("a provider");
    let open = tokio::spawn(client.call_json("slow.work", json!({})).timeout(PATIENCE).into_future());
    let items = client.call_json("slow.work", json!({})).timeout(PATIENCE).stream().expect("sent");
    let contexts = [within(begins.recv()).await, within(begins.recv()).await];
    within(client.stop()).await;
    assert_eq!(within(open).await.expect("no panic"), Err(CallError::Cancelled));
    assert_eq!(within(items.finish()).await, Err(CallError::Cancelled));
    // The provider need not be told: the peer is gone.
    for context in contexts {
        within(context.expect("begun").cancelled()).await;
    }
    at_rest(&server).await;
}

#[tokio::test]
async fn a_system_that_has_stopped_says_so_whatever_is_asked_of_it() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let _serving = serve_add(&server, &Arc::default()).await;
    let client = lan.system("client").await;
    let calc = client.service("calc").ready(PATIENCE).await.expect("a provider");
    let topic: Topic<i64> = client.topic("numbers").expect("a name");
    let mut watch = calc.watch();
    let mut numbers = topic.subscribe().await.expect("subscribed");
    within(client.stop()).await;
    within(client.stop()).await;

    let not_sent = |outcome: Result<_, CallError<_>>| matches!(outcome, Err(CallError::NotSent { .. }));
    within(async {
        assert!(not_sent(calc.call(Add { a: 1, b: 1 }).await));
        assert!(not_sent(calc.on("server").call(Add { a: 1, b: 1 }).await));
        assert!(not_sent(calc.on(server.node().id()).call(Add { a: 1, b: 1 }).await));
        assert!(calc.batch([Add { a: 1, b: 1 }]).await.into_iter().all(not_sent));
        assert!(matches!(calc.tell(Add { a: 1, b: 1 }).await, Err(CallError::NotSent { .. })));
        assert!(calc.call_all(Add { a: 1, b: 1 }).next().await.is_none());
        assert!(client.call_json("calc.add", json!([1, 1])).await.is_err());
        assert!(client.call_json("calc.add", json!([1, 1])).stream().is_err());
        assert!(matches!(calc.ready(PATIENCE).await, Err(CallError::NoProvider { .. })));
        assert_eq!((calc.providers(), calc.workers().await), (vec![], vec![]));
        while watch.next().await.is_some() {}
        assert_eq!(calc.watch().next().await, None);
        assert!(client.events().recv().await.is_none());
        assert_eq!(client.stats().await.calls_open, 0);

        let served = client.handle(|message: Add, _| async move { add(&message) }).await;
        assert_eq!(served.err(), Some(ServeError::Stopped));
        assert_eq!(numbers.next().await, None);
        assert_eq!(topic.publish(&1).await, Err(TopicError::Stopped));
        assert!(topic.subscribe().await.is_err());
        assert_eq!(topic.wait_for_subscriber(PATIENCE).await, Err(TopicError::Stopped));
    })
    .await;
}

#[tokio::test]
async fn a_system_ends_with_its_last_handle_and_its_peers_see_it_go() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (_gate, mut begins, serving) = gated(&server, "slow.work").await;
    let server_id = server.node().id();
    let (plain, mut events) = lan.plain("plain").await;
    met(&plain, server_id).await;
    plain.whisper(server_id, r#"{"jsonrpc":"2.0","id":1,"method":"slow.work"}"#).await.expect("queued");
    let context = within(begins.recv()).await.expect("begun");
    let handle = server.service("slow");
    drop((server, serving));
    // One is left.
    plain.whisper(server_id, r#"{"jsonrpc":"2.0","id":2,"method":"rpc.ping"}"#).await.expect("queued");
    assert_eq!(heard(&mut events).await["id"], 2);
    drop(handle);
    // Also the handler that would have waited for ever.
    within(context.cancelled()).await;
    drop(context);
    exit_of(&mut events, server_id).await;
}

#[tokio::test]
async fn a_method_is_served_once_and_a_second_attempt_leaves_nothing() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let first =
        server.handle(|message: Add, _| async move { add(&message) }).pool("fast").await.expect("served");
    let second = server.method("calc.add", |_, _| async { Ok(0) }).pool("other").await;
    assert_eq!(second.err(), Some(ServeError::MethodTaken { method: "calc.add".into() }));
    let third = server.serve("sums", || Sums).method::<Total>().start().await;
    assert_eq!(third.err(), Some(ServeError::MethodTaken { method: "calc.add".into() }));
    let mut groups: Vec<_> = server.node().own_groups().iter().map(ToString::to_string).collect();
    groups.sort();
    assert_eq!(groups, ["pool/fast", "svc/calc"]);
    assert_eq!(server.call_json("calc.add", json!([20, 22])).await, Ok(json!(42)));
    // Another method of the same service is a service of its own: one may go and the other stays.
    let other = server.handle(|message: Div, _| async move { div(&message) }).await.expect("served");
    assert!(first.drain(PATIENCE).await);
    assert_eq!(server.service("calc").call(Div { a: 84, b: 2 }).await, Ok(42));
    assert!(server.pool("fast").providers().is_empty());
    assert!(other.drain(PATIENCE).await);
    assert!(server.node().own_groups().is_empty());
    let again = server.handle(|message: Add, _| async move { add(&message) }).await;
    assert!(again.is_ok(), "it is free again");
}

/// An actor that wants a name that is taken.
struct Sums;

impl Actor for Sums {
    type Context = ActorContext<Self>;
}

#[derive(serde::Serialize, serde::Deserialize, actix::Message, zyre_actors::RemoteMessage)]
#[rtype(result = "i64")]
#[remote("calc.add")]
struct Total {}

impl actix::Handler<Total> for Sums {
    type Result = i64;

    fn handle(&mut self, _: Total, _: &mut ActorContext<Self>) -> i64 {
        0
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_and_leaves_nothing() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let none = server.serve("empty", || Sums).start().await;
    assert_eq!(none.err(), Some(ServeError::NoMethod { service: "empty".into() }));
    for name in ["", "rpc.ping", "rpc.mine", &"m".repeat(201)] {
        let refused = server.method(name, |_, _| async { Ok(0) }).await;
        assert!(matches!(refused, Err(ServeError::InvalidMethod { .. })), "{name:?}: {refused:?}");
    }
    // The second group cannot be joined, so the first is left again.
    let long = server.method("fine.name", |_, _| async { Ok(0) }).pool(&"p".repeat(251)).await;
    assert!(matches!(long, Err(ServeError::Group(_))), "{long:?}");
    let long = server.serve(&"s".repeat(252), || Sums).method::<Total>().start().await;
    assert!(matches!(long, Err(ServeError::Group(_))), "{long:?}");
    assert!(server.node().own_groups().is_empty(), "{:?}", server.node().own_groups());
    assert!(server.stats().await.services.is_empty());
    let longest = format!("{}.x", "m".repeat(198));
    assert!(server.method(&longest, |_, _| async { Ok(0) }).await.is_ok());
    assert_eq!(server.call_json(&longest, json!({})).await, Ok(json!(0)));
    assert!(matches!(server.topic::<i64>(&"t".repeat(256)), Err(TopicError::InvalidName(_))));
}

#[tokio::test]
async fn a_system_runs_on_a_node_that_runs_already() {
    let lan = Lan::new();
    let running =
        Node::builder("old").network(lan.network()).header("X-ROLE", "camera").start().await.expect("a node");
    running.0.join("cameras").await.expect("joined");
    let system = ActorSystem::start(running).await.expect("a system");
    let _serving = serve_add(&system, &Arc::default()).await;
    let client = lan.system("client").await;
    let calc = client.service("calc").ready(PATIENCE).await.expect("a provider");
    assert_eq!(calc.call(Add { a: 1, b: 2 }).await, Ok(3));
    assert_eq!(client.node().peers_in("cameras"), [system.node().id()]);
    let back = client.node().peer(system.node().id()).expect("a peer");
    assert_eq!(back.headers.get("X-RPC-CODECS"), None, "its headers were set before");
    within(system.stop()).await;
    eventually(async || calc.providers().is_empty()).await;
}

#[tokio::test]
async fn a_provider_that_serves_more_later_is_asked_again_how_much_it_takes() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let _first = server.method("one.work", |_, _| async { Ok(1) }).concurrency(3).await.expect("served");
    let client = lan.system("client").await;
    let (one, two) = (client.service("one"), client.service("two"));
    let window = async |service: &zyre_actors::Service, of: u32| {
        eventually(async || service.workers().await.first().is_some_and(|worker| worker.window == of)).await;
    };
    window(&one, 6).await;
    let _second = server.method("two.work", |_, _| async { Ok(2) }).concurrency(5).await.expect("served");
    window(&two, 10).await;
    assert_eq!(counted(&client, "info_unreadable").await, 0);
}

#[tokio::test]
async fn a_timeout_may_be_as_long_as_can_be_said() {
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    let serving = serve_add(&server, &Arc::default()).await;
    let calc = client.service("calc").ready(Duration::MAX).await.expect("a provider");
    assert_eq!(within(calc.call(Add { a: 1, b: 2 }).timeout(Duration::MAX).into_future()).await, Ok(3));
    assert_eq!(calc.batch([Add { a: 1, b: 2 }]).timeout(Duration::MAX).await, [Ok(3)]);
    let mut all = calc.call_all(Add { a: 1, b: 2 }).timeout(Duration::MAX);
    assert_eq!(within(all.next()).await, Some((server.node().id(), Ok(3))));
    assert!(within(serving.drain(Duration::MAX)).await, "clean");
    within(server.stop_within(Duration::MAX)).await;
}

#[tokio::test]
async fn drains_at_the_same_time_all_wait_for_what_runs() {
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    let (gate, mut begins, serving) = gated(&server, "slow.work").await;
    client.service("slow").ready(PATIENCE).await.expect("a provider");
    let call = tokio::spawn(client.call_json("slow.work", json!({})).timeout(PATIENCE).into_future());
    let context = within(begins.recv()).await.expect("begun");
    let drains = [serving.clone(), serving.clone(), serving]
        .map(|serving| tokio::spawn(async move { serving.drain(PATIENCE).await }));
    // Time for each to have asked.
    for _ in 0..3 {
        server.call_json("rpc.ping", json!({})).on("client").await.expect("an answer");
    }
    assert!(!context.is_cancelled());
    gate.add_permits(1);
    assert_eq!(within(call).await.expect("no panic"), Ok(json!("done")));
    for drain in drains {
        assert!(within(drain).await.expect("no panic"), "clean");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_leaves_a_drain_time_for_its_requests() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (gate, mut begins, serving) = gated(&server, "slow.work").await;
    let mute = Node::builder("mute").header("X-RPC-CODECS", "json").network(lan.network());
    let (mute, _events) = mute.start().await.expect("a node");
    met(&mute, server.node().id()).await;
    met(server.node(), mute.id()).await;
    let client = lan.system("client").await;
    client.service("slow").ready(PATIENCE).await.expect("a provider");
    let call = tokio::spawn(client.call_json("slow.work", json!({})).timeout(PATIENCE).into_future());
    within(begins.recv()).await.expect("begun");
    let drain = tokio::spawn(async move { serving.drain(Duration::from_secs(1)).await });
    gate.add_permits(1);
    assert_eq!(within(call).await.expect("no panic"), Ok(json!("done")));
    assert!(within(drain).await.expect("no panic"), "clean");
}

#[tokio::test]
async fn a_service_that_comes_while_another_of_its_group_goes_keeps_the_group() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let sum = || server.handle(|message: Add, _| async move { add(&message) }).start();
    let quotient = || server.handle(|message: Div, _| async move { div(&message) }).start();
    let calc = GroupName::try_from("svc/calc").expect("a name");
    let (mut one, mut adds) = (sum().await.expect("served"), true);
    for _ in 0..20 {
        let (other, clean) = match adds {
            true => within(async { tokio::join!(quotient(), one.drain(PATIENCE)) }).await,
            false => within(async { tokio::join!(sum(), one.drain(PATIENCE)) }).await,
        };
        (one, adds) = (other.expect("served"), !adds);
        assert!(clean && server.node().own_groups().contains(&calc));
    }
    one.drain(PATIENCE).await;
    assert!(server.node().own_groups().is_empty());
}

#[tokio::test]
async fn an_actor_that_ends_at_once_leaves_no_service_behind() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    for _ in 0..50 {
        let broken = || -> Sums { panic!("as it was meant to") };
        let served = server.serve("total", broken).method::<Total>();
        let once = OneForOne::new().max(0, Duration::from_secs(1));
        // It may have been served for a moment.
        let served = within(served.restart(once).start()).await;
        assert!(matches!(served, Ok(_) | Err(ServeError::Ended)), "{served:?}");
        eventually(async || server.node().own_groups().is_empty()).await;
        eventually(async || server.stats().await.services.is_empty()).await;
    }
}

#[tokio::test]
async fn calls_that_were_sent_are_not_said_to_be_unsent_when_the_runtime_of_their_system_ends() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (_gate, mut begins, _serving) = gated(&server, "slow.work").await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let node = Node::builder("client").network(lan.network());
    let client = within(runtime.spawn(ActorSystem::start(node))).await.expect("no panic").expect("a system");
    client.service("slow").ready(PATIENCE).await.expect("a provider");
    let call = tokio::spawn(client.call_json("slow.work", json!({})).timeout(PATIENCE).into_future());
    within(begins.recv()).await.expect("begun");
    runtime.shutdown_background();
    assert_eq!(within(call).await.expect("no panic"), Err(CallError::Cancelled));
}

#[tokio::test]
async fn a_stream_ends_with_the_request_it_is_made_for() {
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    let (_gate, mut outer, _serving) = gated(&server, "outer.work").await;
    let (_gate, mut inner, _serving) = gated(&server, "inner.work").await;
    client.service("outer").ready(PATIENCE).await.expect("a provider");
    let call = tokio::spawn(client.call_json("outer.work", json!({})).timeout(PATIENCE).into_future());
    let request = within(outer.recv()).await.expect("begun");
    let stream = server.call_json("inner.work", json!({})).timeout(PATIENCE).within(&request).stream();
    let part = within(inner.recv()).await.expect("begun");
    call.abort();
    let mut stream = stream.expect("sent");
    assert_eq!(within(stream.next()).await, None);
    assert_eq!(within(stream.finish()).await, Err(CallError::Cancelled));
    within(part.cancelled()).await;
}

#[tokio::test]
async fn a_method_outlives_the_runtime_it_was_served_from() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let elsewhere = server.clone();
    let serve = async move { elsewhere.handle(|message: Add, _| async move { add(&message) }).await };
    let serve =
        move || tokio::runtime::Builder::new_current_thread().build().map(|short| short.block_on(serve));
    let served = tokio::task::spawn_blocking(serve).await.expect("no panic").expect("a runtime");
    served.expect("served");
    assert_eq!(server.service("calc").call(Add { a: 1, b: 2 }).await, Ok(3));
}
