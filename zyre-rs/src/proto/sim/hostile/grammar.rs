//! What a hostile node says, drawn from a grammar whose words are the rows of the attack table:
//!
//! ```text
//! attack  = row, [row, [row]]
//! row     = beacon | bait | session
//! beacon  = place of its source, who it names, port             (B4, B5, B6, T10, moves)
//! bait    = one or many new UUIDs, each at a closed port         (B2, B3)
//! session = whose identity, how often, word…, how it ends        (T5, T9)
//! word    = HELLO, how often                                     (T7, T10, T11, T12, T13)
//!         | command, for groups and peers that need not be       (T13, T17)
//!         | content                                              (T15, T16)
//!         | a number left out | a number said twice              (T12)
//! ```

use super::super::random::Random;

/// Of whom.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    /// Nobody that was ever heard of.
    New,
    /// The last one that was new.
    Before,
    /// Another good node.
    Other,
    /// The one that is attacked.
    Victim,
}

/// Where.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Own,
    Other,
    Victim,
    /// Beyond the subnet.
    Far,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Goodbye,
    Closed,
    Other,
    Victim,
    Own,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Hello { place: Place, port: Port, native: bool, groups: usize, status: u8, times: usize },
    Ping,
    PingOk,
    Join { status: u8 },
    Leave { status: u8 },
    Elect(Who),
    Leader(Who),
    Goodbye,
    Unknown,
    Content,
    Skip,
    Repeat,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Open,
    Closed,
    /// Without a word.
    Dead,
}

#[derive(Clone, Debug)]
pub(super) enum Row {
    Beacon { place: Place, who: Who, port: Port },
    Bait { times: usize },
    Session { who: Who, times: usize, words: Vec<Word>, end: End },
}

/// Draws one attack.
pub(super) fn attack(random: &mut Random) -> Vec<Row> {
    (0..=random.index(3)).map(|_| row(random)).collect()
}

fn row(random: &mut Random) -> Row {
    match random.below(10) {
        0..=3 => Row::Beacon { place: place(random), who: who(random), port: port(random) },
        // A flood is dear to simulate: few runs have one.
        4 => Row::Bait { times: if random.percent(4) { 300 } else { 1 } },
        _ => Row::Session {
            who: who(random),
            times: if random.percent(8) { 10 } else { 1 },
            words: words(random),
            end: [End::Open, End::Open, End::Closed, End::Dead][random.index(4)],
        },
    }
}

fn words(random: &mut Random) -> Vec<Word> {
    let count = random.index(10);
    // Hardly anything is heard before a HELLO, so most sessions begin with one.
    let first = random.percent(85).then(|| hello(random));
    first.into_iter().chain((0..count).map(|_| word(random)).collect::<Vec<_>>()).collect()
}

fn word(random: &mut Random) -> Word {
    let status = random.below(256) as u8;
    match random.below(14) {
        0 | 1 => hello(random),
        2 => Word::Ping,
        3 => Word::PingOk,
        4 => Word::Join { status },
        5 => Word::Leave { status },
        6 => Word::Elect(who(random)),
        7 => Word::Leader(who(random)),
        8 => Word::Goodbye,
        9 => Word::Unknown,
        10 | 11 => Word::Content,
        12 => Word::Skip,
        _ => Word::Repeat,
    }
}

fn hello(random: &mut Random) -> Word {
    Word::Hello {
        place: place(random),
        port: port(random),
        native: random.percent(50),
        groups: random.index(4),
        status: random.below(256) as u8,
        times: if random.percent(15) { 30 } else { 1 },
    }
}

fn who(random: &mut Random) -> Who {
    [Who::New, Who::New, Who::Before, Who::Other, Who::Other, Who::Victim][random.index(6)]
}

fn place(random: &mut Random) -> Place {
    [Place::Own, Place::Own, Place::Other, Place::Other, Place::Victim, Place::Far][random.index(6)]
}

fn port(random: &mut Random) -> Port {
    [Port::Goodbye, Port::Closed, Port::Other, Port::Other, Port::Victim, Port::Own][random.index(6)]
}
