//! What is in a recording: from its indexes, or from all of it where it was cut off.

use super::error::Error;
use super::reader::{MAX_RECORD, Reader};
use super::time::Utc;
use super::{LOST, METADATA};
use mcap::records::Record;
use mcap::sans_io::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};
use mcap::{McapError, Summary};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Opcode and length of a record.
const RECORD_HEAD: u64 = 9;

/// What the files of a recording hold together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overview {
    pub(crate) files: Vec<PathBuf>,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Messages by topic.
    pub(crate) topics: BTreeMap<String, u64>,
    /// The first and the last message.
    pub(crate) times: Option<(Utc, Utc)>,
    /// Whether all files have their index; the last one has none when the recording was cut off.
    pub(crate) is_complete: bool,
    /// Chunks and how they are packed, as far as there is an index.
    pub(crate) chunks: u64,
    pub(crate) compression: BTreeSet<String>,
    /// Messages lost while it was recorded, where that is noted.
    pub(crate) lost: Option<u64>,
}

impl Overview {
    /// Looks into all files.
    pub(crate) fn of(files: &[PathBuf]) -> Result<Self, Error> {
        let mut overview = Self { is_complete: true, ..Self::default() };
        for path in files {
            overview.add(path)?;
        }
        Ok(overview)
    }

    pub(crate) fn messages(&self) -> u64 {
        self.topics.values().sum()
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let mut file = File::open(path).map_err(|source| Error::open(path, source))?;
        self.bytes += file.metadata().map_err(|source| Error::open(path, source))?.len();
        self.files.push(path.to_owned());
        match read_summary(&mut file) {
            Ok(Some(summary)) if summary.stats.is_some() => {
                self.lost = read_lost(&mut file, &summary).or(self.lost);
                self.add_summary(&summary);
                Ok(())
            }
            // No index, or a broken one.
            _ => self.add_messages(path),
        }
    }

    fn add_summary(&mut self, summary: &Summary) {
        for chunk in &summary.chunk_indexes {
            self.chunks += 1;
            self.compression.insert(chunk.compression.clone());
        }
        let Some(stats) = &summary.stats else { return };
        for (channel, messages) in &stats.channel_message_counts {
            let topic = summary.channels.get(channel).map_or("?", |channel| channel.topic.as_str());
            *self.topics.entry(topic.to_owned()).or_default() += messages;
        }
        if stats.message_count > 0 {
            self.cover(Utc(stats.message_start_time));
            self.cover(Utc(stats.message_end_time));
        }
    }

    fn add_messages(&mut self, path: &Path) -> Result<(), Error> {
        self.is_complete = false;
        let mut reader = Reader::open(path)?;
        while let Some(entry) = reader.next()? {
            match self.topics.get_mut(&entry.channel.topic) {
                Some(messages) => *messages += 1,
                None => _ = self.topics.insert(entry.channel.topic.clone(), 1),
            }
            self.cover(Utc(entry.time));
        }
        Ok(())
    }

    fn cover(&mut self, time: Utc) {
        let (first, last) = self.times.unwrap_or((time, time));
        self.times = Some((first.min(time), last.max(time)));
    }
}

fn read_summary(file: &mut File) -> Result<Option<Summary>, McapError> {
    let options = SummaryReaderOptions::default().with_record_length_limit(MAX_RECORD);
    let mut reader = SummaryReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        match event? {
            SummaryReadEvent::SeekRequest(to) => reader.notify_seeked(file.seek(to)?),
            SummaryReadEvent::ReadRequest(length) => {
                let read = file.read(reader.insert(length))?;
                reader.notify_read(read);
            }
        }
    }
    Ok(reader.finish())
}

/// How many messages were lost before the end of this file; `None` in files of others.
fn read_lost(file: &mut File, summary: &Summary) -> Option<u64> {
    let index = summary.metadata_indexes.iter().rfind(|index| index.name == METADATA)?;
    let body = read_record(file, index.offset, index.length).ok()?;
    match mcap::parse_record(mcap::records::op::METADATA, &body).ok()? {
        Record::Metadata(metadata) => metadata.metadata.get(LOST)?.parse().ok(),
        _ => None,
    }
}

fn read_record(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset.saturating_add(RECORD_HEAD)))?;
    let mut body = Vec::new();
    // What is read grows with what is there, whatever the index claims.
    file.take(length.saturating_sub(RECORD_HEAD)).read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::super::Sink;
    use super::super::file::Topic;
    use super::super::file::tests::Scratch;
    use super::*;

    #[test]
    fn a_recording_with_and_without_its_index_holds_the_same() {
        let folder = Scratch::folder("overview");
        let path = folder.path().join("a.mcap");
        let mut sink = Sink::create(Some(&path), None).expect("a folder to write to");
        for number in 0..1000_u64 {
            let group = if number % 4 == 0 { "a" } else { "b/c" };
            let topic = Topic::Shout(zyre_rs::GroupName::try_from(group).expect("short"));
            sink.write(&topic, 5_000_000_000 + number, b"{}").expect("room");
        }
        sink.finish(&BTreeMap::new(), 17).expect("room");
        let whole = Overview::of(std::slice::from_ref(&path)).expect("readable");
        let topics = [("shout/a", 250), ("shout/b/c", 750)].map(|(topic, count)| (topic.to_owned(), count));
        assert_eq!(whole.topics, BTreeMap::from(topics));
        assert_eq!(whole.times, Some((Utc(5_000_000_000), Utc(5_000_000_999))));
        assert_eq!((whole.is_complete, whole.lost, whole.messages()), (true, Some(17), 1000));
        assert_eq!((whole.chunks, whole.compression.iter().map(String::as_str).collect()), (1, vec!["lz4"]));

        let bytes = std::fs::read(&path).expect("it is there");
        std::fs::write(&path, bytes.get(..bytes.len() - 20).expect("shorter")).expect("room");
        let cut = Overview::of(&[path]).expect("readable");
        assert_eq!((&cut.topics, cut.times), (&whole.topics, whole.times));
        assert_eq!((cut.is_complete, cut.lost, cut.bytes), (false, None, whole.bytes - 20));
    }
}
