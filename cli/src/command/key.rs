//! `zyre key`: makes the key of a secured network and shows what others see of one.

use crate::args::Key;
use crate::failure::Failure;
use crate::key_file;
use crate::output::note;
use crate::session::Session;
use serde::Serialize;
use std::fmt;
use zyre_rs::NetworkKey;

/// The key itself: printed for its owner only, when asked for.
#[derive(Serialize)]
struct Secret {
    key: String,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// What beacons show of a network.
#[derive(Serialize)]
struct Shown {
    public: String,
    /// Keys accepted besides.
    others: usize,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

pub(crate) fn run(mut session: Session, key: &Key) -> Result<(), Failure> {
    match key {
        Key::New { file } => {
            let key = NetworkKey::generate().map_err(Failure::Runtime)?;
            match file {
                Some(path) => {
                    key_file::create(path, &key)?;
                    note(format_args!("wrote {}; nodes use it with --key-file", path.display()));
                    session.output.line(&Shown { public: key.public_key().to_string(), others: 0 })?;
                }
                None => session.output.line(&Secret { key: key.reveal().to_string() })?,
            }
        }
        Key::Show => {
            let key = session.key.as_ref().ok_or_else(|| {
                Failure::Usage("which key? Name its file: zyre key show --key-file mesh.key".to_owned())
            })?;
            let others = key.accepted() - 1;
            session.output.line(&Shown { public: key.public_key().to_string(), others })?;
        }
    }
    session.output.flush()
}
