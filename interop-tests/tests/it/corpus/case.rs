//! What a case is.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use zyre_rs::PeerId;

/// Where the bytes of a case arrive. All that goes before is done properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    /// A datagram on the beacon port.
    Beacon,
    /// A connection on which nothing has been said.
    Fresh,
    /// A connection whose greetings are exchanged; READY is due.
    Greeted,
    /// A connection whose handshake is over; HELLO is due.
    Shaken,
    /// A connection whose HELLO has been taken; message 2 is due.
    Entered,
    /// As [`Shaken`](Self::Shaken), by a UUID that has a session already, from the same address.
    Second,
    /// As [`Second`](Self::Second), from another address.
    Elsewhere,
    /// The mailbox that the node connects to, when nothing has been said.
    MailboxFresh,
    /// The same with the greetings exchanged.
    MailboxGreeted,
    /// The same with the handshake over.
    MailboxUp,
    /// A client of the node's gossip hub, with the handshake over.
    Hub,
    /// The hub that the node is a client of, with the handshake over.
    Leaf,
    /// A CURVE connection whose greetings are exchanged; the genuine bytes are the client's HELLO.
    CurveGreeted,
    /// The same with WELCOME received; the genuine bytes are the client's INITIATE.
    CurveWelcomed,
    /// The same with the handshake over; the genuine bytes are a sealed ZRE HELLO.
    CurveShaken,
    /// The same with HELLO taken; the genuine bytes are a sealed whisper.
    CurveEntered,
    /// The mailbox that a secured node connects to, with HELLO received; the genuine bytes are WELCOME.
    MailboxHello,
    /// The same with INITIATE received; the genuine bytes are READY.
    MailboxInitiate,
}

/// Who attacks, and whom; what the bytes of a case are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Me {
    /// A UUID of this case alone.
    pub(super) id: PeerId,
    /// Where the attack comes from.
    pub(super) ip: Ipv4Addr,
    /// Where this case can be called.
    pub(super) mailbox: SocketAddr,
    /// The node under attack.
    pub(super) victim: PeerId,
    /// Its mailbox.
    pub(super) victim_at: SocketAddr,
    /// Its good peer.
    pub(super) good: PeerId,
    /// The good peer's mailbox.
    pub(super) good_at: SocketAddr,
}

/// What the bytes of a case are made of; the second argument is what an honest peer would say there, if anything.
type Make = Box<dyn Fn(&Me, &[u8]) -> Vec<u8> + Send + Sync>;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The node closes it.
    Closed,
    /// It stays, and is served.
    Kept,
    /// The node connects to the case's mailbox and says HELLO.
    Calls,
    /// There is none, or the case ended it.
    Free,
}

/// What a case moves: counters, and events of the application (in capitals), each by how much.
#[derive(Debug, Clone)]
pub(super) struct Expect {
    pub(super) moves: BTreeMap<&'static str, RangeInclusive<u64>>,
    pub(super) after: After,
    /// Why it moves nothing.
    pub(super) why: &'static str,
}

impl Expect {
    /// Something that goes with it.
    pub(super) fn and(self, name: &'static str) -> Self {
        self.and_times(name, 1..=1)
    }

    pub(super) fn and_times(mut self, name: &'static str, times: RangeInclusive<u64>) -> Self {
        self.moves.insert(name, times);
        self
    }

    pub(super) fn then(mut self, after: After) -> Self {
        self.after = after;
        self
    }
}

/// Counted under this name, and the connection is closed.
pub(super) fn closed(counter: &'static str) -> Expect {
    Expect { moves: [(counter, 1..=1)].into(), after: After::Closed, why: "" }
}

/// Counted under this name, and the connection stays.
pub(super) fn kept(counter: &'static str) -> Expect {
    closed(counter).then(After::Kept)
}

/// Counted under this name; there is no connection.
pub(super) fn counted(counter: &'static str) -> Expect {
    closed(counter).then(After::Free)
}

/// Nothing is counted, and the connection stays.
pub(super) fn nothing(why: &'static str) -> Expect {
    Expect { moves: BTreeMap::new(), after: After::Kept, why }
}

/// One input and what it does.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) door: Door,
    pub(super) bytes: Make,
    /// The attacker says nothing more after the bytes, and the node sees that.
    pub(super) hang_up: bool,
    /// What a CURVE client says of itself in INITIATE, or a server in READY.
    pub(super) metadata: Option<Vec<(&'static str, Vec<u8>)>>,
    pub(super) expect: Expect,
}

/// The cases of one door, in the order they are played.
pub(super) struct Table {
    door: Door,
    pub(super) cases: Vec<Case>,
}

impl Table {
    pub(super) fn at(door: Door) -> Self {
        Self { door, cases: Vec::new() }
    }

    /// A case whose bytes are the same for everybody.
    pub(super) fn case(
        &mut self,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        expect: Expect,
    ) -> &mut Case {
        let bytes = bytes.into();
        self.made(name, expect, move |_, _| bytes.clone())
    }

    /// A case whose bytes depend on who attacks.
    pub(super) fn made(
        &mut self,
        name: impl Into<String>,
        expect: Expect,
        bytes: impl Fn(&Me, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> &mut Case {
        let case = Case {
            name: name.into(),
            door: self.door,
            bytes: Box::new(bytes),
            hang_up: false,
            metadata: None,
            expect,
        };
        self.cases.push(case);
        self.cases.last_mut().expect("just pushed")
    }
}

impl Me {
    /// Nobody, for bytes whose length alone matters.
    pub(super) fn nobody() -> Self {
        let (ip, nowhere) = (Ipv4Addr::LOCALHOST, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let id = PeerId::from_bytes([0; 16]);
        Self { id, ip, mailbox: nowhere, victim: id, victim_at: nowhere, good: id, good_at: nowhere }
    }
}
