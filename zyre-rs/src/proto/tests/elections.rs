//! Elections as the machine takes part in them: who is asked, whose ELECT counts, and what a lost message leaves.

use super::*;

/// Contests in `g` or not, among ready peers that elect and are in `g`.
fn bench(contests: bool, peers: &[u8]) -> Bench {
    let mut config = config();
    config.groups = BTreeSet::from([group("g")]);
    if contests {
        config.contest = config.groups.clone();
    }
    let mut bench = Bench::with(config);
    for &n in peers {
        bench.ready(n, true);
    }
    bench
}

fn elect(challenger: u8) -> Command {
    Command::Elect { group: group("g"), challenger: id(challenger) }
}

fn leader(leader: u8) -> Command {
    Command::Leader { group: group("g"), leader: id(leader) }
}

fn elected(outputs: &[Output], wanted: u8) -> bool {
    count(outputs, |o| matches!(o, Output::Emit(Event::Leader { peer, .. }) if *peer == id(wanted))) == 1
}

#[test]
fn the_wave_of_a_challenger_that_is_not_in_the_group_is_not_joined() {
    let mut bench = bench(false, &[1]);
    let outputs = bench.command(1, 1, elect(2));
    assert!(counted(&outputs, "elect_for_a_stranger"));
    assert_eq!(count(&outputs, |o| matches!(o, Output::Send { .. })), 0);
}

#[test]
fn a_candidate_that_is_asked_by_a_higher_one_starts_its_own_wave() {
    // Before its ELECT a zyre node does not show that it elects, so nothing was started when it came.
    let mut config = config();
    config.groups = BTreeSet::from([group("g")]);
    config.contest = config.groups.clone();
    let mut bench = Bench::with(config);
    let link = bench.ready(200, false);
    let outputs = bench.command(200, 200, elect(200));
    assert_eq!((sent(&outputs, link, &elect(100)), sent(&outputs, link, &elect(200))), (1, 0));
}

#[test]
fn a_hung_election_ends_with_the_leader_that_has_said_so_and_else_with_none() {
    for (says, ends) in [(true, true), (false, false)] {
        let mut bench = bench(false, &[1, 2]);
        bench.command(1, 1, elect(1));
        if says {
            assert!(!elected(&bench.command(1, 1, leader(1)), 1), "the other member has not said so");
        }
        assert_eq!(elected(&bench.pass(5_001), 1), ends);
        assert_eq!(elected(&bench.command(1, 1, leader(1)), 1), !says, "its own word counts late, and once");
    }
}

#[test]
fn a_wave_is_given_its_time_from_its_challengers_last_start_on() {
    // It comes by another member first, and from the challenger itself just before our patience ends. Were it given up
    // then, the challenger would start over in five seconds, just before our next end, and so on for ever.
    let mut bench = bench(false, &[1, 2]);
    bench.command(2, 2, elect(1));
    bench.pass(4_900);
    bench.command(1, 1, elect(1));
    assert!(!counted(&bench.pass(4_900), "elections_timed_out"));
    assert!(counted(&bench.pass(200), "elections_timed_out"), "but it is given up in the end");
}

#[test]
fn a_leader_that_has_said_so_stays_when_the_wave_that_overtook_its_own_comes_to_nothing() {
    let overtaken = || {
        let mut bench = bench(false, &[1, 2, 3]);
        bench.command(2, 2, elect(2));
        bench.command(2, 2, leader(2));
        bench.command(1, 1, elect(1));
        bench
    };
    let leave = || Command::Leave { group: group("g"), status: 1 };
    let mut bench = overtaken();
    assert!(elected(&bench.command(1, 1, leave()), 2), "the challenger has gone");
    let mut bench = overtaken();
    assert!(elected(&bench.pass(5_001), 2), "it was not heard of again");
    let mut bench = self::bench(false, &[1, 2, 3]);
    bench.command(1, 1, elect(1));
    bench.command(2, 2, elect(2));
    bench.command(2, 2, leader(2));
    assert!(elected(&bench.command(1, 1, leave()), 2), "it has said so only since");
    let mut bench = overtaken();
    bench.command(2, 2, leave());
    let mut outputs = bench.command(1, 1, leave());
    outputs.extend(bench.pass(5_001));
    assert!(!elected(&outputs, 2), "the leader has gone too");
}

#[test]
fn a_peer_that_is_told_hello_again_is_asked_again() {
    let mut bench = bench(true, &[1]);
    let link = bench.link(1);
    bench.tell(Input::LinkLost { link, cause: LinkLoss::Closed });
    let outputs = bench.pass(1_000);
    let anew = bench.link(1);
    assert!(anew != link && sent(&outputs, anew, &elect(100)) >= 1);
}

#[test]
fn a_peer_that_beacons_from_elsewhere_is_followed_from_a_connection_that_hangs() {
    let mut bench = Bench::new();
    bench.beacon(1, "10.0.0.1:5670", 50_000);
    let hanging = bench.link(1);
    bench.beacon(1, "10.0.0.2:5670", 50_000);
    assert_eq!(bench.link(1), hanging, "it has only just begun");
    bench.pass(1_000);
    bench.beacon(1, "10.0.0.2:5670", 50_000);
    bench.pass(10);
    assert_ne!(bench.link(1), hanging);
}
