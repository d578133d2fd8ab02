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

/// `512 B`, `4.2 kB`, `1.3 GB`: in steps of 1000, as rates are.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn sized(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while number >= 999.95
        && let Some(larger) = units.next()
    {
        number /= 1000.0;
        unit = Some(larger);
    }
    format!("{number:.1} {}", unit.unwrap_or(&"TB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_in_steps_of_a_thousand() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (4_200_000_000, "4.2 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(sized(bytes), text);
        }
    }
}
