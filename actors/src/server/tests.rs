//! Tables: what is told at which millisecond, and what has to be done about it.

use super::results::{KEPT_FOR, MAX_BYTES, MAX_RESULTS, SWEEP_AFTER};
use super::*;
use bytes::Bytes;
use std::collections::BTreeMap;

const S: ServiceId = ServiceId(1);
const A: PeerId = PeerId::from_bytes([0xA; 16]);
const B: PeerId = PeerId::from_bytes([0xB; 16]);
const C: PeerId = PeerId::from_bytes([0xC; 16]);

/// An answer of this many bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer(pub(super) usize);

impl Weigh for Answer {
    fn bytes(&self) -> usize {
        self.0
    }
}

fn id(n: u32) -> Id {
    Id(Bytes::from(n.to_string()))
}

/// A request whose id is the number of its job.
fn call(peer: PeerId, job: u32) -> Ask {
    Ask { peer, id: Some(job), job, deadline: None, keep: false, service: S }
}

fn tell(peer: PeerId, job: u32) -> Ask {
    Ask { id: None, ..call(peer, job) }
}

/// A request that may be tried again.
fn retry(peer: PeerId, job: u32) -> Ask {
    Ask { keep: true, ..call(peer, job) }
}

#[derive(Clone, Copy)]
struct Ask {
    peer: PeerId,
    id: Option<u32>,
    job: u32,
    /// In milliseconds since the start.
    deadline: Option<u64>,
    keep: bool,
    service: ServiceId,
}

impl Ask {
    fn until(self, ms: u64) -> Step {
        Step::Ask(Ask { deadline: Some(ms), ..self })
    }

    fn id(self, id: u32) -> Self {
        Ask { id: Some(id), ..self }
    }
}

impl From<Ask> for Step {
    fn from(ask: Ask) -> Self {
        Step::Ask(ask)
    }
}

#[derive(Clone, Copy)]
enum Step {
    Ask(Ask),
    /// This job has ended, with an answer of this many bytes.
    Done(u32, usize),
    Cancel(PeerId, u32),
    Gone(PeerId),
    /// Until this millisecond.
    Pause(u64),
    Resume,
    Drain,
    Close,
    Timer,
}
use Step::{Cancel, Close, Done, Drain, Gone, Pause, Resume, Timer};

struct Rig {
    server: Server<u32, Answer>,
    start: Instant,
    tickets: BTreeMap<u32, Ticket>,
}

