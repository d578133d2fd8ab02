//! Plays cases against this crate's node: each has to move exactly what it says, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Map, Value};
use zyre_interop_tests::peer::hex;

use super::attacker::{Attacker, Ground};
use super::case::{After, Case, Door, Table};
use super::line::{FAILED, Mailbox};
use super::victim::{Good, Look, Victim, beacon_port};
use super::{beacons, curve, frames, gossip, greetings, hello, mailbox, ready, rpc, second, session};
use crate::common::figure;

/// What a victim's memory may grow by from the first case to the last.
const MEMORY: u64 = 16 << 20;
/// And its descriptors, either way.
const DESCRIPTORS: usize = 2;
/// And its tasks: a link of the good peer or of gossip may be on its way.
const TASKS: u64 = 2;
/// Of 22 bytes and no beacon: who has counted it has taken all datagrams before.
const MARKER: &[u8; 22] = b"corpus: so far so good";
/// What it is counted under.
const MARKED: &str = "beacon_wrong_prefix";
/// What the way to a door and back moves: sessions begin and end, and what the victim had to say to them is let go of.
const COMING_AND_GOING: [&str; 6] =
    ["ENTER", "EXIT", "goodbye_unproven", "messages_unsent", "replies_dropped", MARKED];

/// What kind of node the victim is.
#[derive(Default)]
struct Kind {
    options: Map<String, Value>,
    key: Option<[u8; 32]>,
    calls: bool,
    leaf: Option<Mailbox>,
}

struct Stage {
    victim: Victim,
    good: Good,
    ground: Ground,
    leaf: Option<Mailbox>,
    before: Look,
    memory: u64,
    descriptors: usize,
}

impl Stage {
    fn new(mut kind: Kind) -> Self {
        let port = beacon_port();
        if let Some(key) = kind.key {
            kind.options.insert("key".into(), hex(&key).into());
        }
        let victim = Victim::start(port, kind.options);
        let good = Good::start(&victim, kind.key, kind.calls);
        let ground = Ground {
            victim: victim.id,
            victim_at: victim.at,
            good: good.id,
            good_at: good.at,
            beacons: SocketAddr::from(([127, 255, 255, 255], port)),
            from: [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)],
            hub: victim.hub,
            key: kind.key,
        };
        let (before, memory) = (victim.look(), victim.memory());
        let descriptors = victim.descriptors();
        Self { victim, good, ground, leaf: kind.leaf, before, memory, descriptors }
    }

    /// Plays a case; what was not as it says.
    fn play(&mut self, case: &Case) -> Result<(), String> {
        let mut attacker = Attacker::approach(&self.ground, case, self.leaf.as_ref())?;
        let enters = matches!(case.door, Door::Entered | Door::Second | Door::Elsewhere | Door::CurveEntered);
        let id = attacker.me.id.to_string();
        let before = self.victim.look_until(|look| look.present.contains(&id) == enters);
        attacker.strike(case);
        let after = self.after(case, &mut attacker);
        let mut seen = self.victim.look_until(|look| is_enough(case, &look.since(&before)));
        if case.door == Door::Beacon {
            seen = self.pass_marker(&attacker);
        }
        let mut moved = seen.since(&before);
        if case.door == Door::Beacon && moved.get(MARKED) == Some(&1) {
            moved.remove(MARKED);
        } else if case.door == Door::Beacon {
            moved.entry(MARKED.to_owned()).and_modify(|by| *by -= 1);
        }
        self.clean_up(attacker, &id);
        after.map_err(|why| format!("{why}; moved {moved:?}"))?;
        let exact = |(name, by): (&String, &u64)| {
            case.expect.moves.get(name.as_str()).is_some_and(|times| times.contains(by))
        };
        if !is_enough(case, &moved) || !moved.iter().all(exact) {
            return Err(format!("moved {moved:?}, and not {:?}", case.expect.moves));
        }
        Ok(())
    }

    /// What becomes of the connection.
    fn after(&self, case: &Case, attacker: &mut Attacker) -> Result<(), String> {
        match (case.expect.after, &mut attacker.line) {
            (After::Closed, Some(line)) => line.is_closed(),
            (After::Kept, Some(line)) => line.is_served(),
            (After::Calls, _) => attacker.is_called(),
            _ => Ok(()),
        }
    }

    /// All datagrams of the attacker have been read, and this is what had been counted then.
    fn pass_marker(&self, attacker: &Attacker) -> Look {
        let marked = |look: &Look| look.counts.get(MARKED).copied().unwrap_or(0);
        let before = marked(&self.victim.look());
        attacker.datagram(MARKER);
        self.victim.look_until(|look| marked(look) > before)
    }

    /// Makes the victim forget the attacker, so that nothing of one case shows in the next.
    fn clean_up(&self, mut attacker: Attacker, id: &str) {
        attacker.leave();
        self.pass_marker(&attacker);
        self.victim.look_until(|look| !look.present.iter().any(|present| present == id));
    }

    /// The victim is as it was before: in memory, descriptors and tasks.
    fn finish(self, name: &str, cases: &[Case], begin: Instant) -> Vec<String> {
        let named: BTreeSet<&str> = cases.iter().flat_map(|case| case.expect.moves.keys().copied()).collect();
        let cases = cases.len();
        let Self { victim, good, before, memory, descriptors, .. } = self;
        let mut open = descriptors;
        let mut back = false;
        let end = victim.look_until(|look| {
            open = victim.descriptors();
            back = look.tasks.abs_diff(before.tasks) <= TASKS && open.abs_diff(descriptors) <= DESCRIPTORS;
            back
        });
        let grown = victim.memory().saturating_sub(memory);
        let echoes = good.finish();
        let mut wrong = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(what)
            }
        };
        check(echoes.is_ok(), format!("the good peer: {echoes:?}"));
        let known = |name: &str| COMING_AND_GOING.contains(&name) || named.contains(name);
        let strange: Vec<_> = end.since(&before).into_keys().filter(|name| !known(name)).collect();
        check(strange.is_empty(), format!("between the cases moved {strange:?}"));
        check(end.panics == 0, format!("{} panics", end.panics));
        check(!end.counts.contains_key("conn_task_failed"), "a connection's task failed".into());
        check(
            back,
            format!("{} tasks and {open} descriptors, before {} and {descriptors}", end.tasks, before.tasks),
        );
        check(grown <= MEMORY, format!("memory grew by {} KiB", grown >> 10));
        figure(&format!(
            "corpus {name}: {cases} cases, {} echoes, 0 lost; memory + {} KiB, descriptors {descriptors} -> {open}, \
             tasks {} -> {}, {:.1} s",
            echoes.unwrap_or(0),
            grown >> 10,
            before.tasks,
            end.tasks,
            begin.elapsed().as_secs_f64(),
        ));
        wrong
    }
}

