//! `zyre key`, and which files make which mode.

use super::{Command, Options};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Subcommand};
use std::path::PathBuf;

/// `zyre key`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "\
Examples:
  zyre key new mesh.key                     the key of a network: whoever has it is a member
  zyre key new --node node.key              the key of one node; prints its line for trust files
  zyre key show mesh.key                    the public key, which is no secret
  zyre key rotate mesh.key                  the next step to another key, while nodes run
  zyre --key-file mesh.key peers            who is there that has the key
  zyre --cert node.key --trust all.trust peers")]
pub(crate) enum Key {
    /// Make a key: of a network, or of one node
    #[command(after_help = "\
Without a file the key is printed. With one nothing but its public key is: for a node, as the line that other
nodes put into their trust files. The name in it is --name, else that of the file.

Examples:
  zyre key new mesh.key
  zyre key new --node cam-1.key >> all.trust")]
    New {
        /// Make the key of one node, as a certificate that zyre C reads too
        #[arg(long)]
        node: bool,
        /// File to make, for its owner alone; it must not be there yet
        file: Option<PathBuf>,
    },
    /// Print the public key that beacons show, the UUID of a node key, how many keys a file holds
    #[command(after_help = "\
Examples:
  zyre key show mesh.key
  zyre key show --cert node.key --json")]
    Show {
        /// File of a network's or a node's key [default: that of --key-file or --cert]
        file: Option<PathBuf>,
    },
    /// Write a key as certificate files of czmq, for zyre C (zyre_set_zcert)
    #[command(after_help = "\
Writes FILE with the public key and FILE_secret with both, as zcert_save does; zcert_load (\"FILE\") reads them. Of a
network's key file the first key is taken: whoever has FILE_secret is a member.

Example:
  zyre key export-zcert --key-file mesh.key mesh.zcert")]
    ExportZcert {
        /// Files to make; they must not be there yet [default: named as the key's, ending in .zcert]
        file: Option<PathBuf>,
    },
    /// Take the next of three steps from a network's key to a new one, while nodes run
    #[command(after_help = "\
The file holds, step by step: the old key and a new one; the new one and the old; the new one alone. After each
step every node gets the file, one after the other: nodes that are one step apart talk to each other. How far it
is stands in the file. The file is changed as a whole; its owner and mode stay.

Example:
  zyre key rotate mesh.key")]
    Rotate {
        /// File to change
        file: PathBuf,
    },
}

/// The files that make a mode, as clap calls them, as they are written and as the environment calls them.
const FILES: [(&str, &str, &str); 3] = [
    ("key_file", "--key-file", "ZYRE_KEY_FILE"),
    ("cert", "--cert", "ZYRE_CERT"),
    ("trust", "--trust", "ZYRE_TRUST"),
];

/// Refuses files that do not make one mode together. What asks about keys alone needs no complete mode.
pub(super) fn check_files(
    matches: &ArgMatches,
    options: &Options,
    command: &Command,
) -> Result<(), clap::Error> {
    let Options { key_file, cert, trust, .. } = options;
    let [key_as, cert_as, trust_as] = FILES.map(|file| given_as(matches, file));
    let own = if cert.is_some() { &cert_as } else { &trust_as };
    let problem = match (key_file.is_some(), cert.is_some(), trust.is_some()) {
        (true, true, _) | (true, _, true) => format!(
            "{key_as} and {own} exclude each other: with a network key (--key-file) whoever has it is let in, with a node \
             key (--cert and --trust) whom the list names; leave one of them away"
        ),
        _ if !command.joins_in() => return Ok(()),
        (false, true, false) => format!(
            "{cert_as} needs --trust FILE: the public keys of those to let in, one a line, as `zyre key show` prints them"
        ),
        (false, false, true) => format!(
            "{trust_as} needs --cert FILE: the key of this node itself; `zyre key new --node FILE` makes one"
        ),
        _ => return Ok(()),
    };
    Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem + "\n"))
}

/// An option as the user knows it: by the variable, where that has set it.
fn given_as(matches: &ArgMatches, (id, option, variable): (&str, &str, &str)) -> String {
    match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => format!("{variable} (in the environment)"),
        _ => option.to_owned(),
    }
}
