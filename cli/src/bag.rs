//! Recordings: MCAP files of what this node was told, and how they are written and read.
//!
//! One MCAP message per whisper, shout or event, on the topics `shout/<group>`, `whisper`, `rpc/request`,
//! `rpc/response`, `rpc/provider` and `event`; all are JSON objects with a schema, so that any tool for MCAP shows them. Both
//! times of a message are when it was taken from the node, since ZRE carries none. [`envelope`] says how frames survive
//! as JSON. The metadata record `zyre` names the node that recorded and how many messages were lost.
//!
//! A chunk is written whole and at least every second, so a recording that is cut off lacks its last second and its index;
//! [`Reader`] reads it nevertheless.

mod envelope;
mod error;
mod file;
mod name;
mod overview;
mod reader;
mod recorder;
mod sink;
mod time;

pub(crate) use envelope::{Encoder, frames};
pub(crate) use error::Error;
pub(crate) use name::{newest, parts};
pub(crate) use overview::Overview;
pub(crate) use reader::Reader;
pub(crate) use recorder::{Recorded, Recorder, Recording, Selection, Tally};
pub(crate) use sink::Sink;
pub(crate) use time::{Clock, Utc};

/// Before a group's name it makes the topic of what was shouted there.
pub(crate) const SHOUT: &str = "shout/";
/// The metadata record of ours.
const METADATA: &str = "zyre";
/// Its entry with the number of messages that were lost before they reached the recorder.
const LOST: &str = "lost";
