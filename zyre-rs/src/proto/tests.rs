//! Tables of inputs and outputs for the rows of the attack table and the session rules that the machine owns.

mod elections;
mod resume;
mod trust;

use super::*;
use crate::{EndpointPolicy, ExitReason, Timers};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// One machine, its clock, and the outputs so far.
struct Bench {
    node: Node,
    start: Instant,
    now: Instant,
    outputs: Vec<(u64, Output)>,
}

fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn dial(text: &str) -> Input {
    Input::Dial { endpoint: Endpoint::new(at(text)).expect("good"), key: None }
}

fn group(name: &str) -> GroupName {
    GroupName::try_from(name).expect("short")
}

fn hello(endpoint: &str, groups: &[&str], native: bool) -> Hello {
    let headers = if native { vec![(b"X-ZYRE-RS".to_vec(), b"0".to_vec())] } else { Vec::new() };
    let groups = groups.iter().map(|name| group(name)).collect();
    let endpoint = endpoint.as_bytes().to_vec();
    Hello::new(HelloFields { endpoint, groups, name: b"peer".to_vec(), headers, status: 0 }).expect("small")
}

fn config() -> Config {
    Config {
        id: id(100),
        name: b"me".to_vec(),
        headers: Vec::new(),
        groups: BTreeSet::new(),
        contest: BTreeSet::new(),
        timers: Timers::default(),
        beacon: true,
        beacon_port: 5670,
        mailbox_port: 49_152,
        endpoint_policy: EndpointPolicy::SameSubnet,
        subnets: vec![(at("10.0.0.100:1").ip(), 24)],
        trust: Trust::Open,
        authorize: None,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let start = Instant::now();
        Self { node: Node::new(start, config), start, now: start, outputs: Vec::new() }
    }

    /// Hands one input in and returns what it brought.
    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.node.handle(self.now, input);
        let outputs: Vec<_> = std::iter::from_fn(|| self.node.poll_output()).collect();
        let millis = (self.now - self.start).as_millis() as u64;
        self.outputs.extend(outputs.iter().map(|output| (millis, output.clone())));
        outputs
    }

    /// Lets time pass, waking the machine when it wants to be.
    fn pass(&mut self, millis: u64) -> Vec<Output> {
        let until = self.now + Duration::from_millis(millis);
        let before = self.outputs.len();
        while self.node.next_deadline() <= until {
            self.now = self.now.max(self.node.next_deadline());
            self.tell(Input::Timeout);
        }
        self.now = until;
        self.outputs[before..].iter().map(|(_, output)| output.clone()).collect()
    }

    fn beacon(&mut self, peer: u8, source: &str, port: u16) -> Vec<Output> {
        let beacon = Beacon { id: id(peer), port, key: None };
        self.tell(Input::Beacon { source: at(source), beacon })
    }

    fn hello(&mut self, conn: u64, peer: u8, source: &str, hello: Hello) -> Vec<Output> {
        self.tell(Input::Hello { conn: ConnId(conn), peer: id(peer), source: at(source), hello, key: None })
    }

    fn command(&mut self, conn: u64, peer: u8, command: Command) -> Vec<Output> {
        self.tell(Input::Command { conn: ConnId(conn), peer: id(peer), command })
    }

    /// A peer at 10.0.0.`n`:5000 in group g that is ready, with its link up, on connection `n`.
    fn ready(&mut self, n: u8, native: bool) -> LinkId {
        self.beacon(n, &format!("10.0.0.{n}:5670"), 5_000);
        let link = self.link(n);
        self.tell(Input::LinkUp { link });
        let hello = hello(&format!("tcp://10.0.0.{n}:5000"), &["g"], native);
        let outputs = self.hello(n.into(), n, &format!("10.0.0.{n}:40000"), hello);
        assert!(enters(&outputs) == 1, "{outputs:?}");
        link
    }

    fn link(&self, n: u8) -> LinkId {
        let link = self.node.peers.get(&id(n)).and_then(|peer| peer.link.as_ref());
        link.expect("a link").id
    }

    /// Ready peers say that they live for some seconds, all but `mute`.
    fn live(&mut self, seconds: u64, peers: &[u8], mute: &[u8]) {
        for _ in 0..seconds {
            self.pass(1_000);
            for n in peers.iter().filter(|n| !mute.contains(n)) {
                self.beacon(*n, &format!("10.0.0.{n}:5670"), 5_000);
                self.command((*n).into(), *n, Command::PingOk);
            }
        }
    }
}

