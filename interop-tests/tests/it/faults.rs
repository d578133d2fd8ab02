//! Live faults: what networks, machines, applications and attackers do to nodes, each with its bar and its figure.
//!
//! What takes minutes is done with shorter times here and in full with `LONG=1` in the environment (`docs/testing.md`).

mod beacons;
mod claims;
mod clock;
mod connections;
mod descriptors;
mod dice;
mod links;
mod mesh;
mod mixed;
mod pauses;
mod raw;
mod readers;
mod soak;
mod stopping;
