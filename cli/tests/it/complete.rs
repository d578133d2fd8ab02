//! What a shell gets that asks for completions.

use crate::process::{Ended, Network};
use std::process::Command;

/// How often names may be missing, on a machine too busy for peers to be met in half a second.
const TRIES: usize = 60;

/// Asks as the script for bash does; the last word is the one that is typed.
fn ask(network: &Network, words: &[&str]) -> Ended {
    let mut zyre = Command::new(env!("CARGO_BIN_EXE_zyre"));
    zyre.env("ZYRE_COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    let ended = network.start(zyre.args(["--", "zyre"]).args(words)).finish();
    assert_eq!(ended.stderr, "", "a line is being typed");
    ended
}

/// Asks until these are offered, and no other names that begin like what was typed.
fn offers(network: &Network, words: &[&str], wanted: &[&str]) {
    let mut offered = String::new();
    for _ in 0..TRIES {
        offered = ask(network, words).stdout;
        assert!(!offered.contains(['$', ' ']), "a name that a shell could run: {offered}");
        let names: Vec<_> = offered.lines().filter(|name| !name.starts_with('-')).collect();
        if names == wanted {
            return;
        }
    }
    panic!("{words:?} offers {offered:?} instead of {wanted:?}");
}

#[test]
fn live_names_are_completed_and_none_that_a_shell_could_run() {
    let network = Network::new();
    let _cam = network.zyre(["--name", "cam-1", "sub", "CHAT", "$(reboot)", "a b"]);
    let _worker = network.zyre(["--name", "worker-1", "serve", "calc.add", "--echo", "--pool", "adders"]);
    let mut hostile = network.zyre(["--json", "--name", "$(reboot)", "sub", "LOGS"]);
    hostile.line_with("\"cam-1\"");
    let _other = network.zyre(["--name", "cam-2", "sub", "LOGS"]);
    offers(&network, &["whisper", "c"], &["cam-1", "cam-2"]);
    offers(&network, &["ping", "work"], &["worker-1"]);
    offers(&network, &["sub", ""], &["CHAT", "LOGS"]);
    offers(&network, &["sub", "CHAT", "L"], &["LOGS"]);
    offers(&network, &["call", "calc"], &["calc.add"]);
    offers(&network, &["call", "calc.add", "--peer", "w"], &["worker-1"]);
    offers(&network, &["serve", "calc.sub", "--pool", ""], &["adders"]);
}

#[test]
fn the_options_on_the_line_say_where_to_look() {
    let (network, elsewhere) = (Network::new(), Network::new());
    let _cam = elsewhere.zyre(["--name", "cam-1", "sub", "CHAT"]);
    let port = elsewhere.port().to_string();
    offers(&network, &["--port", &port, "whisper", "cam"], &["cam-1"]);
    offers(&network, &["whisper", "--port", &port, "cam"], &["cam-1"]);
    offers(&network, &["whisper", "cam"], &[]);
}

#[test]
fn what_needs_no_network_is_completed_too_and_trouble_stays_silent() {
    let network = Network::new();
    offers(&network, &["whi"], &["whisper"]);
    offers(&network, &["completions", ""], &["bash", "zsh", "fish"]);
    assert!(ask(&network, &["sub", "--cou"]).stdout.contains("--count"));
    for words in [["--interface", "nosuch0", "whisper", "c"], ["--key-file", "/nowhere", "whisper", "c"]] {
        assert_eq!(ask(&network, &words).stdout, "", "{words:?}");
    }
}

#[test]
fn the_script_makes_bash_complete_a_peer() {
    let network = Network::new();
    let _cam = network.zyre(["--name", "cam-1", "sub", "CHAT"]);
    let line = "source <(zyre completions bash); COMP_WORDS=(zyre whisper ca); COMP_CWORD=2; \
                _clap_complete_zyre zyre ca whisper; echo ${COMPREPLY[@]}";
    let completed = || {
        let ended = network.start(Command::new("bash").args(["-c", line])).finish();
        assert_eq!(ended.stderr, "");
        ended.stdout == "cam-1\n"
    };
    assert!((0..TRIES).any(|_| completed()));
    for shell in ["zsh", "fish"] {
        let script = network.zyre(["completions", shell]).finish();
        assert!(script.code == Some(0) && script.stdout.contains("ZYRE_COMPLETE"), "{script:?}");
    }
}
