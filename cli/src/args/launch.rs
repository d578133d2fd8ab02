//! The command that starts other programs.

use std::path::PathBuf;

/// `zyre launch`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
A file names nodes, each with the command that runs it:

  nodes:
    receiver:
      command: zyre sub CHAT               words, a list of them, or with `shell: true` a line for sh
      count: 3                             so many processes: receiver-1, receiver-2, receiver-3
      restart: on-failure                  never (default), on-failure, always, or
                                           {policy: always, max: 10, delay: 0.5, max_delay: 30}
    sender:
      command: [zyre, shout, CHAT, hello]
      depends_on:
        receiver: {group: CHAT}            started, seen (default), or {peer, group, service, timeout}
      environment: {LEVEL: debug}          for all nodes if it stands beside `nodes`
      directory: data                      relative to the file, which is where commands run by default
      grace: 10                            seconds to end after SIGTERM; SIGKILL comes then

A process learns its name by ZYRE_NAME, and --port (if it is not the usual one), --interface, --key-file and --trust
by ZYRE_PORT, ZYRE_INTERFACE, ZYRE_KEY_FILE and ZYRE_TRUST; a node key (ZYRE_CERT) is for one process and stands in
`environment`. The command `zyre` is this program.

A node is started once all it depends on is ready, that is seen by a node of this command on the same network, for 30
seconds unless `timeout` or --timeout says otherwise. The first restart comes after `delay` seconds, each further one
after twice as long, give or take a quarter; after `max` in a row without ten seconds between them the node has failed.
All are stopped when one has failed for good, is not ready in time or cannot be started, and on Ctrl-C, SIGTERM and
when the terminal is closed: first those that no other depends on, each with the processes it has started. A second
Ctrl-C kills all at once. Should this command itself be killed by SIGKILL, the nodes go on until they find their output
closed: end them by the process ids that were printed, each of which is a process group.

What nodes print goes where they print it, behind their name; with --json all is lines on standard output. Exit
codes: 0 all nodes have done their work, 1 a node has failed for good, 3 one was not ready in time, 129 closed
terminal, 130 Ctrl-C, 143 SIGTERM.

Examples:
  zyre launch
  zyre launch demo.yaml --except sender
  zyre launch demo.yaml --dry-run --json")]
pub(crate) struct Launch {
    /// What to start, in YAML
    #[arg(value_name = "FILE", default_value = "launch.yaml")]
    pub(crate) file: PathBuf,

    /// Start these nodes alone; what was left out is not waited for
    #[arg(long, value_name = "NODE", num_args = 1.., value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Start all nodes but these; what was left out is not waited for
    #[arg(long, value_name = "NODE", num_args = 1.., value_delimiter = ',')]
    pub(crate) except: Vec<String>,

    /// Print what would be started, in which order and after what, and start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
