//! One file of a recording, read from its begin to its end, or to where it was cut off.

use super::error::Error;
use mcap::McapError;
use mcap::io::MessageReader;
use mcap::sans_io::LinearReaderOptions;
use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest record or chunk that is read into memory: several of the largest messages a node takes by default.
pub(super) const MAX_RECORD: usize = 1 << 30;

/// Messages in the order they stand in the file, which is that of their times in ours.
pub(crate) struct Reader {
    path: PathBuf,
    messages: MessageReader<BufReader<File>>,
}

/// A message of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) channel: Arc<mcap::Channel<'static>>,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) data: Cow<'static, [u8]>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::open(path, source))?;
        let options = LinearReaderOptions::default()
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(MAX_RECORD)
            .with_skip_end_magic(true);
        let messages = MessageReader::new_with_options(BufReader::with_capacity(256 << 10, file), options);
        Ok(Self { path: path.to_owned(), messages })
    }

    /// The next message; `None` at the end, also where the file was cut off.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        match self.messages.next() {
            None | Some(Err(McapError::UnexpectedEof)) => Ok(None),
            Some(Err(problem)) => Err(Error::read(&self.path, problem)),
            Some(Ok(message)) => {
                Ok(Some(Entry { channel: message.channel, time: message.log_time, data: message.data }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::Scratch;
    use super::super::file::{Growing, Topic};
    use super::*;
    use std::collections::BTreeMap;

    fn read(path: &Path) -> Result<u64, Error> {
        let mut reader = Reader::open(path)?;
        let mut messages = 0;
        while reader.next()?.is_some() {
            messages += 1;
        }
        Ok(messages)
    }

    #[test]
    fn a_file_cut_anywhere_is_read_up_to_its_last_whole_chunk() {
        let folder = Scratch::folder("cut");
        let path = folder.path().join("a.mcap");
        let mut file = Growing::new(File::create(&path).expect("a folder to write to")).expect("memory");
        let mut whole = vec![0];
        for chunk in 0..3_u64 {
            for number in 0..10 {
                let topic = if number % 2 == 0 { Topic::Whisper } else { Topic::Event };
                file.write(&topic, chunk * 10 + number, b"{\"peer\":\"x\"}").expect("memory");
            }
            file.flush().expect("room");
            whole.push(file.kept().bytes);
        }
        file.finish(&BTreeMap::new(), 0).expect("room");
        let bytes = std::fs::read(&path).expect("it is there");
        for length in (0..=bytes.len()).step_by(11) {
            std::fs::write(&path, bytes.get(..length).expect("shorter")).expect("room");
            // Chunks are followed by their indexes, which no reader needs.
            let read = read(&path).unwrap_or_else(|error| panic!("{length}: {error}"));
            let ended = whole.iter().rposition(|end| *end <= length as u64).expect("0 is") as u64;
            assert!(
                read == ended * 10 || read == (ended + 1) * 10,
                "{read} of {length} bytes, {ended} chunks"
            );
        }
        std::fs::write(&path, &bytes).expect("room");
        assert_eq!(read(&path).expect("whole"), 30);
    }

    #[test]
    fn what_is_no_recording_is_told_so() {
        let folder = Scratch::folder("other");
        let path = folder.path().join("a.mcap");
        std::fs::write(&path, "something quite different, long enough").expect("room");
        assert!(read(&path).expect_err("no MCAP").to_string().ends_with("it is no MCAP file"));
        assert!(matches!(read(&folder.path().join("none")), Err(Error::Open { .. })));
    }
}
