use super::*;

pub(super) fn read(line: &str) -> Args {
    Args::read(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn error(line: &str) -> String {
    let error = Args::read(line.split_whitespace()).expect_err("wrong usage");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Args::full_command().debug_assert();
}

/// Every command with the words that lead to it, those below others and the hidden ones included.
fn tree() -> Vec<(String, clap::Command)> {
    fn walk(path: String, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(format!("{path} {}", sub.get_name()), sub, all);
        }
        all.push((path, command.clone()));
    }
    let mut whole = Args::full_command();
    whole.build();
    let mut all = Vec::new();
    walk("zyre".to_owned(), &whole, &mut all);
    all
}

/// The words of the first `zyre …` in an example, as a shell parts them: what it does with its output is not looked at.
fn words(example: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote, mut gap) = (Vec::new(), None::<String>, None, 0);
    for c in example.get(example.find("zyre ")?..)?.chars() {
        match c {
            '|' | '<' | '>' | ')' if quote.is_none() => break,
            ' ' if quote.is_none() && gap == 1 => break,
            ' ' if quote.is_none() => (gap, words) = (1, words.into_iter().chain(word.take()).collect()),
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => {
                (quote, word, gap) = (Some(c), Some(word.unwrap_or_default()), 0)
            }
            c => {
                gap = 0;
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    Some(words)
}

#[test]
fn every_command_has_help_with_an_example() {
    for (path, command) in tree() {
        let help = command.clone().render_long_help().to_string();
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("no example: {help}"));
        assert!(examples.contains(command.get_name()), "{path}: {help}");
        assert!(command.get_about().is_some() || command.is_hide_set(), "{path} does not say what it does");
    }
}

#[test]
fn every_example_is_right_usage() {
    for (path, command) in tree() {
        let notes = command.get_after_help().expect("an example").to_string();
        let (_, examples) = notes.split_once("Example").expect("an example");
        for example in examples.lines().filter(|line| line.starts_with("  ")) {
            let Some(words) = words(example) else { continue };
            if let Err(error) = Args::read(&words) {
                panic!("{path}: {words:?}: {error}");
            }
        }
    }
}

#[test]
fn every_command_refuses_what_it_does_not_know_and_names_what_is_missing() {
    for (path, command) in tree() {
        let unknown = error(&format!("{path} --nonsense"));
        assert!(unknown.contains("'--nonsense'") && unknown.contains("--help"), "{path}: {unknown}");
        if let Some(first) = command.get_positionals().find(|argument| argument.is_required_set()) {
            let value = first.get_value_names().and_then(|names| names.first()).expect("built").to_string();
            let missing = error(&path);
            assert!(missing.contains(&format!("<{value}>")), "{path}: {missing}");
        }
    }
}

#[test]
fn the_overview_says_what_each_command_does() {
    let help = Args::full_command().render_help().to_string();
    for (command, about) in [
        ("cheat", "Print a cookbook: lines to copy, by topic"),
        ("completions", "Print the script that makes a shell complete, live names included"),
        ("bench", "Measure whispers, shouts, calls and discovery against `zyre bench serve`"),
        ("man", "Print a manual page, or write all of them"),
        ("scout", "List who is there without taking part"),
        ("peers", "Join in and list the peers with their groups and headers"),
        ("groups", "List the groups that peers are in"),
        ("sub", "Print what happens in groups, and whispers"),
        ("hz", "Measure how often something is said in groups"),
        ("bw", "Measure how many bytes are said in groups"),
        ("shout", "Send messages to the members of a group"),
        ("whisper", "Send messages to one peer"),
        ("chat", "Talk in a group: lines typed are shouted, events are shown"),
        ("services", "List services and worker pools with their providers"),
        ("methods", "List the methods of a peer with their parameters and results"),
        ("call", "Call a method and print its result"),
        ("serve", "Serve a method by a command of yours"),
        ("ping", "Measure round trips to a peer"),
        ("bag", "Record what is said, play it again, tell what is in a recording"),
        ("key", "Make, show, export and change the keys of secured networks"),
        ("doctor", "Check what this host, its network and its peers let a node do"),
        ("demo", "Show a pool with a slow worker and one that is killed; ends by itself"),
    ] {
        assert!(help.contains(&format!("  {command:<11}  {about}\n")), "{help}");
    }
}

#[test]
fn options_count_before_and_after_the_command() {
    for line in [
        "zyre --name n --interface lo --port 7 --evasive-ms 8 --expired-ms 9 --endpoint e --timeout 1.5 --json sub g",
        "zyre sub g --name n --interface lo --port 7 --evasive-ms 8 --expired-ms 9 --endpoint e --timeout 1.5 --json",
    ] {
        let options = read(line).options;
        assert_eq!(options.name.as_deref(), Some("n"));
        assert_eq!(options.interface.as_deref(), Some("lo"));
        assert_eq!(options.port, 7);
        assert_eq!(options.evasive_ms, Some(Duration::from_millis(8)));
        assert_eq!(options.expired_ms, Some(Duration::from_millis(9)));
        assert_eq!(options.endpoint.as_deref(), Some("e"));
        assert_eq!(options.timeout, Some(Duration::from_millis(1500)));
        assert!(options.json);
    }
}

#[test]
fn options_not_given_leave_the_choice_to_the_library() {
    let args = read("zyre chat g");
    assert_eq!(args.options.port, 5670);
    assert_eq!((args.options.evasive_ms, args.options.timeout, args.options.json), (None, None, false));
    assert_eq!(args.repeatable.verbose, 0);
    assert!(args.repeatable.headers.is_empty());
}

#[test]
fn a_key_file_moves_the_default_port_and_no_other() {
    for line in ["zyre --key-file k sub g", "zyre sub g --key-file k", "zyre --cert c sub g --trust t"] {
        assert_eq!(read(line).options.port, 5669);
    }
    for line in ["zyre --key-file k sub g --port 5670", "zyre --port 5670 sub g --key-file k", "zyre sub g"] {
        assert_eq!(read(line).options.port, 5670);
    }
}

#[test]
fn files_that_make_no_mode_together_are_refused_with_the_remedy() {
    for (line, remedy) in [
        ("zyre --key-file k sub g --cert c --trust t", "--key-file and --cert exclude each other"),
        ("zyre sub g --key-file k --trust t", "--key-file and --trust exclude each other"),
        ("zyre --cert c sub g", "--cert needs --trust FILE"),
        ("zyre sub g --trust t", "--trust needs --cert FILE"),
        ("zyre key show --key-file k --cert c", "exclude each other"),
    ] {
        let error = error(line);
        assert!(error.contains(remedy), "{line}: {error}");
    }
    let Command::Key(Key::Show { file: None }) = read("zyre key show --cert c").command else {
        panic!("a key is looked at without a list")
    };
    assert!(
        matches!(read("zyre --cert c cheat").command, Command::Cheat(_)),
        "what starts no node needs no mode"
    );
}

#[test]
fn a_line_that_is_still_typed_is_read_as_far_as_it_goes() {
    for (line, port) in [
        ("zyre --port 7 whisper", 7),
        ("zyre whisper --port 7 --nonsense cam", 7),
        ("zyre whisper --key-file k --header", SECURED_PORT),
        ("zyre", OPEN_PORT),
    ] {
        let words = line.split(' ').map(OsString::from);
        let (options, repeatable) =
            Args::read_unfinished(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(options.port, port, "{line}");
        assert!(repeatable.headers.is_empty(), "{line}");
    }
    assert!(
        Args::read_unfinished("zyre sub a --port soon".split(' ').map(OsString::from)).is_err(),
        "which network?"
    );
    let words = "zyre --connect c1 sub --connect c2 x".split(' ').map(OsString::from);
    assert_eq!(Args::read_unfinished(words).expect("usage").1.connect, ["c1", "c2"]);
}

#[test]
fn repeated_options_add_up_wherever_they_stand() {
    let repeatable = read(
        "zyre --header a=1 -v --connect c1 --gossip-bind b1 --gossip-connect d1 \
         sub g --header b=x=y --header c= -vv --connect c2 --gossip-bind b2 --gossip-connect d2",
    )
    .repeatable;
    let headers: Vec<_> = repeatable.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("a", "1"), ("b", "x=y"), ("c", "")]);
    assert_eq!(repeatable.connect, ["c1", "c2"]);
    assert_eq!(repeatable.gossip_bind, ["b1", "b2"]);
    assert_eq!(repeatable.gossip_connect, ["d1", "d2"]);
    assert_eq!(repeatable.verbose, 3);
}

#[test]
fn the_environment_names_variables_for_name_interface_and_port() {
    let command = Args::full_command();
    let variables: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()).collect();
    assert_eq!(
        variables,
        ["ZYRE_NAME", "ZYRE_INTERFACE", "ZYRE_PORT", "ZYRE_KEY_FILE", "ZYRE_CERT", "ZYRE_TRUST"]
    );
}

