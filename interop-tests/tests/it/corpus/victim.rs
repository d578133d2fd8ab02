//! The node under attack as a process, and its good peer in this one.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use zyre_actors::ActorSystem;
use zyre_examples::calc::Add;
use zyre_interop_tests::netns::Host;
use zyre_interop_tests::peer::Process;
use zyre_interop_tests::provision;
use zyre_rs::{Event, Events, NetworkKey, Node, NodeBuilder, PeerId};

use super::line::patience;

/// What moves without a case: on a busy machine a node notices its own pauses, a conflict is told once in ten seconds (and
/// counted each time), and results of good calls are kept for their retries.
const BACKGROUND: [&str; 3] = ["own_pauses", "IDENTITY-CONFLICT", "results_kept"];
/// Between two echoes.
const PACE: Duration = Duration::from_millis(5);

/// Nodes on one UDP port see each other, so every stage has its own.
pub(super) fn beacon_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let place = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + std::process::id().wrapping_mul(89);
        let port = 31_000 + (place % 1_700) as u16;
        if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// What the victim has counted, events in capitals, and who is in.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) present: Vec<String>,
    pub(super) tasks: u64,
    pub(super) panics: u64,
}

impl Look {
    /// What has moved since, and by how much.
    pub(super) fn since(&self, before: &Self) -> BTreeMap<String, u64> {
        let moved = self.counts.iter().filter_map(|(name, count)| {
            let by = count - before.counts.get(name).copied().unwrap_or(0);
            (by > 0 && !BACKGROUND.contains(&name.as_str())).then(|| (name.clone(), by))
        });
        moved.collect()
    }
}

pub(super) struct Victim {
    process: Process,
    asked: AtomicU64,
    pub(super) id: PeerId,
    pub(super) at: SocketAddr,
    pub(super) hub: Option<SocketAddr>,
}

impl Victim {
    pub(super) fn start(port: u16, mut options: Map<String, Value>) -> Self {
        options.insert("name".into(), "victim".into());
        options.insert("port".into(), port.into());
        let program = provision::adapter("zyre-victim").expect("it is built with the tests");
        let mut command = Command::new(program);
        command.arg(Value::Object(options).to_string());
        let process = Process::spawn("victim", &Host::local(), command);
        let ready = process.wait_for("READY", |event| event.is("READY"), patience());
        let endpoint = ready.endpoint().strip_prefix("tcp://").and_then(|text| text.parse().ok());
        let hub = ready.json().get("hub").and_then(Value::as_str).and_then(|text| text.parse().ok());
        Self {
            id: ready.peer().parse().expect("a UUID"),
            at: endpoint.expect("an endpoint"),
            hub,
            process,
            asked: AtomicU64::new(0),
        }
    }

    pub(super) fn look(&self) -> Look {
        let id = self.asked.fetch_add(1, Ordering::Relaxed);
        let since = self.process.mark();
        self.process.write_line(&json!({"cmd": "look", "id": id}).to_string()).expect("the victim lives");
        let answers = |event: &zyre_interop_tests::peer::Event| {
            event.is("REPLY") && event.json().get("id").and_then(Value::as_u64) == Some(id)
        };
        let reply = self.process.wait_since(since, "an answer of the victim", answers, patience());
        let value = &reply.json()["value"];
        let counts = ["counters", "events"].into_iter().filter_map(|kind| value[kind].as_object()).flatten();
        let strings = value["present"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Look {
            counts: counts.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0))).collect(),
            present: strings.map(str::to_owned).collect(),
            tasks: value["tasks"].as_u64().unwrap_or(0),
            panics: value["panics"].as_u64().unwrap_or(0),
        }
    }

    /// Looks until it is as wanted, or patience ends; the last look.
    pub(super) fn look_until(&self, mut wanted: impl FnMut(&Look) -> bool) -> Look {
        let begin = Instant::now();
        loop {
            let look = self.look();
            if wanted(&look) || begin.elapsed() > patience() {
                return look;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has it");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        kibibytes * 1024
    }

    pub(super) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it lives").count()
    }
}

/// The good peer. It says something, waits until it comes back, and never sees the victim leave.
pub(super) struct Good {
    pub(super) id: PeerId,
    pub(super) at: SocketAddr,
    count: watch::Receiver<u64>,
    ending: watch::Sender<bool>,
    thread: JoinHandle<Result<u64, String>>,
}

