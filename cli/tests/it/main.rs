//! The command as its users run it: processes on loopback, on a UDP port of their own per test.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers included")]

mod bench;
mod cheat;
mod complete;
mod doctor;
mod launch;
mod look;
mod node_keys;
mod process;
mod rotation;
mod secured;

use process::{Network, json};

#[test]
fn wrong_usage_exits_with_2_and_names_the_remedy() {
    let network = Network::new();
    let ended = network.zyre(["sub", "g", "--header", "nothing"]).finish();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--header X-ROLE=camera"), "{ended:?}");
    assert_eq!(network.zyre(["sub"]).finish().code, Some(2));
}

#[test]
fn help_shows_an_example_and_goes_to_standard_output() {
    for command in ["scout", "shout", "demo"] {
        let ended = Network::new().zyre([command, "--help"]).finish();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(&format!("zyre {command}")), "{ended:?}");
        assert!(ended.stdout.contains("Example"), "{ended:?}");
    }
}

#[test]
fn settings_a_node_cannot_start_with_exit_with_1_and_a_reason() {
    let network = Network::new();
    let long = "n".repeat(256);
    for (option, value) in [("--name", long.as_str()), ("--interface", "nosuch0"), ("--endpoint", "nonsense")]
    {
        let ended = network.zyre(["sub", "g", option, value]).finish();
        assert_eq!(ended.code, Some(1), "{option}: {ended:?}");
        assert!(ended.stderr.starts_with("zyre: "), "{option}: {ended:?}");
        assert_eq!(ended.stdout, "", "{option}");
    }
}