#[test]
fn listing_waits_two_and_a_half_seconds_unless_told_otherwise() {
    let Command::Scout(scout) = read("zyre scout").command else { panic!("not scout") };
    assert_eq!(scout.wait, Duration::from_millis(2500));
    let Command::Peers(peers) = read("zyre peers --wait 0.25").command else { panic!("not peers") };
    assert_eq!(peers.wait, Duration::from_millis(250));
}

#[test]
fn sub_takes_several_groups_and_a_count() {
    let Command::Sub(sub) = read("zyre sub a b --count 3").command else { panic!("not sub") };
    assert_eq!(sub.groups, ["a", "b"]);
    assert_eq!(sub.limit(), Some(3));
    assert!(sub.prints_events() && sub.prints_whispers());
}

#[test]
fn sub_prints_what_it_is_asked_for_and_without_that_everything() {
    for (line, whispers, events) in [
        ("zyre sub g", true, true),
        ("zyre sub --whispers", true, false),
        ("zyre sub --events", false, true),
        ("zyre sub g --raw", false, false),
        ("zyre sub g --field a.b --whispers", true, false),
        ("zyre sub g --once", true, true),
    ] {
        let Command::Sub(sub) = read(line).command else { panic!("not sub") };
        assert_eq!((sub.prints_whispers(), sub.prints_events()), (whispers, events), "{line}");
        assert_eq!(sub.limit(), line.contains("--once").then_some(1), "{line}");
    }
}

