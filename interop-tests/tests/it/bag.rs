//! `zyre bag`: what pyre and ours say is recorded, told of, and said again as it was.

mod recording;
mod replay;

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use zyre_interop_tests::netns::Host;
use zyre_interop_tests::peer::{Peer, Process};
use zyre_interop_tests::{Missing, peer};

use crate::common::DISCOVERED;
use crate::rpc_cli::{eventually, run, zyre};

/// A folder for the files of one test; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zyre-bag-it-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A message of a recording.
#[derive(Debug, Clone, PartialEq)]
struct Recorded {
    topic: String,
    /// Nanoseconds since 1970.
    time: u64,
    object: Value,
}

/// All that is in a file, by the format's own library and nothing of ours. Also checks what a reader relies on.
#[track_caller]
fn read(file: &str) -> Vec<Recorded> {
    let file = BufReader::new(fs::File::open(file).expect("the recording is there"));
    let messages = mcap::io::MessageReader::new(file).map(|message| {
        let message = message.expect("a whole recording");
        assert_eq!(message.channel.message_encoding, "json");
        let schema = message.channel.schema.as_ref().expect("each topic has a schema");
        assert_eq!(schema.encoding, "jsonschema");
        assert_eq!(serde_json::from_slice::<Value>(&schema.data).expect("JSON")["type"], "object");
        let object = serde_json::from_slice(&message.data).expect("JSON");
        Recorded { topic: message.channel.topic.clone(), time: message.log_time, object }
    });
    messages.collect()
}

/// Starts a recording and waits until these peers see it in these groups.
#[track_caller]
fn record(host: &Host, arguments: &[&str], seen_by: &[&Peer], groups: &[&str]) -> Result<Process, Missing> {
    let recorder = zyre(host, &[&["--name", "recorder", "--json", "bag", "record"], arguments].concat())?;
    for peer in seen_by {
        for group in groups {
            let joins = |event: &peer::Event| {
                event.is("JOIN") && event.name() == "recorder" && event.group() == *group
            };
            peer.wait_for(&format!("the recorder in {group}"), joins, DISCOVERED);
        }
    }
    Ok(recorder)
}

/// Waits until so many messages are on disk: whoever reads a file that grows sees its whole chunks.
#[track_caller]
fn wait_recorded(host: &Host, file: &str, messages: u64) {
    eventually(&format!("{messages} messages in {file}"), || {
        Path::new(file).metadata().is_ok_and(|found| found.len() > 0)
            && info(host, file)["messages"] == messages
    });
}

/// What `bag info` tells.
#[track_caller]
fn info(host: &Host, file: &str) -> Value {
    let told = run(host, &["--json", "bag", "info", "-i", file]).expect("it ran before");
    assert_eq!((told.0, told.1.len()), (Some(0), 1), "{told:?}");
    told.1[0].clone()
}

/// Ends a recording with Ctrl-C and gives its report.
#[track_caller]
fn end(recorder: Process) -> Value {
    recorder.interrupt();
    let (code, printed) = crate::rpc_cli::ended(recorder);
    assert_eq!((code, printed.len()), (Some(130), 1), "{printed:?}");
    printed[0].clone()
}

/// Plays a recording and gives its report.
#[track_caller]
fn play(host: &Host, arguments: &[&str], patience: Duration) -> Result<Value, Missing> {
    let mut player = zyre(host, &[&["--name", "player", "--json", "bag", "play"], arguments].concat())?;
    player.wait_end(patience);
    let (code, printed) = crate::rpc_cli::ended(player);
    assert_eq!((code, printed.len()), (Some(0), 1), "{printed:?}");
    Ok(printed[0].clone())
}

/// The envelope of a message of frames, without who sent it.
fn payload(object: &Value) -> Value {
    match object.get("json") {
        Some(payload) => json!({"json": payload}),
        None => json!({"frames": object["frames"]}),
    }
}
