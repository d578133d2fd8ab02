//! Credit, queues, draining, estimates.

use super::*;

#[test]
fn a_provider_of_unknown_concurrency_gets_16_calls_and_the_next_waits_for_an_answer() {
    let mut bench = Bench::with(1);
    for id in 1..=16 {
        assert_eq!(bench.call(), [send(id, 1, 1, 1_000)]);
    }
    assert_eq!(bench.call(), []);
    assert_eq!(bench.at(300).done(4, 1), [answered(4), send(17, 1, 1, 700)]);
}

#[test]
fn a_provider_gets_twice_its_concurrency_and_at_least_2() {
    for (concurrency, window) in [(0, 2), (1, 2), (4, 8), (u32::MAX, 1_024)] {
        let mut bench = Bench::with(1);
        bench.capacity(1, concurrency);
        assert_eq!(bench.providers()[0].window, window);
        let sent = (0..1_025).filter(|_| !bench.call().is_empty()).count();
        assert_eq!(sent, window as usize);
        assert_eq!(bench.providers()[0].in_flight, window);
    }
}

#[test]
fn more_credit_lets_waiting_calls_go() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    (0..4).for_each(|_| drop(bench.call()));
    assert_eq!(bench.capacity(1, 2), [send(3, 1, 1, 1_000), send(4, 1, 1, 1_000)]);
}

#[test]
fn what_the_settings_say_goes_for_providers_that_do_not_say_their_concurrency() {
    let mut bench = Bench::with(2);
    bench.capacity(2, 5);
    bench.caller.configure(group(), PoolSettings::new().window(3));
    bench.join(3);
    let windows: Vec<_> = bench.providers().iter().map(|provider| provider.window).collect();
    assert_eq!(windows, [3, 10, 3]);
}

#[test]
fn waiting_calls_go_in_the_order_they_were_made_in() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    (0..5).for_each(|_| drop(bench.call()));
    assert_eq!(bench.done(2, 1), [answered(2), send(3, 1, 1, 1_000)]);
    assert_eq!(bench.done(3, 1), [answered(3), send(4, 1, 1, 1_000)]);
}

#[test]
fn a_newcomer_takes_calls_that_wait() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    (0..3).for_each(|_| drop(bench.call()));
    assert_eq!(bench.give(Input::Join { peer: peer(2), group: group() }), [send(3, 2, 1, 1_000)]);
}

#[test]
fn a_queue_that_is_full_says_so_and_how_to_help() {
    let mut bench = Bench::with(1);
    bench.caller.configure(group(), PoolSettings::new().queue(2).window(1));
    for _ in 0..3 {
        assert!(!matches!(&bench.call()[..], [Output::Failed { .. }]));
    }
    let outputs = bench.call();
    let [Output::Failed { failure: Failure::NotSent { reason }, .. }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert!(reason.contains("svc/calc") && reason.contains("add providers"), "{reason}");
    assert_eq!(bench.caller.stats().full, 1);
}

#[test]
fn a_call_expires_unsent_in_the_queue() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    bench.call();
    bench.call();
    bench.call_to(Target::Group(group()), 0, 100);
    assert_eq!(bench.next_deadline(), Some(100));
    assert_eq!(bench.at(100).wake(), [timed_out(3, false)]);
    assert_eq!(bench.caller.stats().expired_unsent, 1);
    assert_eq!(bench.done(1, 1), [answered(1)]);
}

#[test]
fn credit_is_not_spent_on_a_call_that_has_just_expired() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    bench.call();
    bench.call();
    bench.call_to(Target::Group(group()), 0, 100);
    bench.call();
    let outputs = bench.at(100).done(1, 1);
    assert_eq!(outputs, [answered(1), timed_out(3, false), send(4, 1, 1, 900)]);
}

#[test]
fn a_timed_out_or_cancelled_call_gives_its_credit_back() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    bench.call_to(Target::Group(group()), 0, 100);
    (0..3).for_each(|_| drop(bench.call()));
    assert_eq!(bench.at(100).wake(), [cancel(1, 1), timed_out(1, true), send(3, 1, 1, 900)]);
    assert_eq!(bench.cancel(2), [cancel(2, 1), send(4, 1, 1, 900)]);
}

