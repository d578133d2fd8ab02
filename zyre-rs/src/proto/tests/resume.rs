//! Streams that go on without a HELLO on a new connection, as those of libzmq do after a reset.

use super::*;

/// The peer's address; its connections come from there.
const HOME: &str = "10.0.0.1:40009";

impl Bench {
    fn resume(&mut self, conn: u64, source: &str, sequence: u16) -> bool {
        let input =
            Input::Resume { conn: ConnId(conn), peer: id(1), source: at(source), sequence, key: None };
        let outputs = self.tell(input);
        assert_ne!(accepted(&outputs, conn), refused(&outputs, conn), "{outputs:?}");
        accepted(&outputs, conn)
    }

    fn closed(&mut self, conn: u64, expected: u16) -> Vec<Output> {
        self.tell(Input::ConnClosed { conn: ConnId(conn), peer: id(1), expected })
    }

    fn hello_again(&mut self, conn: u64) -> Vec<Output> {
        self.hello(conn, 1, HOME, hello("tcp://10.0.0.1:5000", &["g"], false))
    }

    /// A peer that has just come anew, on connection 2: its next HELLO waits for its turn.
    fn ready_anew() -> Self {
        let mut bench = Self::new();
        bench.ready(1, false);
        bench.closed(1, 6);
        assert_eq!(exits(&bench.hello_again(2)), [ExitReason::Restarted]);
        bench
    }
}

fn greetings(outputs: &[Output]) -> usize {
    opens(outputs) + count(outputs, |output| matches!(output, Output::Greet(_)))
}

#[test]
fn a_stream_goes_on_with_the_number_that_is_next() {
    let mut bench = Bench::new();
    bench.ready(1, false);
    bench.pass(3_000);
    bench.closed(1, 6);
    bench.pass(150);
    assert!(bench.resume(2, HOME, 6));
    let outputs = bench.pass(3_000);
    assert!(exits(&outputs).is_empty() && greetings(&outputs) == 0, "{outputs:?}");
}

#[test]
fn a_stream_that_came_back_with_another_number_does_not_reach_the_next_one_by_chance() {
    let mut bench = Bench::new();
    bench.ready(1, false);
    bench.pass(3_000);
    bench.closed(1, 6);
    for (conn, sequence) in [(2, 4), (3, 5), (4, 6)] {
        bench.pass(150);
        assert!(!bench.resume(conn, HOME, sequence), "{sequence}");
    }
    assert_eq!(greetings(&bench.pass(1_000)), 1, "only a HELLO brings it back");
    assert_eq!(exits(&bench.hello_again(5)), [ExitReason::Restarted]);
    bench.closed(5, 3);
    assert!(bench.resume(6, HOME, 3), "the new session may go on");
}

#[test]
fn a_stream_does_not_go_on_while_a_later_hello_of_its_peer_waits() {
    let mut bench = Bench::ready_anew();
    bench.closed(2, 6);
    assert!(!accepted(&bench.hello_again(3), 3));
    bench.pass(150);
    assert!(!bench.resume(4, HOME, 6));
    let outputs = bench.pass(2_500);
    assert!(accepted(&outputs, 3), "{outputs:?}");
    assert_eq!(exits(&outputs), [ExitReason::Restarted]);
}

#[test]
fn a_hello_that_waited_in_vain_has_ended_the_session_before_it() {
    // The connections of the session and of the HELLO that follows it may end in either order.
    for session_first in [true, false] {
        let mut bench = Bench::ready_anew();
        if session_first {
            bench.closed(2, 6);
        }
        assert!(!accepted(&bench.hello_again(3), 3));
        bench.closed(3, 2);
        if !session_first {
            bench.closed(2, 6);
        }
        assert!(!bench.resume(4, HOME, 6), "{session_first}");
        assert_eq!(greetings(&bench.pass(1_500)), 1, "{session_first}");
    }
}

#[test]
fn t9_another_address_neither_takes_a_stream_over_nor_spoils_it() {
    let mut bench = Bench::new();
    bench.ready(1, false);
    bench.pass(3_000);
    bench.closed(1, 6);
    assert!(!bench.resume(2, "10.0.0.9:40000", 6));
    assert!(!bench.resume(3, "10.0.0.9:40000", 5));
    assert!(bench.resume(4, HOME, 6));
}
