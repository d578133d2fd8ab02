//! What the themes share: how long things may take, and who meets whom.

use std::time::{Duration, Instant};

use zyre_interop_tests::peer::{Event, Peer, Spec};

/// Discovery takes up to one beacon interval of 1 s; the rest is for a loaded machine.
pub(crate) const DISCOVERED: Duration = Duration::from_secs(10);
pub(crate) const DELIVERED: Duration = Duration::from_secs(5);

/// Whether `LONG=1` asks for the long form of what takes minutes.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LONG").is_some_and(|long| long == "1")
}

/// A kind of node and how to make one by name.
pub(crate) type Kind = (&'static str, fn(&str) -> Spec);

/// The implementations that are not ours.
pub(crate) const FOREIGN: [Kind; 2] = [("pyre", Spec::pyre), ("zyre.js", Spec::zyrejs)];
pub(crate) const ALL: [Kind; 3] = [("ours", Spec::ours), ("pyre", Spec::pyre), ("zyre.js", Spec::zyrejs)];

/// Runs a test with every kind at the same time: most of it is waiting.
pub(crate) fn each(kinds: &[Kind], test: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        for kind in kinds {
            scope.spawn(|| test(*kind));
        }
    });
}

/// Both have entered and are in `G` for each other.
#[track_caller]
pub(crate) fn meet(a: &Peer, b: &Peer) {
    for (here, there) in [(a, b), (b, a)] {
        here.wait_enter(there.id(), DISCOVERED);
        here.wait_join(there.id(), "G", DISCOVERED);
    }
}

/// Everybody has met everybody.
#[track_caller]
pub(crate) fn meet_all(nodes: &[&Peer]) {
    for (index, a) in nodes.iter().enumerate() {
        for b in nodes.iter().skip(index + 1) {
            meet(a, b);
        }
    }
}

/// A whisper each way arrives.
#[track_caller]
pub(crate) fn talk(a: &Peer, b: &Peer) {
    for (from, to) in [(a, b), (b, a)] {
        let mark = to.mark();
        from.whisper(to.id(), &[b"still there?"]);
        // Whispers of before may have waited for their session, so this one need not be the first.
        let this = |event: &Event| {
            event.is("WHISPER") && event.peer() == from.id() && event.frames() == [b"still there?"]
        };
        to.wait_since(mark, &format!("whisper of {}", from.name()), this, DELIVERED);
    }
}

/// The pairs of ENTER and EXIT that a node has seen of a peer, as `("ENTER", "EXIT", …)`.
pub(crate) fn sessions(here: &Peer, of: &str) -> Vec<String> {
    let of_interest = |event: &Event| event.peer() == of && (event.is("ENTER") || event.is("EXIT"));
    here.events().iter().filter(|event| of_interest(event)).map(|event| event.kind().to_owned()).collect()
}

/// Tells a figure on standard error, past the test runner, which swallows what a passing test prints.
pub(crate) fn figure(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "FIGURE: {text}");
}

/// Milliseconds between two moments, 0 when they came the other way round.
pub(crate) fn millis(from: Instant, to: Instant) -> u128 {
    to.saturating_duration_since(from).as_millis()
}
