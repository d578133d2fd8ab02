//! Nothing is lost where the 16-bit sequence wraps, which pyre and zyre.js do one number earlier than the RFC.

use std::time::Duration;

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::or_return;
use zyre_interop_tests::peer::{Counted, Peer, Spec, flood_in_step};

use crate::common::{figure, is_long, meet, sessions};

/// Past three wraps. pyre takes half a minute for that, so with it past one, unless `LONG=1` is in the environment.
fn count(kind: &str) -> u64 {
    if kind == "pyre" && !is_long() { 70_000 } else { 200_000 }
}

const PATIENCE: Duration = Duration::from_secs(120);

/// One way, the other way, both ways at once.
fn wrap_with(kind: &str, theirs: fn(&str) -> Spec) {
    let lan = or_return!(Lan::new(2));
    let ours = or_return!(Spec::ours("ours").group("G").spawn(lan.host(0)));
    let them = or_return!(theirs("they").group("G").spawn(lan.host(1)));
    meet(&ours, &them);
    let count = count(kind);
    for (from, to) in [(&ours, &them), (&them, &ours)] {
        to.start_counting();
        let begin = std::time::Instant::now();
        let counted = flood(kind, from, to, count);
        figure(&format!(
            "{count} whispers {} to {} of {kind}: {counted:?} in {:.1?}",
            from.name(),
            to.name(),
            begin.elapsed()
        ));
        assert_eq!(counted, Counted::all(count), "{kind}: {} to {}", from.name(), to.name());
    }
    ours.start_counting();
    them.start_counting();
    let begin = std::time::Instant::now();
    let (out, back) = std::thread::scope(|scope| {
        let out = scope.spawn(|| flood(kind, &ours, &them, count));
        let back = scope.spawn(|| flood(kind, &them, &ours, count));
        (out.join().expect("ours is heard"), back.join().expect("they are heard"))
    });
    figure(&format!(
        "{count} whispers each way at once with {kind}: {out:?} {back:?} in {:.1?}",
        begin.elapsed()
    ));
    assert_eq!((out, back), (Counted::all(count), Counted::all(count)), "{kind}");
    for (here, there) in [(&ours, &them), (&them, &ours)] {
        figure(&format!("{kind}: sessions at {}: {:?}", here.name(), sessions(here, there.id())));
    }
}

/// pyre gives up on a receiver that falls 3000 messages behind, so it is paced; ours waits by itself, and zyre.js
/// queues without a limit.
fn flood(kind: &str, from: &Peer, to: &Peer, count: u64) -> Counted {
    if kind == "pyre" && from.name() == "they" {
        return flood_in_step(from, to, count, 16, 1000);
    }
    from.flood_whispers(to.id(), 0, count, 16);
    to.wait_counted(from.id(), count, PATIENCE)
}

#[test]
fn nothing_is_lost_across_the_wrap_with_pyre() {
    wrap_with("pyre", Spec::pyre);
}

#[test]
fn nothing_is_lost_across_the_wrap_with_zyrejs() {
    wrap_with("zyre.js", Spec::zyrejs);
}

#[test]
fn nothing_is_lost_across_the_wrap_between_ours() {
    wrap_with("ours", Spec::ours);
}
