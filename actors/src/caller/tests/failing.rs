//! Refusals, sends that fail, providers that are lost, ejection.

use super::*;

#[test]
fn a_call_that_was_refused_goes_to_another_provider_at_once() {
    let mut bench = Bench::with(2);
    bench.call();
    assert_eq!(bench.at(5).refused(1, 1, None), [send(1, 2, 2, 995)]);
    assert_eq!(bench.call(), [send(2, 2, 1, 1_000)], "the one that refused is left alone");
    assert_eq!(bench.at(24).call(), [send(3, 2, 1, 1_000)]);
    assert_eq!(bench.at(25).call(), [send(4, 1, 1, 1_000)], "for 20 ms");
    assert_eq!((bench.caller.stats().refused, bench.caller.stats().retries), (1, 0));
}

#[test]
fn a_call_that_all_refused_waits_for_the_first_that_may_be_asked_again() {
    let mut bench = Bench::with(2);
    bench.call();
    assert_eq!(bench.refused(1, 1, Some(50)), [send(1, 2, 2, 1_000)]);
    assert_eq!(bench.refused(1, 2, Some(30)), []);
    assert_eq!(bench.next_deadline(), Some(30));
    assert_eq!(bench.at(30).wake(), [send(1, 2, 3, 970)]);
}

#[test]
fn a_call_is_rejected_when_its_deadline_is_before_anybody_may_be_asked_again() {
    let mut bench = Bench::with(2);
    bench.call();
    bench.refused(1, 1, Some(5_000));
    let rejected = Failure::Rejected { retry_after: Some(ms(2_000)) };
    assert_eq!(bench.refused(1, 2, Some(2_000)), [failed(1, rejected)]);
    assert!(bench.is_at_rest());
}

#[test]
fn a_call_is_rejected_after_8_refusals() {
    let mut bench = Bench::with(1);
    bench.call();
    for turn in 1..8 {
        assert_eq!(bench.refused(1, 1, Some(1)), []);
        assert_eq!(bench.at(turn).wake(), [send(1, 1, turn as u32 + 1, 1_000 - turn)]);
    }
    let rejected = Failure::Rejected { retry_after: Some(ms(1)) };
    assert_eq!(bench.refused(1, 1, Some(1)), [failed(1, rejected)]);
}

#[test]
fn nobody_is_left_alone_for_longer_than_30_s_whatever_it_asks_for() {
    let mut bench = Bench::with(1);
    bench.call_to(Target::Group(group()), 0, 60_000);
    assert_eq!(bench.refused(1, 1, Some(u64::MAX)), []);
    assert_eq!(bench.at(30_000).wake(), [send(1, 1, 2, 30_000)]);
}

#[test]
fn a_send_that_failed_goes_elsewhere_and_a_permanent_failure_does_not() {
    let mut bench = Bench::with(2);
    bench.call();
    assert_eq!(bench.send_failed(1, 1, false), [send(1, 2, 2, 1_000)]);
    let not_sent = Failure::NotSent { reason: "full".to_owned() };
    assert_eq!(bench.send_failed(1, 2, true), [failed(1, not_sent)]);
    assert!(bench.is_at_rest());
}

#[test]
fn sends_to_the_only_provider_are_tried_again_after_a_pause_and_8_times_at_most() {
    let mut bench = Bench::with(1);
    bench.call();
    for turn in 1..8 {
        assert_eq!(bench.send_failed(1, 1, false), []);
        assert_eq!(bench.next_deadline(), Some(turn * 20));
        assert_eq!(bench.at(turn * 20).wake().len(), 1);
    }
    assert_eq!(bench.send_failed(1, 1, false), [failed(1, Failure::NotSent { reason: "full".to_owned() })]);
}

#[test]
fn a_lost_provider_fails_its_calls_at_once_under_at_most_once() {
    let mut bench = Bench::with(2);
    (0..3).for_each(|_| drop(bench.call()));
    assert_eq!(bench.exit(1), [lost(1, 1), lost(3, 1)]);
    assert_eq!(bench.done(2, 2), [answered(2)]);
    assert!(bench.is_at_rest());
}

#[test]
fn a_call_that_may_be_retried_goes_to_another_provider_as_often_as_allowed() {
    let mut bench = Bench::with(3);
    bench.call_again(2);
    assert_eq!(bench.at(10).exit(1), [send(1, 2, 2, 990)]);
    assert_eq!(bench.at(20).exit(2), [send(1, 3, 3, 980)]);
    assert_eq!(bench.exit(3), [lost(1, 3)]);
    assert_eq!((bench.caller.stats().retries, bench.caller.stats().lost), (2, 3));
}

#[test]
fn a_retry_that_finds_nobody_waits_for_somebody_until_its_deadline() {
    let mut bench = Bench::with(1);
    bench.call_again(1);
    bench.call_again(1);
    assert_eq!(bench.exit(1), []);
    bench.cancel(2);
    assert_eq!(bench.at(500).give(Input::Join { peer: peer(2), group: group() }), [send(1, 2, 2, 500)]);

    let mut bench = Bench::with(1);
    bench.call_again(1);
    bench.exit(1);
    assert_eq!(bench.at(1_000).wake(), [timed_out(1, true)], "it may have been executed where it was lost");
}

