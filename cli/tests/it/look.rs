//! What `zyre sub` selects, what `zyre hz` and `zyre bw` measure, what `--watch` prints and who hides from lists.

use crate::process::{Network, json};
#[cfg(target_os = "linux")]
use std::process::Command;

#[test]
fn sub_prints_the_field_of_what_the_filter_admits_and_counts_what_has_none() {
    let network = Network::new();
    let filter = "temp > 20 && name == 'probe' || other == true";
    let sub = network.zyre(["sub", "g", "--filter", filter, "--field", "temp", "--count", "2"]);
    let input = b"{\"temp\": 19}\nno JSON\n{\"other\": true}\n{\"temp\": 21.5}\n{\"temp\": 30}\n";
    let shout = network.zyre_with_input(["--name", "probe", "shout", "g"], input).finish();
    assert_eq!(shout.code, Some(0), "{shout:?}");
    let sub = sub.finish();
    assert_eq!((sub.code, sub.stdout.as_str()), (Some(0), "21.5\n30\n"), "{sub:?}");
    assert!(
        sub.stderr.contains("2 messages") && sub.stderr.contains("1 message without the field"),
        "{sub:?}"
    );
}

#[test]
fn sub_prints_raw_bytes_and_nothing_else() {
    let network = Network::new();
    let sub = network.zyre(["sub", "g", "--raw", "--once"]);
    let shout = network.zyre(["shout", "g", "one ", "two\n"]).finish();
    assert_eq!(shout.code, Some(0), "{shout:?}");
    let sub = sub.finish();
    assert_eq!((sub.code, sub.stdout.as_str(), sub.stderr.as_str()), (Some(0), "one two\n", ""), "{sub:?}");
}

#[test]
fn sub_prints_whispers_or_events_alone_when_only_these_are_asked_for() {
    let network = Network::new();
    let whispers = network.zyre(["--json", "--name", "ears", "sub", "g", "--whispers", "--count", "2"]);
    let mut events = network.zyre(["--json", "sub", "g", "--events"]);
    events.line_with("\"JOIN\"");
    assert_eq!(network.zyre(["shout", "g", "loud", "--wait-peers", "2"]).finish().code, Some(0));
    assert_eq!(network.zyre(["whisper", "ears", "soft"]).finish().code, Some(0));
    let whispers = whispers.finish();
    let kinds: Vec<_> = whispers.stdout.lines().map(|line| json(line)["event"].clone()).collect();
    assert_eq!(kinds, ["SHOUT", "WHISPER"], "{whispers:?}");
    assert_eq!(events.line_with("\"SHOUT\"")["frames"], json(r#"["loud"]"#));
}

#[test]
fn ctrl_c_prints_what_sub_has_heard() {
    let network = Network::new();
    let mut sub = network.zyre(["--json", "sub", "g"]);
    assert_eq!(network.zyre(["shout", "g", "12345", "--count", "3"]).finish().code, Some(0));
    (0..3).for_each(|_| drop(sub.line_with("\"SHOUT\"")));
    sub.signal("INT");
    let ended = sub.finish();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.starts_with("zyre: 3 messages, 15 B, from 1 sender in "), "{ended:?}");
}

#[test]
fn a_filter_that_cannot_be_read_is_wrong_usage_with_the_place_and_an_example() {
    let ended = Network::new().zyre(["sub", "g", "--filter", "temp = 3"]).finish();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("at character 6: equality is written =="), "{ended:?}");
    assert!(ended.stderr.contains("name == \"cam-1\""), "{ended:?}");
}

#[test]
fn hz_and_bw_tell_rates_and_sizes_of_each_group() {
    let network = Network::new();
    let hz = network.zyre(["hz", "a", "b", "--count", "20", "--json"]);
    let bw = network.zyre(["bw", "a", "--count", "20", "--window", "10", "--json"]);
    let shout = network.zyre(["shout", "a", "12345", "--count", "20", "--rate", "50", "--wait-peers", "2"]);
    assert_eq!(shout.finish().code, Some(0));
    let (hz, bw) = (hz.finish(), bw.finish());
    assert_eq!((hz.code, bw.code), (Some(0), Some(0)), "{hz:?} {bw:?}");
    let rows: Vec<_> = hz.stdout.lines().map(json).collect();
    let [a, b] = &rows[rows.len() - 2..] else { panic!("{hz:?}") };
    assert_eq!((&a["group"], &a["messages"], &a["window"]), (&json("\"a\""), &json("20"), &json("20")));
    assert_eq!((&b["group"], &b["messages"], b.get("per_second")), (&json("\"b\""), &json("0"), None));
    assert!(a["per_second"].as_f64().expect("a rate") > 0.0 && a["quiet_seconds"].is_f64(), "{a}");
    let last = json(bw.stdout.lines().last().expect("a row"));
    assert_eq!(
        (&last["mean_bytes"], &last["max_bytes"], &last["window"]),
        (&json("5.0"), &json("5.0"), &json("10"))
    );
    assert!(last["bytes_per_second"].as_f64().expect("a rate") > 0.0, "{last}");
}