#[test]
fn only_nodes_that_look_hide_and_a_header_that_was_given_counts() {
    for (line, hides) in [
        ("zyre peers", true),
        ("zyre groups", true),
        ("zyre hz g", true),
        ("zyre services", true),
        ("zyre sub g", false),
        ("zyre chat g", false),
        ("zyre serve a.b --echo", false),
    ] {
        assert_eq!(read(line).command.only_looks(), hides, "{line}");
    }
    let mut repeatable = read("zyre peers --header X-ZYRE-HIDDEN=0").repeatable;
    repeatable.hide();
    let values: Vec<_> = repeatable.headers.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["1", "0"], "of the same header the later one counts");
}

#[test]
fn arguments_after_the_group_are_frames_negative_numbers_and_dashed_words_included() {
    let Command::Shout(shout) = read("zyre shout g a -5 -- --b").command else { panic!("not shout") };
    assert_eq!(shout.group, "g");
    assert_eq!(shout.messages.frames, ["a", "-5", "--b"]);
    assert_eq!((shout.messages.count, shout.messages.wait_peers, shout.messages.rate), (1, 1, None));
}

#[test]
fn whisper_takes_how_often_and_how_fast() {
    let line = "zyre whisper cam m --count 5 --rate 2.5 --wait-peers 0";
    let Command::Whisper(whisper) = read(line).command else { panic!("not whisper") };
    assert_eq!(whisper.peer, "cam");
    assert_eq!(whisper.messages.count, 5);
    assert_eq!(whisper.messages.rate, Some(2.5));
    assert_eq!(whisper.messages.wait_peers, 0);
}