fn count(outputs: &[Output], wanted: impl Fn(&Output) -> bool) -> usize {
    outputs.iter().filter(|output| wanted(output)).count()
}

fn enters(outputs: &[Output]) -> usize {
    count(outputs, |output| matches!(output, Output::Emit(Event::Enter { .. })))
}

fn exits(outputs: &[Output]) -> Vec<ExitReason> {
    let reason = |output: &Output| match output {
        Output::Emit(Event::Exit { reason, .. }) => Some(*reason),
        _ => None,
    };
    outputs.iter().filter_map(reason).collect()
}

fn opens(outputs: &[Output]) -> usize {
    count(outputs, |output| matches!(output, Output::Open { .. }))
}

fn sent(outputs: &[Output], to: LinkId, wanted: &Command) -> usize {
    count(
        outputs,
        |output| matches!(output, Output::Send { link, command, .. } if *link == to && command == wanted),
    )
}

fn refused(outputs: &[Output], wanted: u64) -> bool {
    count(outputs, |output| matches!(output, Output::Refuse(ConnId(conn)) if *conn == wanted)) > 0
}

fn accepted(outputs: &[Output], wanted: u64) -> bool {
    count(outputs, |output| matches!(output, Output::Accept { conn, .. } if conn.0 == wanted)) > 0
}

fn counted(outputs: &[Output], wanted: &str) -> bool {
    count(outputs, |output| matches!(output, Output::Count(name) if *name == wanted)) > 0
}

#[test]
fn b2_a_flood_of_new_uuids_is_held_to_the_budget_and_known_peers_are_untouched() {
    let mut bench = Bench::new();
    bench.ready(1, true);
    let mut flood = |numbers: std::ops::Range<u16>, source: &str| {
        for n in numbers {
            let mut bytes = [200; 16];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            let beacon = Beacon { id: PeerId::from_bytes(bytes), port: 1_000 + n, key: None };
            bench.tell(Input::Beacon { source: at(source), beacon });
        }
        bench.node.peers.len()
    };
    assert_eq!(flood(0..1_000, "10.0.0.66:5670"), 1 + 128, "the places one address may take");
    assert_eq!(
        flood(1_000..2_000, "10.0.0.67:5670"),
        200,
        "the budget of all together, the good one included"
    );
    bench.live(5, &[1], &[]);
    assert_eq!(bench.node.peers().count(), 1);
}

#[test]
fn b3_one_beacon_buys_at_most_three_connects() {
    let mut bench = Bench::new();
    bench.beacon(1, "10.0.0.1:5670", 1);
    let mut tries = 1;
    for _ in 0..300 {
        let link = bench.node.peers.get(&id(1)).and_then(|peer| peer.link.as_ref()).cloned();
        if let Some(link) = link.filter(|link| link.state == peer::LinkState::Connecting) {
            bench.tell(Input::LinkFailed { link: link.id, refused: true });
        }
        let outputs = bench.pass(100);
        tries += opens(&outputs) + count(&outputs, |output| matches!(output, Output::Retry(_)));
    }
    assert!((2..=3).contains(&tries), "{tries} connects");
}

#[test]
fn b4_a_beacon_from_another_subnet_is_counted_and_ignored() {
    let outputs = Bench::new().beacon(1, "10.0.1.1:5670", 5_000);
    assert!(counted(&outputs, "beacon_foreign_subnet") && opens(&outputs) == 0);
}

#[test]
fn b5_a_goodbye_needs_the_right_address_and_the_silence_of_the_peer() {
    let mut bench = Bench::new();
    let link = bench.ready(1, true);
    let outputs = bench.beacon(1, "10.0.0.66:5670", 0);
    assert!(counted(&outputs, "goodbye_foreign_address"));
    assert!(exits(&bench.pass(700)).is_empty());

    let outputs = bench.beacon(1, "10.0.0.1:5670", 0);
    assert_eq!(sent(&outputs, link, &Command::Ping), 1);
    bench.pass(400);
    bench.command(1, 1, Command::PingOk);
    assert!(exits(&bench.pass(2_000)).is_empty(), "it answered");

    bench.beacon(1, "10.0.0.1:5670", 0);
    assert!(exits(&bench.pass(450)).is_empty());
    assert_eq!(exits(&bench.pass(100)), [ExitReason::Goodbye], "it was silent");
}

