//! How calls are spread over workers, and what becomes of them when workers are slow, full, foreign or gone.

use crate::common::{Lan, PATIENCE, address, at_rest, counted, eventually, heard, met, within};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zyre_actors::{
    ActorSystem, CallError, ConsistentHash, Down, Policy, Provider, RemoteMessage, RoundRobin, Service,
    Sticky, Up, code,
};
use zyre_rs::{Event, Events, ExitReason, Node, PeerId};

/// Asks a worker for its name.
#[derive(Clone, Debug, Serialize, Deserialize, RemoteMessage)]
#[remote("who.works", result = "String")]
struct Who {}

/// The same, and asking twice does no harm.
#[derive(Clone, Debug, Serialize, Deserialize, RemoteMessage)]
#[remote("who.is_there", idempotent, result = "String")]
struct Harmless {}

/// A worker that takes so long, and how often it has worked.
struct Worker {
    system: ActorSystem,
    ran: Arc<AtomicUsize>,
}

impl Worker {
    async fn start(lan: &Lan, name: &'static str, takes: Duration) -> Self {
        let system = lan.system(name).await;
        let ran = Arc::new(AtomicUsize::new(0));
        let work = {
            let ran = ran.clone();
            move || {
                let ran = ran.clone();
                async move {
                    ran.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(takes).await;
                    name.to_owned()
                }
            }
        };
        let twice = work.clone();
        system.handle(move |_: Who, _| work()).pool("crew").await.expect("served");
        system.handle(move |_: Harmless, _| twice()).pool("crew").await.expect("served");
        Self { system, ran }
    }

    /// `a`, `b` and `c`.
    async fn three(lan: &Lan, takes: Duration) -> [Self; 3] {
        [
            Self::start(lan, "a", takes).await,
            Self::start(lan, "b", takes).await,
            Self::start(lan, "c", takes).await,
        ]
    }

    fn id(&self) -> PeerId {
        self.system.node().id()
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

async fn crew(client: &ActorSystem, workers: usize) -> Service {
    client.pool("crew").ready_with(workers, PATIENCE).await.expect("all workers")
}

/// How often each worker has answered.
async fn tally(
    calls: impl IntoIterator<Item = impl Future<Output = Result<String, CallError>>>,
) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for call in calls {
        *tally.entry(within(call).await.expect("an answer")).or_default() += 1;
    }
    tally
}

const NO_TIME: Duration = Duration::ZERO;

#[tokio::test]
async fn round_robin_gives_every_worker_the_same_number_of_calls() {
    let lan = Lan::new();
    let workers = Worker::three(&lan, NO_TIME).await;
    let client = lan.system("client").await;
    let crew = crew(&client, 3).await.policy(RoundRobin::default());
    let tally = tally((0..300).map(|_| crew.call(Who {}).into_future())).await;
    assert_eq!(tally.values().copied().collect::<Vec<_>>(), [100; 3], "{tally:?}");
    assert!(workers.iter().all(|worker| worker.ran() == 100));
}

#[tokio::test]
async fn a_sticky_key_stays_with_its_worker_and_moves_when_that_leaves() {
    let lan = Lan::new();
    let workers = Worker::three(&lan, NO_TIME).await;
    let client = lan.system("client").await;
    let crew = crew(&client, 3).await.policy(Sticky::default());
    let home = within(crew.call(Who {}).key("session").into_future()).await.expect("an answer");
    let calls = (0..50).map(|_| crew.call(Who {}).key("session").into_future());
    assert_eq!(tally(calls).await, BTreeMap::from([(home.clone(), 50)]));
    for worker in &workers {
        if worker.system.node().name() == home {
            worker.system.stop().await;
        }
    }
    eventually(async || crew.providers().len() == 2).await;
    let calls = (0..50).map(|_| crew.call(Who {}).key("session").into_future());
    let moved = tally(calls).await;
    assert!(moved.len() == 1 && !moved.contains_key(&home), "{moved:?}");
}

#[tokio::test]
async fn a_hashed_key_has_one_worker_for_all_callers_and_only_a_lost_workers_keys_move() {
    const KEYS: u32 = 64;
    let lan = Lan::new();
    let workers = Worker::three(&lan, NO_TIME).await;
    let clients = [lan.system("one").await, lan.system("two").await];
    let places = async |client: &ActorSystem, workers| {
        let crew = crew(client, workers).await.policy(ConsistentHash);
        let mut places = Vec::new();
        for key in 0..KEYS {
            places.push(within(crew.call(Who {}).key(&key).into_future()).await.expect("an answer"));
        }
        places
    };
    let before = places(&clients[0], 3).await;
    assert_eq!(before, places(&clients[1], 3).await);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 3, "{before:?}");
    workers[2].system.stop().await;
    eventually(async || clients[0].pool("crew").providers().len() == 2).await;
    let after = places(&clients[0], 2).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || (before == "c" && after != "c"), "{before} {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn least_cost_leaves_a_slow_worker_alone() {
    let lan = Lan::new();
    let fast = Worker::three(&lan, Duration::from_millis(10)).await;
    let slow = Worker::start(&lan, "slow", Duration::from_millis(200)).await;
    let client = lan.system("client").await;
    let crew = crew(&client, 4).await;
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let crew = crew.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    crew.call(Who {}).await.expect("an answer");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no call failed");
    }
    assert_eq!(fast.iter().map(Worker::ran).sum::<usize>() + slow.ran(), 600);
    assert!(slow.ran() <= 12, "{}", slow.ran());
    assert!(fast.iter().all(|worker| worker.ran() > 100));
}