impl Rig {
    fn new(concurrency: usize, queue: usize) -> Self {
        let mut rig = Self { server: Server::new(), start: Instant::now(), tickets: BTreeMap::new() };
        rig.server.handle(rig.start, Input::Open { service: S, limits: Limits { concurrency, queue } });
        rig
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Takes a step; gives what has to be done, in short.
    fn step(&mut self, ms: u64, step: impl Into<Step>) -> String {
        let now = self.at(ms);
        let service = S;
        let input = match step.into() {
            Step::Ask(ask) => Input::Request(Arrival {
                service: ask.service,
                peer: ask.peer,
                id: ask.id.map(id),
                deadline: ask.deadline.map(|ms| self.at(ms)),
                keep_result: ask.keep,
                job: ask.job,
            }),
            Done(job, bytes) => Input::Finished { ticket: self.tickets[&job], answer: Some(Answer(bytes)) },
            Cancel(peer, n) => Input::Cancel { peer, id: id(n) },
            Gone(peer) => Input::PeerGone { peer },
            Pause(until) => Input::Pause { service, until: self.at(until) },
            Resume => Input::Resume { service },
            Drain => Input::Drain { service },
            Close => Input::Close { service },
            Timer => {
                self.server.on_deadline(now);
                return self.outputs();
            }
        };
        self.server.handle(now, input);
        self.outputs()
    }

    fn outputs(&mut self) -> String {
        let mut lines = Vec::new();
        while let Some(output) = self.server.poll_output() {
            lines.push(match output {
                Output::Start { ticket, job, .. } => {
                    assert!(self.tickets.insert(job, ticket).is_none(), "job {job} was started twice");
                    format!("start {job}")
                }
                Output::Abort { ticket, error, .. } => {
                    let (job, _) = self.tickets.iter().find(|&(_, &known)| known == ticket).unwrap();
                    format!("abort {job}{}", short(error.as_ref()))
                }
                Output::Refuse { peer, id, error } => {
                    format!("refuse {}{}", name(peer, &id), short(Some(&error)))
                }
                Output::Replay { peer, id, answer } => format!("replay {} {}", name(peer, &id), answer.0),
                Output::Drained { .. } => "drained".to_owned(),
            });
        }
        lines.join(", ")
    }

    fn load(&self) -> Load {
        self.server.load(S).unwrap()
    }
}

/// `A7` for request 7 of A.
fn name(peer: PeerId, id: &Id) -> String {
    format!("{}{}", &peer.to_string()[1..2], str::from_utf8(&id.0).unwrap())
}

/// The code, and what programs are told beside it.
fn short(error: Option<&RpcError>) -> String {
    error.map_or_else(String::new, |error| {
        let retry_after = error.retry_after().map(|after| format!(" after {}", after.as_millis()));
        format!(" {}{}", error.code, retry_after.unwrap_or_default())
    })
}

/// Takes the steps on a service with this concurrency and queue, and compares what had to be done after each.
fn check(concurrency: usize, queue: usize, steps: &[(u64, Step, &str)]) -> Rig {
    let mut rig = Rig::new(concurrency, queue);
    for (n, &(ms, step, expected)) in steps.iter().enumerate() {
        assert_eq!(rig.step(ms, step), expected, "step {n}, at {ms} ms");
    }
    rig
}

#[test]
fn a_request_starts_while_a_slot_is_free_then_waits_then_is_refused() {
    let rig = check(
        2,
        1,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), "start 2"),
            (0, call(A, 3).into(), ""),
            (0, call(A, 4).into(), "refuse A4 -32001 after 20"),
            (9, Done(2, 0), "start 3"),
            (9, call(A, 5).into(), ""),
        ],
    );
    let expected = Load { running: 2, waiting: 1, started: 3, finished: 1, refused: 1, ..Load::default() };
    assert_eq!(rig.load(), expected);
}

#[test]
fn a_refusal_tells_the_length_of_the_queue() {
    let mut rig = Rig::new(1, 0);
    rig.step(0, call(A, 1));
    let arrival =
        Arrival { service: S, peer: A, id: Some(id(2)), deadline: None, keep_result: false, job: 2 };
    rig.server.handle(rig.start, Input::Request(arrival));
    let Some(Output::Refuse { error, .. }) = rig.server.poll_output() else { panic!("not refused") };
    assert_eq!(error.data, Some(serde_json::json!({ "queue": 0, "retry_after_ms": 20 })));
}

#[test]
fn a_notification_that_does_not_fit_is_counted_and_dropped() {
    let rig = check(
        1,
        1,
        &[(0, tell(A, 1).into(), "start 1"), (0, tell(A, 2).into(), ""), (0, tell(A, 3).into(), "")],
    );
    assert_eq!((rig.load().waiting, rig.load().dropped, rig.load().refused), (1, 1, 0));
}

#[test]
fn a_service_works_on_one_request_at_least() {
    check(0, 0, &[(0, call(A, 1).into(), "start 1"), (0, call(A, 2).into(), "refuse A2 -32001 after 20")]);
}

#[test]
fn the_time_to_try_again_follows_the_pace() {
    for (took, expected) in [
        (1, "refuse A9 -32001 after 5"),
        (10, "refuse A9 -32001 after 30"),
        (100, "refuse A9 -32001 after 300"),
        (10_000, "refuse A9 -32001 after 1000"),
    ] {
        check(
            1,
            2,
            &[
                (0, call(A, 1).into(), "start 1"),
                (took, Done(1, 0), ""),
                (took, call(A, 2).into(), "start 2"),
                (took, call(A, 3).into(), ""),
                (took, call(A, 4).into(), ""),
                (took, call(A, 9).into(), expected),
            ],
        );
    }
}