#[test]
fn b5_a_goodbye_is_believed_at_once_when_the_connection_closes_before_or_after_it() {
    for goodbye_first in [true, false] {
        let mut bench = Bench::new();
        bench.ready(1, true);
        let closed = Input::ConnClosed { conn: ConnId(1), peer: id(1), expected: 9 };
        let mut outputs = Vec::new();
        if goodbye_first {
            outputs.extend(bench.beacon(1, "10.0.0.1:5670", 0));
            outputs.extend(bench.pass(50));
            outputs.extend(bench.tell(closed));
        } else {
            outputs.extend(bench.tell(closed));
            outputs.extend(bench.pass(50));
            outputs.extend(bench.beacon(1, "10.0.0.1:5670", 0));
        }
        assert_eq!(exits(&outputs), [ExitReason::Goodbye]);
    }
}

#[test]
fn b6_our_own_uuid_from_elsewhere_is_a_conflict_told_once_and_never_connected_to() {
    let mut bench = Bench::new();
    assert!(bench.beacon(100, "10.0.0.100:5670", 49_152).iter().all(|o| matches!(o, Output::Beacon { .. })));
    let outputs: Vec<_> = (0..5).flat_map(|_| bench.beacon(100, "10.0.0.66:5670", 49_152)).collect();
    assert_eq!(count(&outputs, |o| matches!(o, Output::Emit(Event::IdentityConflict { .. }))), 1);
    assert_eq!(opens(&outputs), 0);
}

#[test]
fn nobody_makes_a_node_connect_to_itself() {
    let mut bench = Bench::new();
    let mut outputs = bench.beacon(1, "10.0.0.100:5670", 49_152);
    outputs.extend(bench.hello(1, 2, "10.0.0.66:4", hello("tcp://10.0.0.100:49152", &[], true)));
    outputs.extend(bench.tell(dial("10.0.0.100:49152")));
    assert_eq!(opens(&outputs), 0);
    assert!(refused(&outputs, 1));
}

#[test]
fn t7_thirty_hellos_in_a_row_cost_at_most_two_sessions() {
    for one_connection in [true, false] {
        let mut bench = Bench::new();
        bench.ready(1, false);
        bench.live(10, &[1], &[]);
        let before = bench.outputs.len();
        for n in 0..30 {
            let conn = if one_connection { 1 } else { 10 + n };
            bench.hello(conn, 1, "10.0.0.1:40000", hello("tcp://10.0.0.1:5000", &["g"], false));
            bench.pass(20);
        }
        let last = if one_connection { 1 } else { 39 };
        for _ in 0..60 {
            bench.pass(1_000);
            bench.beacon(1, "10.0.0.1:5670", 5_000);
            bench.command(last, 1, Command::PingOk);
        }
        let outputs: Vec<_> = bench.outputs[before..].iter().map(|(_, output)| output.clone()).collect();
        let told = exits(&outputs);
        assert!((1..=2).contains(&told.len()), "{told:?}, one connection: {one_connection}");
        assert_eq!(enters(&outputs), told.len());
        assert_eq!(bench.node.peers().count(), 1);
    }
}

#[test]
fn t8_a_hello_soon_after_ours_is_its_answer_and_asks_for_none() {
    let mut bench = Bench::new();
    let link = bench.ready(1, false);
    bench.live(5, &[1], &[]);
    let again = || hello("tcp://10.0.0.1:5000", &["g"], false);
    let outputs = bench.hello(1, 1, "10.0.0.1:40000", again());
    assert_eq!(count(&outputs, |o| matches!(o, Output::Greet(l) if *l == link)), 1, "{outputs:?}");
    bench.pass(1_000);
    let outputs = bench.hello(1, 1, "10.0.0.1:40000", again());
    assert!(accepted(&outputs, 1) && exits(&outputs).is_empty());
    assert_eq!(count(&outputs, |o| matches!(o, Output::Greet(_) | Output::Open { .. })), 0, "{outputs:?}");
}

