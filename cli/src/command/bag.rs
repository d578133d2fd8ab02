//! `zyre bag`: records what is said, plays it again, tells what is in a recording.

mod info;
mod play;
mod record;

use crate::args::Bag;
use crate::bag::{Error, newest, parts};
use crate::failure::Failure;
use crate::session::Session;
use std::path::{Path, PathBuf};

pub(crate) async fn run(session: Session, bag: Bag) -> Result<(), Failure> {
    match bag {
        Bag::Record(record) => record::run(session, &record).await,
        Bag::Play(play) => play::run(session, play).await,
        Bag::Info(info) => info::run(session, &info),
    }
}

/// The files of the recording that was named, or of the newest one.
fn files(input: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    let first = input.map_or_else(|| newest(Path::new(".")), |path| Ok(path.to_owned()))?;
    Ok(parts(&first))
}
