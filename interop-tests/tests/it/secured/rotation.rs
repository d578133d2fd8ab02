//! A running mesh of five, each on a host of its own, changes its key one node at a time, while everybody shouts all the time.
//!
//! What "no message lost" means here: of all that a node shouts, another one gets an unbroken run. It begins no later than the
//! first shout after the sender read the other's JOIN, and holds at least all that was shouted before one of the two announced to
//! stop. Shouting goes on while a node stops; what is shouted then may arrive or not, but leaves no gap.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_rs::{Event, Events, ExitReason, NetworkKey, Node, PeerId};

use crate::common::{DISCOVERED, figure};

const NODES: usize = 5;
/// Between two shouts of one node.
const PACE: Duration = Duration::from_millis(5);
/// Shouts of each node between two restarts.
const SHOUTS: u64 = 40;

/// The numbers of one sender's shouts, as they came.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    next: u64,
    broken: bool,
}

#[derive(Default)]
struct Heard {
    runs: BTreeMap<PeerId, Run>,
    /// The first own shout that a peer has to get.
    due: BTreeMap<PeerId, u64>,
    exits: Vec<(PeerId, ExitReason)>,
}

/// One node with its application: shouts, and notes what it hears.
struct Member {
    node: Node,
    said: Arc<AtomicU64>,
    heard: Arc<Mutex<Heard>>,
    shouting: JoinHandle<()>,
    reading: JoinHandle<()>,
    runtime: Runtime,
}

