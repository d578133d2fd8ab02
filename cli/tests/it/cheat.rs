//! The cookbook keeps its word: each line of it runs, in a folder and a network of their own.

use crate::process::{Network, Zyre, json};
use crate::secured::Folder;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::thread;

/// How often a line may find nobody in time, on a machine that is busy with other things.
const TRIES: usize = 5;

fn text<'a>(recipe: &'a Value, key: &str) -> &'a str {
    recipe[key].as_str().expect("text")
}

/// Starts a line as a shell does that finds the command by its name; nobody types anything.
fn start(network: &Network, folder: &Folder, line: &str) -> Zyre {
    let mut started = network.start(Command::new("bash").args(["-c", line]).current_dir(folder.path()));
    started.end_input();
    started
}

fn run(network: &Network, folder: &Folder, line: &str) {
    for _ in 0..TRIES {
        let ended = start(network, folder, line).finish();
        match ended.code {
            Some(0) => return,
            Some(3) => {}
            _ => panic!("{line}: {ended:?}"),
        }
    }
    panic!("{line}: nobody was there");
}

fn peers(network: &Network) -> usize {
    let ended = network.zyre(["peers", "--hidden", "--json", "--wait", "1"]).finish();
    ended.stdout.lines().count()
}

#[test]
fn every_line_of_the_cookbook_works() {
    let (network, folder) = (Network::new(), Folder::new("cheat"));
    let printed = network.zyre(["cheat", "--json"]).finish();
    let recipes: Vec<Value> = printed.stdout.lines().map(json).collect();
    let (ending, lasting): (Vec<_>, Vec<_>) =
        recipes.iter().partition(|recipe| text(recipe, "ends") == "itself");
    // The signal that ends them is for the command and not for the shell.
    let lasting: Vec<_> = lasting
        .iter()
        .map(|recipe| start(&network, &folder, &format!("exec {}", text(recipe, "line"))))
        .collect();
    assert!((0..60).any(|_| peers(&network) >= lasting.len()), "the lines that last are nodes");
    let topics: BTreeSet<_> = ending.iter().map(|recipe| text(recipe, "topic")).collect();
    thread::scope(|scope| {
        for topic in topics {
            let lines = ending.iter().filter(move |recipe| text(recipe, "topic") == topic);
            let (network, folder) = (&network, &folder);
            scope.spawn(move || lines.for_each(|recipe| run(network, folder, text(recipe, "line"))));
        }
    });
    for line in lasting {
        line.signal("INT");
        let ended = line.finish();
        assert_eq!(ended.code, Some(130), "{ended:?}");
    }
}

#[test]
fn the_cookbook_is_searched_by_a_word_and_says_when_that_is_nowhere() {
    let network = Network::new();
    let keys = network.zyre(["cheat", "KEYS"]).finish();
    assert!(keys.stdout.contains("zyre key new mesh.key") && !keys.stdout.contains("scout"), "{keys:?}");
    let nowhere = network.zyre(["cheat", "nonsense"]).finish();
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    assert!(nowhere.stderr.contains("`zyre cheat` prints all"), "{nowhere:?}");
}

#[test]
fn manual_pages_are_written_one_per_command() {
    let (network, folder) = (Network::new(), Folder::new("man"));
    let dir = folder.file("man1");
    let ended = network.zyre(["man", "--dir", &dir]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for file in ["zyre.1", "zyre-shout.1", "zyre-key-new.1"] {
        let page = std::fs::read_to_string(format!("{dir}/{file}")).expect("a page");
        assert!(page.contains(".SH NOTES") && page.contains("xample"), "{page}");
    }
    assert!(!std::fs::exists(format!("{dir}/zyre-docs-cli.1")).expect("a folder"));
    let printed = network.zyre(["man", "key", "new"]).finish();
    assert_eq!(printed.stdout, std::fs::read_to_string(format!("{dir}/zyre-key-new.1")).expect("a page"));
    let unknown = network.zyre(["man", "key", "lost"]).finish();
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("\"key lost\"; `zyre --help` lists them"), "{unknown:?}");
}