/// Two workers that take ten seconds, with a call of each kind at both.
async fn four_calls(
    lan: &Lan,
    client: &ActorSystem,
) -> ([Worker; 2], [Vec<JoinHandle<Result<String, CallError>>>; 2]) {
    let takes = Duration::from_secs(10);
    let workers = [Worker::start(lan, "a", takes).await, Worker::start(lan, "b", takes).await];
    let crew = crew(client, 2).await.policy(RoundRobin::default());
    let timeout = Duration::from_secs(120);
    let once = (0..2).map(|_| tokio::spawn(crew.call(Who {}).timeout(timeout).into_future())).collect();
    eventually(async || workers.iter().all(|worker| worker.ran() == 1)).await;
    let twice = (0..2).map(|_| tokio::spawn(crew.call(Harmless {}).timeout(timeout).into_future())).collect();
    eventually(async || workers.iter().all(|worker| worker.ran() == 2)).await;
    (workers, [once, twice])
}

/// After one of two workers was lost: a call that may run twice is answered by the other, one that may not fails.
async fn one_was_lost(workers: &[Worker; 2], calls: [Vec<JoinHandle<Result<String, CallError>>>; 2]) {
    let [once, twice] = calls;
    let mut outcomes = Vec::new();
    for call in once {
        outcomes.push(call.await.expect("no panic"));
    }
    outcomes.sort_by_key(Result::is_err);
    let lost = CallError::PeerLost { peer: workers[0].id(), maybe_executed: true };
    assert_eq!(outcomes, [Ok("b".to_owned()), Err(lost)]);
    for call in twice {
        assert_eq!(call.await.expect("no panic"), Ok("b".to_owned()));
    }
    assert_eq!(workers[1].ran(), 3, "the one that was retried ran here too");
}

