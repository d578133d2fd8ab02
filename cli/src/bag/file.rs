//! One MCAP file while it is written.
//!
//! Invariant: the file on disk ends with a whole chunk. What is written is staged in memory until a chunk is whole, goes
//! out in one piece, and is cut off again where the disk did not take all of it.

use super::envelope::{EVENT_SCHEMA, MESSAGE_SCHEMA};
use super::{LOST, METADATA, SHOUT};
use mcap::records::{MessageHeader, Metadata};
use mcap::write::NoSeek;
use mcap::{Compression, McapError, McapResult, WriteOptions, Writer};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zyre_rs::GroupName;

/// What a message in a recording is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Shout(GroupName),
    Whisper,
    Request,
    Response,
    Provider,
    Event,
}

impl Topic {
    fn name(&self) -> String {
        match self {
            Self::Shout(group) => format!("{SHOUT}{}", group.to_str_lossy()),
            Self::Whisper => "whisper".to_owned(),
            Self::Request => "rpc/request".to_owned(),
            Self::Response => "rpc/response".to_owned(),
            Self::Provider => "rpc/provider".to_owned(),
            Self::Event => "event".to_owned(),
        }
    }

    fn schema(&self) -> (&'static str, &'static str) {
        match self {
            Self::Provider | Self::Event => ("zyre.Event", EVENT_SCHEMA),
            _ => ("zyre.Message", MESSAGE_SCHEMA),
        }
    }
}

/// Where bytes go, and can be taken back.
pub(super) trait Target: Write {
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Target for File {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Holds bytes back until they are flushed.
struct Staged<T> {
    target: T,
    staged: Vec<u8>,
    written: Arc<AtomicU64>,
    /// Nothing more goes out after a failure: the writer above may try again as it is dropped.
    has_failed: bool,
}

impl<T: Target> Write for Staged<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.staged.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = self.target.write_all(&self.staged).and_then(|()| self.target.flush());
        if let Err(error) = written {
            self.has_failed = true;
            // If that fails too, the reader stops before the broken chunk.
            let _ = self.target.truncate(self.written.load(Ordering::Relaxed));
            return Err(error);
        }
        self.written.fetch_add(self.staged.len() as u64, Ordering::Relaxed);
        self.staged.clear();
        Ok(())
    }
}

/// What a file has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// An MCAP file that grows.
pub(super) struct Growing<T: Target> {
    writer: Writer<NoSeek<Staged<T>>>,
    channels: HashMap<Topic, MessageHeader>,
    written: Arc<AtomicU64>,
    messages: u64,
    kept: u64,
    /// Bytes of messages in the chunk that is not yet whole.
    pending: usize,
}

impl<T: Target> Growing<T> {
    pub(super) fn new(target: T) -> McapResult<Self> {
        let written = Arc::new(AtomicU64::new(0));
        let staged = Staged { target, staged: Vec::new(), written: written.clone(), has_failed: false };
        let writer = WriteOptions::new()
            .compression(Some(Compression::Lz4))
            .library(concat!("zyre ", env!("CARGO_PKG_VERSION")))
            // Chunks end when they are flushed, and come in one piece.
            .chunk_size(None)
            .disable_seeking(true)
            .create(NoSeek::new(staged))?;
        Ok(Self { writer, channels: HashMap::new(), written, messages: 0, kept: 0, pending: 0 })
    }

    pub(super) fn write(&mut self, topic: &Topic, time: u64, text: &[u8]) -> McapResult<()> {
        let header = match self.channels.get_mut(topic) {
            Some(header) => header,
            None => {
                let (name, schema) = topic.schema();
                let schema = self.writer.add_schema(name, "jsonschema", schema.as_bytes())?;
                let channel_id = self.writer.add_channel(schema, &topic.name(), "json", &BTreeMap::new())?;
                let header = MessageHeader { channel_id, sequence: 0, log_time: 0, publish_time: 0 };
                self.channels.entry(topic.clone()).or_insert(header)
            }
        };
        header.sequence = header.sequence.wrapping_add(1);
        (header.log_time, header.publish_time) = (time, time);
        self.writer.write_to_known_channel(header, text)?;
        self.messages += 1;
        self.pending += text.len();
        Ok(())
    }

    /// Bytes of messages that are not on disk.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Ends the chunk and puts it on disk.
    pub(super) fn flush(&mut self) -> McapResult<()> {
        if self.pending > 0 {
            self.writer.flush()?;
            self.kept = self.messages;
            self.pending = 0;
        }
        Ok(())
    }

    /// Messages taken, whether on disk or not.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    pub(super) fn kept(&self) -> Kept {
        Kept { messages: self.kept, bytes: self.written.load(Ordering::Relaxed) }
    }

    /// Writes the rest, then by whom it was recorded and how much was lost, and the index. What the file has then.
    ///
    /// # Errors
    /// With what the file has all the same: chunks that are whole, but no index.
    pub(super) fn finish(
        mut self,
        node: &BTreeMap<String, String>,
        lost: u64,
    ) -> Result<Kept, (McapError, Kept)> {
        let written = self.flush().and_then(|()| {
            let mut metadata = node.clone();
            metadata.insert(LOST.to_owned(), lost.to_string());
            self.writer.write_metadata(&Metadata { name: METADATA.to_owned(), metadata })?;
            self.writer.finish()
        });
        if let Err(error) = written {
            return Err((error, self.kept()));
        }
        let kept = Kept { messages: self.kept, ..Kept::default() };
        let flushed = self.writer.into_inner().into_inner().flush();
        let kept = Kept { bytes: self.written.load(Ordering::Relaxed), ..kept };
        flushed.map(|()| kept).map_err(|error| (error.into(), kept))
    }
}

#[cfg(test)]
pub(super) mod tests;