#[test]
fn the_pace_is_that_of_late() {
    let mut rig = Rig::new(1, 0);
    let mut ms = 0;
    for job in 0..50 {
        rig.step(ms, call(A, job));
        ms += if job < 10 { 500 } else { 40 };
        rig.step(ms, Done(job, 0));
    }
    rig.step(ms, call(A, 98));
    assert_eq!(rig.step(ms, call(A, 99)), "refuse A99 -32001 after 42");
}

#[test]
fn a_request_that_comes_too_late_is_not_started() {
    let rig = check(1, 1, &[(5, call(A, 1).until(5), "refuse A1 -32002"), (5, tell(A, 2).until(4), "")]);
    assert_eq!(rig.load(), Load { expired: 2, ..Load::default() });
}

#[test]
fn a_deadline_ends_what_waits_and_what_runs() {
    let mut rig = check(
        1,
        2,
        &[(0, call(A, 1).until(10), "start 1"), (0, call(A, 2).until(5), ""), (0, call(A, 3).into(), "")],
    );
    assert_eq!(rig.server.next_deadline(), Some(rig.at(5)));
    assert_eq!(rig.step(4, Timer), "");
    assert_eq!(rig.step(5, Timer), "refuse A2 -32002");
    assert_eq!(rig.step(11, Timer), "abort 1 -32002");
    assert_eq!(rig.server.next_deadline(), None);
    assert_eq!(rig.load().expired, 2);
}

#[test]
fn a_request_that_has_ended_asks_for_no_timer() {
    let rig = check(
        2,
        1,
        &[
            (0, call(A, 1).until(5), "start 1"),
            (0, call(A, 2).until(5), "start 2"),
            (0, call(A, 3).until(5), ""),
            (1, Cancel(A, 3), "refuse A3 -32003"),
            (1, Cancel(A, 1), "abort 1 -32003"),
            (2, Done(2, 0), ""),
        ],
    );
    assert_eq!(rig.server.next_deadline(), None);
}

#[test]
fn a_request_whose_deadline_has_passed_gives_its_slot_to_the_next() {
    check(
        1,
        3,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).until(5), ""),
            (0, call(A, 3).into(), ""),
            // The timer was due at 5 and is late.
            (6, Done(1, 0), "refuse A2 -32002, start 3"),
            (6, Timer, ""),
        ],
    );
}

#[test]
fn aborted_work_keeps_its_slot_until_it_has_ended() {
    let mut rig = check(
        1,
        1,
        &[
            (0, call(A, 1).until(5), "start 1"),
            (0, call(A, 2).into(), ""),
            (5, Timer, "abort 1 -32002"),
            (6, call(A, 3).into(), "refuse A3 -32001 after 20"),
        ],
    );
    assert_eq!((rig.load().running, rig.load().aborted), (1, 1));
    assert_eq!(rig.step(90, Done(1, 0)), "start 2");
    assert_eq!((rig.load().running, rig.load().aborted), (1, 0));
}

#[test]
fn an_aborted_notification_is_answered_nothing() {
    check(1, 0, &[(0, tell(A, 1).until(5), "start 1"), (5, Timer, "abort 1")]);
}

#[test]
fn a_cancel_ends_what_waits_and_what_runs_and_is_counted_otherwise() {
    let rig = check(
        1,
        2,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), ""),
            (0, call(A, 3).into(), ""),
            (1, Cancel(A, 2), "refuse A2 -32003"),
            (1, Cancel(A, 1), "abort 1 -32003"),
            // Again, another caller's, unknown.
            (1, Cancel(A, 1), ""),
            (1, Cancel(B, 3), ""),
            (1, Cancel(A, 9), ""),
            (2, Done(1, 0), "start 3"),
        ],
    );
    assert_eq!((rig.load().cancelled, rig.server.counters().unknown_cancel), (2, 3));
}

