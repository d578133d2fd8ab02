//! Twenty nodes that shout and call while some die, stop, come and stand still, and every fifth beacon is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zyre_interop_tests::netns::{Lan, Traffic};
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Event, Peer, Spec};

use super::dice::Dice;
use crate::common::{figure, is_long};

const NODES: usize = 20;
const HOSTS: u8 = 10;
/// This one lives from begin to end.
const ANCHOR: usize = 0;
/// How long all may take to know each other, with lost beacons and a busy machine.
const MET: Duration = Duration::from_secs(60);

fn spawn(lan: &Lan, place: usize) -> Result<Peer, zyre_interop_tests::Missing> {
    Spec::soak(&format!("node-{place}")).spawn(lan.host(place % usize::from(HOSTS)))
}

/// Waits until everybody knows everybody.
fn wait_met(nodes: &[Peer], when: &str) -> Duration {
    let begin = Instant::now();
    for node in nodes {
        while totals(node)["peers"] != json!(NODES - 1) {
            if begin.elapsed() > MET {
                node.fail(&format!("has not met all others {when}: {}", totals(node)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    begin.elapsed()
}

fn totals(node: &Peer) -> Value {
    node.call(json!({"cmd": "totals"}))
}

fn sum(told: &[Value], key: &str) -> u64 {
    told.iter().filter_map(|totals| totals[key].as_u64()).sum()
}

/// What the churn has done to the nodes.
#[derive(Default)]
struct Done {
    kills: usize,
    stops: usize,
    pauses: usize,
    /// Those whose EXIT is right.
    ended: BTreeSet<String>,
    gone: Vec<Peer>,
    /// What those told that could be asked before their end.
    told: Vec<Value>,
}

#[test]
fn twenty_nodes_live_through_churn_loss_and_pauses() {
    let length = Duration::from_secs(if is_long() { 15 * 60 } else { 20 });
    let mut dice = Dice::of("SOAK_SEED");
    let lan = or_return!(Lan::new(HOSTS));
    let mut nodes: Vec<Peer> = or_return!((0..NODES).map(|place| spawn(&lan, place)).collect());
    let met = wait_met(&nodes, "at the start");
    lan.lose(Traffic::Udp, None, None, 200);
    let before = nodes[ANCHOR].usage();
    let (memory, descriptors) = (before.memory_kib(), before.descriptors());

    let mut done = Done::default();
    let end = Instant::now() + length;
    while Instant::now() < end {
        churn(&lan, &mut nodes, &mut dice, &mut done);
        std::thread::sleep(dice.millis(200, 1200));
    }

    let together = wait_met(&nodes, &format!("at the end, SOAK_SEED={}", dice.seed()));
    let told: Vec<Value> = nodes.iter().map(totals).chain(done.told.iter().cloned()).collect();
    let unexplained: Vec<Event> = nodes
        .iter()
        .chain(&done.gone)
        .flat_map(|here| {
            here.events().into_iter().filter(|event| event.is("EXIT") && !done.ended.contains(event.peer()))
        })
        .collect();
    let mut calls = BTreeMap::<String, u64>::new();
    for (outcome, count) in told.iter().filter_map(|totals| totals["calls"].as_object()).flatten() {
        *calls.entry(outcome.clone()).or_default() += count.as_u64().unwrap_or_default();
    }
    let slowest =
        told.iter().filter_map(|totals| totals["slowest_call_ms"].as_u64()).max().unwrap_or_default();
    let grown = before.memory_kib().saturating_sub(memory);
    let descriptors = (descriptors, before.descriptors());
    figure(&format!(
        "soak of {length:?}: met after {met:.1?}, {} killed, {} stopped, {} paused, all together again after {together:.1?}; \
         {} unexplained EXIT; {} shouts heard, {} missing, {} out of order; calls {calls:?}, the slowest {slowest} ms; the \
         oldest node: memory + {grown} KiB, descriptors {descriptors:?}",
        done.kills,
        done.stops,
        done.pauses,
        unexplained.len(),
        sum(&told, "shouts_heard"),
        sum(&told, "missing"),
        sum(&told, "reordered"),
    ));
    assert!(unexplained.is_empty(), "{unexplained:?}");
    assert_eq!((sum(&told, "missing"), sum(&told, "reordered")), (0, 0));
    let died = nodes.iter().flat_map(|node| node.events()).find(|event| event.is("DIED"));
    assert!(died.is_none(), "{died:?}");
    // A worker that was killed takes calls with it. Of those that time out there are at most one in a thousand, and all end
    // at their deadline (15 s).
    let expected = ["answered", "lost with its worker", "timed out"];
    let other: Vec<_> = calls.iter().filter(|(outcome, _)| !expected.contains(&outcome.as_str())).collect();
    assert!(other.is_empty(), "{other:?}");
    let timed_out = calls.get("timed out").copied().unwrap_or_default();
    assert!(timed_out * 1000 <= calls.values().sum(), "{calls:?}");
    assert!(slowest < 20_000, "{slowest} ms");
    assert!(calls.get("answered").is_some_and(|count| *count > 100), "{calls:?}");
    assert!(grown <= 16 << 10, "memory + {grown} KiB");
}

/// Does something to one of the nodes.
fn churn(lan: &Lan, nodes: &mut [Peer], dice: &mut Dice, done: &mut Done) {
    let place = 1 + dice.below(NODES - 1);
    match dice.below(10) {
        0..5 => {
            // Not as long as it takes to be called evasive.
            nodes[place].pause();
            std::thread::sleep(dice.millis(200, 3000));
            nodes[place].resume();
            done.pauses += 1;
        }
        way => {
            let node = &mut nodes[place];
            done.ended.insert(node.id().to_owned());
            done.told.push(totals(node));
            if way < 8 {
                node.kill();
                done.kills += 1;
            } else {
                node.terminate(MET);
                done.stops += 1;
            }
            let fresh = spawn(lan, place).expect("it started before");
            done.gone.push(std::mem::replace(&mut nodes[place], fresh));
        }
    }
}
