use super::*;
use crate::command::launch::file;

/// A file of nodes, each `name: dependencies`.
fn nodes(written: &[(&str, &str)]) -> Vec<Node> {
    let mut text = "nodes:\n".to_owned();
    for (name, dependencies) in written {
        text.push_str(&format!("  {name}: {{command: x, depends_on: [{dependencies}]}}\n"));
    }
    file::read(&text).expect("a good file")
}

fn plan(written: &[(&str, &str)], choice: &Choice) -> Plan {
    Plan::new(&nodes(written), choice).expect("no cycle")
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.node.name.as_str()).collect()
}

fn only(names: &[&str]) -> Choice {
    Choice { only: names.iter().map(|name| (*name).to_owned()).collect(), except: Vec::new() }
}

fn set<const N: usize>(steps: [usize; N]) -> BTreeSet<usize> {
    BTreeSet::from(steps)
}

#[test]
fn nodes_come_behind_those_they_depend_on_and_else_in_the_order_of_the_file() {
    let plan = plan(
        &[("sender", "receiver, hub"), ("free", ""), ("receiver", "hub"), ("hub", "")],
        &Choice::default(),
    );
    assert_eq!(names(&plan), ["free", "hub", "receiver", "sender"]);
}

#[test]
fn a_cycle_is_named_where_it_closes() {
    let cycle = |written: &[(&str, &str)]| {
        Plan::new(&nodes(written), &Choice::default()).expect_err("a cycle").to_string()
    };
    assert_eq!(cycle(&[("a", "a")]), "2:32: nodes depend on each other in a circle: a → a");
    let said = cycle(&[("free", ""), ("lead", "a"), ("a", "b"), ("b", "c"), ("c", "a")]);
    assert_eq!(said, "6:32: nodes depend on each other in a circle: a → b → c → a");
}

#[test]
fn a_node_is_due_once_all_it_depends_on_were_started() {
    let plan =
        plan(&[("hub", ""), ("left", "hub"), ("right", "hub"), ("end", "left, right")], &Choice::default());
    assert_eq!(plan.next(&set([])), [0]);
    assert_eq!(plan.next(&set([0])), [1, 2]);
    assert_eq!(plan.next(&set([0, 1])), [2]);
    assert_eq!(plan.next(&set([0, 1, 2])), [3]);
    assert!(plan.next(&set([0, 1, 2, 3])).is_empty());
}

#[test]
fn nodes_stop_once_nothing_that_runs_depends_on_them() {
    let plan = plan(&[("hub", ""), ("left", "hub"), ("right", "hub"), ("end", "left")], &Choice::default());
    assert_eq!(plan.last(&set([0, 1, 2, 3])), set([2, 3]));
    assert_eq!(plan.last(&set([0, 1])), set([1]));
    assert_eq!(plan.last(&set([0, 3])), set([3]), "left has ended, but end depends on hub through it");
    assert_eq!(plan.last(&set([0])), set([0]));
}

#[test]
fn what_is_left_out_is_not_awaited_and_the_order_through_it_stays() {
    let written = [("hub", ""), ("middle", "hub"), ("end", "middle")];
    let plan = plan(&written, &Choice { only: Vec::new(), except: vec!["middle".to_owned()] });
    assert_eq!(names(&plan), ["hub", "end"]);
    assert!(!plan.waits());
    assert!(plan.next(&set([])) == [0] && plan.next(&set([0])) == [1]);
    assert_eq!(names(&self::plan(&written, &only(&["end", "hub"]))), ["hub", "end"]);
}

#[test]
fn a_wait_is_for_the_peers_of_all_processes_or_for_the_one_that_is_named() {
    let text = "\
nodes:
  cam: {command: x, count: 2}
  one: {command: x, depends_on: cam}
  two: {command: x, depends_on: {cam: {peer: other}}}
  three: {command: x, depends_on: {cam: started}}
";
    let plan = Plan::new(&file::read(text).expect("a good file"), &Choice::default()).expect("no cycle");
    let peers: Vec<Vec<String>> = plan
        .steps
        .iter()
        .map(|step| step.waits.iter().flat_map(|wait| wait.peers.clone()).collect())
        .collect();
    assert_eq!(
        peers,
        [vec![], vec!["cam-1".to_owned(), "cam-2".to_owned()], vec!["other".to_owned()], vec![]]
    );
}

#[test]
fn a_choice_of_no_node_is_refused_with_the_nearest_name() {
    let nodes = nodes(&[("sender", ""), ("receiver", "")]);
    let said = only(&["reciever"]).check(&nodes).expect_err("unknown");
    assert_eq!(said, "the file has no node `reciever`; did you mean `receiver`?");
    let nothing = Choice { only: vec!["sender".to_owned()], except: vec!["sender".to_owned()] };
    assert!(nothing.check(&nodes).is_err());
    assert_eq!(only(&["sender"]).check(&nodes), Ok(()));
}
