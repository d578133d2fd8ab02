//! What is measured: the workloads, the job a child process is given, and the numbered payloads.
//!
//! Every message carries its number, counted round a short ring of prepared payloads, so that senders can
//! share payloads (`Bytes`) and receivers still notice a lost, doubled or swapped message.

use crate::{Result, pool};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many echo requests are under way at a time.
pub(crate) const WINDOW: u64 = 64;
/// How many peers a shout reaches.
pub(crate) const SHOUT_PEERS: usize = 8;
/// Bytes of a bare whisper as long as a call with its deadline is in JSON-RPC; answers are shorter.
const CALL_SIZE: usize = 100;
/// The group of the shouts.
pub(crate) const GROUP: &str = "bench";

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Workload {
    /// One sender, one receiver, as fast as it goes.
    OneWay { size: usize },
    /// Requests echoed by the receiver, `WINDOW` of them under way.
    Echo { size: usize },
    /// One request at a time; the time of each round trip.
    PingPong { size: usize },
    /// One sender, eight receivers; deliveries are counted.
    Shout { size: usize },
    /// From a newcomer's start until an existing node reports it.
    Discovery,
    /// Many nodes in one process: time to the full mesh, then what it costs while nobody sends.
    Mesh,
    /// Calls of `add(a, b)`, `WINDOW` of them under way.
    Call,
    /// The same one at a time; the time of each.
    CallSequential,
    /// Calls spread over workers of which one is slow (`pool.rs`).
    Pool { policy: Policy },
    /// `OneWay` with every message sealed by CURVE.
    Curve { size: usize },
    /// CURVE handshakes without a network (`curve.rs`).
    CurveHandshake,
    /// `PingPong` of a secured pair, quiet and then attacked (`curve.rs`).
    CurveAttack { size: usize },
}

/// Who gets the next call of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Policy {
    LeastCost,
    LeastInFlight,
    RoundRobin,
    Random,
}

impl Workload {
    /// The names `--only` knows.
    pub(crate) const NAMES: [&'static str; 12] = [
        "one-way",
        "echo",
        "ping-pong",
        "shout",
        "discovery",
        "mesh",
        "call",
        "call-sequential",
        "pool",
        "curve",
        "curve-handshake",
        "curve-attack",
    ];

    /// Everything, in the order it runs.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        all.extend([10, 100, 1 << 10, 64 << 10, 1 << 20].map(|size| Self::OneWay { size }));
        all.extend([10, 1 << 10].map(|size| Self::Echo { size }));
        all.extend([10, 1 << 10].map(|size| Self::PingPong { size }));
        all.extend([10, 100, 1 << 10, 64 << 10].map(|size| Self::Shout { size }));
        all.extend([Self::Discovery, Self::Mesh, Self::Call, Self::CallSequential]);
        let policies = [Policy::LeastCost, Policy::LeastInFlight, Policy::RoundRobin, Policy::Random];
        all.extend(policies.map(|policy| Self::Pool { policy }));
        all.extend([
            Self::Curve { size: 1 << 10 },
            Self::CurveHandshake,
            Self::CurveAttack { size: 1 << 10 },
        ]);
        all
    }

    /// Its name without the size.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneWay { .. } => "one-way",
            Self::Echo { .. } => "echo",
            Self::PingPong { .. } => "ping-pong",
            Self::Shout { .. } => "shout",
            Self::Discovery => "discovery",
            Self::Mesh => "mesh",
            Self::Call => "call",
            Self::CallSequential => "call-sequential",
            Self::Pool { .. } => "pool",
            Self::Curve { .. } => "curve",
            Self::CurveHandshake => "curve-handshake",
            Self::CurveAttack { .. } => "curve-attack",
        }
    }

    /// Bytes in a message; 0 where messages are not the point.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::OneWay { size }
            | Self::Echo { size }
            | Self::PingPong { size }
            | Self::Shout { size }
            | Self::Curve { size }
            | Self::CurveAttack { size } => size,
            Self::Call | Self::CallSequential => CALL_SIZE,
            Self::Discovery | Self::Mesh | Self::Pool { .. } | Self::CurveHandshake => 0,
        }
    }

    /// Whether both sides are pinned, since the median would depend on where the scheduler puts them.
    pub(crate) fn is_pinned(self) -> bool {
        matches!(self, Self::PingPong { .. } | Self::CallSequential)
    }

    /// Whether one round takes so long that it is not repeated.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Pool { .. })
    }

    /// Whether the receiver holds the watch (else the sender does).
    pub(crate) fn measured_by_sink(self) -> bool {
        matches!(self, Self::OneWay { .. } | Self::Curve { .. } | Self::Shout { .. } | Self::Discovery)
    }

    /// Whether one process plays it all.
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Self::Mesh | Self::CurveHandshake)
    }

    /// Whether the count follows from the time a run is to take.
    pub(crate) fn is_calibrated(self) -> bool {
        !matches!(
            self,
            Self::Discovery
                | Self::Mesh
                | Self::Pool { .. }
                | Self::CurveHandshake
                | Self::CurveAttack { .. }
        )
    }

    /// How many messages (newcomers, nodes) a first or a smoke run takes.
    pub(crate) fn first_count(self) -> u64 {
        match self {
            Self::Discovery => 2,
            Self::Mesh => 5,
            Self::PingPong { .. }
            | Self::CallSequential
            | Self::CurveHandshake
            | Self::CurveAttack { .. } => 200,
            Self::Pool { .. } => pool::calls_in(pool::QUICK_SECONDS),
            _ if self.size() >= 1 << 20 => 20,
            _ if self.size() >= 64 << 10 => 200,
            _ => 2_000,
        }
    }

    /// How many a full run takes where it is not calibrated.
    pub(crate) fn full_count(self) -> u64 {
        match self {
            Self::Discovery => 8,
            Self::Mesh => 50,
            Self::CurveHandshake => 5_000,
            // The 1,000 handshakes take a second or so.
            Self::CurveAttack { .. } => 100_000,
            _ => self.first_count(),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery | Self::Mesh | Self::Call | Self::CallSequential | Self::CurveHandshake => {
                f.write_str(self.name())
            }
            Self::Pool { policy } => write!(f, "pool {policy:?}"),
            _ => write!(f, "{} {}", self.name(), Size(self.size())),
        }
    }
}

