//! The pages in `docs/` say what is so: what the built-in methods answer, how counters are called.

use crate::common::{Add, Lan, PATIENCE, add, at_rest};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The result that a golden message of docs/rpc.md has.
fn golden(name: &str) -> Value {
    let fixtures: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/rpc.json")).expect("the fixtures are JSON");
    let fixture = fixtures.iter().find(|fixture| fixture["name"] == name).expect("a golden message");
    fixture["decoded"]["result"].clone()
}

#[tokio::test]
async fn the_built_in_methods_answer_as_the_page_for_implementers_shows() {
    let lan = Lan::new();
    let server = lan.system("server").await;
    let serving = server.handle(|message: Add, _| async move { add(&message) });
    serving.concurrency(4).pool("calc").await.expect("served");
    let client = lan.system("client").await;
    let calc = client.service("calc").ready(PATIENCE).await.expect("a provider");
    for n in 0..3 {
        assert_eq!(calc.call(Add { a: n, b: 1 }).await, Ok(n + 1));
    }
    client.call_json("calc.mul", json!([1, 2])).await.expect_err("there is none");
    at_rest(&server).await;
    for method in ["rpc.ping", "rpc.info", "rpc.stats", "rpc.methods"] {
        let mut answer = client.call_json(method, json!({})).on("server").await.expect("an answer");
        let golden = golden(&format!("answer to {method}"));
        if let Some(id) = answer.get_mut("id") {
            assert_eq!(*id, json!(server.node().id().to_string()));
            *id = golden["id"].clone();
        }
        if let Some(version) = answer.get_mut("version") {
            *version = golden["version"].clone();
        }
        assert_eq!(answer, golden, "{method}");
    }
}

/// What stands in `"quotes"` right behind `before`, in all sources below a folder.
fn named(folder: &Path, before: &str, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            named(&path, before, names);
        } else {
            let source = std::fs::read_to_string(&path).expect("text");
            let found = source.split(before).skip(1).filter_map(|rest| rest.split_once('"'));
            names.extend(found.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_counter_is_on_the_page_of_guarantees() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/system");
    let mut names = BTreeSet::new();
    named(&sources, "count(\"", &mut names);
    named(&sources, "named([(\"", &mut names);
    let figures = include_str!("../../src/system/figures.rs");
    names.extend(
        figures.split("        (\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
    );
    assert!(names.len() > 35, "{names:?}");
    let page = include_str!("../../../docs/guarantees.md");
    let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