#[test]
fn who_leaves_gets_no_more_calls_and_finishes_what_it_has() {
    let mut bench = Bench::with(2);
    bench.call();
    bench.call();
    assert_eq!(bench.leave(1), []);
    assert!(bench.providers()[0].draining);
    assert_eq!(bench.call(), [send(3, 2, 1, 1_000)]);
    assert_eq!(bench.call(), [send(4, 2, 1, 1_000)]);
    assert_eq!(bench.done(1, 1), [answered(1)]);
    assert_eq!(bench.providers().len(), 1, "it has drained");
    assert_eq!(bench.exit(1), [], "and takes nothing with it");
}

#[test]
fn who_comes_back_while_it_drains_gets_calls_again() {
    let mut bench = Bench::with(1);
    bench.call();
    bench.leave(1);
    bench.join(1);
    assert_eq!(bench.call(), [send(2, 1, 1, 1_000)]);
    assert_eq!(bench.providers()[0].in_flight, 2);
}

#[test]
fn calls_that_wait_outlive_the_last_provider_until_their_deadline() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    (0..4).for_each(|_| drop(bench.call()));
    bench.leave(1);
    assert_eq!(bench.done(1, 1), [answered(1)]);
    assert_eq!(bench.done(2, 1), [answered(2)]);
    bench.at(400);
    assert_eq!(
        bench.give(Input::Join { peer: peer(2), group: group() }),
        [send(3, 2, 1, 600), send(4, 2, 1, 600)]
    );
}

#[test]
fn credit_and_estimates_are_kept_per_group() {
    let mut bench = Bench::with(1);
    let other: Arc<str> = "svc/other".into();
    bench.give(Input::Join { peer: peer(1), group: other.clone() });
    bench.capacity(1, 1);
    bench.call();
    bench.call();
    assert_eq!(bench.call_to(Target::Group(other.clone()), 0, 500), [send(3, 1, 1, 500)]);
    bench.at(50).done(3, 1);
    assert_eq!(bench.providers()[0].latency, Duration::ZERO);
    assert_eq!(bench.caller.providers(bench.now, &other).map(|it| it.latency).collect::<Vec<_>>(), [ms(50)]);
    assert_eq!(bench.exit(1), [lost(1, 1), lost(2, 1)]);
    assert_eq!(bench.caller.providers(bench.now, &other).count(), 0);
}

#[test]
fn the_first_answer_stands_for_all_and_a_newcomer_starts_at_the_median() {
    let mut bench = Bench::with(3);
    let latencies = |bench: &Bench| bench.providers().iter().map(|it| it.latency).collect::<Vec<_>>();
    (0..3).for_each(|_| drop(bench.call()));
    bench.at(10).done(1, 1);
    assert_eq!(latencies(&bench), [ms(10), ms(10), ms(10)]);
    bench.at(20).done(2, 2);
    bench.at(60).done(3, 3);
    bench.join(4);
    let newcomer = latencies(&bench)[3];
    assert!(newcomer > ms(19) && newcomer <= ms(20), "{newcomer:?}");
}

#[test]
fn a_stream_is_measured_by_its_first_item() {
    let mut bench = Bench::with(1);
    bench.call_to(Target::Group(group()), 0, 10_000);
    bench.at(10).give(Input::Item { call: CallId(1), peer: peer(1) });
    bench.at(20).give(Input::Item { call: CallId(1), peer: peer(1) });
    bench.at(9_000).done(1, 1);
    assert!(bench.providers()[0].latency <= ms(10));
}

#[test]
fn a_group_that_everybody_left_is_forgotten_unless_it_was_configured() {
    let mut bench = Bench::with(0);
    let other: Arc<str> = "svc/other".into();
    bench.give(Input::Join { peer: peer(1), group: other.clone() });
    bench.give(Input::Leave { peer: peer(1), group: other });
    assert_eq!(bench.caller.pools.keys().map(|group| &**group).collect::<Vec<_>>(), [GROUP]);
    assert!(bench.caller.peers.is_empty());
}
