//! Why a command ended early, and the exit code that tells scripts so.

use crate::signals::Signal;
use std::io;
use zyre_actors::{CallError, ServeError, code};
use zyre_rs::{GroupError, SendError, StartError};

/// Anything but success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The node did not start; nothing was sent.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A message was refused. Those before it were sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A group could not be joined.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A call gave no result; a provider's own error is among them.
    #[error("{}", call_error(.0))]
    Call(#[from] CallError),
    /// Checks of `zyre doctor` have failed; they were told of before.
    #[error("{0}")]
    Unwell(String),
    /// Some of the providers that were all called gave no result; each was told of before.
    #[error("{0}")]
    SomeFailed(String),
    /// A method could not be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// What is wrong with the command line shows only now; the message says how to write it.
    #[error("{0}")]
    Usage(String),
    /// A key file cannot be used or made; what is in it is not repeated.
    #[error("key file {path}: {problem}")]
    KeyFile {
        /// Where it is.
        path: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A launch file cannot be used, or a node of it has failed for good; the message says which.
    #[error("{0}")]
    Launch(String),
    /// Files could not be written; those before it were.
    #[error("cannot write to {path}: {error}; choose another folder or make room")]
    Files {
        /// Where they were to be.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// A recording cannot be made or read; the message says what was kept.
    #[error(transparent)]
    Bag(#[from] crate::bag::Error),
    /// A process of the demo could not be started.
    #[error("cannot start another process of this command: {0}")]
    Process(io::Error),
    /// The peer asked for is not one peer; the message lists the candidates.
    #[error("{0}")]
    Ambiguous(String),
    /// The node stopped by itself.
    #[error("the node has stopped unexpectedly; run again with -v to see why")]
    Stopped,
    /// What was awaited did not come in time; the message says what to check.
    #[error("{0}")]
    Timeout(String),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted(Signal),
    /// Standard output cannot be written. A closed pipe is no error: the reader has seen enough.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// Standard input cannot be read.
    #[error("cannot read from standard input: {0}")]
    Input(io::Error),
    /// The operating system refused threads or signal handlers.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl Failure {
    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether to end without a word: the user knows already.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_closed_pipe() || matches!(self, Self::Interrupted(_))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_closed_pipe() => 0,
            Self::Usage(_) => 2,
            Self::Timeout(_) => 3,
            Self::Call(error) if is_timeout(error) => 3,
            Self::Interrupted(signal) => signal.exit_code(),
            _ => 1,
        }
    }
}

/// Whether nobody was there or nobody answered in time. A provider may notice the deadline before its caller does.
fn is_timeout(error: &CallError) -> bool {
    match error {
        CallError::NoProvider { .. } | CallError::TimedOut { .. } => true,
        CallError::Remote(error) => error.code == code::DEADLINE_EXCEEDED,
        _ => false,
    }
}

fn call_error(error: &CallError) -> String {
    match error {
        CallError::NoProvider { target } => format!("{target} is not there (any more)"),
        error if is_timeout(error) => format!("{error}; wait longer with --timeout"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zyre_actors::RpcError;

    #[test]
    fn each_way_to_end_has_the_exit_code_scripts_rely_on() {
        let closed = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((closed.exit_code(), closed.is_quiet()), (0, true));
        let full = Failure::Output(io::ErrorKind::StorageFull.into());
        assert_eq!((full.exit_code(), full.is_quiet()), (1, false));
        assert_eq!(Failure::Send(SendError::EmptyMessage).exit_code(), 1);
        assert_eq!(Failure::Timeout(String::new()).exit_code(), 3);
        assert_eq!(Failure::Interrupted(Signal::Interrupt).exit_code(), 130);
        assert_eq!(Failure::Interrupted(Signal::Terminate).exit_code(), 143);
    }

    #[test]
    fn a_call_without_answer_is_a_timeout_and_an_error_of_the_provider_is_an_error() {
        let exit = |error: CallError| Failure::from(error).exit_code();
        assert_eq!(exit(CallError::NoProvider { target: "svc/calc".to_owned() }), 3);
        assert_eq!(exit(CallError::TimedOut { maybe_executed: true }), 3);
        assert_eq!(exit(CallError::Remote(RpcError::new(code::DEADLINE_EXCEEDED, "late"))), 3);
        assert_eq!(exit(CallError::Remote(RpcError::new(33, "no root"))), 1);
        assert_eq!(exit(CallError::Rejected { retry_after: None }), 1);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        let remote = Failure::from(CallError::Remote(RpcError::new(33, "no root")));
        assert_eq!(remote.to_string(), "no root (code 33)");
    }
}
