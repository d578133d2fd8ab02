//! A ZRE node (RFC 36): peers find each other by UDP beacon, connect over ZMTP, join groups, shout and whisper.

mod id;
#[cfg(feature = "net")]
#[allow(dead_code, unused_imports, reason = "the driver that uses it is not wired yet")]
mod net;
pub mod wire;
pub mod zmtp;

pub use id::{GroupName, GroupNameTooLong, InvalidPeerId, PeerId, printable};
