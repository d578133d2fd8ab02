//! A ZRE node (RFC 36): peers find each other by UDP beacon, connect over ZMTP, join groups, shout and whisper.

mod id;
pub mod zmtp;

pub use id::{GroupName, GroupNameTooLong, InvalidPeerId, PeerId, printable};