#[tokio::test(start_paused = true)]
async fn what_a_vanished_worker_had_is_retried_elsewhere_if_it_may_run_twice_and_fails_as_lost_if_not() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let (workers, calls) = four_calls(&lan, &client).await;
    // Not even a goodbye: the answers never come, and after 30 s it counts as gone.
    lan.network().partition(address(client.node()), address(workers[0].system.node()));
    one_was_lost(&workers, calls).await;
    let stats = client.stats().await;
    let count = |name| stats.counters.get(name).copied().unwrap_or(0);
    assert_eq!((count("calls_lost_with_peer"), count("calls_retried"), stats.calls_open), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_had_that_was_dropped_is_known_to_be_lost_at_once() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let (mut workers, calls) = four_calls(&lan, &client).await;
    let began = tokio::time::Instant::now();
    let spare = lan.system("spare").await;
    // Its last handle.
    let id = workers[0].id();
    let dropped = std::mem::replace(&mut workers[0].system, spare);
    drop(dropped);
    let [once, twice] = calls;
    let lost = CallError::PeerLost { peer: id, maybe_executed: true };
    let mut failed = 0;
    for call in once {
        match call.await.expect("no panic") {
            Ok(by) => assert_eq!(by, "b"),
            Err(error) => {
                assert_eq!(error, lost);
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 1);
    for call in twice {
        assert_eq!(call.await.expect("no panic"), Ok("b".to_owned()));
    }
    // The last answer is that of the retry, which took its ten seconds from the loss on.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    at_rest(&client).await;
}

#[tokio::test(start_paused = true)]
async fn when_connections_break_every_call_ends_and_none_runs_twice_unasked() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let worker = Worker::start(&lan, "a", Duration::from_millis(20)).await;
    let crew = crew(&client, 1).await;
    let (mut answered, mut lost, mut unsent) = (0, 0, 0);
    for round in 0..20 {
        let calls: Vec<_> =
            (0..10).map(|_| tokio::spawn(crew.call(Who {}).timeout(PATIENCE).into_future())).collect();
        tokio::time::sleep(Duration::from_millis(round * 2)).await;
        lan.network().reset(address(client.node()), address(worker.system.node()));
        for call in calls {
            match call.await.expect("no panic") {
                Ok(_) => answered += 1,
                Err(CallError::PeerLost { peer, maybe_executed: true }) if peer == worker.id() => lost += 1,
                // While the link is made anew.
                Err(CallError::NotSent { .. } | CallError::NoProvider { .. }) => unsent += 1,
                other => panic!("{other:?}"),
            }
        }
        crew.ready(PATIENCE).await.expect("it comes back");
    }
    assert_eq!(answered + lost + unsent, 200);
    assert!((answered..=answered + lost).contains(&worker.ran()), "{} ran", worker.ran());
    assert!(lost > 0, "nothing was under way");
    at_rest(&client).await;
}

/// A program that knows no more than to whisper JSON back, as a few lines of pyre do.
async fn plain_worker(
    lan: &Lan,
    name: &'static str,
    answer: impl Fn(&Value) -> Value + Send + 'static,
) -> (Node, JoinHandle<Events>) {
    let (node, mut events) = lan.plain(name).await;
    node.join("pool/crew").await.expect("joined");
    let worker = node.clone();
    let works = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let Event::Whisper { peer, message, .. } = event else { continue };
            let request: Value = serde_json::from_slice(&message[0]).expect("JSON in frame 0");
            if request.get("id").is_some() {
                let mut reply = answer(&request);
                reply["jsonrpc"] = json!("2.0");
                reply["id"] = request["id"].clone();
                worker.whisper(peer, reply.to_string()).await.expect("queued");
            }
        }
        events
    });
    (node, works)
}

