//! What handlers see and what happens to them: caller, deadline, cancellation, panic, overload.

use crate::common::{Add, CalcError, Lan, PATIENCE, add, eventually, within};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use zyre_actors::{ActorSystem, CallError, Context, Params, RpcError, code};

/// Tells when it is dropped: how a test sees that a handler was stopped.
struct Gone(Option<oneshot::Sender<()>>);

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(gone) = self.0.take() {
            _ = gone.send(());
        }
    }
}

/// A method that never ends, and the news that one call of it has begun or was dropped.
async fn endless(
    system: &ActorSystem,
    method: &str,
) -> (mpsc::UnboundedReceiver<Context>, mpsc::UnboundedReceiver<()>) {
    let (begun, begins) = mpsc::unbounded_channel();
    let (gone, ends) = mpsc::unbounded_channel();
    system
        .method(method, move |_: Params, context: Context| {
            let (begun, gone) = (begun.clone(), gone.clone());
            async move {
                let (dropped, is_dropped) = oneshot::channel();
                let _guard = Gone(Some(dropped));
                tokio::spawn(async move {
                    _ = is_dropped.await;
                    _ = gone.send(());
                });
                _ = begun.send(context);
                std::future::pending::<()>().await;
                Ok(())
            }
        })
        .await
        .expect("served");
    (begins, ends)
}

