//! Why a recording cannot be made or read.

use mcap::McapError;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with which file, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing was written.
    #[error("{path} is there already; choose another name with -o or remove it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was written.
    #[error("cannot create {path}: {source}; choose another place with -o")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recording has ended early. What was written before is whole and readable.
    #[error("cannot write {path}: {problem}; {kept}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
        /// What is in it.
        kept: String,
    },
    /// There is no recording to read.
    #[error("no recording (zyre-YYYYmmdd-HHMMSS.mcap) in this folder; name one with -i FILE")]
    NoneHere,
    /// Nothing was read.
    #[error("cannot read {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What came before was read.
    #[error("cannot read {path}: {}", explain(.problem))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: McapError,
    },
    /// The operating system refused a thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl Error {
    pub(super) fn open(path: &Path, source: io::Error) -> Self {
        Self::Open { path: path.to_owned(), source }
    }

    pub(super) fn read(path: &Path, problem: McapError) -> Self {
        Self::Read { path: path.to_owned(), problem }
    }
}

fn explain(problem: &McapError) -> String {
    match problem {
        McapError::BadMagic => "it is no MCAP file".to_owned(),
        McapError::UnsupportedCompression(name) => {
            format!("it is compressed with {name}; write it anew with `mcap compress --compression lz4`")
        }
        problem => problem.to_string(),
    }
}
