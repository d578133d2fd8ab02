mod actors;
mod bench;

use super::HostEvent::{GaveUp, Paused, Resumed, Stopped};
use super::serve::Set;
use super::*;
use crate::{Codec, OneForAll, OneForOne, RestForOne, RpcError, code};
use actors::*;
use bench::{Bench, Pending, bounded};
use serde_json::json;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_handler_answers_in_the_codec_it_was_asked_in() {
    let mut counter = Bench::counter(1).await;
    for codec in [Codec::Json, Codec::MessagePack] {
        assert_eq!(counter.start_in(codec, &Divide { a: 6, b: 3 }).reply::<Divide>().await, Ok(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_handler_holds_nobody_up() {
    let mut counter = Bench::counter(1).await;
    let late = counter.start(&Gated);
    assert_eq!(counter.call(&Bump).await, Ok(1));
    counter.call(&Open).await.unwrap();
    assert_eq!(late.reply::<Gated>().await, Ok(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_handler_holds_the_others_up() {
    let mut counter = Bench::counter(1).await;
    let atomic = counter.start(&Atomic);
    let behind = counter.start(&Bump);
    assert_eq!(atomic.reply::<Atomic>().await, Ok(1));
    assert_eq!(behind.reply::<Bump>().await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handlers_own_error_travels_with_code_text_and_itself() {
    let mut counter = Bench::counter(1).await;
    let error = counter.call(&Divide { a: 1, b: 0 }).await.unwrap_err();
    let expected = RpcError::new(17, "1 divided by nothing").with_data(json!({ "dividend": 1 }));
    assert_eq!(error, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn params_that_do_not_fit_are_refused_in_the_words_of_serde() {
    let mut counter = Bench::counter(1).await;
    let error = counter.start_json(0, r#"{"a":1}"#).reply::<Divide>().await.unwrap_err();
    assert_eq!(error.code, code::INVALID_PARAMS);
    assert!(error.message.contains("missing field `b`"), "{error}");
    let error = counter.start_json(99, "null").reply::<Divide>().await.unwrap_err();
    assert_eq!(error.code, code::METHOD_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_told_who_calls() {
    let mut counter = Bench::counter(1).await;
    assert_eq!(counter.call(&WhoCalls).await, Ok("tester calls test.who_calls".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_its_own_request_and_the_actors_state_and_nothing_of_its_neighbour() {
    let host = Host::start(1).unwrap();
    let mut counter = Bench::of(all(host.handle().serve("counter", Counter::new))).await;
    let mut neighbour = Bench::of(all(host.handle().serve("neighbour", Counter::new))).await;
    assert_eq!(neighbour.call(&Bump).await, Ok(1));
    // All three are in the queue before the first answer can be.
    let before = counter.start(&Bump);
    let fatal = counter.start(&Crash);
    let behind = counter.start(&Bump);
    assert_eq!(before.reply::<Bump>().await, Ok(1));
    assert_eq!(fatal.code::<Crash>().await, code::ACTOR_GONE);
    assert_eq!(behind.reply::<Bump>().await, Ok(1), "the next instance begins anew");
    assert_eq!(counter.event().await, Resumed);
    assert_eq!(neighbour.call(&Bump).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_what_the_actor_itself_still_worked_on() {
    let mut counter = Bench::counter(1).await;
    let endless = counter.start(&Endless);
    assert_eq!(counter.start(&Crash).code::<Crash>().await, code::ACTOR_GONE);
    assert_eq!(endless.code::<Endless>().await, code::ACTOR_GONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_panics_costs_its_own_request_only() {
    let mut counter = Bench::counter(1).await;
    counter.call(&Bump).await.unwrap();
    assert_eq!(counter.start(&CrashLater).code::<CrashLater>().await, code::ACTOR_GONE);
    assert_eq!(counter.call(&Bump).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_have_delays_and_a_limit() {
    let host = Host::start(1).unwrap();
    let strategy = OneForOne::new()
        .max(2, Duration::from_secs(60))
        .backoff(Duration::from_millis(2), Duration::from_secs(60));
    let mut counter = Bench::of(all(host.handle().serve("counter", Counter::new).restart(strategy))).await;
    counter.start(&Crash).code::<Crash>().await;
    assert_eq!(counter.event().await, Resumed);
    counter.start(&Crash).code::<Crash>().await;
    assert!(matches!(counter.event().await, Paused { .. }));
    // Waits for the instance to come.
    assert_eq!(counter.call(&Bump).await, Ok(1));
    assert_eq!(counter.event().await, Resumed);

    counter.start(&Crash).code::<Crash>().await;
    assert_eq!(counter.event().await, GaveUp);
    assert_eq!(counter.start(&Bump).code::<Bump>().await, code::RESTARTING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_that_panics_is_given_up_in_the_end() {
    let host = Host::start(1).unwrap();
    let strategy = OneForOne::new()
        .max(3, Duration::from_secs(60))
        .backoff(Duration::from_micros(1), Duration::from_micros(2));
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let broken = move || -> Counter {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("no database")
    };
    let mut broken = Bench::starting(host.handle().serve("broken", broken).restart(strategy));
    while broken.event().await != GaveUp {}
    assert_eq!(tries.load(Ordering::SeqCst), 4);
}

/// Three counters of a set, each at 1.
async fn three_at_work(set: &Set) -> [Bench; 3] {
    let mut counters = [
        Bench::of(all(set.serve("a", Counter::new))).await,
        Bench::of(all(set.serve("b", Counter::new))).await,
        Bench::of(all(set.serve("c", Counter::new))).await,
    ];
    for counter in &mut counters {
        assert_eq!(counter.call(&Bump).await, Ok(1));
    }
    counters
}

#[tokio::test(flavor = "multi_thread")]
async fn one_for_all_gives_every_actor_a_new_state() {
    let host = Host::start(2).unwrap();
    let set = host.handle().supervise(OneForAll::new());
    let mut all = three_at_work(&set).await;
    all[1].start(&Crash).code::<Crash>().await;
    for counter in &mut all {
        assert_eq!(counter.event().await, Resumed);
        assert_eq!(counter.call(&Bump).await, Ok(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_for_one_leaves_the_state_of_earlier_actors() {
    let host = Host::start(2).unwrap();
    let set = host.handle().supervise(RestForOne::new());
    let mut all = three_at_work(&set).await;
    all[1].start(&Crash).code::<Crash>().await;
    for (counter, expected) in all.iter_mut().zip([2, 1, 1]) {
        if expected == 1 {
            assert_eq!(counter.event().await, Resumed);
        }
        assert_eq!(counter.call(&Bump).await, Ok(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_stops_itself_answers_first_and_stays_down() {
    let mut counter = Bench::counter(1).await;
    let last = counter.start(&Quit);
    let behind = counter.start(&Bump);
    assert_eq!(last.reply::<Quit>().await, Ok(()));
    assert_eq!(behind.code::<Bump>().await, code::RESTARTING);
    assert_eq!(counter.event().await, Stopped);
    assert_eq!(counter.start(&Bump).code::<Bump>().await, code::RESTARTING);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_stops_itself_comes_back_where_that_is_wanted() {
    let host = Host::start(1).unwrap();
    let strategy = OneForOne::new().always();
    let mut counter = Bench::of(all(host.handle().serve("counter", Counter::new).restart(strategy))).await;
    counter.call(&Bump).await.unwrap();
    counter.call(&Quit).await.unwrap();
    assert_eq!(counter.call(&Bump).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_cancelled_while_it_waited_is_not_handled() {
    let host = Host::start(1).unwrap();
    let (latch, key) = latch();
    let mut counter =
        Bench::of(all(host.handle().serve("counter", move || Counter::with_latch(latch.clone())))).await;
    let busy = counter.start(&Block);
    key.entered();
    let cancelled = counter.start(&Bump);
    cancelled.cancel();
    key.release();
    assert_eq!(busy.reply::<Block>().await, Ok(()));
    assert_eq!(cancelled.code::<Bump>().await, code::CANCELLED);
    assert_eq!(counter.call(&Bump).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_says_when_to_try_again() {
    let host = Host::start(1).unwrap();
    let (latch, key) = latch();
    let counter =
        host.handle().serve("counter", move || Counter::with_latch(latch.clone())).concurrency(2).queue(1);
    let mut counter = Bench::of(all(counter)).await;
    let busy = counter.start(&Block);
    key.entered();
    let waiting: Vec<Pending> = (0..10).map(|_| counter.start(&Bump)).collect();
    key.release();
    assert_eq!(busy.reply::<Block>().await, Ok(()));
    let mut refused = 0;
    for waiting in waiting {
        if let Err(error) = waiting.reply::<Bump>().await {
            assert_eq!(error.code, code::OVERLOADED);
            assert_eq!(error.retry_after(), Some(crate::server::RETRY_AFTER));
            refused += 1;
        }
    }
    assert_eq!(refused, 7, "three places");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_dropped_stops_its_actor_even_if_that_refuses() {
    for refuses in [false, true] {
        let host = Host::start(1).unwrap();
        let (diary, mut read) = watch::channel(Vec::new());
        let writer = move || Writer { diary: diary.clone(), refuses };
        drop(Bench::of(host.handle().serve("writer", writer)).await);
        let diary = bounded(read.wait_for(|diary| diary.contains(&"dropped"))).await.unwrap();
        assert_eq!(diary.first(), Some(&"started"));
        assert_eq!(diary.contains(&"stopped"), !refuses);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_are_spread_over_the_arbiters() {
    let host = Host::start(2).unwrap();
    let mut threads = Vec::new();
    for name in ["a", "b", "c"] {
        threads
            .push(Bench::of(all(host.handle().serve(name, Counter::new))).await.call(&Thread).await.unwrap());
    }
    assert_ne!(threads[0], threads[1]);
    assert_eq!(threads[0], threads[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_serves_nothing_is_reached_by_its_address() {
    let host = Host::start(1).unwrap();
    let addr = host.handle().spawn(Counter::new);
    assert_eq!(bounded(addr.send(Bump)).await, Ok(1));
    assert_eq!(bounded(addr.send(Bump)).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_ends_its_actors_and_refuses_what_comes_later() {
    let host = Host::start(2).unwrap();
    let handle = host.handle().clone();
    let mut counter = Bench::of(all(handle.serve("counter", Counter::new))).await;
    let endless = counter.start(&Endless);
    counter.call(&Bump).await.unwrap();
    bounded(host.stop()).await.unwrap();
    assert_eq!(endless.code::<Endless>().await, code::ACTOR_GONE);
    assert_eq!(counter.start(&Bump).code::<Bump>().await, code::RESTARTING);
    assert_eq!(Bench::starting(handle.serve("late", Counter::new)).event().await, GaveUp);
}

#[tokio::test]
async fn a_handler_that_blocks_does_not_keep_a_host_from_stopping_for_ever() {
    let host = Host::start(1).unwrap();
    let (latch, key) = latch();
    let mut counter =
        Bench::of(all(host.handle().serve("counter", move || Counter::with_latch(latch.clone())))).await;
    let busy = counter.start(&Block);
    key.entered();
    tokio::time::pause();
    assert_eq!(host.stop().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    tokio::time::resume();
    key.release();
    assert_eq!(busy.reply::<Block>().await, Ok(()), "it ends as it was begun");
}