#[tokio::test]
async fn a_plain_worker_that_answers_json_is_a_full_member_of_a_pool() {
    let lan = Lan::new();
    let native = [Worker::start(&lan, "native", NO_TIME).await, Worker::start(&lan, "other", NO_TIME).await];
    let (_plain, _works) = plain_worker(&lan, "plain", |request| {
        assert!(request["params"]["_meta"]["deadline_ms"].as_u64().is_some(), "{request}");
        match request["method"].as_str() {
            Some("who.works" | "who.is_there") => json!({"result": "plain"}),
            _ => json!({"error": {"code": -32601, "message": "unknown"}}),
        }
    })
    .await;
    let client = lan.system("client").await;
    let crew = crew(&client, 3).await.policy(RoundRobin::default());
    let tally = tally((0..90).map(|_| crew.call(Who {}).into_future())).await;
    let expected = ["native", "other", "plain"].map(|name| (name.to_owned(), 30));
    assert_eq!(tally, BTreeMap::from(expected));
    // Arrays are for those who announce that they know them.
    let results = crew.batch((0..30).map(|_| Harmless {})).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(results.contains(&Ok("plain".to_owned())));
    assert!(native.iter().all(|worker| worker.ran() >= 30));
}

#[tokio::test]
async fn a_call_that_was_refused_goes_to_another_worker_at_once() {
    let lan = Lan::new();
    let refusals = Arc::new(AtomicUsize::new(0));
    let counted_refusals = refusals.clone();
    let (_full, _works) = plain_worker(&lan, "full", move |_| {
        counted_refusals.fetch_add(1, Ordering::SeqCst);
        let data = json!({"queue": 0, "retry_after_ms": 1});
        json!({"error": {"code": code::OVERLOADED, "message": "overloaded", "data": data}})
    })
    .await;
    let native = Worker::start(&lan, "native", NO_TIME).await;
    let client = lan.system("client").await;
    let crew = crew(&client, 2).await.policy(RoundRobin::default());
    let tally = tally((0..100).map(|_| crew.call(Who {}).into_future())).await;
    assert_eq!(tally, BTreeMap::from([("native".to_owned(), 100)]));
    let refused = refusals.load(Ordering::SeqCst);
    assert!(refused > 0);
    assert_eq!(counted(&client, "calls_refused").await, refused as u64);
    assert_eq!(counted(&client, "calls_retried").await, 0, "what was not executed is no retry");
    // With nobody else to ask the caller is told.
    native.system.stop().await;
    eventually(async || crew.providers().len() == 1).await;
    let rejected = within(crew.call(Who {}).timeout(Duration::from_secs(1)).into_future()).await;
    assert!(matches!(rejected, Err(CallError::Rejected { retry_after: Some(_) })), "{rejected:?}");
}

#[tokio::test]
async fn a_watch_tells_who_comes_who_drains_and_who_is_gone() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let crew = client.pool("crew");
    let mut watch = crew.watch();
    let one = Worker::start(&lan, "one", NO_TIME).await;
    assert_eq!(within(watch.next()).await, Some(Up::Up { peer: one.id() }));
    let (two, _works) = plain_worker(&lan, "two", |_| json!({"result": "two"})).await;
    assert_eq!(within(watch.next()).await, Some(Up::Up { peer: two.id() }));
    let mut late = crew.watch();
    let there = [within(late.next()).await, within(late.next()).await].map(|up| match up {
        Some(Up::Up { peer }) => peer,
        other => panic!("{other:?}"),
    });
    assert_eq!(
        BTreeSet::from(there),
        BTreeSet::from([one.id(), two.id()]),
        "a late watch begins with who is there"
    );
    two.leave("pool/crew").await.expect("left");
    for watch in [&mut watch, &mut late] {
        assert_eq!(within(watch.next()).await, Some(Up::Down { peer: two.id(), reason: Down::Left }));
    }
    two.join("pool/crew").await.expect("joined");
    assert_eq!(within(watch.next()).await, Some(Up::Up { peer: two.id() }));
    two.stop().await;
    let gone = Down::Exited(ExitReason::Goodbye);
    assert_eq!(within(watch.next()).await, Some(Up::Down { peer: two.id(), reason: gone }));
    // A system that stops drains first.
    one.system.stop().await;
    assert_eq!(within(watch.next()).await, Some(Up::Down { peer: one.id(), reason: Down::Left }));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_all_ends_although_a_provider_is_dead() {
    let lan = Lan::new();
    let client = lan.system("client").await;
    let alive = Worker::start(&lan, "alive", NO_TIME).await;
    let dead = Worker::start(&lan, "dead", NO_TIME).await;
    let crew = crew(&client, 2).await;
    lan.network().partition(address(client.node()), address(dead.system.node()));
    let mut all = crew.call_all(Who {}).timeout(Duration::from_secs(2));
    let mut answers = BTreeMap::new();
    while let Some((peer, answer)) = all.next().await {
        assert!(answers.insert(peer, answer).is_none(), "each answers once");
    }
    let expected = [
        (alive.id(), Ok("alive".to_owned())),
        (dead.id(), Err(CallError::TimedOut { maybe_executed: true })),
    ];
    assert_eq!(answers, BTreeMap::from(expected));
    // One that goes away meanwhile is known sooner.
    lan.network().heal(address(client.node()), address(dead.system.node()));
    at_rest(&client).await;
}

