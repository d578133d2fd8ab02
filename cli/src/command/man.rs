//! `zyre man`: manual pages, made of what `--help` prints.

use crate::args::{self, Args};
use crate::failure::Failure;
use crate::output::Output;
use clap::Command;
use clap_mangen::Man;
use std::fs;
use std::io;
use std::path::Path;

pub(crate) fn run(mut output: Output, args: &args::Man) -> Result<(), Failure> {
    let whole = whole();
    if let Some(dir) = &args.dir {
        return write_all(&whole, dir)
            .map_err(|error| Failure::Files { path: dir.display().to_string(), error });
    }
    let command = args.command.iter().try_fold(&whole, |command, name| command.find_subcommand(name));
    let command = command.ok_or_else(|| {
        let asked = args.command.join(" ");
        Failure::Usage(format!("there is no command {asked:?}; `zyre --help` lists them"))
    })?;
    output.text(&page(command.clone()).map_err(Failure::Output)?)?;
    output.flush()
}

/// All commands, each knowing those before it.
fn whole() -> Command {
    let mut command = Args::full_command().disable_help_subcommand(true);
    command.build();
    command
}

/// Writes a page for this command and for each below it.
fn write_all(command: &Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let file = Man::new(command.clone()).get_filename();
    fs::write(dir.join(file), page(command.clone())?)?;
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| write_all(sub, dir))
}

/// The text behind the options is set as it stands: its lines are no paragraphs, and its examples are in columns.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let notes = command.get_after_help().map(ToString::to_string);
    let mut page = Vec::new();
    Man::new(command.after_help(None::<&str>)).render(&mut page)?;
    if let Some(notes) = notes {
        page.extend_from_slice(b".SH NOTES\n.nf\n");
        for line in notes.lines() {
            // A line that begins with one of these is a request to roff.
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            page.extend_from_slice(
                format!("{guard}{}\n", line.replace('\\', "\\e").replace('-', "\\-")).as_bytes(),
            );
        }
        page.extend_from_slice(b".fi\n");
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_options_stays_as_it_is() {
        let command = Command::new("c").after_help("one --a\n.two \\n\n  three   column");
        let page = String::from_utf8(page(command).expect("memory")).expect("text");
        assert!(
            page.ends_with(".SH NOTES\n.nf\none \\-\\-a\n\\&.two \\en\n  three   column\n.fi\n"),
            "{page}"
        );
    }

    #[test]
    fn a_page_is_named_after_the_commands_that_lead_to_it() {
        let whole = whole();
        let new = whole.find_subcommand("key").and_then(|key| key.find_subcommand("new")).expect("a command");
        assert_eq!(Man::new(new.clone()).get_filename(), "zyre-key-new.1");
    }
}
