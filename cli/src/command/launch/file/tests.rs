use super::*;

fn problem(text: &str) -> String {
    read(text).expect_err("a problem").to_string()
}

/// The problem of a file with one node that has these keys.
fn node_problem(keys: &str) -> String {
    problem(&format!("nodes:\n  a:\n    command: x\n    {keys}\n"))
}

#[test]
fn a_whole_file_is_read_as_it_is_written() {
    let nodes = read(
        "\
environment: {LEVEL: 1, ZONE: a}
nodes:
  receiver:
    command: zyre sub 'a b' --json
    count: 3
    environment: {LEVEL: 1.10, EMPTY: }
    directory: data
    restart: {policy: on-failure, max: 3, delay: 0.5, max_delay: 8}
    grace: 2.5
  sender:
    command: [zyre, shout, 5]
    depends_on:
      receiver: {group: DEMO, timeout: 5}
  logger:
    command: sleep 1 | cat
    shell: true
    restart: always
    depends_on: [receiver, sender]
",
    );
    let nodes = nodes.expect("a good file");
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["receiver", "sender", "logger"]);
    let receiver = &nodes[0];
    assert_eq!(receiver.command, ["zyre", "sub", "a b", "--json"]);
    assert_eq!(receiver.instances(), ["receiver-1", "receiver-2", "receiver-3"]);
    let variables: Vec<_> =
        receiver.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["EMPTY=", "LEVEL=1.10", "ZONE=a"]);
    assert_eq!(receiver.directory.as_deref(), Some("data"));
    let (delay, max_delay) = (Duration::from_millis(500), Duration::from_secs(8));
    assert_eq!(receiver.restart, Restart { policy: Policy::OnFailure, max: 3, delay, max_delay });
    assert_eq!(receiver.grace, Duration::from_millis(2500));
    let sender = &nodes[1];
    assert_eq!(
        (sender.command.join(" "), sender.instances()),
        ("zyre shout 5".to_owned(), vec!["sender".to_owned()])
    );
    let timeout = Some(Duration::from_secs(5));
    let until = Until::Seen { peer: None, group: Some("DEMO".to_owned()), service: None, timeout };
    assert_eq!(sender.depends_on[0].until, until);
    assert_eq!(nodes[2].command, ["sh", "-c", "sleep 1 | cat"]);
    assert_eq!(nodes[2].depends_on.len(), 2);
    assert_eq!(nodes[2].restart.policy, Policy::Always);
}

#[test]
fn every_way_to_name_dependencies_is_understood() {
    let until = |written: &str| {
        let text = format!("nodes:\n  a: {{command: x}}\n  b:\n    command: x\n    depends_on: {written}\n");
        read(&text).expect("a good file").remove(1).depends_on.remove(0).until
    };
    let seen = Until::Seen { peer: None, group: None, service: None, timeout: None };
    for written in ["a", "[a]", "{a: }", "{a: seen}", "{a: {}}"] {
        assert_eq!(until(written), seen, "{written}");
    }
    assert_eq!(until("{a: started}"), Until::Started);
    let Until::Seen { peer, service, .. } = until("{a: {peer: cam, service: calc}}") else { panic!("seen") };
    assert_eq!((peer.as_deref(), service.as_deref()), (Some("cam"), Some("calc")));
}

#[test]
fn mistakes_are_shown_where_they_are_with_what_is_meant() {
    for (keys, said) in [
        ("comand: y", "4:5: unknown key `comand`; did you mean `command`?"),
        ("count: 0", "4:12: here belongs a number of processes from 1 to 1000"),
        ("count: many", "4:12: here belongs a number of processes from 1 to 1000"),
        ("shell: perhaps", "4:12: here belongs true or false"),
        ("grace: -1", "4:12: here belongs a number of seconds, for example 2 or 0.5"),
        ("grace: NaN", "4:12: here belongs a number of seconds, for example 2 or 0.5"),
        ("restart: on-failur", "4:14: unknown policy `on-failur`; did you mean `on-failure`?"),
        ("restart: {policy: always, delay: 5, max_delay: 1}", "4:52: `max_delay` is less than `delay`"),
        ("depends_on: [b]", "4:18: there is no node `b`; known are a"),
        ("depends_on: {a: {grup: x}}", "4:22: unknown key `grup`; did you mean `group`?"),
        ("environment: {A=B: x}", "4:19: the name of a variable has no `=`; write `NAME: VALUE`"),
        ("environment: [A]", "4:18: here belong variables, each `NAME: VALUE`"),
    ] {
        assert_eq!(node_problem(keys), said, "{keys}");
    }
}

#[test]
fn a_node_without_a_command_or_with_a_broken_one_is_a_mistake() {
    assert_eq!(problem("nodes:\n  a: {count: 2}\n"), "2:3: `a` has no `command`");
    assert!(problem("nodes:\n  a: {command: \"x 'y\"}\n").starts_with("2:16: a quote is not closed"));
    assert!(problem("nodes:\n  a: {command: []}\n").starts_with("2:16: here belongs a command"));
    assert!(problem("nodes:\n  a: {command: [x], shell: true}\n").contains("one text"));
    assert!(problem("nodes: {}\n").contains("no node"));
    assert!(problem("environment: {}\n").contains("`nodes` is missing"));
}

#[test]
fn two_processes_of_one_name_are_a_mistake() {
    let said = problem("nodes:\n  a: {command: x, count: 2}\n  a-2: {command: x}\n");
    assert!(said.starts_with("3:3: two processes would be called `a-2`"), "{said}");
}
