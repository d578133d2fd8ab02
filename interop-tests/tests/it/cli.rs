//! The `zyre` command as scripts use it, with pyre on the other side.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use zyre_interop_tests::netns::{Host, Lan};
use zyre_interop_tests::peer::{Event, Mark, Process, Spec};
use zyre_interop_tests::{Missing, or_return, provision};

use crate::common::{DELIVERED, DISCOVERED, FOREIGN};

fn zyre(host: &Host, arguments: &[&str]) -> Result<Process, Missing> {
    let mut command = Command::new(provision::program("zyre")?);
    command.args(arguments);
    Ok(Process::spawn("zyre", host, command))
}

/// The JSON objects a command printed; they need not be events.
fn rows(process: &Process) -> Vec<Value> {
    let is_row = |event: &&Event| event.json().get("uuid").is_some();
    process.events().iter().filter(is_row).map(|event| event.json().clone()).collect()
}

#[test]
fn sub_prints_what_pyre_says_as_json_and_ends_after_its_count() {
    let lan = or_return!(Lan::new(2));
    let pyre = or_return!(Spec::pyre("pyre").group("G").header("X-K", "v").spawn(lan.host(0)));
    let sub = zyre(lan.host(1), &["--name", "cli", "--json", "sub", "G", "--count", "3", "--timeout", "20"]);
    let mut sub = or_return!(sub);
    let joins = |event: &Event| event.is("JOIN") && event.name() == "cli" && event.group() == "G";
    let cli = pyre.wait_for("JOIN of the command", joins, DISCOVERED).peer().to_owned();
    pyre.shout("G", &[b"one", b"", "zw\u{f6}lf".as_bytes()]);
    pyre.whisper(&cli, &[&[0xFF, 0x00]]);
    pyre.shout("G", &[b"last"]);
    assert_eq!(sub.wait_end(DISCOVERED).code(), Some(0));

    let told: Vec<Value> = sub.events().iter().map(|event| event.json().clone()).collect();
    let about_pyre = |more: Value| {
        let mut line = json!({"peer": pyre.id(), "name": "pyre"});
        for (key, value) in more.as_object().into_iter().flatten() {
            line[key] = value.clone();
        }
        line
    };
    let expected = [
        about_pyre(json!({"event": "ENTER", "endpoint": pyre.endpoint(), "headers": {"X-K": "v"}})),
        about_pyre(json!({"event": "JOIN", "group": "G"})),
        about_pyre(json!({"event": "SHOUT", "group": "G", "frames": ["one", "", "zwölf"]})),
        about_pyre(json!({"event": "WHISPER", "frames": [{"base64": "/wA="}]})),
        about_pyre(json!({"event": "SHOUT", "group": "G", "frames": ["last"]})),
    ];
    let lines: Vec<&Value> = told.iter().filter(|line| line.get("peer").is_some()).collect();
    assert_eq!(lines, expected.iter().collect::<Vec<_>>());
    pyre.wait_exit(Mark::START, &cli, DELIVERED);
}

#[test]
fn shouts_and_whispers_of_the_command_reach_pyre_and_zyrejs() {
    for (kind, theirs) in FOREIGN {
        let lan = or_return!(Lan::new(2));
        let them = or_return!(theirs("they").group("G").spawn(lan.host(0)));
        let mut shout = or_return!(zyre(lan.host(1), &["--name", "cli", "shout", "G", "first", "second"]));
        assert_eq!(shout.wait_end(DISCOVERED).code(), Some(0), "{kind}");
        let of_cli = |word: &'static str| move |event: &Event| event.is(word) && event.name() == "cli";
        let frames = them.wait_for("shout", of_cli("SHOUT"), DELIVERED).frames();
        let whole: [&[u8]; 2] = [b"first", b"second"];
        assert_eq!(frames, whole[..if kind == "pyre" { 2 } else { 1 }], "{kind}");

        let mut whisper = or_return!(zyre(lan.host(1), &["--name", "cli", "whisper", "they"]));
        for line in ["eins", "zwei", "drei"] {
            whisper.write_line(line).expect("the command reads its input");
        }
        whisper.end_input();
        assert_eq!(whisper.wait_end(DISCOVERED).code(), Some(0), "{kind}");
        them.wait_for("whisper", |event| event.is("WHISPER") && event.frames() == [b"drei"], DELIVERED);
        let whispers: Vec<_> = them.events().into_iter().filter(|event| event.is("WHISPER")).collect();
        assert_eq!(whispers.iter().map(Event::frames).collect::<Vec<_>>(), [[b"eins"], [b"zwei"], [b"drei"]]);
    }
}

