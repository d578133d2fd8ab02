//! Who takes part, and in what.

pub(crate) mod pyre;
pub(crate) mod tcp;
pub(crate) mod zeromq;
pub(crate) mod zyre;

use crate::workload::Workload;
use std::fmt;

/// A contender, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// This project: a whole node.
    Zyre,
    /// Length-prefixed messages over tokio's TCP: what the machine gives.
    Tcp,
    /// The `zeromq` crate's DEALER and ROUTER: sockets without discovery, sessions or groups.
    Zeromq,
    /// The Python node.
    Pyre,
}

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Zyre, Self::Tcp, Self::Zeromq, Self::Pyre];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zyre => "zyre-rs",
            Self::Tcp => "tcp",
            Self::Zeromq => "zeromq",
            Self::Pyre => "pyre",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contender| contender.name() == name)
    }

    /// Whether it takes part in this workload.
    pub(crate) fn plays(self, workload: Workload) -> bool {
        match self {
            Self::Zyre => true,
            Self::Tcp | Self::Zeromq => !matches!(workload, Workload::Discovery | Workload::Mesh),
            Self::Pyre => match workload {
                Workload::OneWay { size } => size <= 1 << 10,
                Workload::Echo { .. } | Workload::PingPong { .. } | Workload::Discovery => true,
                Workload::Shout { .. } | Workload::Mesh => false,
            },
        }
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