#[test]
fn a_peer_that_goes_takes_all_of_its_own_with_it_and_nothing_else() {
    let rig = check(
        3,
        9,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, tell(A, 2).into(), "start 2"),
            (0, call(B, 3).into(), "start 3"),
            (0, call(A, 4).into(), ""),
            (0, tell(A, 5).into(), ""),
            (0, call(B, 6).into(), ""),
            (1, Gone(A), "abort 1, abort 2"),
            (2, Done(1, 0), "start 6"),
            (2, Done(2, 0), ""),
        ],
    );
    assert_eq!((rig.load().lost, rig.load().running, rig.load().waiting), (4, 2, 0));
}

#[test]
fn a_retry_is_ignored_while_the_first_try_waits_or_runs() {
    let rig = check(
        1,
        1,
        &[
            (0, retry(A, 1).into(), "start 1"),
            (0, retry(A, 2).into(), ""),
            (1, retry(A, 8).id(1).into(), ""),
            (1, retry(A, 9).id(2).into(), ""),
            (2, Done(1, 0), "start 2"),
        ],
    );
    assert_eq!((rig.load().repeated, rig.load().started), (2, 2));
}

#[test]
fn an_id_in_use_is_refused_to_what_is_no_retry() {
    let rig = check(
        9,
        0,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, retry(A, 2).into(), "start 2"),
            (1, call(A, 7).id(1).into(), "refuse A1 -32600"),
            (1, retry(A, 8).id(1).into(), "refuse A1 -32600"),
            (1, call(A, 9).id(2).into(), "refuse A2 -32600"),
            // Ids are the callers' own.
            (1, call(B, 3).id(1).into(), "start 3"),
            (2, Done(1, 0), ""),
            (2, call(A, 4).id(1).into(), "start 4"),
        ],
    );
    assert_eq!(rig.load().refused, 3);
}

#[test]
fn a_retry_of_what_was_aborted_is_run_though_its_first_try_has_not_ended() {
    check(
        2,
        0,
        &[
            (0, retry(A, 1).until(5), "start 1"),
            (5, Timer, "abort 1 -32002"),
            (6, retry(A, 2).id(1).until(50), "start 2"),
            // The end of the first changes nothing for the second, and its result is not the answer.
            (7, Done(1, 11), ""),
            (7, retry(A, 3).id(1).into(), ""),
            (8, Done(2, 22), ""),
            (9, retry(A, 4).id(1).into(), "replay A1 22"),
        ],
    );
}

#[test]
fn a_retry_after_the_end_is_answered_with_the_result() {
    let rig = check(
        1,
        0,
        &[
            (0, retry(A, 1).into(), "start 1"),
            (1, Done(1, 33), ""),
            (2, retry(A, 2).id(1).into(), "replay A1 33"),
            (3, Gone(A), ""),
            // It came back with the same UUID.
            (4, retry(A, 3).id(1).into(), "replay A1 33"),
            // Not a retry, another caller.
            (5, call(A, 4).id(1).into(), "start 4"),
            (6, Done(4, 44), ""),
            (6, retry(B, 5).id(1).into(), "start 5"),
        ],
    );
    assert_eq!((rig.load().replayed, rig.server.counters().results), (2, 1));
}

#[test]
fn a_result_is_no_answer_to_a_request_for_another_service() {
    let other = ServiceId(2);
    let mut rig = Rig::new(1, 0);
    rig.server.handle(rig.start, Input::Open { service: other, limits: Limits { concurrency: 1, queue: 0 } });
    rig.step(0, retry(A, 1));
    rig.step(1, Done(1, 0));
    assert_eq!(rig.step(2, Ask { service: other, ..retry(A, 2).id(1) }), "start 2");
    assert_eq!(rig.step(2, retry(A, 3).id(1)), "refuse A1 -32600");
}

#[test]
fn a_result_is_kept_for_a_minute() {
    let kept_for = u64::try_from(KEPT_FOR.as_millis()).unwrap();
    let mut rig = check(
        9,
        0,
        &[
            (0, retry(A, 1).into(), "start 1"),
            (0, Done(1, 1), ""),
            (kept_for - 1, retry(A, 2).id(1).into(), "replay A1 1"),
            (kept_for, retry(A, 3).id(1).into(), "start 3"),
            (kept_for, Done(3, 3), ""),
            (kept_for, retry(A, 4).id(1).into(), "replay A1 3"),
        ],
    );
    let sweep = rig.at(2 * kept_for) + SWEEP_AFTER;
    assert_eq!(rig.server.next_deadline(), Some(sweep));
    rig.server.on_deadline(sweep);
    assert!(rig.server.is_at_rest());
}

