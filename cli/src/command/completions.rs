//! `zyre completions`: the script for a shell.

use crate::args;
use crate::complete;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(mut output: Output, args: &args::Completions) -> Result<(), Failure> {
    output.text(&complete::script(args.shell).map_err(Failure::Output)?)?;
    output.flush()
}
