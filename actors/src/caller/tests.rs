//! What the machine does with each input, one claim a test. Times are milliseconds since the start.

mod failing;
mod pools;

use super::*;
use std::sync::Arc;

const GROUP: &str = "svc/calc";

struct Bench {
    caller: Caller<&'static str>,
    start: Instant,
    now: Instant,
    next: u64,
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

fn group() -> Arc<str> {
    GROUP.into()
}

fn failed(call: u64, failure: Failure) -> Output<&'static str> {
    Output::Failed { call: CallId(call), failure }
}

fn timed_out(call: u64, maybe_executed: bool) -> Output<&'static str> {
    failed(call, Failure::TimedOut { maybe_executed })
}

fn lost(call: u64, n: u8) -> Output<&'static str> {
    failed(call, Failure::PeerLost { peer: peer(n), maybe_executed: true })
}

fn answered(call: u64) -> Output<&'static str> {
    Output::Answered { call: CallId(call) }
}

fn cancel(call: u64, n: u8) -> Output<&'static str> {
    Output::SendCancel { call: CallId(call), peer: peer(n) }
}

fn send(call: u64, n: u8, attempt: u32, remaining: u64) -> Output<&'static str> {
    Output::Send { call: CallId(call), peer: peer(n), attempt, remaining: ms(remaining), payload: "payload" }
}

impl Bench {
    /// A caller and the members 1 to `members` of a pool that is asked in turn.
    fn with(members: u8) -> Self {
        let now = Instant::now();
        let mut bench = Self { caller: Caller::new(1), start: now, now, next: 1 };
        bench.caller.configure(group(), PoolSettings::new().policy(policy::RoundRobin::default()));
        (1..=members).for_each(|n| bench.join(n));
        bench
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        self.now = self.start + ms(millis);
        self
    }

    fn give(&mut self, input: Input<&'static str>) -> Vec<Output<&'static str>> {
        self.caller.handle(self.now, input);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output<&'static str>> {
        std::iter::from_fn(|| self.caller.poll_output()).collect()
    }

    /// The timers are due.
    fn wake(&mut self) -> Vec<Output<&'static str>> {
        self.caller.on_deadline(self.now);
        self.outputs()
    }

    fn call_to(&mut self, target: Target, retries: u32, timeout: u64) -> Vec<Output<&'static str>> {
        let (id, deadline) = (CallId(self.next), self.now + ms(timeout));
        self.next += 1;
        self.give(Input::Call(Call { id, target, deadline, retries, key: None, payload: "payload" }))
    }

    /// At most once, one second.
    fn call(&mut self) -> Vec<Output<&'static str>> {
        self.call_to(Target::Group(group()), 0, 1_000)
    }

    fn call_again(&mut self, retries: u32) -> Vec<Output<&'static str>> {
        self.call_to(Target::Group(group()), retries, 1_000)
    }

    fn done(&mut self, call: u64, n: u8) -> Vec<Output<&'static str>> {
        self.give(Input::Response { call: CallId(call), peer: peer(n), verdict: Verdict::Done })
    }

    fn refused(&mut self, call: u64, n: u8, retry_after: Option<u64>) -> Vec<Output<&'static str>> {
        let verdict = Verdict::Refused { retry_after: retry_after.map(ms) };
        self.give(Input::Response { call: CallId(call), peer: peer(n), verdict })
    }

    fn send_failed(&mut self, call: u64, n: u8, permanent: bool) -> Vec<Output<&'static str>> {
        let reason = "full".to_owned();
        self.give(Input::SendFailed { call: CallId(call), peer: peer(n), reason, permanent })
    }

    fn cancel(&mut self, call: u64) -> Vec<Output<&'static str>> {
        self.give(Input::Cancel(CallId(call)))
    }

    fn join(&mut self, n: u8) {
        let outputs = self.give(Input::Join { peer: peer(n), group: group() });
        assert_eq!(outputs, [], "calls waited for {n}");
    }

    fn leave(&mut self, n: u8) -> Vec<Output<&'static str>> {
        self.give(Input::Leave { peer: peer(n), group: group() })
    }

    fn exit(&mut self, n: u8) -> Vec<Output<&'static str>> {
        self.give(Input::Exit { peer: peer(n) })
    }

    fn capacity(&mut self, n: u8, concurrency: u32) -> Vec<Output<&'static str>> {
        self.give(Input::Capacity { peer: peer(n), group: group(), concurrency })
    }

    fn next_deadline(&self) -> Option<u64> {
        self.caller.next_deadline().map(|at| (at - self.start).as_millis() as u64)
    }

    fn providers(&self) -> Vec<Provider> {
        self.caller.providers(self.now, GROUP).collect()
    }

    /// Nothing is left of any call.
    fn is_at_rest(&self) -> bool {
        self.caller.is_at_rest()
    }
}

#[test]
fn a_call_goes_to_a_provider_and_its_answer_ends_it() {
    let mut bench = Bench::with(2);
    assert_eq!(bench.call(), [send(1, 1, 1, 1_000)]);
    assert_eq!(bench.call(), [send(2, 2, 1, 1_000)]);
    assert_eq!(bench.next_deadline(), Some(1_000));
    assert_eq!(bench.at(5).done(2, 2), [answered(2)]);
    assert_eq!(bench.done(1, 1), [answered(1)]);
    assert!(bench.is_at_rest());
    assert_eq!(bench.next_deadline(), None);
}

