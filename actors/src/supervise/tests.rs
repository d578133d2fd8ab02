use super::*;
use std::time::Duration;

const A: ChildId = ChildId(1);
const B: ChildId = ChildId(2);
const C: ChildId = ChildId(3);

/// A set and a clock of its own.
struct Set {
    machine: Supervisor,
    began: Instant,
    now: Instant,
}

impl Set {
    fn of(strategy: impl Into<Strategy>, children: &[ChildId]) -> Self {
        let now = Instant::now();
        let mut set = Self { machine: Supervisor::new(strategy.into()), began: now, now };
        for &child in children {
            set.tell(Input::Add(child));
            set.tell(Input::Started(child));
        }
        set
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.machine.handle(self.now, input);
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    fn panic(&mut self, child: ChildId) -> Vec<Output> {
        self.tell(Input::Exited(child, Exit::Panicked))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Jumps to the deadline and says how far that was.
    fn sleep(&mut self) -> (Duration, Vec<Output>) {
        let due = self.machine.next_deadline().expect("something is due");
        let slept = due - self.now;
        self.now = due;
        (slept, self.tell(Input::Timeout))
    }

    fn at(&self, millis: u64) -> Instant {
        self.began + ms(millis)
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_child_that_is_added_starts_at_once() {
    let mut set = Set::of(OneForOne::new(), &[]);
    assert_eq!(set.tell(Input::Add(A)), [Output::Start(A)]);
    assert_eq!(set.machine.next_deadline(), None);
}

#[test]
fn one_for_one_restarts_the_one_that_died_at_once() {
    let mut set = Set::of(OneForOne::new(), &[A, B]);
    assert_eq!(set.panic(A), [Output::Paused(A, set.now), Output::Start(A)]);
}

#[test]
fn delays_double_from_nothing_to_the_longest() {
    let mut set = Set::of(OneForOne::new().max(100, ms(1)).backoff(ms(100), ms(1000)), &[A]);
    let mut delays = Vec::new();
    for _ in 0..7 {
        let restart = set.panic(A);
        if restart.contains(&Output::Start(A)) {
            delays.push(0);
        } else {
            let (slept, started) = set.sleep();
            assert_eq!(started, [Output::Start(A)]);
            delays.push(slept.as_millis());
        }
        set.tell(Input::Started(A));
    }
    assert_eq!(delays, [0, 100, 200, 400, 800, 1000, 1000]);
}

#[test]
fn delays_never_overflow() {
    let mut set = Set::of(OneForOne::new().backoff(Duration::MAX, Duration::MAX), &[A]);
    set.panic(A);
    set.panic(A);
    assert!(set.sleep().0 > Duration::from_secs(3600));
    assert_eq!(Strategy::default().delay(u32::MAX), Duration::from_secs(30));
}

#[test]
fn a_quiet_time_forgets_earlier_failures() {
    let mut set = Set::of(OneForOne::new().backoff(ms(100), ms(1000)), &[A]);
    set.panic(A);
    set.tell(Input::Started(A));
    set.pass(ms(999));
    assert_eq!(set.panic(A), [Output::Paused(A, set.at(1099))]);
    set.sleep();
    set.tell(Input::Started(A));
    set.pass(ms(1000));
    assert_eq!(set.panic(A), [Output::Paused(A, set.now), Output::Start(A)]);
}

#[test]
fn each_child_of_one_for_one_has_its_own_delay() {
    let mut set = Set::of(OneForOne::new(), &[A, B]);
    set.panic(A);
    set.panic(A);
    assert_eq!(set.panic(B), [Output::Paused(B, set.now), Output::Start(B)]);
    assert_eq!(set.sleep(), (ms(100), vec![Output::Start(A)]));
}

#[test]
fn one_restart_too_many_stops_the_whole_set_for_good() {
    let mut set = Set::of(OneForOne::new().max(2, ms(500)).backoff(ms(0), ms(0)), &[A, B]);
    for _ in 0..2 {
        assert_eq!(set.panic(A), [Output::Paused(A, set.now), Output::Start(A)]);
        set.tell(Input::Started(A));
        set.pass(ms(249));
    }
    assert_eq!(set.panic(A), [Output::Stop(B), Output::GaveUp]);
    assert_eq!(set.tell(Input::Exited(B, Exit::Stopped)), []);
    assert_eq!(set.machine.next_deadline(), None);
    assert_eq!(set.tell(Input::Add(C)), [Output::GaveUp]);
}

#[test]
fn restarts_longer_ago_do_not_count() {
    let mut set = Set::of(OneForOne::new().max(2, ms(500)).backoff(ms(0), ms(0)), &[A]);
    for _ in 0..20 {
        assert_eq!(set.panic(A), [Output::Paused(A, set.now), Output::Start(A)]);
        set.tell(Input::Started(A));
        set.pass(ms(250));
    }
}

#[test]
fn a_set_that_may_not_restart_gives_up_at_the_first_failure() {
    let mut set = Set::of(OneForAll::new().max(0, ms(500)), &[A, B, C]);
    assert_eq!(set.panic(B), [Output::Stop(C), Output::Stop(A), Output::GaveUp]);
}

#[test]
fn an_actor_that_stops_itself_is_done() {
    let mut set = Set::of(OneForAll::new(), &[A, B]);
    assert_eq!(set.tell(Input::Exited(A, Exit::Stopped)), [Output::Ended(A)]);
    assert_eq!(set.panic(B), [Output::Paused(B, set.now), Output::Start(B)]);
}

#[test]
fn always_restarts_an_actor_that_stopped_itself() {
    let mut set = Set::of(OneForOne::new().always(), &[A]);
    assert_eq!(set.tell(Input::Exited(A, Exit::Stopped)), [Output::Paused(A, set.now), Output::Start(A)]);
}

#[test]
fn one_for_all_stops_all_before_it_starts_them_in_order() {
    let mut set = Set::of(OneForAll::new(), &[A, B, C]);
    let now = set.now;
    assert_eq!(
        set.panic(B),
        [
            Output::Paused(B, now),
            Output::Stop(C),
            Output::Paused(C, now),
            Output::Stop(A),
            Output::Paused(A, now)
        ]
    );
    assert_eq!(set.tell(Input::Exited(A, Exit::Stopped)), []);
    assert_eq!(set.machine.next_deadline(), None, "C is not down yet");
    assert_eq!(set.tell(Input::Exited(C, Exit::Stopped)), [Output::Start(A)]);
    assert_eq!(set.tell(Input::Started(A)), [Output::Start(B)]);
    assert_eq!(set.tell(Input::Started(B)), [Output::Start(C)]);
    assert_eq!(set.tell(Input::Started(C)), []);
}

#[test]
fn rest_for_one_leaves_earlier_ones_alone() {
    let mut set = Set::of(RestForOne::new(), &[A, B, C]);
    assert_eq!(set.panic(B), [Output::Paused(B, set.now), Output::Stop(C), Output::Paused(C, set.now)]);
    assert_eq!(set.tell(Input::Exited(C, Exit::Stopped)), [Output::Start(B)]);
    assert_eq!(set.tell(Input::Started(B)), [Output::Start(C)]);
    set.tell(Input::Started(C));
    assert_eq!(set.panic(C), [Output::Paused(C, set.now), Output::Start(C)], "nobody comes after it");
}

#[test]
fn a_second_failure_while_others_come_up_delays_them_too() {
    let mut set = Set::of(OneForAll::new(), &[A, B]);
    set.panic(A);
    assert_eq!(set.tell(Input::Exited(B, Exit::Stopped)), [Output::Start(A)]);
    assert_eq!(set.panic(A), [Output::Paused(A, set.at(100))], "B is down and waits");
    assert_eq!(set.sleep(), (ms(100), vec![Output::Start(A)]));
    assert_eq!(set.tell(Input::Started(A)), [Output::Start(B)]);
}

#[test]
fn a_child_that_dies_while_it_is_told_to_stop_counts_as_stopped() {
    let mut set = Set::of(OneForAll::new().max(1, ms(500)), &[A, B]);
    set.panic(A);
    assert_eq!(set.panic(B), [Output::Start(A)]);
}

#[test]
fn a_child_that_is_removed_is_stopped_and_holds_up_nobody() {
    let mut set = Set::of(OneForAll::new(), &[A, B, C]);
    set.panic(A);
    set.tell(Input::Exited(B, Exit::Stopped));
    assert_eq!(set.tell(Input::Remove(C)), [Output::Start(A)], "it was told to stop before");
    assert_eq!(set.tell(Input::Exited(C, Exit::Stopped)), []);
    assert_eq!(set.tell(Input::Remove(A)), [Output::Stop(A), Output::Start(B)]);
    assert_eq!(set.tell(Input::Remove(A)), []);
}

#[test]
fn equal_inputs_give_equal_outputs() {
    let began = Instant::now();
    let run = || {
        let mut machine = Supervisor::new(RestForOne::new().max(50, ms(100)).into());
        let mut outputs = Vec::new();
        for step in 0..400u64 {
            let child = ChildId(step * 7 % 5);
            let input = match step * 11 % 6 {
                0 => Input::Add(ChildId(step)),
                1 | 2 => Input::Started(child),
                3 => Input::Exited(child, Exit::Panicked),
                4 => Input::Remove(child),
                _ => Input::Timeout,
            };
            machine.handle(began + ms(step * 10), input);
            outputs.extend(std::iter::from_fn(|| machine.poll_output()));
            outputs.extend(machine.next_deadline().map(|due| Output::Paused(child, due)));
        }
        outputs
    };
    assert_eq!(run(), run());
}
