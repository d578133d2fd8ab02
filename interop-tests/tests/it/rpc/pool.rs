//! A pool of Rust and pyre workers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use zyre_actors::{CallError, Service};
use zyre_examples::calc::{Add, CalcError};
use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Process, Spec};
use zyre_rs::PeerId;

use super::{example, python_actor, with_system};
use crate::common::{DELIVERED, DISCOVERED, figure};

type Answers = JoinSet<Result<(PeerId, i64), CallError<CalcError>>>;

/// Makes calls of an idempotent method, all at once.
fn calls(pool: &Service, count: i64) -> Answers {
    (0..count).map(|n| pool.call(Add { a: n, b: 1 }).timeout(Duration::from_secs(20)).answered_by()).collect()
}

/// How many answers each worker gave.
async fn answered(mut calls: Answers) -> BTreeMap<PeerId, usize> {
    let mut by = BTreeMap::new();
    while let Some(answer) = calls.join_next().await {
        let (worker, _) = answer.expect("no panic").expect("every call has its result");
        *by.entry(worker).or_default() += 1;
    }
    by
}

#[test]
fn in_a_mixed_pool_everyone_works_and_what_a_dead_pyre_worker_had_is_done_by_the_others() {
    let lan = or_return!(Lan::new(3));
    let _ours = [
        or_return!(Spec::actors("r1").group("calc").spawn(lan.host(0))),
        or_return!(Spec::actors("r2").group("calc").spawn(lan.host(1))),
    ];
    let mut pyre = [or_return!(python_actor(lan.host(0), &[])), or_return!(python_actor(lan.host(1), &[]))];
    with_system(lan.host(2), async |system| {
        let pool = system.pool("calc").ready_with(4, DISCOVERED).await.expect("all workers");
        let shares = answered(calls(&pool, 1000)).await;
        figure(&format!("1000 calls over two Rust and two pyre workers: {:?}", shares.values()));
        assert_eq!((shares.len(), shares.values().sum::<usize>()), (4, 1000), "{shares:?}");

        // A worker that is frozen holds what it was given, until it is dead.
        pyre[0].pause();
        let calls = calls(&pool, 1000);
        let held = frozen(&pool).await;
        pyre[0].kill();
        let shares = answered(calls).await;
        let retried = system.stats().await.counters.get("calls_retried").copied();
        figure(&format!(
            "1000 calls, a pyre worker killed with {held} of them: {:?}, {retried:?} sent again",
            shares.values()
        ));
        assert_eq!((shares.len(), shares.values().sum::<usize>()), (3, 1000), "{shares:?}");
    });
}

/// Waits until nothing moves but what a frozen worker has; how much that is.
async fn frozen(pool: &Service) -> u32 {
    let held = async {
        loop {
            let busy: Vec<u32> = pool.workers().await.iter().map(|worker| worker.in_flight).collect();
            if let [held] = *busy.iter().copied().filter(|&calls| calls > 0).collect::<Vec<_>>() {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DELIVERED, held).await.expect("the others finish")
}

#[test]
fn the_pool_example_loses_no_call_when_a_worker_is_stopped() {
    let lan = or_return!(Lan::new(3));
    let mut leaver = or_return!(example("calc_server", lan.host(0), &[]));
    let _python = or_return!(python_actor(lan.host(1), &[]));
    let mut pool: Process = or_return!(example("pool", lan.host(2), &["--workers", "2", "--count", "600"]));
    for _ in 0..2 {
        pool.wait_line(" works", DISCOVERED);
    }
    // In the middle of the three seconds that the calls take.
    std::thread::sleep(Duration::from_secs(1));
    leaver.interrupt();
    assert!(leaver.wait_end(DISCOVERED).success());
    assert!(pool.wait_end(DISCOVERED).success());
    let lines = pool.events().iter().filter(|event| event.line().contains("has answered")).count();
    assert_eq!(lines, 2);
}
