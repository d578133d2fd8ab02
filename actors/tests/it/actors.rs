//! Services by actix actors: served as they are, restarted when they panic, with neighbours that notice nothing.

use crate::common::{Lan, PATIENCE, at_rest, counted, eventually, within};
use actix::{Actor, ActorFutureExt, Handler, Message, ResponseActFuture, ResponseFuture, WrapFuture};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use zyre_actors::{
    ActorSystem, CallError, Context, OneForAll, OneForOne, RemoteMessage, ServeError, Service, Up, code,
};

/// Counts what it was asked to, and how often it was built.
struct Counter {
    n: i64,
    seen: mpsc::UnboundedSender<Context>,
}

impl Actor for Counter {
    type Context = actix::Context<Self>;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{n} is negative")]
struct Negative {
    n: i64,
}

#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "Result<i64, Negative>")]
#[remote("counter.add")]
struct Add {
    n: i64,
}

impl Handler<Add> for Counter {
    type Result = Result<i64, Negative>;

    fn handle(&mut self, Add { n }: Add, _: &mut Self::Context) -> Self::Result {
        if n < 0 {
            return Err(Negative { n });
        }
        self.n += n;
        Ok(self.n)
    }
}

/// Answers after a while, while others are handled; then the actor changes its state.
#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "i64")]
#[remote("counter.add_later")]
struct AddLater {
    n: i64,
    millis: u64,
}

impl Handler<AddLater> for Counter {
    type Result = ResponseActFuture<Self, i64>;

    fn handle(&mut self, AddLater { n, millis }: AddLater, _: &mut Self::Context) -> Self::Result {
        let wait = tokio::time::sleep(Duration::from_millis(millis));
        Box::pin(wait.into_actor(self).map(move |(), actor, _| {
            actor.n += n;
            actor.n
        }))
    }
}

/// Waits for ever, in a future that knows nothing of the actor.
#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "()")]
#[remote("counter.wait")]
struct Wait {}

impl Handler<Wait> for Counter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Wait, _: &mut Self::Context) -> Self::Result {
        let context = Context::current().expect("a request is handled");
        _ = self.seen.send(context.clone());
        Box::pin(async move { context.cancelled().await })
    }
}

#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "()")]
#[remote("counter.crash")]
struct Crash {}

impl Handler<Crash> for Counter {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("as the caller wished");
    }
}

/// What a handler sees of who calls.
#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "(String, String, Option<u64>)")]
#[remote("counter.who")]
struct Who {}

impl Handler<Who> for Counter {
    type Result = actix::MessageResult<Who>;

    fn handle(&mut self, _: Who, _: &mut Self::Context) -> Self::Result {
        let context = Context::current().expect("a request is handled");
        let left = context.remaining().map(|left| left.as_millis() as u64);
        actix::MessageResult((context.name().to_owned(), context.method().to_owned(), left))
    }
}

/// The same actor under another name: a neighbour on the same thread.
struct Neighbour(Counter);

impl Actor for Neighbour {
    type Context = actix::Context<Self>;
}

#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "i64")]
#[remote("neighbour.add")]
struct Bump {
    n: i64,
}

impl Handler<Bump> for Neighbour {
    type Result = i64;

    fn handle(&mut self, Bump { n }: Bump, _: &mut Self::Context) -> i64 {
        self.0.n += n;
        self.0.n
    }
}

struct Scene {
    lan: Lan,
    server: ActorSystem,
    client: ActorSystem,
    counter: Service,
    /// Of the requests that wait for ever.
    seen: mpsc::UnboundedReceiver<Context>,
    built: Arc<AtomicUsize>,
}

impl Scene {
    async fn new(strategy: OneForOne) -> Self {
        let lan = Lan::new();
        let (server, client) = (lan.system("server").await, lan.system("client").await);
        let (factory, seen, built) = counters();
        server
            .serve("counter", factory)
            .method::<Add>()
            .method::<AddLater>()
            .method::<Wait>()
            .method::<Crash>()
            .method::<Who>()
            .restart(strategy)
            .start()
            .await
            .expect("served");
        let counter = client.service("counter").ready(PATIENCE).await.expect("a provider");
        Self { lan, server, client, counter, seen, built }
    }

    /// Serves an actor in a set of its own, and tells how often it is built.
    async fn serve_neighbour(&self) -> Arc<AtomicUsize> {
        let (mut factory, _, built) = counters();
        let neighbour = self.server.serve("neighbour", move || Neighbour(factory()));
        neighbour.method::<Bump>().start().await.expect("served");
        built
    }

    async fn crash(&self) -> CallError {
        within(self.counter.call(Crash {}).into_future()).await.expect_err("it panics")
    }
}

