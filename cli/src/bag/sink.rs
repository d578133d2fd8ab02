//! The files of a recording: when chunks end, when a new file begins, what is left when the disk is full.

use super::error::Error;
use super::file::{Growing, Topic};
use super::name::{default_name, part};
use super::time::Utc;
use mcap::McapError;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Chunks are this large; a reader unpacks one at a time.
const CHUNK: usize = 1 << 20;
/// Or as old as this: so much a recording that is cut off lacks.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// How many seconds on a name is searched for when recordings begin at the same time.
const MAX_NAMES: u64 = 60;

/// Where a recording is written. A recording without messages leaves no file.
pub(crate) struct Sink {
    first: PathBuf,
    split: Option<u64>,
    file: Option<Growing<File>>,
    /// Whole parts, with the growing one last.
    files: Vec<PathBuf>,
    /// On disk in whole parts.
    done: Done,
    flushed_at: Instant,
}

/// What is on disk of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Sink {
    /// Makes the first file, which must not be there yet; without a name it gets one with the time.
    pub(crate) fn create(output: Option<&Path>, split: Option<u64>) -> Result<Self, Error> {
        let (path, file) = match output {
            Some(path) => {
                let next = part(path, 1);
                if next.exists() && !path.exists() {
                    // It would be played as a part of this recording, or end it when its turn comes.
                    return Err(Error::Exists { path: next });
                }
                (path.to_owned(), create(path)?)
            }
            None => create_named(Utc::now())?,
        };
        let file = Growing::new(file).map_err(|problem| failed(&path, &problem, String::new()))?;
        let (first, files) = (path.clone(), vec![path]);
        Ok(Self { first, split, file: Some(file), files, done: Done::default(), flushed_at: Instant::now() })
    }

    /// Takes a message; on disk it is after a flush.
    pub(super) fn write(&mut self, topic: &Topic, time: u64, text: &[u8]) -> Result<(), Error> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
                let path = part(&self.first, number);
                let file = create(&path).map_err(|error| self.at_split(error))?;
                self.files.push(path);
                self.file.insert(Growing::new(file).map_err(|problem| self.failed(&problem))?)
            }
        };
        file.write(topic, time, text).map_err(|problem| self.failed(&problem))
    }

    /// Puts messages on disk when there are enough or they are old enough, and ends a file that is large enough.
    pub(super) fn flush(&mut self, node: &BTreeMap<String, String>, lost: u64) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let chunk = self.split.map_or(CHUNK, |split| CHUNK.min(usize::try_from(split).unwrap_or(CHUNK)));
        if file.pending() < chunk && self.flushed_at.elapsed() < FLUSH_AFTER {
            return Ok(());
        }
        self.flushed_at = Instant::now();
        file.flush().map_err(|problem| self.failed(&problem))?;
        if self.split.is_some_and(|split| self.file.as_ref().is_some_and(|file| file.kept().bytes >= split)) {
            self.end_file(node, lost)?;
        }
        Ok(())
    }

    /// Puts everything on disk.
    pub(super) fn finish(
        mut self,
        node: &BTreeMap<String, String>,
        lost: u64,
    ) -> Result<(Done, Vec<PathBuf>), Error> {
        if self.taken() > 0 {
            self.end_file(node, lost)?;
            Ok((self.done, std::mem::take(&mut self.files)))
        } else {
            Ok((self.done, Vec::new()))
        }
    }

    /// What is on disk by now.
    pub(super) fn done(&self) -> Done {
        let growing = self.file.as_ref().map(Growing::kept).unwrap_or_default();
        Done { messages: self.done.messages + growing.messages, bytes: self.done.bytes + growing.bytes }
    }

    /// All messages taken, whether on disk or not.
    fn taken(&self) -> u64 {
        self.done.messages + self.file.as_ref().map_or(0, Growing::messages)
    }

    fn end_file(&mut self, node: &BTreeMap<String, String>, lost: u64) -> Result<(), Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let taken = self.done.messages + file.messages();
        let (kept, outcome) = match file.finish(node, lost) {
            Ok(kept) => (kept, Ok(())),
            Err((problem, kept)) => (kept, Err(problem)),
        };
        self.done.messages += kept.messages;
        self.done.bytes += kept.bytes;
        outcome.map_err(|problem| {
            if kept.messages == 0 {
                // It was made by us and holds nothing.
                let _ = fs::remove_file(self.path());
            }
            failed(self.path(), &problem, self.kept(taken))
        })
    }

    fn path(&self) -> &Path {
        self.files.last().unwrap_or(&self.first)
    }

    fn failed(&self, problem: &McapError) -> Error {
        failed(self.path(), problem, self.kept(self.taken()))
    }

    /// The next part could not be begun: what was recorded before is whole.
    fn at_split(&self, error: Error) -> Error {
        match error {
            Error::Exists { path } => {
                let problem = "it is there already; choose another name with -o or remove it".to_owned();
                Error::Write { path, problem, kept: self.kept(self.taken()) }
            }
            Error::Create { path, source } => {
                Error::Write { path, problem: source.to_string(), kept: self.kept(self.taken()) }
            }
            other => other,
        }
    }

    /// What is there of the messages taken.
    fn kept(&self, taken: u64) -> String {
        let kept = self.done().messages;
        if kept == 0 {
            return "nothing was kept".to_owned();
        }
        let lacking = match taken.saturating_sub(kept) {
            0 => String::new(),
            lacking => format!(", the last {lacking} are lost"),
        };
        let files: Vec<_> = self.files.iter().map(|path| path.display().to_string()).collect();
        format!("{kept} messages are kept in {} and can be read{lacking}", files.join(", "))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let is_empty = self.file.as_ref().is_some_and(|file| file.kept().messages == 0);
        self.file = None;
        if is_empty && let Some(path) = self.files.last() {
            // It was made by us and holds nothing.
            let _ = fs::remove_file(path);
        }
    }
}

