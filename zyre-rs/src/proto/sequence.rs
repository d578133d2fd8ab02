//! Numbering and checking of messages per connection, across both wraps that exist.
//!
//! RFC 36 and zyre count 65534, 65535, 0; pyre and zyre.js count modulo 65535: 65534, 0. A peer is held to neither on
//! receipt. What we send follows what is known of the peer; where nothing is, a HELLO in the same stream starts
//! the count anew, which every implementation but zyre.js accepts without loss (protocol facts: a HELLO resets
//! the receiver's count; zyre.js is told apart by its beacons, see [`Flavour::guess_by_beacon`]).

use super::bug::{Bug, bug};
use crate::PeerId;

/// Number of a HELLO, the first message of every session.
pub const FIRST: u16 = 1;

/// The last number on which all implementations agree.
const LAST_COMMON: u16 = 65_534;

/// How a peer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Flavour {
    /// Not known: it has not wrapped, and nothing else told.
    #[default]
    Unknown = 0,
    /// 65535 is followed by 0: the RFC, zyre C, gyre, this crate.
    Uint16 = 1,
    /// 65534 is followed by 0: pyre, zyre.js.
    Mod65535 = 2,
}

impl Flavour {
    /// The flavour with this discriminant; unknown for any other byte.
    pub fn from_u8(byte: u8) -> Self {
        match byte {
            1 => Self::Uint16,
            2 => Self::Mod65535,
            _ => Self::Unknown,
        }
    }

    /// What a peer's default name betrays: zyre C and gyre take six upper-case digits of the UUID, pyre six
    /// lower-case ones, zyre.js twelve.
    pub fn guess_by_name(id: PeerId, name: &[u8]) -> Self {
        let upper = id.to_string();
        let lower = upper.to_lowercase();
        let has_letter = |digits: &[u8]| digits.iter().any(u8::is_ascii_alphabetic);
        match (upper.as_bytes().get(..6), lower.as_bytes().get(..6), lower.as_bytes().get(..12)) {
            (Some(digits), _, _) if name == digits && has_letter(digits) => Self::Uint16,
            (_, Some(digits), _) if name == digits && has_letter(digits) => Self::Mod65535,
            (_, _, Some(digits)) if name == digits => Self::Mod65535,
            _ => Self::Unknown,
        }
    }

    /// What a beacon betrays: zyre.js alone sends from an ephemeral UDP port *and* takes the first free TCP
    /// port from 49152 up.
    pub fn guess_by_beacon(source_port: u16, beacon_port: u16, mailbox_port: u16) -> Self {
        const SCAN: std::ops::Range<u16> = 49_152..49_152 + 128;
        if source_port != beacon_port && SCAN.contains(&mailbox_port) {
            Self::Mod65535
        } else {
            Self::Unknown
        }
    }

    /// Keeps what is known: a guess never replaces knowledge.
    pub fn or(self, other: Self) -> Self {
        if self == Self::Unknown { other } else { self }
    }
}

/// The sequence of one link's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    last: u16,
}

/// What goes out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The message, with this number.
    Number(u16),
    /// The count ends here for a peer of unknown flavour: a HELLO goes first (see [`Outbound::restart`]).
    Wrap,
}

impl Outbound {
    /// A link that is about to say HELLO with [`FIRST`].
    pub fn after_hello() -> Self {
        Self { last: FIRST }
    }

    /// A link that has sent this number last: the simulator starts near the wrap.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn starting_after(last: u16) -> Self {
        Self { last }
    }

    /// The next number for a peer of this flavour. Asking again after `Wrap` gives `Wrap` until the flavour is
    /// known or the count restarts.
    pub fn next(&mut self, flavour: Flavour) -> Next {
        self.last = match (self.last, flavour) {
            (LAST_COMMON, Flavour::Unknown) if !bug(Bug::WrapsUnasked) => return Next::Wrap,
            (LAST_COMMON, flavour) if flavour == Flavour::Mod65535 || bug(Bug::WrapsShort) => 0,
            (last, _) => last.wrapping_add(1),
        };
        Next::Number(self.last)
    }

    /// Starts anew after a HELLO in the stream.
    pub fn restart(&mut self) {
        *self = Self::after_hello();
    }
}

/// The sequence of one connection's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    expected: u16,
    /// What the peer's wrap has shown.
    pub flavour: Flavour,
}