/// A message size as people write it.
pub(crate) struct Size(pub(crate) usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            size if size >= 1 << 20 => write!(f, "{} MiB", size >> 20),
            size if size >= 1 << 10 => write!(f, "{} KiB", size >> 10),
            size => write!(f, "{size} B"),
        }
    }
}

/// Which part of a workload a child process plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    /// Receives, echoes, is discovered by.
    Sink,
    /// Sends, starts newcomers.
    Source,
}

/// What a child process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) workload: Workload,
    pub(crate) side: Side,
    /// Messages per receiver, newcomers, nodes, or calls.
    pub(crate) count: u64,
    /// Messages per receiver or calls before the watch starts; never 0.
    pub(crate) warmup: u64,
    /// UDP port of the beacons.
    pub(crate) port: u16,
    /// Whether nodes have a network key.
    pub(crate) secured: bool,
    /// Where the sink listens, for contenders without discovery.
    pub(crate) address: String,
    /// How long an idle mesh is watched, after half of that to settle.
    pub(crate) idle_seconds: f64,
}

impl Job {
    /// Messages per receiver, warm-up included.
    pub(crate) fn total(&self) -> u64 {
        self.warmup + self.count
    }
}

/// The prepared payloads of one size.
pub(crate) struct Ring(Vec<Bytes>);

impl Ring {
    /// At least four payloads, so that order shows; at most 256 and 256 KiB, so that caches are left alone.
    fn length(size: usize) -> usize {
        ((256 << 10) / size.max(1)).clamp(4, 256)
    }

    pub(crate) fn new(size: usize) -> Self {
        let payload = |number: usize| {
            let mut payload = vec![0x5a; size.max(4)];
            for (place, byte) in payload.iter_mut().zip((number as u32).to_le_bytes()) {
                *place = byte;
            }
            Bytes::from(payload)
        };
        Self((0..Self::length(size)).map(payload).collect())
    }

    /// The payload of the message with this number.
    pub(crate) fn payload(&self, number: u64) -> Bytes {
        self.slice(number).clone()
    }

    /// The same without sharing it.
    pub(crate) fn slice(&self, number: u64) -> &Bytes {
        &self.0[number as usize % self.0.len()]
    }
}

/// Verifies that messages arrive in order, each once and whole.
pub(crate) struct Checker {
    size: usize,
    length: u64,
    seen: u64,
}

impl Checker {
    pub(crate) fn new(size: usize) -> Self {
        Self { size: size.max(4), length: Ring::length(size) as u64, seen: 0 }
    }

    /// Takes the next message.
    pub(crate) fn check(&mut self, message: &[u8]) -> Result<()> {
        let number = message.first_chunk::<4>().map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
        let expected = self.seen % self.length;
        if message.len() != self.size || number != Some(expected) {
            let length = message.len();
            return Err(format!(
                "message {} should have number {expected} and {} bytes, but has {number:?} and {length}",
                self.seen, self.size
            )
            .into());
        }
        self.seen += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payloads_of_a_ring_pass_the_checker_more_than_once_round() {
        let (ring, mut checker) = (Ring::new(10), Checker::new(10));
        for number in 0..1_000 {
            checker.check(&ring.payload(number)).unwrap();
        }
    }

    #[test]
    fn a_lost_a_doubled_and_a_cut_message_are_errors() {
        let ring = Ring::new(1 << 20);
        for wrong in [ring.payload(2), ring.payload(0), ring.payload(1).slice(..5)] {
            let mut checker = Checker::new(1 << 20);
            checker.check(&ring.payload(0)).unwrap();
            assert!(checker.check(&wrong).is_err());
        }
    }
}