#[test]
fn a_call_nobody_serves_fails_at_once() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.call(), [failed(1, Failure::NoProvider)]);
    bench.join(1);
    bench.call();
    assert_eq!(bench.leave(1), []);
    assert_eq!(bench.call(), [failed(3, Failure::NoProvider)], "who drains is no provider");
    assert_eq!(bench.caller.stats().no_provider, 2);
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_sent() {
    let mut bench = Bench::with(1);
    assert_eq!(bench.call_to(Target::Group(group()), 0, 0), [timed_out(1, false)]);
}

#[test]
fn a_deadline_that_passes_in_flight_fails_the_call_and_tells_the_provider() {
    let mut bench = Bench::with(1);
    bench.call();
    assert_eq!(bench.at(999).wake(), []);
    assert_eq!(bench.at(1_000).wake(), [cancel(1, 1), timed_out(1, true)]);
    assert_eq!(bench.at(1_001).done(1, 1), [], "its answer is late");
    assert_eq!((bench.caller.stats().late, bench.caller.stats().timed_out), (1, 1));
    assert!(bench.is_at_rest());
}

#[test]
fn a_cancelled_call_in_flight_is_cancelled_at_its_provider_and_does_not_fail() {
    let mut bench = Bench::with(1);
    bench.call();
    assert_eq!(bench.cancel(1), [cancel(1, 1)]);
    assert_eq!(bench.cancel(1), []);
    assert_eq!(bench.done(1, 1), []);
    assert_eq!((bench.caller.stats().late, bench.caller.stats().cancelled), (1, 1));
    assert!(bench.is_at_rest());
}

#[test]
fn a_cancelled_call_that_waits_is_never_sent() {
    let mut bench = Bench::with(1);
    bench.capacity(1, 1);
    (0..3).for_each(|_| drop(bench.call()));
    assert_eq!(bench.cancel(3), []);
    assert_eq!(bench.done(1, 1), [answered(1)]);
}

#[test]
fn a_response_counts_only_from_the_peer_that_has_the_call() {
    let mut bench = Bench::with(2);
    assert_eq!(bench.call(), [send(1, 1, 1, 1_000)]);
    assert_eq!(bench.done(1, 2), []);
    assert_eq!(bench.refused(1, 2, None), []);
    assert_eq!(bench.done(77, 1), []);
    assert_eq!(bench.give(Input::Item { call: CallId(1), peer: peer(2) }), []);
    assert_eq!(bench.give(Input::Item { call: CallId(77), peer: peer(1) }), []);
    assert_eq!(bench.caller.stats().late, 5);
    assert_eq!(bench.done(1, 1), [answered(1)]);
}

#[test]
fn a_peer_can_be_called_by_its_id_whatever_it_serves() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.call_to(Target::Peer(peer(9)), 0, 500), [send(1, 9, 1, 500)]);
    assert_eq!(bench.done(1, 9), [answered(1)]);
    assert!(bench.is_at_rest());
}

#[test]
fn a_call_to_one_peer_never_goes_to_another() {
    let mut bench = Bench::with(2);
    let to_first = || Target::Peer(peer(1));
    bench.call_to(to_first(), 3, 500);
    assert_eq!(bench.send_failed(1, 1, false), [failed(1, Failure::NotSent { reason: "full".to_owned() })]);
    bench.call_to(to_first(), 3, 500);
    let rejected = Failure::Rejected { retry_after: Some(ms(7)) };
    assert_eq!(bench.refused(2, 1, Some(7)), [failed(2, rejected)]);
    bench.call_to(to_first(), 3, 500);
    assert_eq!(bench.exit(1), [lost(3, 1)]);
    assert_eq!(bench.caller.stats().retries, 0);
}

#[test]
fn no_more_than_1_024_calls_are_in_flight_at_a_peer_called_by_its_id() {
    let mut bench = Bench::with(0);
    for _ in 0..1_024 {
        assert_eq!(bench.call_to(Target::Peer(peer(1)), 0, 500).len(), 1);
    }
    let outputs = bench.call_to(Target::Peer(peer(1)), 0, 500);
    assert!(matches!(&outputs[..], [Output::Failed { failure: Failure::NotSent { reason }, .. }]
        if reason.contains("1024 calls are in flight")));
    bench.done(1, 1);
    assert_eq!(bench.call_to(Target::Peer(peer(1)), 0, 500), [send(1_026, 1, 1, 500)]);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let play = |seed| {
        let start = Instant::now();
        let mut caller = Caller::new(seed);
        (1..=8).for_each(|n| caller.handle(start, Input::Join { peer: peer(n), group: group() }));
        for id in 0..100 {
            let (target, deadline) = (Target::Group(group()), start + ms(100));
            let call = Call { id: CallId(id), target, deadline, retries: 0, key: None, payload: () };
            caller.handle(start, Input::Call(call));
        }
        std::iter::from_fn(move || caller.poll_output()).collect::<Vec<_>>()
    };
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4), "two callers choose differently");
}
