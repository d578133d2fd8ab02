//! The wall clock is set while nodes run. Only monotonic time counts; `clippy.toml` refuses any other in the crates.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zyre_interop_tests::netns::Lan;
use zyre_interop_tests::peer::Spec;
use zyre_interop_tests::{or_return, provision};

use crate::common::{figure, is_long, meet_all, sessions, talk};

const DAY: u64 = 24 * 60 * 60;

/// How far the clock is off, in the file that libfaketime reads; removed when dropped.
struct Setting(PathBuf);

impl Setting {
    fn new() -> Self {
        let setting = Self(std::env::temp_dir().join(format!("zyrt{}-clock", std::process::id())));
        setting.set("+0");
        setting
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn set(&self, offset: &str) {
        // Whole or not at all, since it may be read at any time.
        let draft = self.0.with_extension("draft");
        std::fs::write(&draft, offset).and_then(|()| std::fs::rename(&draft, &self.0)).expect("a file");
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_day_forward_and_two_back_exit_nobody() {
    let library = or_return!(provision::faketime());
    let lan = or_return!(Lan::new(3));
    let setting = Setting::new();
    // A real clock that is set leaves the monotonic one alone, and so must this.
    let ours = Spec::ours("ours")
        .group("G")
        .variable("LD_PRELOAD", &library.to_string_lossy())
        .variable("FAKETIME_TIMESTAMP_FILE", &setting.path().to_string_lossy())
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let patience = if is_long() { Duration::from_secs(35) } else { Duration::from_secs(3) };
    let timers = |spec: Spec| {
        if is_long() { spec } else { spec.option("evasive", 500).option("expired", 2000) }
    };
    let ours = or_return!(timers(ours).spawn(lan.host(0)));
    let second = or_return!(timers(Spec::ours("second").group("G")).spawn(lan.host(1)));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(2)));
    meet_all(&[&ours, &second, &pyre]);
    let apart = || ours.wall_clock().cast_signed() - second.wall_clock().cast_signed();
    assert!(apart().abs() < 60);
    let mut seen = Vec::new();
    for offset in ["+1d", "-1d"] {
        setting.set(offset);
        talk(&ours, &second);
        std::thread::sleep(patience);
        seen.push(apart());
        for there in [&second, &pyre] {
            talk(&ours, there);
            assert_eq!(sessions(&ours, there.id()), ["ENTER"], "{offset}: {}", there.name());
            assert_eq!(sessions(there, ours.id()), ["ENTER"], "{offset}: at {}", there.name());
        }
    }
    figure(&format!("wall clock off by {seen:?} s in turn, {patience:?} each: 0 EXIT"));
    let day = DAY.cast_signed();
    assert!(seen[0] > day - 60 && seen[1] < 60 - day, "the clock was not set: {seen:?}");
}