#[test]
fn hz_ends_with_its_duration_and_exits_with_3_when_messages_were_asked_for_in_time() {
    let network = Network::new();
    let ended = network.zyre(["hz", "a", "--duration", "0.3"]).finish();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "a: no message yet\n"), "{ended:?}");
    let ended = network.zyre(["bw", "a", "--count", "1", "--timeout", "0.3"]).finish();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("0 of 1 message"), "{ended:?}");
}

#[test]
fn groups_lists_who_is_in_them_and_leaves_out_those_that_only_look() {
    let network = Network::new();
    let _sub = network.zyre(["--name", "cam-1", "sub", "b", "a"]);
    let _hz = network.zyre(["--name", "looks", "hz", "a", "c"]);
    let until_met = ["--json", "--wait", "2", "--timeout", "20"];
    let ended = network.zyre_of(&[&["groups"], &until_met[..]].concat()).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let names = |row: &serde_json::Value| {
        let peers = row["peers"].as_array().expect("a list").iter();
        peers.map(|peer| peer["name"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = ended.stdout.lines().map(json).collect();
    let listed: Vec<_> = rows.iter().map(|row| (row["group"].as_str().expect("text"), names(row))).collect();
    assert_eq!(listed, [("a", vec!["cam-1".to_owned()]), ("b", vec!["cam-1".to_owned()])]);
    let hidden = (0..10).any(|_| {
        let ended = network.zyre_of(&[&["groups", "--hidden"], &until_met[..]].concat()).finish();
        ended.stdout.lines().map(json).any(|row| row["group"] == "c" && names(&row) == ["looks"])
    });
    assert!(hidden, "--hidden lists those that only look");
}

#[test]
fn a_header_takes_hiding_back_and_only_hidden_nodes_are_told_of() {
    let network = Network::new();
    let seen = network.zyre(["--json", "--name", "seen", "--header", "X-ZYRE-HIDDEN=0", "peers", "--watch"]);
    let ended = network.zyre(["peers", "--json", "--wait", "0", "--timeout", "15"]).finish();
    assert_eq!((ended.code, &json(&ended.stdout)["name"]), (Some(0), &json("\"seen\"")), "{ended:?}");
    seen.signal("INT");
    assert_eq!(seen.finish().stdout, "", "the other one only looked");
    let _hidden = network.zyre(["hz", "a"]);
    let told = (0..10).any(|_| {
        let ended = network.zyre(["peers", "--wait", "2"]).finish();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
        ended.stderr.contains("--hidden lists them")
    });
    assert!(told, "somebody was there");
}

#[test]
fn watching_peers_and_groups_prints_an_object_per_change() {
    let network = Network::new();
    let mut peers = network.zyre(["--json", "peers", "--watch"]);
    let mut groups = network.zyre(["--json", "groups", "--watch"]);
    let sub = network.zyre(["--name", "cam-1", "sub", "a"]);
    for kind in ["ENTER", "JOIN"] {
        assert_eq!(peers.line_with(kind)["name"], "cam-1");
    }
    let first = groups.line_with("");
    assert_eq!((&first["event"], &first["group"]), (&json("\"JOIN\""), &json("\"a\"")));
    sub.signal("INT");
    assert_eq!(peers.line_with("EXIT")["reason"], "goodbye");
    assert_eq!(groups.line_with("EXIT")["name"], "cam-1");
}

#[cfg(target_os = "linux")]
#[test]
fn a_watched_list_is_drawn_anew_at_a_terminal_and_not_when_that_is_to_be_plain() {
    let network = Network::new();
    let _sub = network.zyre(["--name", "cam-1", "sub", "svc/a"]);
    let watched = |list: &str, plain: &str| {
        let line = format!("zyre {list} --watch --timeout 3");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", plain).env("TERM", "xterm");
        network.start(&mut script).finish().stdout
    };
    for (list, title, change) in
        [("peers", "NAME ", "ENTER "), ("groups", "GROUP ", "JOIN "), ("services", "SERVICE ", "UP ")]
    {
        // On a busy machine three seconds may be too few to meet.
        let drawn = |text: &str| ["\x1b[?7l", title, "cam-1"].iter().all(|part| text.contains(part));
        assert!((0..5).any(|_| drawn(&watched(list, ""))), "{list}: {:?}", watched(list, ""));
        let plain = |text: &str| text.contains(change) && text.contains("cam-1") && !text.contains('\x1b');
        assert!((0..5).any(|_| plain(&watched(list, "1"))), "{list}: {:?}", watched(list, "1"));
    }
}

#[test]
fn who_only_looks_at_the_group_of_a_service_is_none_of_its_providers() {
    let network = Network::new();
    let mut watch = network.zyre(["--json", "services", "--watch"]);
    let _hz = network.zyre(["--name", "looks", "hz", "svc/a"]);
    let (code, sub) = (Some(0), network.zyre(["--name", "serves", "sub", "svc/a"]));
    assert_eq!(
        network.zyre(["shout", "svc/a", "m", "--wait-peers", "2", "--timeout", "20"]).finish().code,
        code
    );
    assert_eq!(watch.line_with("UP")["name"], "serves");
    sub.signal("INT");
    assert_eq!(watch.line_with("")["event"], "DOWN");
}
