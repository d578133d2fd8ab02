//! What is played: read ahead by a thread of its own, so that the disk delays nothing.

use crate::args::Remap;
use crate::bag::{Error, Reader, SHOUT, frames};
use crate::failure::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use zyre_rs::Message;

/// Messages read ahead; small, since each may be large.
const MAX_READ_AHEAD: usize = 64;

/// Which groups are played, and what they are called now.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    remap: Vec<Remap>,
    only: Vec<String>,
}

impl Targets {
    /// All groups are played unless there are some in `only`.
    pub(super) fn new(remap: &[Remap], only: &[String]) -> Self {
        Self { remap: remap.to_vec(), only: only.to_vec() }
    }

    /// The group that a topic is played to.
    pub(super) fn of(&self, topic: &str) -> Option<String> {
        let group = topic.strip_prefix(SHOUT)?;
        if !self.only.is_empty() && !self.only.iter().any(|only| only == group) {
            return None;
        }
        let renamed = self.remap.iter().rfind(|remap| remap.old == group);
        Some(renamed.map_or(group, |remap| &remap.new).to_owned())
    }
}

/// A message that is to be shouted.
#[derive(Debug)]
pub(super) struct Shout {
    pub(super) time: u64,
    pub(super) group: Arc<str>,
    pub(super) message: Message,
}

/// The shouts of a recording, in its order.
pub(super) struct Source {
    shouts: mpsc::Receiver<Result<Shout, Error>>,
    skipped: Arc<AtomicU64>,
}

impl Source {
    /// Reads from `start` on, in nanoseconds since 1970.
    pub(super) fn open(files: &[PathBuf], targets: &Targets, start: u64) -> Result<Self, Failure> {
        let (sender, shouts) = mpsc::channel(MAX_READ_AHEAD);
        let skipped = Arc::new(AtomicU64::new(0));
        let reading = Reading { targets: targets.clone(), start, skipped: skipped.clone(), group: None };
        let files = files.to_vec();
        let read = move || {
            if let Err(error) = reading.run(&files, &sender) {
                let _ = sender.blocking_send(Err(error));
            }
        };
        std::thread::Builder::new().name("reader".to_owned()).spawn(read).map_err(Error::Thread)?;
        Ok(Self { shouts, skipped })
    }

    /// The next one; `None` at the end. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Shout>, Failure> {
        Ok(self.shouts.recv().await.transpose()?)
    }

    /// Messages from the start on that are not played: of another kind, for another group, or not ours.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

struct Reading {
    targets: Targets,
    start: u64,
    skipped: Arc<AtomicU64>,
    /// The last topic and its group: most messages are of the same.
    group: Option<(String, Option<Arc<str>>)>,
}

impl Reading {
    fn run(mut self, files: &[PathBuf], sender: &mpsc::Sender<Result<Shout, Error>>) -> Result<(), Error> {
        for path in files {
            let mut reader = Reader::open(path)?;
            while let Some(entry) = reader.next()? {
                if entry.time < self.start {
                    continue;
                }
                let group = self.group(&entry.channel.topic);
                let message = group.is_some().then(|| frames(&entry.data)).flatten();
                let (Some(group), Some(message)) = (group, message) else {
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                if sender.blocking_send(Ok(Shout { time: entry.time, group, message })).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn group(&mut self, topic: &str) -> Option<Arc<str>> {
        if let Some((known, group)) = &self.group
            && known == topic
        {
            return group.clone();
        }
        let group: Option<Arc<str>> = self.targets.of(topic).map(Into::into);
        self.group = Some((topic.to_owned(), group.clone()));
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_chosen_by_their_old_name_and_the_last_renaming_counts() {
        let remap = |old: &str, new: &str| Remap { old: old.to_owned(), new: new.to_owned() };
        let all = Targets::new(&[remap("a", "x"), remap("a", "y")], &[]);
        assert_eq!(all.of("shout/a").as_deref(), Some("y"));
        assert_eq!(all.of("shout/b/c").as_deref(), Some("b/c"));
        for topic in ["whisper", "event", "rpc/request", "/tf"] {
            assert_eq!(all.of(topic), None, "{topic}");
        }
        let one = Targets::new(&[remap("a", "x")], &["a".to_owned()]);
        assert_eq!((one.of("shout/a").as_deref(), one.of("shout/x")), (Some("x"), None));
    }
}
