//! The protocol machine of a node, in a shell that keeps its side of the contract and checks the machine's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use zyre_rs::proto::{Authorize, Config, ConnId, Input, LinkId, LinkLoss, Node, Output, Trust};
use zyre_rs::{EndpointPolicy, Event, GroupName, PeerId, PublicKey, Timers, TrustedKeys};

/// How often the machine may want to be woken at one and the same time.
const MAX_WAKES: usize = 8;

/// What a link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Opening,
    Failed,
    Up,
    Gone,
}

/// Whether a connection may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conn {
    Waiting,
    Accepted,
    Over,
}

/// One node and what there is round it.
pub(crate) struct Machine {
    node: Node,
    me: PeerId,
    /// Every node has a key of its own.
    secured: bool,
    began: Instant,
    now: Instant,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    present: BTreeSet<PeerId>,
    stopped: bool,
    /// Everything it wanted, if it is to be told.
    pub(crate) diary: Option<String>,
}

/// The number of our own node.
pub(crate) const ME: u8 = 100;

fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n + 1; 32])
}

/// The keys of these nodes.
pub(crate) fn keys(nodes: impl IntoIterator<Item = u8>) -> TrustedKeys {
    nodes.into_iter().map(key).collect()
}

pub(crate) fn group(n: u8) -> GroupName {
    GroupName::from_bytes(&[b'g', n]).expect("two bytes")
}

/// A port of host `n` on our network; some are elsewhere.
pub(crate) fn address(n: u8, port: u16) -> SocketAddr {
    let ip = match n {
        250.. => [192, 168, 0, n],
        _ => [10, 0, 0, n],
    };
    (ip, port).into()
}

fn id(n: u8, secured: bool) -> PeerId {
    if secured { PeerId::of_key(&key(n)) } else { PeerId::from_bytes([n; 16]) }
}

impl Machine {
    /// A node: the options say of which groups it is a member, whether it stands for leader there, whether nodes have keys.
    pub(crate) fn new(began: Instant, options: u8) -> Self {
        let secured = options & 64 != 0;
        let trust = match secured {
            true => Trust::Nodes { own: key(ME), trusted: keys(0..10) },
            false => Trust::Open,
        };
        let me = id(ME, secured);
        // Whoever comes from an odd port is turned away, in some stories.
        let choosy = Authorize::new(|applicant| match applicant.source.port() % 2 {
            1 => Err("not today".to_owned()),
            _ => Ok(()),
        });
        let groups: BTreeSet<_> = (0..options & 3).map(group).collect();
        let policies = [EndpointPolicy::SameSubnet, EndpointPolicy::SameIp, EndpointPolicy::Any];
        let config = Config {
            id: me,
            name: b"me".to_vec(),
            headers: vec![(b"X-KEY".to_vec(), b"value".to_vec())],
            contest: if options & 4 == 0 { BTreeSet::new() } else { groups.clone() },
            groups,
            timers: Timers::default(),
            beacon: options & 8 == 0,
            beacon_port: 5670,
            mailbox_port: 49_152,
            endpoint_policy: policies.get(usize::from(options >> 4 & 1) * 2).copied().unwrap_or_default(),
            subnets: vec![(address(ME, 1).ip(), 24)],
            trust,
            authorize: Some(choosy).filter(|_| options & 32 != 0),
        };
        let node = Node::new(began, config);
        let (links, conns, present) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { node, me, secured, began, now: began, links, conns, present, stopped: false, diary: None }
    }

    /// The UUID of a node.
    pub(crate) fn id(&self, n: u8) -> PeerId {
        id(n, self.secured)
    }

    /// What a node proves on its connections.
    pub(crate) fn key(&self, n: u8) -> Option<PublicKey> {
        self.secured.then(|| key(n))
    }

