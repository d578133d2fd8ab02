//! `zyre bench` against `zyre bench serve`.

use crate::process::{Network, json};
use serde_json::Value;

/// The figures of a measurement that went well.
fn measured(network: &Network, bench: &str, options: &[&str]) -> Value {
    let mut args = vec!["bench", bench, "--json", "--duration", "0.5", "--timeout", "20"];
    args.extend(options);
    let ended = network.zyre_of(&args).finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    json(&ended.stdout)
}

fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or_else(|| panic!("no {key} in {figures}"))
}

#[test]
fn each_benchmark_loses_nothing_and_has_percentiles_in_order() {
    let network = Network::new();
    let _serve = network.zyre(["bench", "serve"]);
    for (bench, options) in [
        ("whisper", ["--size", "1000", "--clients", "4"].as_slice()),
        ("shout", &["--size", "0"]),
        ("call", &["--clients", "4"]),
        ("call", &["--rate", "50"]),
        ("discovery", &[]),
    ] {
        let figures = measured(&network, bench, options);
        assert_eq!(figures["bench"], bench);
        assert_eq!((&figures["lost"], &figures["sent"]), (&0.into(), &figures["answered"]), "{figures}");
        let times =
            ["min_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|key| number(&figures, key));
        assert!(times[0] > 0.0 && times.is_sorted(), "{figures}");
        assert!(number(&figures, "per_second") > 0.0, "{figures}");
    }
}

#[test]
fn a_shout_is_answered_by_every_member() {
    let network = Network::new();
    let _serving = [(); 2].map(|()| network.zyre(["bench", "serve"]));
    let figures = measured(&network, "shout", &["--peers", "2", "--rate", "20"]);
    assert_eq!(number(&figures, "answered"), 2.0 * number(&figures, "sent"), "{figures}");
    assert_eq!(number(&figures, "sent") + number(&figures, "missed"), 10.0, "20 a second for half a second");
}

#[test]
fn answers_that_do_not_come_are_lost_and_ctrl_c_prints_the_figures_so_far() {
    let network = Network::new();
    let _serve = network.zyre(["bench", "serve"]);
    // A member of the group that answers nothing.
    let mut deaf = network.zyre(["sub", "svc/bench", "--json"]);
    let bench =
        network.zyre(["bench", "shout", "--peers", "2", "--duration", "600", "--timeout", "5", "--json"]);
    deaf.line_with("\"SHOUT\"");
    // The second is sent when the first was given up.
    deaf.line_with("\"SHOUT\"");
    bench.signal("INT");
    let ended = bench.finish();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let figures = json(&ended.stdout);
    assert_eq!((number(&figures, "lost"), number(&figures, "sent")), (1.0, 1.0), "{figures}");
    assert!(number(&figures, "answered") >= 1.0 && figures.get("p50_us").is_none(), "{figures}");
}

#[test]
fn without_anybody_who_serves_it_exits_with_3_and_says_what_to_start() {
    let network = Network::new();
    for bench in ["whisper", "shout", "call", "discovery"] {
        let ended = network.zyre(["bench", bench, "--timeout", "0.3"]).finish();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{ended:?}");
        assert!(ended.stderr.contains("start `zyre bench serve` elsewhere"), "{ended:?}");
    }
}

#[test]
fn a_table_has_as_many_values_as_names() {
    let network = Network::new();
    let _serve = network.zyre(["bench", "serve"]);
    let ended = network.zyre(["bench", "whisper", "--csv", "--duration", "0.2", "--timeout", "20"]).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<Vec<_>> = ended.stdout.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        (lines.len(), lines[0].len(), lines[0][0], lines[1][0]),
        (2, lines[1].len(), "bench", "whisper")
    );
}