#[test]
fn results_are_bounded_in_number_and_the_oldest_make_room() {
    let mut rig = Rig::new(1, 0);
    let more = u32::try_from(MAX_RESULTS).unwrap() + 10;
    for job in 0..more {
        rig.step(0, retry(A, job));
        rig.step(0, Done(job, 1));
    }
    let counters = rig.server.counters();
    assert_eq!((counters.results, counters.results_pushed_out), (MAX_RESULTS, 10));
    assert_eq!(rig.step(1, retry(A, more).id(10)), "replay A10 1");
    assert_eq!(rig.step(1, retry(A, more).id(9)), format!("start {more}"));
}

#[test]
fn results_are_bounded_in_bytes() {
    let quarter = MAX_BYTES / 4;
    let mut rig = Rig::new(1, 0);
    let mut results = |job, bytes| {
        rig.step(0, retry(A, job));
        rig.step(0, Done(job, bytes));
        let counters = rig.server.counters();
        (counters.results, counters.results_pushed_out, counters.results_too_large)
    };
    assert_eq!(results(1, quarter), (1, 0, 0));
    assert_eq!(results(2, quarter), (2, 0, 0));
    // The id takes room as well.
    assert_eq!(results(3, MAX_BYTES), (2, 0, 1));
    assert_eq!(results(4, 3 * quarter), (1, 2, 1));
    assert_eq!(results(5, quarter / 2), (2, 2, 1));
    assert_eq!(rig.step(1, retry(A, 6).id(4)), format!("replay A4 {}", 3 * quarter));
}

#[test]
fn a_paused_service_refuses_until_it_is_resumed() {
    let rig = check(
        1,
        3,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), ""),
            (0, tell(A, 3).into(), ""),
            (0, call(B, 4).into(), ""),
            (10, Pause(110), "refuse A2 -32006 after 100, refuse B4 -32006 after 100"),
            (30, call(A, 5).into(), "refuse A5 -32006 after 80"),
            (40, Done(1, 0), ""),
            // Free slots do not matter, nor that the time has come.
            (50, tell(A, 6).into(), ""),
            (200, call(A, 7).into(), "refuse A7 -32006 after 1"),
            (201, Pause(301), ""),
            (201, call(A, 8).into(), "refuse A8 -32006 after 100"),
            (202, Resume, ""),
            (202, call(A, 9).into(), "start 9"),
        ],
    );
    assert_eq!((rig.load().refused, rig.load().dropped), (5, 2));
}

#[test]
fn a_closed_service_ends_everything_and_is_forgotten() {
    let mut rig = check(
        2,
        3,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), "start 2"),
            (0, call(A, 3).into(), ""),
            (1, Cancel(A, 1), "abort 1 -32003"),
            (2, Close, "abort 2 -32000, refuse A3 -32006 after 20"),
            (3, Done(1, 0), ""),
            (3, Done(2, 0), ""),
            (4, call(A, 4).into(), "refuse A4 -32006 after 20"),
            (4, tell(A, 5).into(), ""),
        ],
    );
    assert_eq!(rig.server.load(S), None);
    let Counters { unknown_service, finished_late, .. } = rig.server.counters();
    assert_eq!((unknown_service, finished_late), (2, 2));
    for input in [Pause(9), Resume, Drain, Close] {
        assert_eq!(rig.step(5, input), "", "what is told of a service that is closed changes nothing");
    }
    assert!(rig.server.is_at_rest());
}

