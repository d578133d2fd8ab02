//! Many nodes in one process.

use std::time::Duration;

use zyre_interop_tests::netns::Host;
use zyre_interop_tests::or_return;
use zyre_interop_tests::process::Process;

use crate::common::{figure, is_long};

/// `benchmarks` has the figures of an optimised build; this shows that the mesh comes about and stays.
#[test]
fn many_nodes_in_one_process_become_a_full_mesh() {
    for nodes in if is_long() { &[50, 75][..] } else { &[25] } {
        let host = or_return!(Host::alone());
        let mut command =
            std::process::Command::new(or_return!(zyre_interop_tests::provision::adapter("zyre-mesh-peer")));
        command.arg(nodes.to_string());
        let mesh = Process::spawn("mesh", &host, command);
        let told = mesh.wait_for("the full mesh", |event| event.is("MESH"), Duration::from_secs(120));
        let number = |key: &str| told.json()[key].as_u64().expect("a number");
        let (ms, exits, bytes) = (number("ms"), &told.json()["exits"], number("bytes_per_link"));
        figure(&format!(
            "{nodes} nodes in one process: full mesh after {ms} ms, {bytes} bytes of memory per idle directed link (build of \
             the tests), EXIT {exits}"
        ));
        // The aim is 10 s and no EXIT. Nodes that wait for a core greet each other late, and some do so again.
        assert!(ms < 100_000, "{ms} ms, {}", told.json()["counters"]);
    }
}
