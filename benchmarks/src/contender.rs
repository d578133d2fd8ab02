//! Who takes part, and in what.

pub(crate) mod actors;
pub(crate) mod libzmq;
pub(crate) mod pyre;
pub(crate) mod ractor;
pub(crate) mod tarpc;
pub(crate) mod tcp;
pub(crate) mod tcp_json;
pub(crate) mod zeromq;
pub(crate) mod zyre;

use crate::workload::{Policy, Workload};
use std::fmt;

/// A contender, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// This project: a whole node. Where others call, it echoes a bare whisper of the same size.
    Zyre,
    /// Length-prefixed messages over tokio's TCP: what the machine gives.
    Tcp,
    /// The `zeromq` crate's DEALER and ROUTER: sockets without discovery, sessions or groups.
    Zeromq,
    /// The Python node; its calls are JSON-RPC written by hand.
    Pyre,
    /// Calls over tokio's TCP, JSON written by hand: what the machine gives.
    TcpJson,
    /// The `tarpc` crate: one connection to a known address.
    TarpcJson,
    TarpcBincode,
    /// The `ractor_cluster` crate: an actor on another node.
    Ractor,
    /// This project's actor layer, a closure, parameters in JSON.
    ActorsJson,
    /// The same, parameters in MessagePack.
    ActorsMsgpack,
    /// The same with an actix actor behind it.
    ActorsActix,
    /// This project without a network key, beside itself with one.
    ZyreOpen,
    /// libzmq's DEALER and ROUTER with CURVE, from C.
    LibzmqDealer,
    /// libzmq's PUSH and PULL with CURVE: one frame a message.
    LibzmqPush,
}

impl Contender {
    pub(crate) const ALL: [Self; 14] = [
        Self::Zyre,
        Self::Tcp,
        Self::Zeromq,
        Self::Pyre,
        Self::TcpJson,
        Self::TarpcJson,
        Self::TarpcBincode,
        Self::Ractor,
        Self::ActorsJson,
        Self::ActorsMsgpack,
        Self::ActorsActix,
        Self::ZyreOpen,
        Self::LibzmqDealer,
        Self::LibzmqPush,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zyre => "zyre-rs",
            Self::Tcp => "tcp",
            Self::Zeromq => "zeromq",
            Self::Pyre => "pyre",
            Self::TcpJson => "tcp json",
            Self::TarpcJson => "tarpc json",
            Self::TarpcBincode => "tarpc bincode",
            Self::Ractor => "ractor_cluster",
            Self::ActorsJson => "zyre json",
            Self::ActorsMsgpack => "zyre msgpack",
            Self::ActorsActix => "zyre actor",
            Self::ZyreOpen => "zyre-rs open",
            Self::LibzmqDealer => "libzmq dealer",
            Self::LibzmqPush => "libzmq push",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contender| contender.name() == name)
    }

    /// Whether it takes part in this workload.
    pub(crate) fn plays(self, workload: Workload) -> bool {
        let calls = matches!(workload, Workload::Call | Workload::CallSequential);
        match self {
            Self::Zyre => !matches!(workload, Workload::Pool { .. }),
            Self::Tcp | Self::Zeromq => matches!(
                workload,
                Workload::OneWay { .. }
                    | Workload::Echo { .. }
                    | Workload::PingPong { .. }
                    | Workload::Shout { .. }
            ),
            Self::Pyre => match workload {
                Workload::OneWay { size } => size <= 1 << 10,
                Workload::Echo { .. } | Workload::PingPong { .. } | Workload::Discovery => true,
                _ => calls,
            },
            // Round-robin is what its own load balancer does.
            Self::TarpcBincode => calls || workload == Workload::Pool { policy: Policy::RoundRobin },
            Self::ActorsMsgpack => calls || matches!(workload, Workload::Pool { .. }),
            Self::TcpJson | Self::TarpcJson | Self::Ractor | Self::ActorsJson | Self::ActorsActix => calls,
            Self::ZyreOpen | Self::LibzmqDealer | Self::LibzmqPush => {
                matches!(workload, Workload::Curve { .. })
            }
        }
    }

    /// Whether its nodes have a network key in this workload.
    pub(crate) fn is_secured(self, workload: Workload) -> bool {
        self == Self::Zyre && matches!(workload, Workload::Curve { .. } | Workload::CurveAttack { .. })
    }

    /// The most messages a calibrated run takes. pyre's runs stay below the wrap of its 16-bit sequence numbers,
    /// which is not what is measured here.
    pub(crate) fn max_count(self) -> u64 {
        match self {
            Self::Pyre => 50_000,
            _ => u64::MAX,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
