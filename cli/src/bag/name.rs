//! What recordings are called, and which one is the newest.

use super::error::Error;
use super::time::Utc;
use std::fs;
use std::path::{Path, PathBuf};

const PREFIX: &str = "zyre-";
const SUFFIX: &str = ".mcap";

/// The name of a recording that begins at this moment.
pub(super) fn default_name(began: Utc) -> PathBuf {
    PathBuf::from(format!("{PREFIX}{}{SUFFIX}", began.stamp()))
}

/// The name of a part: the first is the file itself, `day.mcap`, the second `day-0001.mcap`.
pub(super) fn part(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number:04}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The file and the parts that follow it.
pub(crate) fn parts(path: &Path) -> Vec<PathBuf> {
    let further = (1..).map(|number| part(path, number)).take_while(|path| path.is_file());
    std::iter::once(path.to_owned()).chain(further).collect()
}

/// The recording in this folder with the latest time in its name; of a split one the first part that is there.
pub(crate) fn newest(folder: &Path) -> Result<PathBuf, Error> {
    let read = fs::read_dir(folder).map_err(|source| Error::open(folder, source))?;
    let is_recording =
        |entry: &fs::DirEntry| entry.metadata().is_ok_and(|found| found.is_file() && found.len() > 0);
    let found = read.flatten().filter(is_recording).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let (began, part) = stamp_and_part(&name)?;
        Some((began.to_owned(), std::cmp::Reverse(part), entry.file_name()))
    });
    let newest = found.max().ok_or(Error::NoneHere)?;
    Ok(match folder.to_str() {
        Some(".") => newest.2.into(),
        _ => folder.join(newest.2),
    })
}

/// The time in the name of a recording and the number of its part; `None` for other files.
fn stamp_and_part(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let (stamp, part) = stem.split_at_checked(Utc(0).stamp().len())?;
    let is_stamp = stamp
        .bytes()
        .enumerate()
        .all(|(at, byte)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() });
    let part =
        if part.is_empty() { Some(0) } else { part.strip_prefix('-').and_then(|part| part.parse().ok()) };
    is_stamp.then_some((stamp, part?))
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::Scratch;
    use super::*;

    #[test]
    fn parts_are_numbered_before_the_extension() {
        assert_eq!(part(Path::new("a/day.mcap"), 0), Path::new("a/day.mcap"));
        assert_eq!(part(Path::new("a/day.mcap"), 1), Path::new("a/day-0001.mcap"));
        assert_eq!(part(Path::new("day"), 12), Path::new("day-0012"));
    }

    #[test]
    fn the_newest_recording_is_the_one_with_the_latest_time_in_its_name() {
        let folder = Scratch::folder("newest");
        assert!(matches!(newest(folder.path()), Err(Error::NoneHere)));
        let names = [
            "zyre-20260101-000000.mcap",
            "zyre-20260102-000000.mcap",
            "zyre-20260102-000000-0001.mcap",
            "zyre-20260102-000000-x.mcap",
            "zyre-9.mcap",
            "other.mcap",
        ];
        for name in names {
            fs::write(folder.path().join(name), "x").expect("a folder to write to");
        }
        fs::write(folder.path().join("zyre-20270101-000000.mcap"), "").expect("a folder to write to");
        let found = newest(folder.path()).expect("there are some");
        assert_eq!(found, folder.path().join("zyre-20260102-000000.mcap"));
        assert_eq!(parts(&found), [found.clone(), folder.path().join("zyre-20260102-000000-0001.mcap")]);
        fs::remove_file(&found).expect("it is there");
        let left = newest(folder.path()).expect("the second part is left");
        assert_eq!(left, folder.path().join("zyre-20260102-000000-0001.mcap"));
    }
}
