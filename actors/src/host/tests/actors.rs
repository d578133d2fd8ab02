//! Plain actix actors, as a user would write them.

use crate::host::serve::Plan;
use crate::{Context as Caller, NoError, RemoteMessage};
use actix::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::watch;

macro_rules! messages {
    ($($name:ident $method:literal -> $reply:ty),* $(,)?) => {$(
        #[derive(Serialize, Deserialize)]
        pub(super) struct $name;

        impl Message for $name {
            type Result = $reply;
        }

        impl RemoteMessage for $name {
            const METHOD: &'static str = $method;
            type Output = $reply;
            type Reply = $reply;
            type Error = NoError;

            fn into_result(output: $reply) -> Result<$reply, NoError> {
                Ok(output)
            }
        }
    )*};
}

messages! {
    Bump "test.bump" -> u32,
    WhoCalls "test.who_calls" -> String,
    Thread "test.thread" -> String,
    Crash "test.crash" -> (),
    CrashLater "test.crash_later" -> (),
    Gated "test.gated" -> u32,
    Open "test.open" -> (),
    Atomic "test.atomic" -> u32,
    Endless "test.endless" -> (),
    Block "test.block" -> (),
    Quit "test.quit" -> (),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Divide {
    pub(super) a: i64,
    pub(super) b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{dividend} divided by nothing")]
pub(super) struct ByZero {
    dividend: i64,
}

impl Message for Divide {
    type Result = Result<i64, ByZero>;
}

impl RemoteMessage for Divide {
    const METHOD: &'static str = "test.divide";
    type Output = Result<i64, ByZero>;
    type Reply = i64;
    type Error = ByZero;

    fn into_result(output: Self::Output) -> Self::Output {
        output
    }

    fn error_code(_: &ByZero) -> i64 {
        17
    }
}

/// What [`Block`] waits for, and the test's side of it.
pub(super) struct Latch {
    entered: mpsc::Sender<()>,
    released: Mutex<mpsc::Receiver<()>>,
}

pub(super) struct Key {
    entered: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
}

pub(super) fn latch() -> (Arc<Latch>, Key) {
    let (enter, entered) = mpsc::channel();
    let (release, released) = mpsc::channel();
    (Arc::new(Latch { entered: enter, released: Mutex::new(released) }), Key { entered, release })
}

impl Key {
    /// Returns once the actor is blocked.
    pub(super) fn entered(&self) {
        self.entered.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    pub(super) fn release(&self) {
        self.release.send(()).unwrap();
    }
}

pub(super) struct Counter {
    count: u32,
    gate: watch::Sender<bool>,
    latch: Option<Arc<Latch>>,
}

impl Counter {
    pub(super) fn new() -> Self {
        Self { count: 0, gate: watch::Sender::new(false), latch: None }
    }

    pub(super) fn with_latch(latch: Arc<Latch>) -> Self {
        Self { latch: Some(latch), ..Self::new() }
    }
}

/// Serves all of a counter.
pub(super) fn all(counter: Plan<Counter>) -> Plan<Counter> {
    counter
        .method::<Divide>()
        .method::<Bump>()
        .method::<WhoCalls>()
        .method::<Thread>()
        .method::<Crash>()
        .method::<CrashLater>()
        .method::<Gated>()
        .method::<Open>()
        .method::<Atomic>()
        .method::<Endless>()
        .method::<Block>()
        .method::<Quit>()
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Divide> for Counter {
    type Result = Result<i64, ByZero>;

    fn handle(&mut self, Divide { a, b }: Divide, _: &mut Context<Self>) -> Self::Result {
        a.checked_div(b).ok_or(ByZero { dividend: a })
    }
}

impl Handler<Bump> for Counter {
    type Result = u32;

    fn handle(&mut self, _: Bump, _: &mut Context<Self>) -> u32 {
        self.count += 1;
        self.count
    }
}

impl Handler<WhoCalls> for Counter {
    type Result = String;

    fn handle(&mut self, _: WhoCalls, _: &mut Context<Self>) -> String {
        let caller = Caller::current().expect("a request is being handled");
        format!("{} calls {}", caller.name(), caller.method())
    }
}

impl Handler<Thread> for Counter {
    type Result = String;

    fn handle(&mut self, _: Thread, _: &mut Context<Self>) -> String {
        format!("{:?}", std::thread::current().id())
    }
}

impl Handler<Crash> for Counter {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        panic!("crashed as told");
    }
}

impl Handler<CrashLater> for Counter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: CrashLater, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async { panic!("crashed as told, later") })
    }
}

impl Handler<Gated> for Counter {
    type Result = ResponseFuture<u32>;

    fn handle(&mut self, _: Gated, _: &mut Context<Self>) -> Self::Result {
        let mut gate = self.gate.subscribe();
        Box::pin(async move {
            gate.wait_for(|open| *open).await.expect("the actor lives");
            7
        })
    }
}

impl Handler<Open> for Counter {
    type Result = ();

    fn handle(&mut self, _: Open, _: &mut Context<Self>) {
        self.gate.send_replace(true);
    }
}

impl Handler<Atomic> for Counter {
    type Result = AtomicResponse<Self, u32>;

    fn handle(&mut self, _: Atomic, _: &mut Context<Self>) -> Self::Result {
        let pause = async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        };
        AtomicResponse::new(Box::pin(pause.into_actor(self).map(|(), counter, _| {
            counter.count += 1;
            counter.count
        })))
    }
}

impl Handler<Endless> for Counter {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Endless, _: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending().into_actor(self))
    }
}

impl Handler<Quit> for Counter {
    type Result = ();

    fn handle(&mut self, _: Quit, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Block> for Counter {
    type Result = ();

    fn handle(&mut self, _: Block, _: &mut Context<Self>) {
        let latch = self.latch.as_ref().expect("a latch");
        latch.entered.send(()).unwrap();
        latch.released.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
    }
}

/// Writes down what becomes of it.
pub(super) struct Writer {
    pub(super) diary: watch::Sender<Vec<&'static str>>,
    pub(super) refuses: bool,
}

impl Writer {
    fn write(&self, what: &'static str) {
        self.diary.send_modify(|diary| diary.push(what));
    }
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.write("started");
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.write("stopping");
        if self.refuses { Running::Continue } else { Running::Stop }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.write("stopped");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.write("dropped");
    }
}