#[test]
fn a_retry_goes_back_to_a_peer_that_was_lost_only_if_nobody_else_is_there() {
    let mut bench = Bench::with(2);
    bench.capacity(2, 1);
    (0..4).for_each(|_| drop(bench.call_to(Target::Peer(peer(9)), 0, 1_000)));
    bench.call_again(1);
    (0..2).for_each(|_| drop(bench.call_again(0)));
    (0..2).for_each(|_| drop(bench.call_again(0)));
    // 5, 7 and 9 are at peer 1, 6 and 8 fill the window of peer 2.
    assert_eq!(bench.exit(1), [lost(7, 1), lost(9, 1)]);
    bench.join(1);
    assert_eq!(bench.call(), [send(10, 1, 1, 1_000)], "others pass by");
    assert_eq!(bench.leave(2), [send(5, 1, 2, 1_000)], "now it is the only one");
}

#[test]
fn retries_are_held_to_their_budget() {
    let mut bench = Bench::with(2);
    bench.caller.configure(group(), PoolSettings::new().window(100));
    bench.leave(2);
    (0..50).for_each(|_| drop(bench.call_again(1)));
    // Ten that are free and a tenth of fifty.
    let outputs = bench.exit(1);
    assert_eq!(outputs.len(), 35, "{outputs:?}");
    let stats = bench.caller.stats();
    assert_eq!((stats.retries, stats.retries_over_budget, stats.lost), (15, 35, 50));
}

#[test]
fn a_call_that_was_lost_once_may_have_been_executed_whatever_happens_then() {
    let lost_then = |then: fn(&mut Bench) -> Vec<Output<&'static str>>| {
        let mut bench = Bench::with(2);
        bench.call_again(1);
        assert_eq!(bench.exit(1), [send(1, 2, 2, 1_000)]);
        assert_eq!(then(&mut bench), [lost(1, 1)]);
    };
    lost_then(|bench| bench.refused(1, 2, Some(10_000)));
    lost_then(|bench| bench.send_failed(1, 2, true));
}

#[test]
fn five_failures_in_a_row_eject_a_provider_and_an_answer_brings_it_back() {
    let mut bench = Bench::with(2);
    bench.leave(2);
    (0..5).for_each(|_| drop(bench.call()));
    bench.call_to(Target::Group(group()), 0, 5_000);
    bench.join(2);
    assert_eq!(bench.at(1_000).wake().len(), 10);
    assert!(bench.providers()[0].ejected && bench.caller.stats().ejections == 1);
    assert_eq!(bench.call(), [send(7, 2, 1, 1_000)]);
    assert_eq!(bench.call(), [send(8, 2, 1, 1_000)]);
    assert_eq!(bench.done(6, 1), [answered(6)]);
    assert_eq!(bench.call(), [send(9, 1, 1, 1_000)]);
}

#[test]
fn an_ejection_ends_by_itself_and_the_next_failure_is_a_longer_one() {
    let mut bench = Bench::with(2);
    bench.give(Input::Evasive { peer: peer(1) });
    assert_eq!(bench.call(), [send(1, 2, 1, 1_000)]);
    assert_eq!(bench.at(1_000).call(), [send(2, 1, 1, 1_000)]);
    bench.give(Input::Evasive { peer: peer(1) });
    assert!(bench.at(2_450).providers()[0].ejected);
    assert!(!bench.at(3_000).providers()[0].ejected);
}

#[test]
fn an_item_is_a_sign_of_life() {
    let mut bench = Bench::with(2);
    bench.call();
    bench.give(Input::Evasive { peer: peer(1) });
    bench.give(Input::Item { call: CallId(1), peer: peer(1) });
    assert!(!bench.providers()[0].ejected);
}

#[test]
fn who_is_ejected_is_asked_all_the_same_if_there_is_nobody_else() {
    let mut bench = Bench::with(2);
    bench.give(Input::Evasive { peer: peer(1) });
    bench.capacity(2, 1);
    bench.call();
    bench.call();
    assert_eq!(bench.call(), [], "it waits for who is well");
    let outputs = bench.give(Input::Evasive { peer: peer(2) });
    assert_eq!(outputs, [send(3, 1, 1, 1_000)]);
}

#[test]
fn a_call_that_waits_goes_when_an_ejection_ends() {
    let mut bench = Bench::with(2);
    bench.give(Input::Evasive { peer: peer(1) });
    bench.capacity(2, 1);
    (0..2).for_each(|_| drop(bench.call_to(Target::Group(group()), 0, 5_000)));
    assert_eq!(bench.call_to(Target::Group(group()), 0, 5_000), []);
    let at = bench.next_deadline().expect("it waits for the end of the ejection");
    assert!((750..=1_000).contains(&at), "{at}");
    assert!(matches!(bench.at(at + 1).wake()[..], [Output::Send { call: CallId(3), .. }]));
}

#[test]
fn a_peer_that_comes_back_is_still_ejected() {
    let mut bench = Bench::with(2);
    bench.give(Input::Evasive { peer: peer(1) });
    bench.exit(1);
    bench.join(1);
    assert!(bench.providers()[0].ejected);
}
