//! The golden messages of the actor layer's wire form (docs/rpc.md), read by Python with nothing but its json module.

use std::io::ErrorKind;
use std::process::Command;

use zyre_interop_tests::{Missing, or_return};

#[test]
fn python_reads_and_writes_the_golden_rpc_messages_as_we_do() {
    let here = env!("CARGO_MANIFEST_DIR");
    let ran = Command::new("python3")
        .arg(format!("{here}/tests/rpc_fixtures.py"))
        .arg(format!("{here}/../actors/tests/fixtures/rpc.json"))
        .output();
    let output = or_return!(match ran {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Missing::new("python3 is not installed")),
        ran => Ok(ran.expect("python3 can be run")),
    });
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.ends_with(" messages\n"), "{told}{failed}");
}
