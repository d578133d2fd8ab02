//! The commands that explain the command itself.

use super::{Bag, Command};
use clap::ValueEnum;
use std::path::PathBuf;

/// `zyre cheat`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
With --json one line is one object, with the keys topic, does, line and ends.

Examples:
  zyre cheat                          all topics
  zyre cheat keys                     those with this word in them")]
pub(crate) struct Cheat {
    /// Print only topics and lines that contain this word
    #[arg(value_name = "WORD")]
    pub(crate) word: Option<String>,
}

/// `zyre completions`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The shell then asks this command while a line is typed. It completes commands and options, and names of the peers,
groups, pools and methods that are there now: for these it joins in for less than a second, with the options on the line
(--port, --key-file and so on). A name that a shell could take for more than a name is not completed; of such a
peer, or of one of several with the same name, the first digits of the UUID are.

Examples:
  source <(zyre completions bash)           in ~/.bashrc
  source <(zyre completions zsh)            in ~/.zshrc, behind compinit
  zyre completions fish | source            in ~/.config/fish/config.fish")]
pub(crate) struct Completions {
    /// Shell to print the script for
    pub(crate) shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// `zyre man`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zyre man | man -l -                       the overview
  zyre man key new | man -l -               the page of one command
  zyre man --dir ~/.local/share/man/man1    a file per command, such as zyre-shout.1")]
pub(crate) struct Man {
    /// Print the page of this command [default: the overview]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// Write all pages into this folder, which is made
    #[arg(long, conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}

impl Command {
    /// Whether it takes part in a network, and so wants the files that make a mode.
    pub(crate) fn joins_in(&self) -> bool {
        !matches!(
            self,
            Self::Bag(Bag::Info(_))
                | Self::Key(_)
                | Self::Cheat(_)
                | Self::Completions(_)
                | Self::Man(_)
                | Self::DocsCli
        )
    }

    /// Whether its node is there to look alone, and not to be seen in lists.
    pub(crate) fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::Peers(_)
                | Self::Groups(_)
                | Self::Hz(_)
                | Self::Bw(_)
                | Self::Services(_)
                | Self::Methods(_)
        )
    }
}
