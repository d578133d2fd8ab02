//! The bad-input corpus: named cases of broken and hostile input, each against a live node that has a good peer, which
//! exchanges echoes with it all along. `docs/testing.md` says how to read and run it.
//!
//! A case is data ([`case::Case`]): the door at which its bytes arrive, the bytes, what they move. The tables are the files
//! named after what they attack; [`ours`] plays them against this crate's node, [`pyre`] against a real pyre.

mod attacker;
mod beacons;
mod bytes;
mod case;
mod curve;
mod frames;
mod gossip;
mod greetings;
mod hello;
mod line;
mod mailbox;
mod names;
mod ours;
mod pyre;
mod ready;
mod rpc;
mod second;
mod session;
mod victim;
