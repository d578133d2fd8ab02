//! `zyre bag info`: what is in a recording.

use super::files;
use crate::args;
use crate::bag::{Overview, Utc};
use crate::failure::Failure;
use crate::output::{counted, sized};
use crate::session::Session;
use serde::Serialize;
use std::fmt;
use zyre_rs::printable;

pub(super) fn run(mut session: Session, args: &args::Info) -> Result<(), Failure> {
    let overview = Overview::of(&files(args.input.as_deref())?)?;
    session.output.line(&Report::from(&overview))?;
    session.output.flush()
}

/// The keys in the order JSON shows them.
#[derive(Serialize)]
struct Report {
    files: Vec<String>,
    bytes: u64,
    chunks: u64,
    compression: Vec<String>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    /// Seconds between the first and the last message.
    duration: f64,
    messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    topics: Vec<TopicRow>,
}

#[derive(Serialize)]
struct TopicRow {
    topic: String,
    messages: u64,
}

impl From<&Overview> for Report {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of 100 days fit")]
    fn from(overview: &Overview) -> Self {
        let shown = |pick: fn((Utc, Utc)) -> Utc| overview.times.map(|times| pick(times).to_string());
        Self {
            files: overview.files.iter().map(|path| path.display().to_string()).collect(),
            bytes: overview.bytes,
            chunks: overview.chunks,
            compression: overview.compression.iter().cloned().collect(),
            complete: overview.is_complete,
            start: shown(|(first, _)| first),
            end: shown(|(_, last)| last),
            duration: overview.times.map_or(0.0, |(Utc(first), Utc(last))| (last - first) as f64 / 1e9),
            messages: overview.messages(),
            lost: overview.lost,
            topics: (overview.topics.iter())
                .map(|(topic, messages)| TopicRow { topic: topic.clone(), messages: *messages })
                .collect(),
        }
    }
}

impl Report {
    /// Messages per second; `None` for a moment.
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    fn rate(&self, messages: u64) -> Option<f64> {
        (self.duration > 0.0).then(|| messages as f64 / self.duration)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.files.iter().enumerate() {
            writeln!(f, "{} {}", if index == 0 { "file:     " } else { "          " }, printable(file))?;
        }
        write!(f, "size:      {}", sized(self.bytes))?;
        if self.chunks > 0 {
            let packed: Vec<_> = self
                .compression
                .iter()
                .map(|name| if name.is_empty() { "not packed" } else { name })
                .collect();
            write!(f, ", {} ({})", counted(self.chunks, "chunk"), packed.join(", "))?;
        }
        if !self.complete {
            write!(f, "\nindex:     missing, the recording was cut off; told is what can be read")?;
        }
        if let (Some(start), Some(end)) = (&self.start, &self.end) {
            write!(f, "\nstart:     {start}\nend:       {end}\nduration:  {:.3} s", self.duration)?;
        }
        write!(f, "\nmessages:  {}", self.messages)?;
        if let Some(rate) = self.rate(self.messages) {
            write!(f, " ({rate:.1}/s)")?;
        }
        if let Some(lost) = self.lost {
            write!(f, "\nlost:      {lost}")?;
        }
        let width = self.topics.iter().map(|row| printable(&row.topic).chars().count()).max().unwrap_or(0);
        for (index, row) in self.topics.iter().enumerate() {
            let title = if index == 0 { "topics:   " } else { "          " };
            write!(f, "\n{title} {:<width$}  {}", printable(&row.topic), row.messages)?;
            if let Some(rate) = self.rate(row.messages) {
                write!(f, " ({rate:.1}/s)")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn overview() -> Overview {
        Overview {
            files: vec!["day.mcap".into(), "day-0001.mcap".into()],
            bytes: 4_200_000,
            topics: BTreeMap::from([("shout/a".to_owned(), 30), ("whisper".to_owned(), 3)]),
            times: Some((Utc(1_000_000_000), Utc(4_000_000_000))),
            is_complete: true,
            chunks: 2,
            compression: ["lz4".to_owned()].into(),
            lost: Some(1),
        }
    }

    #[test]
    fn a_report_tells_counts_and_rates_by_topic() {
        let text = "file:      day.mcap\n           day-0001.mcap\nsize:      4.2 MB, 2 chunks (lz4)\n\
            start:     1970-01-01T00:00:01.000Z\nend:       1970-01-01T00:00:04.000Z\nduration:  3.000 s\n\
            messages:  33 (11.0/s)\nlost:      1\ntopics:    shout/a  30 (10.0/s)\n           whisper  3 (1.0/s)";
        assert_eq!(Report::from(&overview()).to_string(), text);
    }

    #[test]
    fn a_report_for_programs_has_all_keys_that_apply() {
        let json = r#"{"files":["day.mcap","day-0001.mcap"],"bytes":4200000,"chunks":2,"compression":["lz4"],"complete":true,"start":"1970-01-01T00:00:01.000Z","end":"1970-01-01T00:00:04.000Z","duration":3.0,"messages":33,"lost":1,"topics":[{"topic":"shout/a","messages":30},{"topic":"whisper","messages":3}]}"#;
        assert_eq!(serde_json::to_string(&Report::from(&overview())).expect("text keys"), json);
    }

    #[test]
    fn a_recording_that_was_cut_off_says_so() {
        let cut = Overview { is_complete: false, chunks: 0, lost: None, ..overview() };
        let text = Report::from(&cut).to_string();
        assert!(text.contains("\nindex:     missing") && !text.contains("lost:"), "{text}");
    }
}
