//! `zyre docs-cli`: docs/cli.md, made of the cookbook and of what `--help` prints.

use crate::args::Args;
use crate::cookbook;
use crate::failure::Failure;
use crate::output::Output;
use clap::Command;
use std::fmt::Write as _;

/// Columns a help text may take; the page is the same on every terminal.
const WIDTH: usize = 120;

const INTRODUCTION: &str = "\
# The zyre command

Made by `cargo run -p zyre-cli -- docs-cli > docs/cli.md`; a test fails when this page is out of date.

Data goes to standard output, everything else to standard error; with `--json` data is one object per line. Exit codes: 0 done, 1 error,
2 wrong usage, 3 what was awaited did not come in time, 129 closed terminal, 130 Ctrl-C, 143 SIGTERM. Each command has `--help`; `zyre completions` makes
a shell complete commands, options and the names of who is there now; `zyre man` prints manual pages.
";

pub(crate) fn run(mut output: Output) -> Result<(), Failure> {
    output.text(page().as_bytes())?;
    output.flush()
}

fn page() -> String {
    let mut whole = Args::full_command().term_width(WIDTH).disable_help_subcommand(true);
    whole.build();
    let recipes: Vec<_> = cookbook::RECIPES.iter().collect();
    let mut page = INTRODUCTION.to_owned();
    section(
        &mut page,
        "Cookbook",
        "What `zyre cheat` prints. A test runs each line.",
        &cookbook::page(&recipes),
    );
    section(&mut page, "zyre", "Options of every command stand here once.", &help(&whole));
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        commands(&mut page, command, "zyre");
    }
    page
}

/// A section for this command and one for each below it.
fn commands(page: &mut String, command: &Command, before: &str) {
    let name = format!("{before} {}", command.get_name());
    section(page, &name, "", &help(&without_common(command)));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        commands(page, sub, &name);
    }
}

fn section(page: &mut String, title: &str, remark: &str, text: &str) {
    let remark = if remark.is_empty() { String::new() } else { format!("{remark}\n\n") };
    _ = write!(page, "\n## {title}\n\n{remark}```text\n{}\n```\n", text.trim_end());
}

fn help(command: &Command) -> String {
    command.clone().term_width(WIDTH).render_help().to_string()
}

/// The command without the options that all have.
fn without_common(command: &Command) -> Command {
    command.clone().mut_args(|arg| {
        let common = arg.get_help_heading() == Some(crate::args::COMMON) || arg.get_id() == "help";
        arg.hide(common)
    })
}

#[cfg(test)]
mod tests {
    use super::page;

    /// What is in the repository is what this source makes.
    #[test]
    fn the_page_of_the_command_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/cli.md is out of date; refresh it with: cargo run -p zyre-cli -- docs-cli > docs/cli.md"
        );
    }
}