#[tokio::test]
async fn a_handler_knows_who_calls_and_how_long_it_has() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    server
        .method("who.am_i", |_: Params, context: Context| async move {
            let again = Context::current().expect("inside a request");
            Ok(json!({
                "name": context.name(),
                "id": context.peer().to_string(),
                "codecs": context.headers().get("X-RPC-CODECS"),
                "method": again.method(),
                "left": context.remaining().map(|left| left.as_millis() as u64),
            }))
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("who").ready(PATIENCE).await.expect("a provider");
    let me =
        client.call_json("who.am_i", json!({})).timeout(Duration::from_secs(2)).await.expect("an answer");
    assert_eq!((&me["name"], &me["method"]), (&json!("client"), &json!("who.am_i")));
    assert_eq!(me["id"], json!(client.node().id().to_string()));
    assert_eq!(me["codecs"], json!("json,msgpack"));
    let left = me["left"].as_u64().expect("a deadline");
    assert!((1000..=2000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_at_its_provider() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let (mut begins, mut ends) = endless(&server, "slow.work").await;
    let client = lan.system("client").await;
    client.service("slow").ready(PATIENCE).await.expect("a provider");
    let call = tokio::spawn(client.call_json("slow.work", json!({})).timeout(PATIENCE * 2).into_future());
    let context = within(begins.recv()).await.expect("begun");
    assert!(!context.is_cancelled());
    call.abort();
    within(ends.recv()).await.expect("the handler was dropped");
    assert!(context.is_cancelled());
    eventually(async || server.stats().await.services["slow.work"].running == 0).await;
    assert_eq!(client.stats().await.calls_open, 0);
}

#[tokio::test]
async fn a_deadline_travels_over_two_hops_and_then_nobody_works_any_more() {
    let lan = Lan::new();
    let (front, back) = (lan.system("front").await, lan.system("back").await);
    let (mut begins, mut ends) = endless(&back, "back.work").await;
    let inner = front.clone();
    front
        .method("front.work", move |_: Params, _: Context| {
            let inner = inner.clone();
            async move { Ok(inner.call_json("back.work", json!({})).timeout(Duration::from_secs(60)).await?) }
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("front").ready(PATIENCE).await.expect("front");
    front.service("back").ready(PATIENCE).await.expect("back");
    let deadline = Duration::from_millis(100);
    let call = client.call_json("front.work", json!({})).timeout(deadline);
    let (outcome, context) = within(async { tokio::join!(call.into_future(), begins.recv()) }).await;
    assert_eq!(outcome, Err(CallError::TimedOut { maybe_executed: true }));
    let context = context.expect("the second hop began");
    assert!(context.deadline().is_some(), "a deadline was told");
    within(ends.recv()).await.expect("the second handler was dropped");
    for (system, method) in [(&front, "front.work"), (&back, "back.work")] {
        eventually(async || system.stats().await.services[method].running == 0).await;
    }
    // The handlers hold the systems they call through.
    front.stop().await;
}

#[tokio::test]
async fn the_second_server_sees_no_more_than_what_the_first_had_left() {
    let lan = Lan::new();
    let (front, back) = (lan.system("front").await, lan.system("back").await);
    back.method("back.left", |_: Params, context: Context| async move {
        Ok(context.remaining().map(|left| left.as_millis() as u64))
    })
    .await
    .expect("served");
    let inner = front.clone();
    front
        .method("front.left", move |_: Params, context: Context| {
            let inner = inner.clone();
            async move {
                let here = context.remaining().map(|left| left.as_millis() as u64);
                tokio::time::sleep(Duration::from_millis(30)).await;
                let there = inner.call_json("back.left", json!({})).await;
                Ok(json!([here, there?]))
            }
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("front").ready(PATIENCE).await.expect("front");
    front.service("back").ready(PATIENCE).await.expect("back");
    let left =
        client.call_json("front.left", json!({})).timeout(Duration::from_secs(3)).await.expect("an answer");
    let [here, there] = [&left[0], &left[1]].map(|left| left.as_u64().expect("a deadline"));
    assert!(here <= 3000 && there + 30 <= here + 1, "{here} {there}");
    front.stop().await;
}

#[tokio::test]
async fn what_fails_further_on_is_not_taken_for_what_failed_here() {
    let lan = Lan::new();
    let front = lan.system("front").await;
    let inner = front.clone();
    front
        .method("front.work", move |params: Params, _: Context| {
            let inner = inner.clone();
            async move {
                let (method,): (String,) = params.parse()?;
                Ok(inner.call_json(&method, json!({})).await?)
            }
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("front").ready(PATIENCE).await.expect("front");
    // Neither "no such method" nor "not executed" would be true of the method that was called.
    for (method, text) in [("front.nothing", "(code -32601)"), ("nobody.there", "nobody serves svc/nobody")] {
        match client.call_json("front.work", json!([method])).await {
            Err(CallError::Remote(error)) => {
                assert_eq!(error.code, code::INTERNAL_ERROR);
                assert!(error.message.contains(text), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    front.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_own_request_only() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    server
        .method("fragile.work", |params: Params, _: Context| async move {
            let (fail,): (bool,) = params.parse()?;
            assert!(!fail, "as the caller wished");
            Ok("fine")
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("fragile").ready(PATIENCE).await.expect("a provider");
    match client.call_json("fragile.work", json!([true])).await {
        Err(CallError::Remote(error)) => assert_eq!(error.code, code::ACTOR_GONE),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.call_json("fragile.work", json!([false])).await, Ok(json!("fine")));
}

#[tokio::test]
async fn more_than_fits_is_refused_and_the_caller_is_told_when_to_come_back() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let gate = Arc::new(Semaphore::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let running = Arc::new(AtomicUsize::new(0));
    server
        .method("narrow.work", {
            let (gate, most, running) = (gate.clone(), most.clone(), running.clone());
            move |_: Params, _: Context| {
                let (gate, most, running) = (gate.clone(), most.clone(), running.clone());
                async move {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    gate.acquire().await.map_err(|_| RpcError::new(1, "closed"))?.forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                }
            }
        })
        .concurrency(2)
        .queue(3)
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("narrow").ready(PATIENCE).await.expect("a provider");
    let peer = server.node().id();
    // By peer, so that no credit window stands before the provider's own limits.
    let calls: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn(client.call_json("narrow.work", json!({})).on(peer).timeout(PATIENCE).into_future())
        })
        .collect();
    eventually(async || server.stats().await.services["narrow.work"].refused >= 1).await;
    gate.add_permits(100);
    let mut done = 0;
    for call in calls {
        match within(call).await.expect("no panic") {
            Ok(_) => done += 1,
            Err(CallError::Rejected { retry_after }) => assert!(retry_after.is_some()),
            other => panic!("{other:?}"),
        }
    }
    assert!(done >= 5, "{done} of 6");
    assert_eq!(most.load(Ordering::SeqCst), 2, "no more than the concurrency at once");
}

#[tokio::test]
async fn an_error_of_the_application_keeps_its_code_message_and_data() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    server.handle(|message: Add, _| async move { add(&message) }).await.expect("served");
    let client = lan.system("client").await;
    client.service("calc").ready(PATIENCE).await.expect("a provider");
    let error: Value = match client.call_json("calc.add", json!([i64::MAX, 1])).await {
        Err(CallError::Remote(error)) => json!(error),
        other => panic!("{other:?}"),
    };
    assert_eq!(error, json!({"code": 1, "message": "overflow", "data": "Overflow"}));
    let typed = client.service("calc").call(Add { a: i64::MAX, b: 1 }).await;
    assert_eq!(typed, Err(CallError::Application(CalcError::Overflow)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handlers_that_compute_run_side_by_side() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let both = Arc::new(std::sync::Barrier::new(2));
    server
        .method("heavy.work", move |params: Params, _: Context| {
            let both = both.clone();
            async move {
                let (alone,): (bool,) = params.parse()?;
                if alone {
                    // Computes for a while, as the first of its kind: only then is it known.
                    let begun_at = std::time::Instant::now();
                    while begun_at.elapsed() < Duration::from_millis(2) {}
                } else {
                    both.wait();
                }
                Ok(())
            }
        })
        .await
        .expect("served");
    let client = lan.system("client").await;
    client.service("heavy").ready(PATIENCE).await.expect("a provider");
    client.call_json("heavy.work", json!([true])).await.expect("done");
    // Each waits, holding its thread, until the other is there.
    let pair =
        [(), ()].map(|()| client.call_json("heavy.work", json!([false])).timeout(PATIENCE).into_future());
    for done in within(futures_util::future::join_all(pair)).await {
        assert_eq!(done, Ok(json!(null)));
    }
}