#[test]
fn a_shout_of_two_frames_reaches_a_subscriber_as_one_message() {
    let network = Network::new();
    let sub = network.zyre(["--json", "--name", "ears", "sub", "g", "--count", "1"]);
    let shout =
        network.zyre(["shout", "g", "one", "two", "--json", "--name", "mouth", "--header", "X-ROLE=test"]);
    let shout = shout.finish();
    assert_eq!((shout.code, shout.stdout.as_str()), (Some(0), "{\"sent\":1,\"peers\":1}\n"), "{shout:?}");
    let sub = sub.finish();
    assert_eq!(sub.code, Some(0), "{sub:?}");
    let events: Vec<_> = sub.stdout.lines().map(json).collect();
    let enter = events.iter().find(|event| event["event"] == "ENTER").expect("an ENTER");
    assert_eq!(enter["name"], "mouth");
    assert_eq!(enter["headers"]["X-ROLE"], "test");
    assert!(enter["endpoint"].as_str().expect("text").starts_with("tcp://"), "{enter}");
    let last = events.last().expect("a SHOUT");
    assert_eq!(last["event"], "SHOUT");
    assert_eq!(last["peer"], enter["peer"]);
    assert_eq!(last["group"], "g");
    assert_eq!(last["frames"], json(r#"["one","two"]"#));
}

#[test]
fn lines_of_standard_input_are_messages_and_all_arrive_in_order() {
    let network = Network::new();
    let sub = network.zyre(["--json", "sub", "g", "--count", "1001"]);
    let mut input: Vec<u8> = (0..1000).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    input.extend(b"\xFF");
    let shout = network.zyre_with_input(["shout", "g", "--json"], &input).finish();
    assert_eq!(shout.stdout, "{\"sent\":1001,\"peers\":1}\n", "{shout:?}");
    let sub = sub.finish();
    let frames: Vec<_> = sub
        .stdout
        .lines()
        .map(json)
        .filter(|event| event["event"] == "SHOUT")
        .map(|event| event["frames"].clone())
        .collect();
    let expected = (0..1000).map(|i| json(&format!(r#"["{i}"]"#))).chain([json(r#"[{"base64":"/w=="}]"#)]);
    assert_eq!(frames, expected.collect::<Vec<_>>());
}

#[test]
fn a_message_is_sent_as_often_as_asked_to_all_members_awaited() {
    let network = Network::new();
    let subs = [(); 2].map(|()| network.zyre(["--json", "sub", "g", "--count", "5"]));
    let shout = network
        .zyre(["shout", "g", "m", "--count", "5", "--rate", "100", "--wait-peers", "2", "--json"])
        .finish();
    assert_eq!(shout.stdout, "{\"sent\":5,\"peers\":2}\n", "{shout:?}");
    for sub in subs {
        let sub = sub.finish();
        assert_eq!(sub.code, Some(0), "{sub:?}");
        assert_eq!(sub.stdout.matches("\"SHOUT\"").count(), 5, "{sub:?}");
    }
}

#[test]
fn a_whisper_finds_its_peer_by_name_and_by_the_first_digits_of_its_uuid() {
    let network = Network::new();
    let mut sub = network.zyre(["--json", "--name", "cam-1", "sub", "g", "--count", "2"]);
    let mut other = network.zyre(["--json", "--name", "cam-2", "sub", "g"]);
    let uuid = other.line_with("\"ENTER\"")["peer"].as_str().expect("text").to_lowercase();
    let named = network.zyre(["whisper", "cam-1", "by name"]).finish();
    assert_eq!(named.code, Some(0), "{named:?}");
    let digits = network.zyre(["whisper", &uuid[..8], "by digits"]).finish();
    assert_eq!(digits.code, Some(0), "{digits:?}");
    assert_eq!(sub.line_with("\"WHISPER\"")["frames"], json(r#"["by name"]"#));
    assert_eq!(sub.line_with("\"WHISPER\"")["frames"], json(r#"["by digits"]"#));
    assert_eq!(sub.finish().code, Some(0));
}

#[test]
fn a_whisper_to_one_of_two_with_the_same_name_lists_both() {
    let network = Network::new();
    let mut twins = [(); 2].map(|()| network.zyre(["--json", "--name", "twin", "sub", "g"]));
    let uuids = [0, 1].map(|i| twins[i].line_with("\"ENTER\"")["peer"].as_str().expect("text").to_owned());
    let ended = network.zyre(["whisper", "twin", "m", "--wait-peers", "2", "--timeout", "15"]).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(uuids.iter().all(|uuid| ended.stderr.contains(uuid)), "{ended:?}");
}

#[test]
fn a_whisper_to_nobody_exits_with_3_and_says_who_is_there() {
    let network = Network::new();
    let _sub = network.zyre(["--name", "cam-1", "sub", "g"]);
    let ended = network.zyre(["whisper", "cam-9", "m", "--timeout", "4"]).finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("cam-9") && ended.stderr.contains("cam-1 ("), "{ended:?}");
}

#[test]
fn a_shout_to_nobody_exits_with_3_and_says_what_to_check() {
    let network = Network::new();
    let ended = network.zyre(["shout", "g", "m", "--timeout", "0.5"]).finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("check that others run"), "{ended:?}");
}

#[test]
fn sub_exits_with_3_only_when_messages_were_asked_for() {
    let network = Network::new();
    let counting = network.zyre(["sub", "g", "--count", "1", "--timeout", "0.5"]).finish();
    assert_eq!(counting.code, Some(3), "{counting:?}");
    assert!(counting.stderr.contains("0 of 1 message"), "{counting:?}");
    let listening = network.zyre(["sub", "g", "--timeout", "0.5"]).finish();
    assert_eq!(listening.code, Some(0), "{listening:?}");
}

#[test]
fn peers_lists_groups_and_headers() {
    let network = Network::new();
    let _sub = network.zyre(["--name", "cam-1", "--header", "X-ROLE=camera", "sub", "b", "a"]);
    let ended = network.zyre(["peers", "--json", "--wait", "0", "--timeout", "15"]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let peer = json(ended.stdout.trim_end());
    assert_eq!(peer["name"], "cam-1");
    assert_eq!(peer["groups"], json(r#"["a","b"]"#));
    assert_eq!(peer["headers"], json(r#"{"X-ROLE":"camera"}"#));
    assert_eq!(peer["uuid"].as_str().expect("text").len(), 32);
}

#[test]
fn scout_sees_a_node_that_does_not_see_the_scout() {
    let network = Network::new();
    let sub = network.zyre(["--json", "sub", "g"]);
    let ended = network.zyre(["scout", "--json", "--wait", "0", "--timeout", "15"]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let seen = json(ended.stdout.trim_end());
    assert!(seen["name"].is_null(), "{seen}");
    assert!(seen["endpoint"].as_str().expect("text").starts_with("tcp://127.0.0.1:"), "{seen}");
    sub.signal("INT");
    assert_eq!(sub.finish().stdout, "", "nobody entered");
}

#[test]
fn nobody_there_is_an_empty_list_and_a_timeout_only_if_one_was_set() {
    let network = Network::new();
    for command in ["peers", "scout"] {
        let ended = network.zyre([command, "--wait", "0.3"]).finish();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
        assert!(ended.stderr.contains("firewall"), "{ended:?}");
        assert_eq!(network.zyre([command, "--wait", "0.1", "--timeout", "0.3"]).finish().code, Some(3));
    }
}

#[test]
fn chat_shouts_its_lines_shows_events_and_ends_with_its_input() {
    let network = Network::new();
    let mut sub = network.zyre(["--json", "--name", "ears", "sub", "g"]);
    let mut chat = network.zyre_typing(["--json", "--name", "mouth", "chat", "g"]);
    assert_eq!(chat.line_with("\"JOIN\"")["name"], "ears");
    chat.type_line("hello");
    assert_eq!(sub.line_with("\"SHOUT\"")["frames"], json(r#"["hello"]"#));
    chat.end_input();
    assert_eq!(chat.finish().code, Some(0));
    assert_eq!(sub.line_with("\"EXIT\"")["reason"], "goodbye");
}

#[test]
fn a_signal_stops_the_node_cleanly_and_shows_in_the_exit_code() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let network = Network::new();
        let mut watcher = network.zyre(["--json", "sub", "g"]);
        let mut sub = network.zyre(["--json", "sub", "g"]);
        sub.line_with("\"ENTER\"");
        watcher.line_with("\"ENTER\"");
        sub.signal(signal);
        let ended = sub.finish();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), ""), "{ended:?}");
        assert_eq!(watcher.line_with("\"EXIT\"")["reason"], "goodbye");
    }
}

#[test]
fn a_reader_that_goes_away_ends_sub_quietly_with_0() {
    let network = Network::new();
    let mut sub = network.zyre(["sub", "g"]);
    sub.close_stdout();
    // The first line lets the pipe close, a later one finds it closed; a sender may be too quick for that, or too slow.
    for _ in 0..10 {
        if sub.is_running() {
            network.zyre(["shout", "g", "m", "--timeout", "2"]).finish();
        }
    }
    let ended = sub.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}