/// A message has a number that is not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many are missing, if none came late.
    pub missing: u16,
}

impl Inbound {
    /// A connection whose HELLO has been taken.
    pub fn after_hello() -> Self {
        Self { expected: FIRST + 1, flavour: Flavour::Unknown }
    }

    /// A connection that goes on in the middle of a session, with this number.
    pub fn resuming(sequence: u16) -> Self {
        Self { expected: sequence, flavour: Flavour::Unknown }
    }

    /// The number the next message should have.
    pub fn expected(&self) -> u16 {
        self.expected
    }

    /// Takes the next message's number.
    ///
    /// # Errors
    /// When messages are missing; the state is unchanged then.
    #[inline]
    pub fn check(&mut self, sequence: u16) -> Result<(), Gap> {
        if sequence != self.expected && !bug(Bug::GapsPass) {
            if self.expected != LAST_COMMON + 1 || sequence != 0 || bug(Bug::OneWrapOnly) {
                return Err(Gap { missing: sequence.wrapping_sub(self.expected) });
            }
            self.flavour = Flavour::Mod65535;
        } else if sequence == LAST_COMMON + 1 {
            self.flavour = Flavour::Uint16;
        }
        self.expected = sequence.wrapping_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(flavour: Flavour, count: usize) -> Vec<u16> {
        let mut outbound = Outbound::after_hello();
        (0..count)
            .map(|_| match outbound.next(flavour) {
                Next::Number(number) => number,
                Next::Wrap => panic!("wrap with a known flavour"),
            })
            .collect()
    }

    #[test]
    fn both_flavours_pass_both_wraps_without_a_gap_and_are_recognised() {
        for (flavour, around) in
            [(Flavour::Uint16, [65_534, 65_535, 0, 1]), (Flavour::Mod65535, [65_533, 65_534, 0, 1])]
        {
            let sent = numbers(flavour, 200_000);
            assert!(sent.windows(4).any(|four| four == around), "{flavour:?}");
            let mut inbound = Inbound::after_hello();
            assert!(sent.iter().all(|number| inbound.check(*number).is_ok()), "{flavour:?}");
            assert_eq!(inbound.flavour, flavour);
        }
    }

    #[test]
    fn an_unknown_flavour_stops_at_the_last_common_number_until_a_hello_or_knowledge() {
        let mut outbound = Outbound::after_hello();
        for expected in 2..=LAST_COMMON {
            assert_eq!(outbound.next(Flavour::Unknown), Next::Number(expected));
        }
        assert_eq!(outbound.next(Flavour::Unknown), Next::Wrap);
        let mut told = outbound;
        assert_eq!(told.next(Flavour::Mod65535), Next::Number(0));
        told = outbound;
        assert_eq!(told.next(Flavour::Uint16), Next::Number(65_535));
        outbound.restart();
        assert_eq!(outbound.next(Flavour::Unknown), Next::Number(2));
    }

    #[test]
    fn a_gap_says_how_many_are_missing_and_changes_nothing() {
        let mut inbound = Inbound::after_hello();
        assert_eq!(inbound.check(5), Err(Gap { missing: 3 }));
        assert_eq!(inbound.expected(), 2);
        assert_eq!(inbound.check(0), Err(Gap { missing: 65_534 }));
    }

    #[test]
    fn default_names_and_zyre_js_beacons_betray_the_flavour() {
        let id = PeerId::from_bytes([0xab; 16]);
        assert_eq!(Flavour::guess_by_name(id, b"ABABAB"), Flavour::Uint16);
        assert_eq!(Flavour::guess_by_name(id, b"ababab"), Flavour::Mod65535);
        assert_eq!(Flavour::guess_by_name(id, b"abababababab"), Flavour::Mod65535);
        assert_eq!(Flavour::guess_by_name(id, b"cam-1"), Flavour::Unknown);
        assert_eq!(Flavour::guess_by_name(PeerId::from_bytes([0x11; 16]), b"111111"), Flavour::Unknown);
        assert_eq!(Flavour::guess_by_beacon(40_000, 5670, 49_152), Flavour::Mod65535);
        assert_eq!(Flavour::guess_by_beacon(5670, 5670, 49_152), Flavour::Unknown);
        assert_eq!(Flavour::guess_by_beacon(40_000, 5670, 40_001), Flavour::Unknown);
    }
}
