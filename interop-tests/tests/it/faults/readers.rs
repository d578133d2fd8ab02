//! An application that stops reading, and a sender that goes on at full speed: each overflow policy keeps its word, and
//! nobody else notices.

use std::time::Duration;

use serde_json::Value;
use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Counted, Event, Peer, Spec};

use crate::common::{DELIVERED, DISCOVERED, figure, is_long, meet_all, sessions};

const SIZE: usize = 1024;
/// `LinkLimit::default()`.
const CAP_KIB: u64 = 8 << 10;
/// More time than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    _lan: Lan,
    sender: Peer,
    reader: Peer,
    other: Peer,
}

/// What a load did.
struct Pressed {
    queued: u64,
    refused: u64,
    dropped: u64,
    error: Option<String>,
    p99: u64,
    peak_kib: u64,
}

impl Stage {
    fn new(policy: &str) -> Result<Self, zyre_interop_tests::Missing> {
        let lan = Lan::new(3)?;
        // glibc keeps an arena for each thread, and in each what came to most there; what the node holds shows in one.
        let sender =
            Spec::ours("sender").group("G").option("overflow", policy).variable("MALLOC_ARENA_MAX", "1");
        let sender = sender.spawn(lan.host(0))?;
        let reader = Spec::ours("reader").group("G").spawn(lan.host(1))?;
        let other = Spec::ours("other").group("G").option("echo", true).spawn(lan.host(2))?;
        meet_all(&[&sender, &reader, &other]);
        Ok(Self { _lan: lan, sender, reader, other })
    }

    /// Presses while round trips to the other peer are timed.
    fn press(&self, time: Duration) -> Pressed {
        let mark = self.sender.mark();
        self.sender.press(self.reader.id(), SIZE, time);
        let (timed, peak_kib) = std::thread::scope(|scope| {
            let timing = scope.spawn(|| self.sender.time_round_trips(self.other.id(), time));
            let (mut peak, usage) = (0, self.sender.usage());
            while !timing.is_finished() {
                peak = peak.max(usage.memory_kib());
                std::thread::sleep(Duration::from_millis(20));
            }
            (timing.join().expect("they are timed"), peak)
        });
        let told = self.sender.wait_pressed(mark, PATIENCE);
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
        assert_eq!(timed.get("error"), None, "an echo of the other peer");
        Pressed {
            queued: number(&told, "queued"),
            refused: number(&told, "refused"),
            dropped: number(&told, "dropped"),
            error: told["error"].as_str().map(str::to_owned),
            p99: number(&timed, "p99"),
            peak_kib,
        }
    }

    /// Waits for the last number queued.
    fn counted(&self, next: u64) -> Counted {
        self.reader.wait_counted(self.sender.id(), next, PATIENCE)
    }
}

/// The same load with a reader that has stopped and one that reads; `check` lets it read again.
fn stop_reading(policy: &str, check: impl FnOnce(&Stage, &Pressed)) {
    let time = Duration::from_secs(if is_long() { 30 } else { 3 });
    let stage = or_return!(Stage::new(policy));
    // Whatever any traffic needs is there by then.
    stage.sender.time_round_trips(stage.other.id(), Duration::from_millis(300));
    let idle_kib = stage.sender.usage().memory_kib();
    stage.reader.start_counting();
    stage.reader.read_events(false);
    let stopped = stage.press(time);
    check(&stage, &stopped);
    let reading = stage.press(time);
    let grown = |pressed: &Pressed| pressed.peak_kib.saturating_sub(idle_kib);
    figure(&format!(
        "{policy}, reader stopped for {time:?}: {} queued, {} refused, {} dropped, {}; memory + {} KiB; p99 of another \
         peer's round trips {} µs. With a reader that reads: {} queued, memory + {} KiB, p99 {} µs",
        stopped.queued,
        stopped.refused,
        stopped.dropped,
        stopped.error.as_deref().unwrap_or("no error"),
        grown(&stopped),
        stopped.p99,
        reading.queued,
        grown(&reading),
        reading.p99,
    ));
    // What may yet be dropped is kept message by message, which takes a hundred bytes each.
    let spare = if policy == "drop_oldest" { CAP_KIB / 5 } else { CAP_KIB / 10 };
    assert!(grown(&stopped) <= CAP_KIB + spare, "{policy}: memory + {} KiB", grown(&stopped));
    // The aim is twice; both are milliseconds at most, of which a busy machine makes what it likes.
    assert!(stopped.p99 <= (2 * reading.p99).max(100_000), "{policy}: {} µs", stopped.p99);
    assert_eq!(sessions(&stage.sender, stage.other.id()), ["ENTER"], "{policy}");
}

/// The pair has come back from whatever cut it off.
fn meet_again(stage: &Stage) {
    let (sender, reader) = (&stage.sender, &stage.reader);
    let deadline = std::time::Instant::now() + PATIENCE;
    let is_in = |here: &Peer, there: &Peer| here.peers_in("G").iter().any(|id| id == there.id());
    while !(is_in(sender, reader) && is_in(reader, sender)) {
        assert!(std::time::Instant::now() < deadline, "they do not come back");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_drop_newest_has_accepted_arrives_and_nothing_else() {
    stop_reading("drop_newest", |stage, pressed| {
        assert!(pressed.refused > 0 && pressed.error.is_none(), "{:?}", pressed.error);
        stage.reader.read_events(true);
        assert_eq!(stage.counted(pressed.queued), Counted::all(pressed.queued));
    });
}

#[test]
fn what_block_has_accepted_arrives_and_nothing_else() {
    stop_reading("block", |stage, pressed| {
        assert!(pressed.refused > 0 && pressed.error.is_none(), "{:?}", pressed.error);
        stage.reader.read_events(true);
        assert_eq!(stage.counted(pressed.queued), Counted::all(pressed.queued));
    });
}

#[test]
fn what_drop_oldest_has_not_counted_as_dropped_arrives() {
    stop_reading("drop_oldest", |stage, pressed| {
        assert!(pressed.refused == 0 && pressed.error.is_none(), "{:?}", pressed.error);
        let dropped = pressed.dropped;
        assert!(dropped > 0);
        stage.reader.read_events(true);
        let counted = stage.counted(pressed.queued);
        assert_eq!(
            (counted.received, counted.missing, counted.reordered),
            (pressed.queued - dropped, dropped, 0)
        );
    });
}

#[test]
fn disconnect_cuts_the_full_link_once_and_what_arrives_has_no_gap() {
    stop_reading("disconnect", |stage, pressed| {
        assert!(pressed.error.as_deref().is_some_and(|error| error.contains("cut")), "{:?}", pressed.error);
        let full = |event: &Event| event.is("EXIT") && event.reason() == "link-full";
        stage.sender.wait_for("EXIT of the full link", full, DELIVERED);
        stage.reader.read_events(true);
        meet_again(stage);
        let counted = stage.reader.counted(stage.sender.id());
        assert!(
            counted.missing == 0 && counted.reordered == 0 && counted.received <= pressed.queued,
            "{counted:?}"
        );
        stage.sender.wait_for("JOIN", |event| event.is("JOIN"), DISCOVERED);
    });
}
