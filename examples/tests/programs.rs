//! What can be tested of the programs without a network: their options, and that the pyre twins are valid Python.

use std::process::Command;

/// How many lines a program on plain pyre may need to be a full member.
const MAX_ACTOR: usize = 40;

const PROGRAMS: [(&str, &str); 10] = [
    ("hello", env!("CARGO_BIN_EXE_hello")),
    ("chat", env!("CARGO_BIN_EXE_chat")),
    ("shout_json", env!("CARGO_BIN_EXE_shout_json")),
    ("recv_group", env!("CARGO_BIN_EXE_recv_group")),
    ("dealer", env!("CARGO_BIN_EXE_dealer")),
    ("worker", env!("CARGO_BIN_EXE_worker")),
    ("demo", env!("CARGO_BIN_EXE_demo")),
    ("calc_server", env!("CARGO_BIN_EXE_calc_server")),
    ("calc_client", env!("CARGO_BIN_EXE_calc_client")),
    ("pool", env!("CARGO_BIN_EXE_pool")),
];

/// Those that have a twin of their own name.
fn twins() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(name, _)| !["demo", "calc_server", "calc_client", "pool"].contains(name))
}

fn python(name: &str) -> String {
    format!("{}/python/{name}.py", env!("CARGO_MANIFEST_DIR"))
}

/// That it is Python; `None` where there is none to tell.
fn compiles(program: &str) -> Option<Result<(), String>> {
    let check = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
    let Ok(compiled) = Command::new("python3").args(["-c", check, program]).output() else {
        eprintln!("SKIPPED: there is no python3 here");
        return None;
    };
    let error = String::from_utf8_lossy(&compiled.stderr).into_owned();
    Some(if compiled.status.success() { Ok(()) } else { Err(error) })
}

/// In a debug build clap checks the definition of the options before it parses any.
#[test]
fn every_program_explains_its_options_and_refuses_unknown_ones() {
    for (name, path) in PROGRAMS {
        let help = Command::new(path).arg("--help").output().expect("runs");
        assert!(help.status.success(), "{name}: {}", String::from_utf8_lossy(&help.stderr));
        assert!(String::from_utf8_lossy(&help.stdout).contains("--port"), "{name}");
        let unknown = Command::new(path).arg("--no-such-option").output().expect("runs");
        assert_eq!(unknown.status.code(), Some(2), "{name}");
    }
}

/// Twins take the same options, apart from `--interface`, which pyre 0.3.4 cannot choose.
#[test]
fn programs_without_actors_have_a_python_twin_that_compiles_and_takes_their_options() {
    for (name, path) in twins() {
        let twin = python(name);
        let Some(compiled) = compiles(&twin) else { return };
        assert_eq!(compiled, Ok(()), "{name}");

        let source = std::fs::read_to_string(&twin).expect("readable");
        let help = Command::new(path).arg("--help").output().expect("runs");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let options = help.split([' ', ',', '\n']).filter(|word| word.starts_with("--"));
        for option in options.filter(|option| !["--help", "--interface"].contains(option)) {
            assert!(source.contains(&format!("\"{option}\"")), "{name}.py does not take {option}");
        }
        assert!(source.contains("node.stop()"), "{name}.py would never end");
    }
}

#[test]
fn forty_lines_on_plain_pyre_serve_call_and_work_in_a_pool() {
    let actor = python("actor");
    let source = std::fs::read_to_string(&actor).expect("readable");
    assert!(source.lines().count() <= MAX_ACTOR, "{} lines", source.lines().count());
    let imports: Vec<_> = source.lines().filter(|line| line.contains("import ")).collect();
    assert_eq!(imports, ["import json, sys", "from pyre import Pyre"], "no package but pyre");
    assert!(source.lines().all(|line| line.len() <= 120), "lines are no place to hide lines in");
    if let Some(compiled) = compiles(&actor) {
        assert_eq!(compiled, Ok(()));
    }
}
