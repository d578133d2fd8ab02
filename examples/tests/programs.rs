//! What can be tested of the programs without a network: their options, and that the pyre twins are valid Python.

use std::process::Command;

const PROGRAMS: [(&str, &str); 7] = [
    ("hello", env!("CARGO_BIN_EXE_hello")),
    ("chat", env!("CARGO_BIN_EXE_chat")),
    ("shout_json", env!("CARGO_BIN_EXE_shout_json")),
    ("recv_group", env!("CARGO_BIN_EXE_recv_group")),
    ("dealer", env!("CARGO_BIN_EXE_dealer")),
    ("worker", env!("CARGO_BIN_EXE_worker")),
    ("demo", env!("CARGO_BIN_EXE_demo")),
];

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
fn every_program_but_the_demo_has_a_python_twin_that_compiles_and_takes_its_options() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no python3 here");
        return;
    }
    for (name, path) in PROGRAMS.into_iter().filter(|(name, _)| *name != "demo") {
        let twin = format!("{}/python/{name}.py", env!("CARGO_MANIFEST_DIR"));
        let check = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
        let compiled = Command::new("python3").args(["-c", check, &twin]).output().expect("runs");
        assert!(compiled.status.success(), "{name}: {}", String::from_utf8_lossy(&compiled.stderr));

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
