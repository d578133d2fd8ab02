//! How a leaf stays known to a hub of czmq, which forgets clients after a second and is unforgiving.
//!
//! czmq answers INVALID to a PUBLISH of a client it does not know, but also to a HELLO of one it does know,
//! which it then forgets. It answers PING to anyone, so PONG proves nothing. Two INVALIDs in flight, each answered
//! with a HELLO, would therefore go on for ever; this machine greets at most once between two beats.

use crate::wire::gossip::Message;
use std::time::Duration;

/// Time between two signs of life: less than half of czmq's second ("server/timeout" 1000), so one may be late.
pub(crate) const BEAT: Duration = Duration::from_millis(400);

/// Every so many beats the own tuple is said instead of PING: a hub that has forgotten us answers INVALID to
/// it, one that has lost the tuple has it back, and one that knows both ignores it.
const REPUBLISH_EVERY: u32 = 10;

/// What to say to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// HELLO and then every tuple.
    Greeting,
    /// Our own tuple.
    OwnTuple,
    /// PING.
    Ping,
}

/// One connection of a leaf; it begins with a greeting.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    beats: u32,
    /// Greeted before: INVALID may mean what was said before the greeting.
    settled: bool,
    /// Refused since the greeting, perhaps the greeting itself.
    doubtful: bool,
}

impl Registration {
    /// A message of the hub.
    pub(crate) fn on_message(&mut self, message: &Message) -> Option<Say> {
        if *message != Message::Invalid {
            return None;
        }
        if self.settled {
            *self = Self { beats: self.beats, ..Self::default() };
            return Some(Say::Greeting);
        }
        self.doubtful = true;
        None
    }

    /// [`BEAT`] has passed since the last time.
    pub(crate) fn on_beat(&mut self) -> Say {
        self.settled = true;
        self.beats = self.beats.wrapping_add(1);
        if std::mem::take(&mut self.doubtful) || self.beats.is_multiple_of(REPUBLISH_EVERY) {
            Say::OwnTuple
        } else {
            Say::Ping
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_has_forgotten_us_is_greeted_at_once() {
        let mut leaf = Registration::default();
        assert_eq!(leaf.on_beat(), Say::Ping);
        assert_eq!(leaf.on_message(&Message::Pong), None);
        assert_eq!(leaf.on_message(&Message::Invalid), Some(Say::Greeting));
    }

    #[test]
    fn two_refusals_in_flight_cost_one_greeting_and_a_check_at_the_next_beat() {
        let mut leaf = Registration::default();
        leaf.on_beat();
        assert_eq!(leaf.on_message(&Message::Invalid), Some(Say::Greeting));
        assert_eq!(leaf.on_message(&Message::Invalid), None);
        assert_eq!(leaf.on_beat(), Say::OwnTuple, "finds out whether the greeting was refused");
        assert_eq!(leaf.on_beat(), Say::Ping);
    }

    #[test]
    fn the_own_tuple_is_said_again_now_and_then() {
        let mut leaf = Registration::default();
        let said: Vec<Say> = (0..20).map(|_| leaf.on_beat()).collect();
        let republished: Vec<usize> = (0..20).filter(|at| said[*at] == Say::OwnTuple).collect();
        assert_eq!(republished, [9, 19]);
    }
}