    /// Lets time pass; the machine is woken when it wants to be.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let (mut woken_at, mut wakes) = (self.began, 0);
        while self.node.next_deadline() <= until {
            self.now = self.now.max(self.node.next_deadline());
            wakes = if self.now == woken_at { wakes + 1 } else { 0 };
            assert!(wakes < MAX_WAKES, "the machine wants to be woken again and again");
            woken_at = self.now;
            self.tell(Input::Timeout);
        }
        self.now = until;
    }

    /// Hands one input in and does what the machine wants.
    pub(crate) fn tell(&mut self, input: Input) {
        match &input {
            Input::Hello { conn, .. } | Input::Resume { conn, .. } => {
                self.conns.insert(*conn, Conn::Waiting);
            }
            Input::ConnClosed { conn, .. } | Input::Gap { conn, .. } | Input::Misbehaved { conn, .. } => {
                self.conns.insert(*conn, Conn::Over);
            }
            Input::LinkUp { link } => self.set_open(*link, Link::Up),
            Input::LinkFailed { link, .. } => self.set_open(*link, Link::Failed),
            Input::LinkLost { link, cause: LinkLoss::Closed | LinkLoss::Full } => {
                self.set_open(*link, Link::Gone)
            }
            Input::Stop => self.stopped = true,
            _ => {}
        }
        self.node.handle(self.now, input);
        let mut wanted = 0;
        while let Some(output) = self.node.poll_output() {
            wanted += 1;
            assert!(wanted < 5_000, "one input, and no end of outputs");
            self.perform(output);
        }
        assert!(self.node.peers().count() <= 1_024);
        if !self.stopped {
            assert!(
                self.node.peers().map(|peer| peer.id).eq(self.present.iter().copied()),
                "what was told is so"
            );
        }
    }

    fn set_open(&mut self, link: LinkId, state: Link) {
        if let Some(known) = self.links.get_mut(&link).filter(|known| **known != Link::Gone) {
            *known = state;
        }
    }

    fn perform(&mut self, output: Output) {
        if let Some(diary) = &mut self.diary {
            diary.push_str(&format!("{:?} {output:?}\n", self.now - self.began));
        }
        match output {
            Output::Open { link, endpoint, .. } => {
                assert_ne!(endpoint.port(), 0);
                assert!(self.links.insert(link, Link::Opening).is_none(), "a link is opened once");
            }
            Output::Greet(link) | Output::Adopt { link, .. } | Output::Flavour { link, .. } => {
                self.is_open(link)
            }
            Output::Send { link, .. } => self.is_open(link),
            Output::Retry(link) => {
                assert_eq!(self.links.insert(link, Link::Opening), Some(Link::Failed));
            }
            Output::Close(link) => assert!(self.links.insert(link, Link::Gone).is_some()),
            Output::Accept { conn, .. } => {
                assert_eq!(self.conns.insert(conn, Conn::Accepted), Some(Conn::Waiting));
            }
            Output::Refuse(conn) | Output::TurnAway { conn, .. } => {
                assert!(self.conns.insert(conn, Conn::Over).is_some())
            }
            Output::Emit(event) => self.on_event(&event),
            Output::Count(name) => assert!(!name.is_empty()),
            Output::Beacon { .. } => {}
        }
    }

    fn is_open(&self, link: LinkId) {
        assert!(self.links.get(&link).is_some_and(|state| *state != Link::Gone), "{link:?} is gone");
    }

    /// Per peer: ENTER, anything, EXIT.
    fn on_event(&mut self, event: &Event) {
        let peer = event.peer();
        match event {
            Event::Enter { .. } => assert!(self.present.insert(peer), "{peer} is here already"),
            Event::Exit { .. } => assert!(self.present.remove(&peer), "{peer} was never here"),
            Event::IdentityConflict { .. } | Event::KeyMismatch { .. } => return,
            Event::Leader { .. } if peer == self.me => return,
            _ => assert!(self.present.contains(&peer), "{event:?}"),
        }
        assert_ne!(peer, self.me);
    }
}