#[test]
fn a_quiet_hello_tells_how_the_groups_differ_and_nothing_else() {
    let mut bench = Bench::new();
    bench.ready(1, false);
    let outputs = bench.hello(1, 1, "10.0.0.1:40000", hello("tcp://10.0.0.1:5000", &["h"], false));
    let told: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Emit(event) => Some((event.kind(), event.group().cloned())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("LEAVE", Some(group("g"))), ("JOIN", Some(group("h")))]);
}

#[test]
fn a_hello_on_a_new_connection_is_a_new_session_even_as_an_answer() {
    let mut bench = Bench::new();
    let link = bench.ready(1, true);
    bench.tell(Input::LinkUp { link });
    bench.tell(Input::ConnClosed { conn: ConnId(1), peer: id(1), expected: 9 });
    let again = || hello("tcp://10.0.0.1:5000", &["g"], true);
    let outputs = bench.hello(2, 1, "10.0.0.1:40001", again());
    assert_eq!(exits(&outputs), [ExitReason::Restarted], "what the old one carried may be lost");
    assert_eq!(count(&outputs, |o| matches!(o, Output::Greet(_))), 0, "but it answers our HELLO");
    bench.tell(Input::ConnClosed { conn: ConnId(2), peer: id(1), expected: 2 });
    let mut outputs = bench.hello(3, 1, "10.0.0.1:40002", again());
    outputs.extend(bench.pass(2_000));
    assert_eq!(count(&outputs, |o| matches!(o, Output::Greet(_))), 1, "a HELLO has one answer: {outputs:?}");
}

#[test]
fn t9_a_claim_from_elsewhere_is_refused_if_the_owner_answers_and_taken_if_it_does_not() {
    for answers in [true, false] {
        let mut bench = Bench::new();
        let link = bench.ready(1, true);
        bench.pass(3_000);
        let outputs = bench.hello(2, 1, "10.0.0.66:4", hello("tcp://10.0.0.66:5000", &[], true));
        assert_eq!(sent(&outputs, link, &Command::Ping), 1);
        bench.pass(300);
        if answers {
            bench.command(1, 1, Command::PingOk);
        }
        let outputs = bench.pass(800);
        assert_eq!(refused(&outputs, 2), answers);
        assert_eq!(accepted(&outputs, 2), !answers);
        assert_eq!(refused(&outputs, 1), !answers);
        let conflicts = count(&outputs, |o| matches!(o, Output::Emit(Event::IdentityConflict { .. })));
        assert_eq!(conflicts, usize::from(answers));
    }
}

#[test]
fn t9_the_same_address_takes_over_once_the_old_connection_is_quiet() {
    let mut bench = Bench::new();
    bench.ready(1, true);
    bench.pass(3_000);
    bench.hello(2, 1, "10.0.0.1:40001", hello("tcp://10.0.0.1:5000", &[], true));
    for _ in 0..4 {
        assert!(!accepted(&bench.pass(50), 2));
        bench.tell(Input::Heard { peer: id(1) });
    }
    assert!(!accepted(&bench.pass(50), 2), "the old one still brings something");
    let outputs = bench.pass(300);
    assert!(accepted(&outputs, 2) && refused(&outputs, 1));
}

#[test]
fn a_hello_that_was_held_back_on_an_older_connection_takes_nothing_over() {
    let mut bench = Bench::new();
    bench.ready(2, true);
    let said = || hello("tcp://10.0.0.2:5000", &["g"], true);
    bench.hello(9, 2, "10.0.0.2:40009", said());
    assert_eq!(exits(&bench.pass(4_000)), [ExitReason::Restarted]);
    let outputs = bench.hello(8, 2, "10.0.0.2:40008", said());
    assert!(refused(&outputs, 8) && counted(&outputs, "hello_outdated"), "{outputs:?}");
    assert!(exits(&bench.pass(4_000)).is_empty());
    // Nor when the newer connection has ended, or still waits for its turn.
    bench.tell(Input::ConnClosed { conn: ConnId(9), peer: id(2), expected: 7 });
    assert!(refused(&bench.hello(8, 2, "10.0.0.2:40008", said()), 8));
    assert!(accepted(&bench.hello(10, 2, "10.0.0.2:40010", said()), 10));
    bench.hello(12, 2, "10.0.0.2:40012", said());
    assert!(refused(&bench.hello(11, 2, "10.0.0.2:40011", said()), 11));
    assert!(accepted(&bench.pass(10_000), 12));
}

