//! Installs pyre and zyre.js for the tests and prints the Python that has pyre.

use std::process::ExitCode;

use zyre_interop_tests::provision;

fn main() -> ExitCode {
    if let Err(missing) = provision::zyrejs() {
        eprintln!("zyre.js is not available: {missing}");
    }
    match provision::pyre() {
        Ok(python) => {
            println!("{}", python.interpreter.display());
            ExitCode::SUCCESS
        }
        Err(missing) => {
            eprintln!("pyre is not available: {missing}");
            ExitCode::FAILURE
        }
    }
}