/// Builds counters, and tells of their requests and how many there were.
fn counters() -> (impl FnMut() -> Counter + Send, mpsc::UnboundedReceiver<Context>, Arc<AtomicUsize>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let built = Arc::new(AtomicUsize::new(0));
    let count = built.clone();
    let factory = move || {
        count.fetch_add(1, Ordering::SeqCst);
        Counter { n: 0, seen: seen.clone() }
    };
    (factory, requests, built)
}

fn is_gone<E: std::fmt::Debug>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Remote(error) if error.code == code::ACTOR_GONE)
}

#[tokio::test]
async fn an_actor_is_served_as_it_is_and_keeps_its_state_between_calls() {
    let scene = Scene::new(OneForOne::new()).await;
    assert_eq!(scene.counter.call(Add { n: 40 }).await, Ok(40));
    assert_eq!(scene.counter.call(Add { n: 2 }).await, Ok(42));
    assert_eq!(scene.counter.call(Add { n: -1 }).await, Err(CallError::Application(Negative { n: -1 })));
    assert_eq!(scene.client.call_json("counter.add", json!({"n": 1})).await, Ok(json!(43)), "untyped");
    scene.counter.tell(Add { n: 7 }).await.expect("told");
    assert_eq!(scene.counter.call(Add { n: 0 }).await, Ok(50), "a link keeps its order");
    let misfit = scene.client.call_json("counter.add", json!({"n": "many"})).await;
    assert!(matches!(misfit, Err(CallError::Remote(error)) if error.code == code::INVALID_PARAMS));
    assert_eq!(
        scene.server.call_json("counter.add", json!({"n": 1})).await,
        Ok(json!(51)),
        "from its own node"
    );
}

#[tokio::test]
async fn an_asynchronous_handler_lets_others_be_handled_meanwhile() {
    let scene = Scene::new(OneForOne::new()).await;
    let later = tokio::spawn(scene.counter.call(AddLater { n: 100, millis: 200 }).into_future());
    eventually(async || scene.server.stats().await.services["counter.add"].running == 1).await;
    for n in 1..=20 {
        assert_eq!(scene.counter.call(Add { n: 1 }).await, Ok(n));
    }
    assert_eq!(within(later).await.expect("no panic"), Ok(120));
}

#[tokio::test]
async fn an_actors_handler_knows_who_calls_and_how_long_it_has() {
    let mut scene = Scene::new(OneForOne::new()).await;
    let who = scene.counter.call(Who {}).timeout(Duration::from_secs(3)).await.expect("an answer");
    assert_eq!((&*who.0, &*who.1), ("client", "counter.who"));
    assert!(who.2.is_some_and(|left| (1000..=3000).contains(&left)), "{who:?}");
    assert!(Context::current().is_none(), "this is no request");

    let deadline = Duration::from_millis(100);
    let (late, context) = within(async {
        tokio::join!(scene.counter.call(Wait {}).timeout(deadline).into_future(), scene.seen.recv())
    })
    .await;
    assert_eq!(late, Err(CallError::TimedOut { maybe_executed: true }));
    let context = context.expect("it began");
    within(context.cancelled()).await;
    // The two clocks may differ by what the message took.
    assert!(context.remaining().is_some_and(|left| left < deadline / 2), "{:?}", context.remaining());
    let dropped = tokio::spawn(scene.counter.call(Wait {}).into_future());
    let context = within(scene.seen.recv()).await.expect("it began");
    dropped.abort();
    within(context.cancelled()).await;
    at_rest(&scene.server).await;
}

#[tokio::test]
async fn an_actor_that_panics_is_built_anew_and_its_caller_is_told_that_it_is_gone() {
    let mut scene = Scene::new(OneForOne::new()).await;
    let mut watch = scene.counter.watch();
    let provider = scene.server.node().id();
    assert_eq!(within(watch.next()).await, Some(Up::Up { peer: provider }));
    let mut own_watch = scene.server.service("counter").watch();
    assert_eq!(within(own_watch.next()).await, Some(Up::Up { peer: provider }));

    assert_eq!(scene.counter.call(Add { n: 5 }).await, Ok(5));
    let open = tokio::spawn(scene.counter.call(AddLater { n: 1, millis: 60_000 }).into_future());
    let waits = tokio::spawn(scene.counter.call(Wait {}).timeout(PATIENCE).into_future());
    let waiting = within(scene.seen.recv()).await.expect("it began");
    eventually(async || scene.server.stats().await.services["counter.add"].running == 2).await;
    assert!(is_gone(&scene.crash().await));
    // What needed this instance is gone with it.
    assert!(is_gone(&within(open).await.expect("no panic").expect_err("its actor died")));
    // A future that needs nothing of it goes on.
    assert!(!waiting.is_cancelled());
    assert_eq!(scene.counter.call(Add { n: 1 }).await, Ok(1), "a new instance");
    assert_eq!(scene.built.load(Ordering::SeqCst), 2);
    for watch in [&mut watch, &mut own_watch] {
        assert_eq!(within(watch.next()).await, Some(Up::Restarted { peer: provider }));
    }
    assert_eq!(counted(&scene.server, "services_restarted").await, 1);
    waits.abort();
    within(waiting.cancelled()).await;
    at_rest(&scene.server).await;
}