fn is_enough(case: &Case, moved: &BTreeMap<String, u64>) -> bool {
    let enough = |(name, times): (&&str, &std::ops::RangeInclusive<u64>)| {
        moved.get(*name).copied().unwrap_or(0) >= *times.start()
    };
    case.expect.moves.iter().all(enough)
}

/// Plays a group against one victim and fails with all that was wrong.
fn play(name: &str, kind: Kind) {
    let begin = Instant::now();
    let mut stage = Stage::new(kind);
    let mut wrong = Vec::new();
    let tables = groups().into_iter().filter(|(group, _)| *group == name).flat_map(|(_, tables)| tables);
    let cases: Vec<Case> = tables.flat_map(|table| table.cases).collect();
    for case in &cases {
        if let Err(why) = stage.play(case) {
            FAILED.store(true, Ordering::Relaxed);
            wrong.push(format!("{:?}, {}: {why}", case.door, case.name));
            eprintln!("WRONG {}", wrong.last().unwrap());
        }
        if !stage.good.is_well() {
            wrong.push(format!("{:?}, {}: the good peer was lost", case.door, case.name));
            break;
        }
    }
    wrong.extend(stage.finish(name, &cases, begin));
    assert!(wrong.is_empty(), "{name}: {} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// All tables, by the name of the victim that they are played against.
pub(super) fn groups() -> Vec<(&'static str, Vec<Table>)> {
    vec![
        ("beacons", vec![beacons::table()]),
        ("greeting and handshake", vec![greetings::table(), ready::table()]),
        ("frames", frames::tables()),
        ("HELLO", vec![hello::table()]),
        ("session", std::iter::once(session::table()).chain(second::tables()).collect()),
        ("mailbox", mailbox::tables()),
        ("gossip hub", vec![gossip::hub()]),
        ("gossip leaf", vec![gossip::leaf()]),
        ("secured", curve::tables()),
        ("calls", vec![rpc::table()]),
    ]
}

#[test]
fn each_bad_beacon_moves_its_counter_alone() {
    play("beacons", Kind::default());
}

#[test]
fn each_bad_greeting_and_handshake_moves_its_counter_alone() {
    play("greeting and handshake", Kind::default());
}

#[test]
fn each_bad_frame_moves_its_counter_alone() {
    play("frames", Kind::default());
}

#[test]
fn each_bad_hello_moves_its_counter_alone() {
    play("HELLO", Kind::default());
}

#[test]
fn each_bad_message_of_a_session_moves_its_counter_alone() {
    play("session", Kind::default());
}

#[test]
fn each_bad_mailbox_moves_its_counter_alone() {
    play("mailbox", Kind::default());
}

#[test]
fn each_bad_word_to_a_gossip_hub_moves_its_counter_alone() {
    let mut kind = Kind::default();
    kind.options.insert("hub".into(), "tcp://127.0.0.1:0".into());
    play("gossip hub", kind);
}

#[test]
fn each_bad_word_of_a_gossip_hub_moves_its_counter_alone() {
    let door = Mailbox::open(Ipv4Addr::new(127, 0, 0, 2));
    let mut kind = Kind::default();
    kind.options.insert("leaf_of".into(), format!("tcp://{}", door.address).into());
    play("gossip leaf", Kind { leaf: Some(door), ..kind });
}

#[test]
fn each_bad_word_to_a_secured_node_moves_its_counter_alone() {
    play("secured", Kind { key: Some([7; 32]), ..Kind::default() });
}

#[test]
fn each_bad_call_moves_its_counter_alone() {
    let mut kind = Kind { calls: true, ..Kind::default() };
    kind.options.insert("actors".into(), true.into());
    play("calls", kind);
}
