//! Every row of the attack table in `docs/hardening.md`, against a live node on loopback sockets.
//!
//! Each test stands on a [`stage`]: a node under attack beside a good peer that exchanges echoes with it the whole
//! time. It asserts what the rule does, the counter that says so, and (in `Stage::finish`) that the good pair lost
//! no echo and saw no EXIT. The attacker ([`raw`]) owns no node: it writes bytes.

mod beacons;
mod content;
mod frames;
mod handshakes;
mod hello;
mod identity;
mod raw;
mod secured;
pub(crate) mod stage;