impl Member {
    fn start(lan: &Lan, index: usize, key: NetworkKey) -> Self {
        lan.host(index).enter(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.unwrap();
            // On a thread of the runtime: sockets belong to the host of the thread that opens them.
            let builder = Node::builder(format!("node-{index}")).join("G").network_key(key);
            let (node, events) =
                runtime.block_on(async { tokio::spawn(builder.start()).await.unwrap().unwrap() });
            let (said, heard) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Heard::default())));
            let shouting = runtime.spawn(shout(node.clone(), said.clone()));
            let reading = runtime.spawn(read(events, said.clone(), heard.clone()));
            Self { node, said, heard, shouting, reading, runtime }
        })
    }

    fn id(&self) -> PeerId {
        self.node.id()
    }

    fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn run_of(&self, sender: PeerId) -> Option<Run> {
        self.heard(|heard| heard.runs.get(&sender).copied())
    }

    fn exits_of(&self, peer: PeerId) -> usize {
        self.heard(|heard| heard.exits.iter().filter(|(who, _)| *who == peer).count())
    }

    /// Has this one in its group, and has got a shout of it.
    fn has_met(&self, other: &Self) -> bool {
        self.heard(|heard| heard.due.contains_key(&other.id()) && heard.runs.contains_key(&other.id()))
    }

    /// What this one got of a sender is unbroken and begins in time.
    fn check_run(&self, sender: &Self) -> Run {
        let run = self.run_of(sender.id()).expect("it has heard the sender");
        assert!(!run.broken, "{run:?} of {:?}", sender.id());
        let due = sender.heard(|heard| heard.due.get(&self.id()).copied()).expect("it has joined");
        assert!(run.first <= due, "{run:?} begins after {due}");
        run
    }

    /// Stops, which ends both tasks.
    fn stop(self) {
        let Self { node, shouting, reading, runtime, .. } = self;
        runtime.block_on(async {
            node.stop().await;
            shouting.await.unwrap();
            reading.await.unwrap();
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

async fn shout(node: Node, said: Arc<AtomicU64>) {
    let mut pace = tokio::time::interval(PACE);
    for number in 0_u64.. {
        pace.tick().await;
        match node.shout("G", number.to_be_bytes().to_vec()).await {
            Ok(_) => said.store(number + 1, Ordering::SeqCst),
            Err(error) => return assert_eq!(error, zyre_rs::SendError::Stopped),
        }
    }
}

async fn read(mut events: Events, said: Arc<AtomicU64>, heard: Arc<Mutex<Heard>>) {
    while let Some(event) = events.next().await {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            // The shout that is just under way may have been meant for those of before.
            Event::Join { peer, .. } => drop(heard.due.insert(*peer, said.load(Ordering::SeqCst) + 1)),
            Event::Exit { peer, reason, .. } => heard.exits.push((*peer, *reason)),
            Event::Shout { peer, message, .. } => {
                let number = message.first().and_then(|frame| frame.first_chunk());
                let number = number.map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
                let run =
                    heard.runs.entry(*peer).or_insert(Run { first: number, next: number, broken: false });
                run.broken |= number != run.next;
                run.next = number + 1;
            }
            _ => {}
        }
    }
}

#[track_caller]
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + DISCOVERED;
    while !done() {
        assert!(Instant::now() < until, "{what}: not within {DISCOVERED:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn all_meet(members: &[Member]) {
    for one in members {
        for other in members.iter().filter(|other| other.id() != one.id()) {
            wait("everybody meets", || one.has_met(other));
        }
    }
    let from: Vec<u64> = members.iter().map(Member::said).collect();
    wait("everybody shouts", || members.iter().zip(&from).all(|(one, from)| one.said() >= from + SHOUTS));
}

/// Stops one, and says how many messages it had to get and to deliver.
fn retire(leaver: Member, others: &[&Member]) -> u64 {
    // The stop is announced: all that was shouted before it arrives, and more may.
    let announced: Vec<u64> = others.iter().map(|other| other.said()).collect();
    for (other, said) in others.iter().zip(announced) {
        wait("what was shouted before the stop arrives", || {
            leaver.run_of(other.id()).is_some_and(|run| run.next >= said)
        });
    }
    let received: u64 =
        others.iter().map(|other| leaver.check_run(other)).map(|run| run.next - run.first).sum();
    let due: Vec<u64> =
        others.iter().filter_map(|other| leaver.heard(|heard| heard.due.get(&other.id()).copied())).collect();
    assert_eq!(due.len(), others.len());
    let (id, said, heard) = (leaver.id(), leaver.said(), leaver.heard.clone());
    leaver.stop();
    let mut delivered = 0;
    for (other, due) in others.iter().zip(due) {
        wait("its EXIT", || other.exits_of(id) == 1);
        let run = other.run_of(id).expect("it was heard");
        assert!(!run.broken && run.first <= due && run.next >= said, "{run:?} of {said}");
        delivered += run.next - run.first;
    }
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(heard.runs.values().all(|run| !run.broken), "unbroken to its end: {:?}", heard.runs);
    received + delivered
}

#[test]
fn a_running_mesh_of_five_changes_its_key_node_by_node_and_loses_nothing() {
    let lan = or_return!(Lan::new(NODES as u8));
    let [old, new] = [1, 2].map(|n| NetworkKey::from_bytes([n; 32]));
    let passes = [old.clone().accepting(new.clone()), new.clone().accepting(old.clone()), new.clone()];
    let mut members: Vec<Member> = (0..NODES).map(|index| Member::start(&lan, index, old.clone())).collect();
    all_meet(&members);
    let (mut messages, mut restarts, mut gone) = (0, 0, Vec::new());
    for key in passes {
        for index in 0..NODES {
            let leaver = members.remove(index);
            gone.push(leaver.id());
            messages += retire(leaver, &members.iter().collect::<Vec<_>>());
            restarts += 1;
            members.insert(index, Member::start(&lan, index, key.clone()));
            all_meet(&members);
        }
    }
    // Besides the restarts there was no EXIT, and each of those was said to be one.
    for member in &members {
        for (peer, reason) in member.heard(|heard| heard.exits.clone()) {
            assert!(gone.contains(&peer) && reason == ExitReason::Goodbye, "{peer}: {reason}");
            assert_eq!(member.exits_of(peer), 1);
        }
    }
    while let Some(leaver) = members.pop() {
        messages += retire(leaver, &members.iter().collect::<Vec<_>>());
    }
    figure(&format!(
        "key changed by {restarts} restarts: {messages} messages due and delivered, 0 lost, 0 EXIT besides"
    ));
}