#[test]
fn t10_a_new_uuid_at_a_live_peers_endpoint_waits_until_the_peer_has_been_silent_on_a_ping() {
    for answers in [true, false] {
        let mut bench = Bench::new();
        let link = bench.ready(1, true);
        bench.pass(100);
        let outputs = bench.hello(2, 2, "10.0.0.66:4", hello("tcp://10.0.0.1:5000", &[], true));
        assert!(refused(&outputs, 2) && sent(&outputs, link, &Command::Ping) == 1);
        bench.pass(200);
        if answers {
            bench.command(1, 1, Command::PingOk);
        }
        let expected: &[_] = if answers { &[] } else { &[ExitReason::Replaced] };
        assert_eq!(exits(&bench.pass(1_000)), expected);
    }
}

#[test]
fn t11_only_endpoints_that_the_policy_allows_are_connected_to() {
    use EndpointPolicy::{Any, SameIp, SameSubnet};
    for (endpoint, policy, welcome) in [
        ("ipc:///x", Any, false),
        ("tcp://host:5000", Any, false),
        ("tcp://10.0.0.1:5000", SameIp, true),
        ("tcp://10.0.0.2:5000", SameIp, false),
        ("tcp://10.0.0.2:5000", SameSubnet, true),
        ("tcp://192.168.9.9:5000", SameSubnet, false),
        ("tcp://192.168.9.9:5000", Any, true),
        ("tcp://0.0.0.0:5000", SameIp, true),
    ] {
        let mut bench = Bench::with(Config { endpoint_policy: policy, ..config() });
        let outputs = bench.hello(1, 1, "10.0.0.1:4", hello(endpoint, &[], true));
        assert_eq!(
            (opens(&outputs) == 1, refused(&outputs, 1)),
            (welcome, !welcome),
            "{endpoint} {policy:?}"
        );
    }
}

#[test]
fn t12_a_gap_is_an_exit_with_the_count_and_a_hello_brings_the_peer_back() {
    let mut bench = Bench::new();
    let link = bench.ready(1, true);
    bench.pass(3_000);
    let outputs = bench.tell(Input::Gap { conn: ConnId(1), peer: id(1), missing: 7 });
    assert_eq!(exits(&outputs), [ExitReason::MessagesLost { count: 7 }]);
    assert!(refused(&outputs, 1));
    assert_eq!(count(&outputs, |o| matches!(o, Output::Greet(l) if *l == link)), 1, "{outputs:?}");
    let outputs = bench.hello(2, 1, "10.0.0.1:40001", hello("tcp://10.0.0.1:5000", &["g"], true));
    assert!(enters(&outputs) == 1 && accepted(&outputs, 2));
}

#[test]
fn t13_a_wrong_status_is_not_held_against_a_peer() {
    let mut bench = Bench::new();
    bench.ready(1, false);
    for status in [9, 0, 255] {
        let outputs = bench.command(1, 1, Command::Join { group: group("h"), status });
        assert!(exits(&outputs).is_empty());
    }
}

#[test]
fn our_own_status_counts_modulo_256_over_300_joins() {
    let mut bench = Bench::new();
    let to = bench.ready(1, false);
    for n in 1..=300_u32 {
        let outputs = bench.tell(Input::Join(group(&format!("g{n}"))));
        let status = outputs.iter().find_map(|output| match output {
            Output::Send { link, command: Command::Join { status, .. }, hello } if *link == to => {
                assert_eq!(hello.as_ref().map(|hello| hello.status), Some(*status));
                Some(*status)
            }
            _ => None,
        });
        assert_eq!(status, Some(n as u8));
    }
}

