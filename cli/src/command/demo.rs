//! `zyre demo`: a pool of processes under load, one of which is slow, one killed, one drained.
//!
//! The workers are children of this process that run `zyre serve`, so that one can really be killed. Everything
//! happens on a UDP port of its own.

mod crew;

use crate::args::{OPEN_PORT, SECURED_PORT};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::output::{Board, Stage, Total, WorkerLine, counted};
use crate::session::Session;
use crew::Crew;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use zyre_actors::{ActorSystem, CallError, Service};
use zyre_rs::{Event, PeerId};

const POOL: &str = "demo";
const METHOD: &str = "demo.work";
/// For the workers to start and to be found.
const PATIENCE: Duration = Duration::from_secs(5);
/// 300 calls a second: a third of what the workers can do, and more than two of them can without the slow one.
const CALL_EVERY: Duration = Duration::from_micros(3_333);
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// What happens, and how long after the first call.
const SCRIPT: [(Duration, Act); 4] = [
    (Duration::from_millis(2000), Act::Kill("worker-2")),
    (Duration::from_millis(4500), Act::Drain("worker-3")),
    (Duration::from_millis(5500), Act::Start("worker-4")),
    (Duration::from_millis(8000), Act::End),
];

#[derive(Clone, Copy)]
enum Act {
    Kill(&'static str),
    Drain(&'static str),
    Start(&'static str),
    End,
}

pub(crate) async fn run(mut session: Session) -> Result<(), Failure> {
    if let Credentials::Node(..) = session.credentials {
        let problem =
            "the demo starts several nodes, and a node key is for one; leave --cert and --trust away";
        return Err(Failure::Usage(problem.to_owned()));
    }
    // Where real nodes are.
    if [OPEN_PORT, SECURED_PORT].contains(&session.options.port) {
        session.options.port = free_port().map_err(Failure::Process)?;
    }
    session.options.name.get_or_insert_with(|| "demo".to_owned());
    let mut crew = Crew::new(&session.options).map_err(Failure::Process)?;
    session
        .with_system(async |system, output| {
            let mut stage = Stage::new(output);
            let port = crew.port();
            stage.tell(&format!(
                "starts three workers that take 10 ms a call and one that takes 80 ms, each a process (UDP port {port})"
            ))?;
            for name in ["worker-1", "worker-2", "worker-3"] {
                crew.start(name, "0.01").map_err(Failure::Process)?;
            }
            crew.start("slow", "0.08").map_err(Failure::Process)?;
            Demo::new(system).play(&mut crew, &mut stage).await
        })
        .await
}

fn free_port() -> io::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// One call that has ended.
struct Done {
    took: Duration,
    outcome: Result<(PeerId, Value), CallError>,
}

/// What is known of a worker.
#[derive(Default)]
struct Worker {
    name: String,
    state: String,
    answered: u64,
    time: Duration,
}

struct Demo {
    system: ActorSystem,
    pool: Service,
    workers: BTreeMap<PeerId, Worker>,
    calls: u64,
    failed: u64,
    /// Calls that were sent again since the worker that had them was lost.
    rerouted: u64,
}

impl Demo {
    fn new(system: &ActorSystem) -> Self {
        let pool = system.pool(POOL);
        Self { system: system.clone(), pool, workers: BTreeMap::new(), calls: 0, failed: 0, rerouted: 0 }
    }

    async fn play(&mut self, crew: &mut Crew, stage: &mut Stage<'_>) -> Result<(), Failure> {
        let mut events = self.system.events();
        self.pool.ready_with(4, PATIENCE).await.map_err(|_| {
            Failure::Timeout(format!(
                "the workers were not all found in {PATIENCE:?}; does a firewall block UDP broadcast or TCP between \
                 processes of this host? try --interface lo"
            ))
        })?;
        for peer in self.pool.providers() {
            self.meet(peer);
        }
        stage.tell(&format!(
            "all four are in the groups svc/{POOL} and pool/{POOL}; 300 calls a second begin"
        ))?;
        let mut running = JoinSet::new();
        let mut pace = interval(CALL_EVERY);
        let mut draw = interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let mut script = SCRIPT.into_iter();
        let mut next = script.next();
        while next.is_some() || !running.is_empty() {
            tokio::select! {
                () = async { sleep_until(began + next.map_or(Duration::ZERO, |(at, _)| at)).await }, if next.is_some() => {
                    if let Some((_, act)) = next {
                        self.act(act, crew, stage)?;
                    }
                    next = script.next();
                }
                _ = pace.tick(), if next.is_some() => {
                    self.calls += 1;
                    running.spawn(call(self.pool.clone(), self.calls));
                }
                Some(Ok(done)) = running.join_next() => self.count(done),
                Some(event) = events.recv() => self.on_event(&event, stage).await?,
                _ = draw.tick() => {
                    let board = Board { seconds: stage.seconds(), workers: self.lines().await };
                    stage.show(&board)?;
                }
            }
        }
        let answered = self.calls - self.failed;
        let (rerouted, workers) = (rerouted(&self.system).await, self.lines().await);
        let (calls, failed) = (self.calls, self.failed);
        stage.end(&Total { seconds: stage.seconds(), calls, answered, failed, rerouted, workers })?;
        if failed > 0 {
            return Err(Failure::SomeFailed(format!(
                "{failed} of {calls} calls failed; run again with -vv to see why"
            )));
        }
        Ok(())
    }

    fn act(&mut self, act: Act, crew: &mut Crew, stage: &mut Stage<'_>) -> Result<(), Failure> {
        match act {
            Act::Kill(name) => {
                crew.kill(name);
                self.mark(name, "killed");
                stage.tell(&format!("{name} is killed (SIGKILL); what it works on is lost with it"))
            }
            Act::Drain(name) => {
                crew.end(name);
                self.mark(name, "drains");
                stage.tell(&format!(
                    "{name} is told to end (SIGTERM); it leaves its groups and finishes what it has"
                ))
            }
            Act::Start(name) => {
                crew.start(name, "0.01").map_err(Failure::Process)?;
                stage.tell(&format!("{name} starts"))
            }
            Act::End => stage.tell("no more calls; those that are open are awaited"),
        }
    }

    async fn on_event(&mut self, event: &Event, stage: &mut Stage<'_>) -> Result<(), Failure> {
        let pool = format!("pool/{POOL}");
        match event {
            Event::Join { peer, name, group } if *group == *pool && !self.workers.contains_key(peer) => {
                self.meet(*peer);
                stage.tell(&format!("{name} is found and gets calls from now on"))
            }
            Event::Leave { peer, name, group } if *group == *pool => {
                self.set_state(*peer, "has left");
                stage.tell(&format!("{name} has left the pool: it gets no more calls, and loses none"))
            }
            Event::Exit { peer, name, reason } if self.workers.contains_key(peer) => {
                self.set_state(*peer, reason.as_str());
                let before = self.rerouted;
                self.rerouted = rerouted(&self.system).await;
                let calls = counted(self.rerouted - before, "call");
                stage.tell(&format!("{name} is gone ({reason}): {calls} of it went to others"))
            }
            _ => Ok(()),
        }
    }

    fn meet(&mut self, peer: PeerId) {
        let name = self.system.node().peer(peer).map_or_else(|| peer.short(), |peer| peer.name.to_string());
        self.workers.insert(peer, Worker { name, state: "works".to_owned(), ..Worker::default() });
    }

    fn mark(&mut self, name: &str, state: &str) {
        if let Some(worker) = self.workers.values_mut().find(|worker| worker.name == name) {
            worker.state = state.to_owned();
        }
    }

    fn set_state(&mut self, peer: PeerId, state: &str) {
        if let Some(worker) = self.workers.get_mut(&peer) {
            worker.state = state.to_owned();
        }
    }

    fn count(&mut self, done: Done) {
        match done.outcome {
            Ok((peer, _)) => {
                let worker = self.workers.entry(peer).or_default();
                worker.answered += 1;
                worker.time += done.took;
            }
            Err(error) => {
                tracing::debug!(%error, "a call failed");
                self.failed += 1;
            }
        }
    }

    async fn lines(&self) -> Vec<WorkerLine> {
        let in_flight: BTreeMap<_, _> =
            self.pool.workers().await.into_iter().map(|worker| (worker.peer, worker.in_flight)).collect();
        let line = |(peer, worker): (&PeerId, &Worker)| WorkerLine {
            name: worker.name.clone(),
            state: worker.state.clone(),
            in_flight: in_flight.get(peer).copied().unwrap_or_default(),
            answered: worker.answered,
            mean_ms: mean_ms(worker),
        };
        let mut lines: Vec<_> = self.workers.iter().map(line).collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }
}

async fn call(pool: Service, number: u64) -> Done {
    let began = Instant::now();
    let call = pool.call_json(METHOD, json!({"number": number})).retry(2).timeout(CALL_TIMEOUT);
    let outcome = call.answered_by().await;
    Done { took: began.elapsed(), outcome }
}

async fn rerouted(system: &ActorSystem) -> u64 {
    system.stats().await.counters.get("calls_retried").copied().unwrap_or_default()
}

fn mean_ms(worker: &Worker) -> Option<f64> {
    let answered = u32::try_from(worker.answered).ok().filter(|answered| *answered > 0)?;
    let mean = worker.time.as_secs_f64() * 1e3 / f64::from(answered);
    Some((mean * 10.0).round() / 10.0)
}