#[tokio::test]
async fn calls_that_find_no_room_fail_unsent_and_those_in_the_queue_are_answered() {
    let lan = Lan::new();
    let (plain, mut events) = lan.plain("plain").await;
    plain.join("pool/crew").await.expect("joined");
    let client = lan.system("client").await;
    met(client.node(), plain.id()).await;
    let settings = zyre_actors::PoolSettings::new().window(2).queue(3);
    let crew = crew(&client, 1).await.configure(settings);
    let (told, mut ended) = mpsc::unbounded_channel();
    for _ in 0..10 {
        let (call, told) = (crew.call(Who {}).timeout(PATIENCE).into_future(), told.clone());
        tokio::spawn(async move { told.send(call.await) });
    }
    for _ in 0..5 {
        match within(ended.recv()).await {
            Some(Err(CallError::NotSent { reason })) => assert!(reason.contains("3 calls wait"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counted(&client, "calls_over_queue").await, 5);
    for _ in 0..5 {
        let request = heard(&mut events).await;
        let reply = json!({"jsonrpc": "2.0", "id": request["id"], "result": "late"});
        plain.whisper(client.node().id(), reply.to_string()).await.expect("queued");
        assert_eq!(within(ended.recv()).await, Some(Ok("late".to_owned())));
    }
}

#[tokio::test]
async fn a_worker_answers_a_retry_it_has_already_worked_on_without_doing_it_again() {
    let lan = Lan::new();
    let worker = Worker::start(&lan, "worker", NO_TIME).await;
    let (plain, mut events) = lan.plain("plain").await;
    met(&plain, worker.id()).await;
    let request = r#"{"jsonrpc":"2.0","id":"again","method":"who.is_there","params":{}}"#;
    for _ in 0..3 {
        plain.whisper(worker.id(), request).await.expect("queued");
        assert_eq!(heard(&mut events).await["result"], "worker");
    }
    assert_eq!(worker.ran(), 1);
    assert_eq!(worker.system.stats().await.services["who.is_there"].replayed, 2);
    // A method that does not say so is run as often as it is asked to.
    for _ in 0..2 {
        plain.whisper(worker.id(), request.replace("is_there", "works")).await.expect("queued");
        heard(&mut events).await;
    }
    assert_eq!(worker.ran(), 3);
}

/// A user's own policy with a bug in it.
struct Broken;

impl Policy for Broken {
    fn pick(&mut self, _: &[Provider], _: Option<u64>, _: u64) -> usize {
        panic!("as the author did not intend")
    }
}

#[tokio::test]
async fn a_policy_that_panics_costs_no_call() {
    let lan = Lan::new();
    let worker = Worker::start(&lan, "one", Duration::ZERO).await;
    let client = lan.system("client").await;
    let crew = client.pool("crew").ready(PATIENCE).await.expect("a worker").policy(Broken);
    for _ in 0..3 {
        assert_eq!(crew.call(Who {}).await, Ok("one".to_owned()));
    }
    assert_eq!(worker.ran(), 3);
}