#[test]
fn what_a_beacon_betrays_of_a_peers_count_reaches_the_link_that_its_hello_opened() {
    let mut bench = Bench::new();
    bench.hello(1, 1, "10.0.0.1:40001", hello("tcp://10.0.0.1:49153", &[], false));
    let told = |output: &Output| matches!(output, Output::Flavour { flavour: Flavour::Mod65535, .. });
    assert_eq!(count(&bench.beacon(1, "10.0.0.1:51234", 49_153), told), 1);
    assert_eq!(count(&bench.beacon(1, "10.0.0.1:51234", 49_153), told), 0, "once is enough");
}

#[test]
fn a_killed_process_is_gone_within_two_seconds() {
    let mut bench = Bench::new();
    let link = bench.ready(1, true);
    bench.live(5, &[1], &[]);
    bench.tell(Input::ConnClosed { conn: ConnId(1), peer: id(1), expected: 9 });
    bench.tell(Input::LinkLost { link, cause: LinkLoss::Closed });
    let mut told = Vec::new();
    for _ in 0..200 {
        told.extend(exits(&bench.pass(10)));
        let link = bench.node.peers.get(&id(1)).and_then(|peer| peer.link.as_ref()).cloned();
        if let Some(link) = link.filter(|link| link.state == peer::LinkState::Connecting) {
            bench.tell(Input::LinkFailed { link: link.id, refused: true });
        }
    }
    assert_eq!(told, [ExitReason::Gone]);
}

#[test]
fn a_peer_that_moved_is_followed_after_a_ping_without_answer() {
    let mut bench = Bench::new();
    bench.ready(1, true);
    bench.pass(100);
    bench.beacon(1, "10.0.0.9:5670", 6_000);
    let outputs = bench.pass(1_100);
    let there = Endpoint::new(at("10.0.0.9:6000")).expect("good");
    assert_eq!(count(&outputs, |o| matches!(o, Output::Open { endpoint, .. } if *endpoint == there)), 1);
}

#[test]
fn a_dialled_link_is_adopted_by_the_peer_that_answers_there() {
    let mut bench = Bench::new();
    let outputs = bench.tell(dial("10.0.0.1:5000"));
    assert_eq!(opens(&outputs), 1);
    bench.tell(Input::LinkUp { link: LinkId(1) });
    let outputs = bench.hello(1, 1, "10.0.0.1:4", hello("tcp://10.0.0.1:5000", &[], true));
    assert_eq!(
        count(&outputs, |o| matches!(o, Output::Adopt { peer, .. } if *peer == id(1))),
        1,
        "{outputs:?}"
    );
    assert_eq!((enters(&outputs), opens(&outputs)), (1, 0));
}

#[test]
fn an_own_pause_is_not_held_against_peers() {
    let mut bench = Bench::new();
    bench.ready(1, true);
    bench.now += Duration::from_secs(50);
    let outputs = bench.tell(Input::Timeout);
    assert!(counted(&outputs, "own_pauses") && exits(&outputs).is_empty());
    assert!(exits(&bench.pass(5_000)).is_empty());
}

#[test]
fn no_election_is_sent_to_a_member_that_does_not_know_them() {
    let contest = BTreeSet::from([group("g")]);
    let mut bench = Bench::with(Config { groups: contest.clone(), contest, ..config() });
    let native = [bench.ready(1, true), bench.ready(2, true)];
    let foreign = bench.ready(3, false);
    let elects = |to: LinkId| {
        let wanted = |o: &Output| matches!(o, Output::Send { link, command: Command::Elect { .. }, .. } if *link == to);
        bench.outputs.iter().filter(|(_, output)| wanted(output)).count()
    };
    assert!(native.into_iter().all(|link| elects(link) > 0));
    assert_eq!(elects(foreign), 0);
}

#[test]
fn a_stalled_peer_is_neither_doubted_nor_said_goodbye_to() {
    let mut bench = Bench::new();
    bench.ready(1, true);
    bench.tell(Input::Stalled { peer: id(1), stalled: true });
    bench.hello(2, 2, "10.0.0.66:4", hello("tcp://10.0.0.1:5000", &[], true));
    bench.beacon(1, "10.0.0.1:5670", 0);
    assert!(exits(&bench.pass(20_000)).is_empty());
}