impl Good {
    pub(super) fn start(victim: &Victim, key: Option<[u8; 32]>, calls: bool) -> Self {
        let (victim, at) = (victim.id, victim.at);
        let (started, start) = std::sync::mpsc::channel();
        let (counting, count) = watch::channel(0);
        let (ending, end) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(async {
                // Without beacons: those of the attacker are for the victim alone.
                let builder = Node::builder("good").interface("127.0.0.1").beacon(false).join("all");
                let mut builder = builder.connect(format!("tcp://{at}"));
                if let Some(key) = key {
                    builder = builder.network_key(NetworkKey::from_bytes(key));
                }
                if calls {
                    call(builder, started, victim, counting, end).await
                } else {
                    echo(builder, started, victim, counting, end).await
                }
            })
        });
        let (id, at) = start.recv().expect("the good peer starts");
        let good = Self { id, at, count, ending, thread };
        good.goes_on();
        good
    }

    /// Waits for some more echoes.
    pub(super) fn goes_on(&self) {
        let goal = *self.count.borrow() + 3;
        let begin = Instant::now();
        while *self.count.borrow() < goal && !self.thread.is_finished() && begin.elapsed() < patience() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn is_well(&self) -> bool {
        !self.thread.is_finished()
    }

    /// How many echoes there were, or which was lost.
    pub(super) fn finish(self) -> Result<u64, String> {
        self.goes_on();
        self.ending.send_replace(true);
        self.thread.join().map_err(|_| "the good peer panicked".to_owned())?
    }
}

type Started = std::sync::mpsc::Sender<(PeerId, SocketAddr)>;

async fn met(node: &Node, victim: PeerId) -> Result<(), String> {
    let met = node.wait_until(|members| members.peer(victim).is_some());
    timeout(patience(), met).await.map_err(|_| "the good peer does not meet the victim")?;
    Ok(())
}

async fn echo(
    builder: NodeBuilder,
    started: Started,
    victim: PeerId,
    count: watch::Sender<u64>,
    mut end: watch::Receiver<bool>,
) -> Result<u64, String> {
    let (node, mut events) = builder.start().await.map_err(|error| error.to_string())?;
    met(&node, victim).await?;
    let _ = started.send((node.id(), node.endpoint().address()));
    for number in 1.. {
        let text = format!("echo {number}");
        node.whisper(victim, text.as_str()).await.map_err(|error| error.to_string())?;
        let back = timeout(patience(), comes_back(&mut events, victim, &text)).await;
        back.map_err(|_| format!("{text} is lost"))??;
        count.send_replace(number);
        if timeout(PACE, end.wait_for(|ending| *ending)).await.is_ok() {
            node.stop().await;
            return Ok(number);
        }
    }
    Ok(0)
}

async fn comes_back(events: &mut Events, victim: PeerId, text: &str) -> Result<(), String> {
    loop {
        match events.next().await.ok_or("the good node stopped")? {
            event if event.peer() != victim => {}
            Event::Whisper { message, .. } if message.text() == Some(text) => return Ok(()),
            Event::Whisper { message, .. } => return Err(format!("{message:?} instead of {text}")),
            Event::Exit { reason, .. } => return Err(format!("the victim exited: {reason}")),
            _ => {}
        }
    }
}

/// Calls are the echoes of a node with actors.
async fn call(
    builder: NodeBuilder,
    started: Started,
    victim: PeerId,
    count: watch::Sender<u64>,
    mut end: watch::Receiver<bool>,
) -> Result<u64, String> {
    let system = ActorSystem::start(builder).await.map_err(|error| error.to_string())?;
    let mut events = system.events();
    met(system.node(), victim).await?;
    let calc = system.service("calc").ready(patience()).await.map_err(|error| error.to_string())?;
    let _ = started.send((system.node().id(), system.node().endpoint().address()));
    for number in 1_u64.. {
        let a = i64::try_from(number).unwrap_or(0);
        let sum = timeout(patience(), calc.call(Add { a, b: 1 })).await;
        match sum.map_err(|_| format!("call {number} is lost"))? {
            Ok(sum) if sum == a + 1 => {}
            other => return Err(format!("call {number}: {other:?}")),
        }
        while let Ok(event) = events.try_recv() {
            if event.peer() == victim && event.kind() == "EXIT" {
                return Err("the victim exited".into());
            }
        }
        count.send_replace(number);
        if timeout(PACE, end.wait_for(|ending| *ending)).await.is_ok() {
            system.stop().await;
            return Ok(number);
        }
    }
    Ok(0)
}