#[test]
fn a_thousand_shouts_of_the_command_arrive_before_it_ends() {
    let lan = or_return!(Lan::new(2));
    let pyre = or_return!(Spec::pyre("pyre").group("G").spawn(lan.host(0)));
    let mut shout =
        or_return!(zyre(lan.host(1), &["--name", "cli", "shout", "G", "again", "--count", "1000"]));
    assert_eq!(shout.wait_end(DISCOVERED).code(), Some(0));
    let exits = |event: &Event| event.is("EXIT") && event.name() == "cli";
    pyre.wait_for("EXIT", exits, DISCOVERED);
    assert_eq!(pyre.events().iter().filter(|event| event.is("SHOUT")).count(), 1000);
}

#[test]
fn peers_and_scout_list_everyone() {
    let lan = or_return!(Lan::new(3));
    let pyre = or_return!(Spec::pyre("pyre").group("G").header("X-K", "v").spawn(lan.host(0)));
    let js = or_return!(Spec::zyrejs("js").group("H").spawn(lan.host(1)));
    let mut peers = or_return!(zyre(lan.host(2), &["--json", "peers", "--wait", "2"]));
    assert_eq!(peers.wait_end(DISCOVERED).code(), Some(0));
    let of_pyre = json!({"name": "pyre", "uuid": pyre.id(), "endpoint": pyre.endpoint(), "groups": ["G"], "headers": {"X-K": "v"}});
    let of_js =
        json!({"name": "js", "uuid": js.id(), "endpoint": js.endpoint(), "groups": ["H"], "headers": {}});
    let listed = rows(&peers);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.contains(&of_pyre) && listed.contains(&of_js), "{listed:?}");

    let (marks, others) = ([pyre.mark(), js.mark()], [&pyre, &js]);
    let mut scout = or_return!(zyre(lan.host(2), &["--json", "scout", "--wait", "2.5"]));
    assert_eq!(scout.wait_end(DISCOVERED).code(), Some(0));
    let listed = rows(&scout);
    let mut ids: Vec<_> = listed.iter().filter_map(|row| row.get("uuid")?.as_str()).collect();
    ids.sort_unstable();
    let mut expected = [pyre.id(), js.id()];
    expected.sort_unstable();
    assert_eq!(ids, expected, "{listed:?}");
    for (other, mark) in others.into_iter().zip(marks) {
        assert!(!other.events_since(mark).iter().any(|event| event.is("ENTER")), "scout takes no part");
    }
}

#[test]
fn nobody_there_is_a_timeout_and_a_wrong_option_is_usage() {
    let lan = or_return!(Lan::new(1));
    for (arguments, code) in [
        (&["whisper", "nobody", "hello", "--timeout", "1"][..], 3),
        (&["shout", "G", "hello", "--timeout", "1"], 3),
        (&["sub", "G", "--count", "1", "--timeout", "1"], 3),
        (&["shout"], 2),
        (&["--interface", "nosuch0", "peers", "--wait", "1"], 1),
    ] {
        let mut command = or_return!(zyre(lan.host(0), arguments));
        assert_eq!(command.wait_end(Duration::from_secs(10)).code(), Some(code), "{arguments:?}");
    }
}
