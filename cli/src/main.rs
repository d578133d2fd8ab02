//! The `zyre` command. Data goes to standard output, everything else to standard error.
//!
//! Exit codes: 0 done (also when the reader of our output went away), 1 error, 2 wrong usage,
//! 3 what was awaited did not come in time, 129 closed terminal, 130 Ctrl-C, 143 SIGTERM.

mod args;
mod bag;
mod children;
mod command;
mod complete;
mod cookbook;
mod credentials;
mod failure;
mod filter;
mod hidden;
mod input;
mod key_file;
mod lookup;
mod output;
mod session;
mod signals;

use crate::failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(answered) = complete::answer_shell() {
        return answered;
    }
    let args = args::Args::from_command_line();
    session::start_tracing(args.repeatable.verbose);
    let outcome = tokio::runtime::Runtime::new()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(command::run(args)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_quiet() {
                output::note(&failure);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