#[test]
fn drained_is_told_once_when_nothing_runs_or_waits_and_requests_are_taken_all_the_while() {
    check(
        1,
        9,
        &[
            (0, call(A, 1).into(), "start 1"),
            (1, Drain, ""),
            (2, call(A, 2).into(), ""),
            (3, Done(1, 0), "start 2"),
            (4, Done(2, 0), "drained"),
            (5, call(A, 3).into(), "start 3"),
            (6, Drain, ""),
            (7, Done(3, 0), ""),
        ],
    );
    check(1, 0, &[(0, Drain, "drained"), (1, Drain, "")]);
}

#[test]
fn drained_waits_for_aborted_work() {
    check(
        1,
        1,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), ""),
            (1, Drain, ""),
            (2, Gone(A), "abort 1"),
            (3, Done(1, 0), "drained"),
        ],
    );
}

#[test]
fn callers_take_turns_and_each_is_served_in_order() {
    check(
        1,
        9,
        &[
            (0, call(C, 1).into(), "start 1"),
            (0, call(A, 2).into(), ""),
            (0, call(A, 3).into(), ""),
            (0, call(A, 4).into(), ""),
            (0, call(B, 5).into(), ""),
            (0, call(C, 6).into(), ""),
            (0, call(B, 7).into(), ""),
            (1, Done(1, 0), "start 2"),
            (2, Done(2, 0), "start 5"),
            (3, Done(5, 0), "start 6"),
            (4, Done(6, 0), "start 3"),
            (5, Done(3, 0), "start 7"),
            (6, Done(7, 0), "start 4"),
        ],
    );
}

#[test]
fn a_caller_that_fills_the_queue_makes_room_for_the_others_until_all_have_their_share() {
    let rig = check(
        1,
        4,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), ""),
            (0, call(A, 3).into(), ""),
            (0, call(A, 4).into(), ""),
            (0, tell(A, 5).into(), ""),
            (0, call(A, 6).into(), "refuse A6 -32001 after 20"),
            // The newest goes; it is a notification.
            (1, call(B, 11).into(), ""),
            (2, call(B, 12).into(), "refuse A4 -32001 after 20"),
            (3, call(B, 13).into(), "refuse B13 -32001 after 20"),
            (3, call(A, 7).into(), "refuse A7 -32001 after 20"),
            (4, call(C, 21).into(), "refuse B12 -32001 after 20"),
            (4, call(C, 22).into(), "refuse C22 -32001 after 20"),
        ],
    );
    assert_eq!((rig.load().waiting, rig.load().dropped, rig.load().refused), (4, 1, 6));
}

#[test]
fn a_queue_of_one_is_kept_by_who_has_it() {
    check(
        1,
        1,
        &[
            (0, call(A, 1).into(), "start 1"),
            (0, call(A, 2).into(), ""),
            (0, call(B, 3).into(), "refuse B3 -32001 after 20"),
        ],
    );
}

#[test]
fn a_modest_caller_is_never_refused_beside_one_that_floods() {
    let mut rig = Rig::new(4, 16);
    let (mut job, mut running) = (0_u32, Vec::new());
    let mut waited = 0;
    for round in 0..500_u64 {
        // A sends ten for each one that is worked off, B always has one at most waiting.
        let mut seen = String::new();
        for _ in 0..10 {
            job += 1;
            seen += &format!("{}, ", rig.step(round, call(A, job)));
        }
        if waited == 0 {
            job += 1;
            waited = job;
            seen += &format!("{}, ", rig.step(round, call(B, job)));
        }
        if let Some(job) = running.pop() {
            seen += &rig.step(round, Done(job, 0));
        }
        assert!(!seen.contains("refuse B"), "round {round}: {seen}");
        for started in seen.split(", ").filter_map(|line| line.strip_prefix("start ")?.parse().ok()) {
            running.insert(0, started);
            if started == waited {
                waited = 0;
            }
        }
    }
    assert!(rig.load().refused > 4_000, "{:?}", rig.load());
}

#[test]
fn a_service_that_is_opened_again_stays_as_it_is() {
    let mut rig = Rig::new(1, 0);
    rig.step(0, call(A, 1));
    rig.server.handle(rig.start, Input::Open { service: S, limits: Limits { concurrency: 9, queue: 9 } });
    assert_eq!(rig.step(1, call(A, 2)), "refuse A2 -32001 after 20");
}