#[test]
fn parameters_are_json_and_a_single_value_is_the_only_positional_one() {
    let params = |words: &[&str]| {
        let line = ["zyre", "call", "calc.add"].iter().chain(words);
        let Command::Call(call) = Args::read(line).expect("usage").command else { panic!("not call") };
        call.params
    };
    let given = |text: &str| Some(Params::Given(serde_json::from_str(text).expect("JSON")));
    assert_eq!(params(&[]), None);
    assert_eq!(params(&["-"]), Some(Params::Input));
    for (word, read) in [
        (r#"{"a": 1}"#, r#"{"a":1}"#),
        ("[1, 2]", "[1,2]"),
        ("-5", "[-5]"),
        (r#""text""#, r#"["text"]"#),
        ("null", "[null]"),
    ] {
        assert_eq!(params(&[word]), given(read), "{word}");
    }
}

#[test]
fn a_call_goes_to_one_to_a_peer_or_to_all() {
    let Command::Call(call) = read("zyre call calc.add --peer w --stream").command else {
        panic!("not call")
    };
    assert_eq!((call.peer.as_deref(), call.stream, call.all, call.replies), (Some("w"), true, false, None));
    let Command::Call(call) = read("zyre call calc.add --all --replies 2 --wait 1").command else {
        panic!("not call")
    };
    assert_eq!((call.all, call.replies, call.wait), (true, Some(2), Duration::from_secs(1)));
    for line in
        ["zyre call a.b --peer w --all", "zyre call a.b --stream --all", "zyre call a.b --peer w --replies 1"]
    {
        assert!(error(line).contains("cannot be used with"), "{line}");
    }
}

#[test]
fn serving_takes_an_echo_or_a_command() {
    let line = "zyre serve a.b --command true --concurrency 2 --queue 0 --pool p --count 3";
    let Command::Serve(serve) = read(line).command else { panic!("not serve") };
    assert_eq!(serve.command.as_deref(), Some("true"));
    assert_eq!((serve.concurrency, serve.queue, serve.count), (Some(2), Some(0), Some(3)));
    assert_eq!((serve.pool.as_deref(), serve.echo), (Some("p"), false));
    assert!(error("zyre serve a.b --echo --command true").contains("cannot be used with"));
    assert!(error("zyre serve a.b").contains("--echo"));
}

#[test]
fn wrong_usage_names_the_remedy() {
    for (line, remedy) in [
        ("zyre sub g --header nothing", "KEY=VALUE, for example --header X-ROLE=camera"),
        ("zyre sub g --header =v", "KEY=VALUE"),
        ("zyre sub g --timeout soon", "for example 2 or 0.5"),
        ("zyre sub g --timeout=-1", "for example 2 or 0.5"),
        ("zyre sub g --timeout nan", "for example 2 or 0.5"),
        ("zyre sub g --timeout 1e19", "for example 2 or 0.5"),
        ("zyre sub g --evasive-ms 0", "whole number of milliseconds"),
        ("zyre sub g --port 0", "1..=65535"),
        ("zyre sub g --port 70000", "1..=65535"),
        ("zyre sub g --count 0", "1.."),
        ("zyre shout g m --rate 0", "from 0.001 on"),
        ("zyre shout g m --rate inf", "from 0.001 on"),
        ("zyre sub", "<GROUP>"),
        ("zyre sub g --once --count 2", "cannot be used with"),
        ("zyre sub g --raw --json", "cannot be used with"),
        ("zyre sub g --field a..b", "for example position.x"),
        ("zyre sub g --filter a=3", "equality is written =="),
        ("zyre hz", "<GROUP>"),
        ("zyre peers --watch --wait 1", "cannot be used with"),
        ("zyre hz g --window 1", "2..=1000000"),
        ("zyre bw g --duration 0", "measuring takes time"),
        ("zyre whisper", "<PEER>"),
        ("zyre shuot g", "'shout'"),
        ("zyre call", "<SERVICE.METHOD>"),
        ("zyre call a.b {a", r#"for example '{"a": 1}'"#),
        ("zyre call a.b --replies 0", "1.."),
        ("zyre serve rpc.ping --echo", "choose another, for example calc.add"),
        ("zyre serve a.b --echo --concurrency 0", "1.."),
        ("zyre ping w --interval soon", "for example 2 or 0.5"),
        ("zyre methods", "<PEER>"),
        ("zyre cheet", "'cheat'"),
        ("zyre bench whisper --duration 0", "measuring takes time, for example 10 or 0.5"),
        ("zyre bench whisper --size 99999999999", "0..=16777216"),
        ("zyre bench call --clients 0", "1..=1000"),
        ("zyre bench shout --rate 0", "from 0.001 on"),
        ("zyre bench call --csv --json", "cannot be used with"),
        ("zyre bench discovery --size 5", "'--size'"),
        ("zyre bench calls", "'call'"),
        ("zyre completions csh", "[possible values: bash, zsh, fish]"),
        ("zyre man shout --dir d", "cannot be used with"),
        ("zyre key show --key-file k --trust t", "exclude each other"),
        ("zyre key rotat", "'rotate'"),
        ("zyre call a.b --timeout", "--timeout <SECONDS>"),
        ("zyre shout g m --cuont 2", "'--count'"),
    ] {
        let error = error(line);
        assert!(error.contains(remedy), "{line}: {error}");
    }
    assert!(error(&format!("zyre sub {}", "x".repeat(256))).contains("at most 255 bytes"));
    assert!(error(&format!("zyre call {}", "x".repeat(201))).contains("at most 200 bytes"));
    assert!(
        error(&format!("zyre serve a.b --echo --pool {}", "x".repeat(251))).contains("at most 255 bytes")
    );
}