fn create(path: &Path) -> Result<File, Error> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => Error::Create { path: path.to_owned(), source },
    })
}

/// Another recording may have begun in this second.
fn create_named(now: Utc) -> Result<(PathBuf, File), Error> {
    let mut second = 0;
    loop {
        let path = default_name(Utc(now.0.saturating_add(second * 1_000_000_000)));
        match create(&path) {
            Err(Error::Exists { .. }) if second < MAX_NAMES => second += 1,
            created => return created.map(|file| (path, file)),
        }
    }
}

fn failed(path: &Path, problem: &McapError, kept: String) -> Error {
    let problem = match problem {
        McapError::Io(error) if error.kind() == io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        McapError::Io(error) => error.to_string(),
        problem => problem.to_string(),
    };
    Error::Write { path: path.to_owned(), problem, kept }
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::Scratch;
    use super::super::{Reader, parts};
    use super::*;

    fn topic() -> Topic {
        Topic::Whisper
    }

    #[test]
    fn a_recording_without_messages_leaves_no_file() {
        let folder = Scratch::folder("empty");
        let path = folder.path().join("a.mcap");
        let sink = Sink::create(Some(&path), None).expect("a folder to write to");
        assert!(path.exists());
        let (done, files) = sink.finish(&BTreeMap::new(), 0).expect("nothing to write");
        assert_eq!((done.messages, files.len(), path.exists()), (0, 0, false));
        drop(Sink::create(Some(&path), None).expect("a folder to write to"));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = Scratch::folder("exists");
        let path = folder.path().join("a.mcap");
        fs::write(&path, "mine").expect("a folder to write to");
        assert!(matches!(Sink::create(Some(&path), None), Err(Error::Exists { .. })));
        assert_eq!(fs::read(&path).expect("it is there"), b"mine");
        let later = folder.path().join("b-0001.mcap");
        fs::write(&later, "mine").expect("a folder to write to");
        let refused = Sink::create(Some(&folder.path().join("b.mcap")), None);
        assert!(matches!(refused, Err(Error::Exists { path }) if path == later));
        assert!(!folder.path().join("b.mcap").exists());
    }

    #[test]
    fn a_new_file_begins_when_one_is_large_enough_and_no_message_is_lost_between_them() {
        let folder = Scratch::folder("split");
        let path = folder.path().join("a.mcap");
        let mut sink = Sink::create(Some(&path), Some(64 * 1024)).expect("a folder to write to");
        for number in 0..20_000_u64 {
            let text = format!(
                "\"{:032x}\"",
                u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
            );
            sink.write(&topic(), number, text.as_bytes()).expect("room");
            sink.flush(&BTreeMap::new(), 0).expect("room");
        }
        let (done, files) = sink.finish(&BTreeMap::new(), 0).expect("room");
        assert_eq!(done.messages, 20_000);
        assert!(files.len() > 3, "{files:?}");
        assert_eq!(files, parts(&path));
        let mut next = 0;
        for file in &files {
            let size = fs::metadata(file).expect("it is there").len();
            assert!(size < 3 * 64 * 1024, "{size}");
            let mut reader = Reader::open(file).expect("it is readable");
            while let Some(entry) = reader.next().expect("it is whole") {
                assert_eq!(entry.time, next);
                next += 1;
            }
        }
        assert_eq!(next, 20_000);
    }
}
