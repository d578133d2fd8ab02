//! The main job: a dealer's JSON requests, worked off by whoever is in the group, Rust or Python.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::Process;
use zyre_interop_tests::{Missing, or_return, provision};

use crate::common::{DISCOVERED, figure};

const DONE: Duration = Duration::from_secs(30);

/// An example of ours, or its twin in Python.
fn example(
    language: &str,
    program: &str,
    name: &str,
    host: &Host,
    options: &str,
) -> Result<Process, Missing> {
    let mut command = if language == "rust" {
        Command::new(provision::program(program)?)
    } else {
        let mut python = Command::new(provision::pyre()?.interpreter);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python");
        python.arg(folder.join(program).with_extension("py"));
        python
    };
    command.args(["--name", name]).args(options.split_whitespace());
    Ok(Process::spawn(name, host, command))
}

fn worker(language: &str, name: &str, host: &Host, work_ms: u32) -> Result<Process, Missing> {
    let worker = example(language, "worker", name, host, &format!("--work-ms {work_ms}"))?;
    worker.wait_line("works in", DISCOVERED);
    Ok(worker)
}

/// How many answers each of the workers gave, from the dealer's last line.
fn answers(dealer: &Process, requests: u32) -> Vec<(String, u32)> {
    let summary = dealer.wait_line(&format!("{requests} requests, {requests} answers: "), DONE);
    let each = summary.line().rsplit(": ").next().unwrap_or_default();
    let each = each.split(", ").filter_map(|one| one.rsplit_once(' '));
    each.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

#[test]
fn any_dealer_deals_to_any_mix_of_workers() {
    for language in ["rust", "python"] {
        let lan = or_return!(Lan::new(3));
        let _workers = [
            or_return!(worker("rust", "r1", lan.host(0), 0)),
            or_return!(worker("python", "p1", lan.host(1), 0)),
            or_return!(worker("rust", "r2", lan.host(1), 0)),
            or_return!(worker("python", "p2", lan.host(2), 0)),
        ];
        let dealer = example(language, "dealer", "dealer", lan.host(2), "--count 1000 --workers 4");
        let mut dealer = or_return!(dealer);
        let answers = answers(&dealer, 1000);
        assert!(dealer.wait_end(DONE).success(), "{language}");
        figure(&format!("{language} dealer, 1000 requests: {answers:?}"));
        assert_eq!(answers.len(), 4, "{language}: {answers:?}");
        assert!(answers.iter().all(|(_, count)| *count == 250), "round-robin: {answers:?}");
    }
}

#[test]
fn what_a_killed_worker_leaves_is_done_by_the_others() {
    for victim in ["rust", "python"] {
        let lan = or_return!(Lan::new(4));
        let mut killed = or_return!(worker(victim, "victim", lan.host(0), 5));
        let _others = [
            or_return!(worker("rust", "r1", lan.host(1), 5)),
            or_return!(worker("python", "p1", lan.host(2), 5)),
        ];
        let dealer = or_return!(example("rust", "dealer", "dealer", lan.host(3), "--count 600 --workers 3"));
        let mut dealer = dealer;
        // The third has come: the first requests are out, a second of work is left.
        for name in ["victim", "r1", "p1"] {
            dealer.wait_line(&format!("{name} works in"), DISCOVERED);
        }
        // In the middle: a quarter of the second that the work takes.
        std::thread::sleep(Duration::from_millis(250));
        killed.kill();
        dealer.wait_line("victim has left (gone)", DISCOVERED);
        let answers = answers(&dealer, 600);
        assert!(dealer.wait_end(DONE).success(), "{victim}");
        figure(&format!("a {victim} worker killed among 600 requests: {answers:?}"));
        assert_eq!(answers.iter().map(|(_, count)| count).sum::<u32>(), 600, "{victim}: {answers:?}");
        assert!(
            answers.iter().any(|(name, count)| name == "victim" && *count < 200),
            "{victim}: {answers:?}"
        );
    }
}

/// A stopped worker says goodbye, which pyre hears; a killed one it would notice after 30 s.
#[test]
fn a_python_dealer_deals_on_when_a_rust_worker_stops() {
    let lan = or_return!(Lan::new(3));
    let mut leaver = or_return!(worker("rust", "leaver", lan.host(0), 5));
    let _other = or_return!(worker("rust", "r1", lan.host(1), 5));
    let dealer = example("python", "dealer", "dealer", lan.host(2), "--count 400 --workers 2");
    let mut dealer = or_return!(dealer);
    for name in ["leaver", "r1"] {
        dealer.wait_line(&format!("{name} works in"), DISCOVERED);
    }
    leaver.interrupt();
    assert!(leaver.wait_end(DISCOVERED).success());
    dealer.wait_line("leaver has left", DISCOVERED);
    let answers = answers(&dealer, 400);
    assert!(dealer.wait_end(DONE).success());
    assert_eq!(answers.iter().map(|(_, count)| count).sum::<u32>(), 400, "{answers:?}");
}

#[test]
fn json_is_shouted_to_a_group_by_either_and_read_by_either() {
    for sender in ["rust", "python"] {
        for receiver in ["rust", "python"] {
            let lan = or_return!(Lan::new(2));
            let mut receiver =
                or_return!(example(receiver, "recv_group", "receiver", lan.host(0), "--count 2"));
            let _sender = or_return!(example(sender, "shout_json", "sender", lan.host(1), "--every-ms 100"));
            receiver.wait_line("sender enters, X-UNIT: celsius", DISCOVERED);
            assert!(receiver.wait_end(DISCOVERED).success());
        }
    }
}