#[tokio::test]
async fn peers_without_the_layer_hear_nothing_of_a_restart_and_strangers_are_not_believed() {
    let scene = Scene::new(OneForOne::new()).await;
    let (plain, mut events) = scene.lan.plain("plain").await;
    for system in [&scene.server, &scene.client] {
        crate::common::met(&plain, system.node().id()).await;
    }
    let mut watch = scene.counter.watch();
    within(watch.next()).await;
    let forged = r#"{"jsonrpc":"2.0","method":"rpc.restarted","params":{"groups":["svc/counter"]}}"#;
    plain.whisper(scene.client.node().id(), forged).await.expect("queued");
    eventually(async || counted(&scene.client, "restarts_unknown").await == 1).await;
    scene.crash().await;
    assert_eq!(within(watch.next()).await, Some(Up::Restarted { peer: scene.server.node().id() }));
    // An answer would come after the news, on the same link.
    plain
        .whisper(scene.server.node().id(), r#"{"jsonrpc":"2.0","id":1,"method":"rpc.ping"}"#)
        .await
        .expect("queued");
    assert_eq!(crate::common::heard(&mut events).await["id"], 1);
}

#[tokio::test]
async fn the_neighbours_of_an_actor_that_panics_notice_nothing() {
    let scene = Scene::new(OneForOne::new().max(100, Duration::from_secs(1)).backoff(NOW, NOW)).await;
    let built = scene.serve_neighbour().await;
    let neighbour = scene.client.service("neighbour").ready(PATIENCE).await.expect("a provider");
    let calls = tokio::spawn(async move {
        for n in 1..=1000 {
            assert_eq!(neighbour.call(Bump { n: 1 }).await, Ok(n), "in order, none lost, none twice");
        }
    });
    let mut crashes = 0;
    while !calls.is_finished() {
        let error = scene.crash().await;
        assert!(is_gone(&error), "{error:?}");
        crashes += 1;
        if crashes >= 50 {
            break;
        }
    }
    within(calls).await.expect("no call failed");
    assert!(crashes > 1);
    assert_eq!(built.load(Ordering::SeqCst), 1);
    assert_eq!(scene.counter.call(Add { n: 1 }).await, Ok(1));
}

const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn an_actor_that_panics_too_often_is_given_up_and_its_node_provides_it_no_longer() {
    let scene = Scene::new(OneForOne::new().max(2, Duration::from_secs(60)).backoff(NOW, NOW)).await;
    scene.serve_neighbour().await;
    for _ in 0..3 {
        assert!(is_gone(&scene.crash().await));
    }
    eventually(async || scene.counter.providers().is_empty()).await;
    let nobody = scene.counter.call(Add { n: 1 }).await;
    assert_eq!(nobody, Err(CallError::NoProvider { target: "svc/counter".to_owned() }));
    assert_eq!(scene.built.load(Ordering::SeqCst), 3);
    let stats = scene.server.stats().await;
    assert_eq!(stats.counters["services_ended"], 1);
    assert_eq!(stats.services.keys().collect::<Vec<_>>(), ["neighbour.add"]);
    let neighbour = scene.client.service("neighbour").ready(PATIENCE).await.expect("a provider");
    assert_eq!(neighbour.call(Bump { n: 1 }).await, Ok(1));
    // Its names are free again.
    let (factory, _seen, _) = counters();
    scene.server.serve("counter", factory).method::<Add>().start().await.expect("served again");
    scene.counter.ready(PATIENCE).await.expect("a provider");
    assert_eq!(scene.counter.call(Add { n: 1 }).await, Ok(1));
}

#[tokio::test]
async fn while_an_actor_waits_to_be_built_anew_calls_are_refused_and_go_elsewhere() {
    let long = Duration::from_secs(60);
    let scene = Scene::new(OneForOne::new().backoff(long, long)).await;
    // The first restart is at once, the second waits.
    scene.crash().await;
    scene.crash().await;
    // A call that overtakes the news of the pause waits for the actor instead.
    eventually(async || match scene.counter.call(Add { n: 1 }).timeout(Duration::from_millis(200)).await {
        Err(CallError::Rejected { retry_after: Some(after) }) => after > Duration::from_secs(20),
        Err(CallError::TimedOut { .. }) => false,
        other => panic!("{other:?}"),
    })
    .await;
    let other = scene.lan.system("other").await;
    let (factory, _seen, _) = counters();
    other.serve("counter", factory).method::<Add>().start().await.expect("served");
    scene.counter.ready_with(2, PATIENCE).await.expect("both");
    for n in 1..=20 {
        assert_eq!(scene.counter.call(Add { n: 1 }).await, Ok(n));
    }
}

#[tokio::test]
async fn an_actor_whose_factory_fails_at_first_is_served_once_it_is_built() {
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    let (mut factory, _seen, built) = counters();
    let tries = Arc::new(AtomicUsize::new(0));
    let tried = tries.clone();
    let late = move || {
        // The second restart waits, so that requests are refused meanwhile.
        assert!(tried.fetch_add(1, Ordering::SeqCst) >= 2, "not yet");
        factory()
    };
    let strategy = OneForOne::new().backoff(Duration::from_millis(300), Duration::from_secs(1));
    server.serve("counter", late).method::<Add>().restart(strategy).start().await.expect("served");
    let counter = client.service("counter").ready(PATIENCE).await.expect("a provider");
    eventually(async || counter.call(Add { n: 1 }).await.is_ok()).await;
    assert_eq!((tries.load(Ordering::SeqCst), built.load(Ordering::SeqCst)), (3, 1));
}

#[tokio::test]
async fn one_for_all_builds_every_actor_of_the_set_anew() {
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    let set = server.supervise(OneForAll::new());
    let (factory, _seen, _) = counters();
    set.serve("counter", factory).method::<Add>().method::<Crash>().start().await.expect("served");
    let (mut factory, _seen_too, _) = counters();
    set.serve("neighbour", move || Neighbour(factory())).method::<Bump>().start().await.expect("served");
    let counter = client.service("counter").ready(PATIENCE).await.expect("a provider");
    let neighbour = client.service("neighbour").ready(PATIENCE).await.expect("a provider");
    let mut watch = neighbour.watch();
    within(watch.next()).await;
    assert_eq!(counter.call(Add { n: 3 }).await, Ok(3));
    assert_eq!(neighbour.call(Bump { n: 4 }).await, Ok(4));
    assert!(is_gone(&counter.call(Crash {}).await.expect_err("it panics")));
    assert_eq!(within(watch.next()).await, Some(Up::Restarted { peer: server.node().id() }));
    assert_eq!(neighbour.call(Bump { n: 1 }).await, Ok(1));
    assert_eq!(counter.call(Add { n: 1 }).await, Ok(1));
}

#[tokio::test]
async fn an_actor_that_serves_nothing_lives_beside_those_that_do() {
    let scene = Scene::new(OneForOne::new()).await;
    let (factory, _seen, _) = counters();
    let addr = scene.server.spawn(factory).expect("a thread");
    assert_eq!(within(addr.send(Add { n: 1 })).await, Ok(Ok(1)));
    assert_eq!(scene.counter.call(Add { n: 5 }).await, Ok(5));
    assert_eq!(within(addr.send(Add { n: 1 })).await, Ok(Ok(2)));
    assert!(within(addr.send(Crash {})).await.is_err(), "a panic ends it for good");
    eventually(async || !addr.connected()).await;
    assert_eq!(scene.counter.call(Add { n: 5 }).await, Ok(10));
}

#[tokio::test]
async fn a_service_by_an_actor_drains_like_any_other() {
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    let (factory, _seen, _) = counters();
    let serving =
        server.serve("counter", factory).method::<AddLater>().pool("counters").start().await.expect("served");
    let counter = client.pool("counters").ready(PATIENCE).await.expect("a provider");
    let calls: Vec<_> =
        (0..10).map(|_| tokio::spawn(counter.call(AddLater { n: 1, millis: 100 }).into_future())).collect();
    eventually(async || server.stats().await.services["counter.add_later"].running == 10).await;
    assert!(within(serving.drain(PATIENCE)).await, "clean");
    let mut sums = Vec::new();
    for call in calls {
        sums.push(within(call).await.expect("no panic").expect("an answer"));
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=10).collect::<Vec<_>>());
    assert!(counter.providers().is_empty());
    server.stop().await;
    let late = server.serve("late", || Neighbour(Counter { n: 0, seen: mpsc::unbounded_channel().0 }));
    assert_eq!(late.method::<Bump>().start().await.err(), Some(ServeError::Stopped));
    let (factory, _seen, _) = counters();
    assert_eq!(server.spawn(factory).err(), Some(ServeError::Stopped), "no thread is started any more");
}
