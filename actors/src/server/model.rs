//! Random inputs against books that know nothing of queues and clocks: every request ends once, and nothing stays
//! behind.

use super::tests::Answer;
use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const LIMITS: Limits = Limits { concurrency: 2, queue: 3 };

#[derive(Clone, Debug)]
enum Op {
    Open(usize),
    Close(usize),
    Request {
        service: usize,
        peer: u8,
        id: Option<u8>,
        deadline: Option<u64>,
        keep: bool,
    },
    /// Of the work that has not ended, aborted or not, the piece at this index ends.
    Finish(prop::sample::Index),
    Cancel {
        peer: u8,
        id: u8,
    },
    PeerGone(u8),
    Pause(usize),
    Resume(usize),
    Drain(usize),
    /// Milliseconds pass; the timer may be late.
    Pass {
        ms: u64,
        timer: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let service = 0..2_usize;
    let (peer, id) = (0..3_u8, 0..6_u8);
    let deadline = prop::option::of(0..50_u64);
    let request =
        (service.clone(), peer.clone(), prop::option::weighted(0.8, id.clone()), deadline, any::<bool>());
    prop_oneof![
        2 => service.clone().prop_map(Op::Open),
        1 => service.clone().prop_map(Op::Close),
        40 => request.prop_map(|(service, peer, id, deadline, keep)| Op::Request { service, peer, id, deadline, keep }),
        20 => any::<prop::sample::Index>().prop_map(Op::Finish),
        6 => (peer.clone(), id).prop_map(|(peer, id)| Op::Cancel { peer, id }),
        2 => peer.prop_map(Op::PeerGone),
        1 => service.clone().prop_map(Op::Pause),
        3 => service.clone().prop_map(Op::Resume),
        1 => service.prop_map(Op::Drain),
        6 => (0..20_u64, any::<bool>()).prop_map(|(ms, timer)| Op::Pass { ms, timer }),
        1 => (30_000..70_000_u64).prop_map(|ms| Op::Pass { ms, timer: true }),
    ]
}

/// A request that was neither answered nor finished.
#[derive(Clone, Debug)]
struct Pending {
    service: ServiceId,
    peer: PeerId,
    id: Option<Id>,
    keep: bool,
    /// None while it waits.
    ticket: Option<Ticket>,
}

struct Books {
    server: Server<u32, Answer>,
    now: Instant,
    /// The two services as they are now; one that is opened again has another number.
    services: [ServiceId; 2],
    open: BTreeSet<ServiceId>,
    next_service: u32,
    next_job: u32,
    pending: BTreeMap<u32, Pending>,
    /// Work that has not ended, and its request unless that was aborted.
    slots: BTreeMap<Ticket, (ServiceId, Option<u32>)>,
    tickets: BTreeSet<Ticket>,
    drained: BTreeSet<ServiceId>,
    /// Requests that came and those that were aborted.
    arrived: BTreeMap<ServiceId, u64>,
    aborted: BTreeMap<ServiceId, u64>,
}

fn peer_of(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

fn id_of(n: u8) -> Id {
    Id(Bytes::from(n.to_string()))
}

impl Books {
    fn new() -> Self {
        let mut books = Self {
            server: Server::new(),
            now: Instant::now(),
            services: [ServiceId(0), ServiceId(1)],
            open: BTreeSet::new(),
            next_service: 2,
            next_job: 0,
            pending: BTreeMap::new(),
            slots: BTreeMap::new(),
            tickets: BTreeSet::new(),
            drained: BTreeSet::new(),
            arrived: BTreeMap::new(),
            aborted: BTreeMap::new(),
        };
        books.run(Op::Open(0));
        books.run(Op::Open(1));
        books
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Open(n) => {
                if !self.open.contains(&self.services[n]) {
                    self.services[n] = ServiceId(self.next_service);
                    self.next_service += 1;
                    self.open.insert(self.services[n]);
                }
                self.tell(Input::Open { service: self.services[n], limits: LIMITS });
            }
            Op::Close(n) => {
                let closed = self.services[n];
                self.tell(Input::Close { service: closed });
                self.open.remove(&closed);
                assert!(self.slots.values().all(|(service, job)| *service != closed || job.is_none()));
                assert!(self.pending.values().all(|request| request.service != closed));
                // What still runs ends one day, and that changes nothing.
                let ends: Vec<Ticket> = self
                    .slots
                    .iter()
                    .filter(|(_, (service, _))| *service == closed)
                    .map(|(&t, _)| t)
                    .collect();
                for ticket in ends {
                    self.slots.remove(&ticket);
                    let outputs = self.outputs_of(Input::Finished { ticket, answer: Some(Answer(1)) });
                    assert_eq!(outputs, []);
                }
            }
            Op::Request { service, peer, id, deadline, keep } => {
                let (service, peer, id) = (self.services[service], peer_of(peer), id.map(id_of));
                let deadline = deadline.map(|ms| self.now + Duration::from_millis(ms));
                self.request(Arrival { service, peer, id, deadline, keep_result: keep, job: self.next_job });
                self.next_job += 1;
            }
            Op::Finish(index) => {
                if self.slots.is_empty() {
                    return;
                }
                let ticket = *index.get(&self.slots.keys().collect::<Vec<_>>()).to_owned();
                self.finish(ticket);
            }
            Op::Cancel { peer, id } => self.tell(Input::Cancel { peer: peer_of(peer), id: id_of(id) }),
            Op::PeerGone(peer) => {
                // What waits goes without a word.
                self.pending.retain(|_, request| request.peer != peer_of(peer) || request.ticket.is_some());
                self.tell(Input::PeerGone { peer: peer_of(peer) });
                assert!(self.pending.values().all(|request| request.peer != peer_of(peer)));
            }
            Op::Pause(n) => {
                let until = self.now + Duration::from_secs(1);
                self.tell(Input::Pause { service: self.services[n], until });
            }
            Op::Resume(n) => self.tell(Input::Resume { service: self.services[n] }),
            Op::Drain(n) => self.tell(Input::Drain { service: self.services[n] }),
            Op::Pass { ms, timer } => {
                self.now += Duration::from_millis(ms);
                if timer {
                    self.server.on_deadline(self.now);
                    self.book_outputs();
                    assert!(self.server.next_deadline().is_none_or(|deadline| deadline > self.now));
                }
            }
        }
        self.compare();
    }

    fn finish(&mut self, ticket: Ticket) {
        if let Some((_, Some(job))) = self.slots.remove(&ticket) {
            self.pending.remove(&job);
        }
        self.tell(Input::Finished { ticket, answer: Some(Answer(1)) });
    }

    fn request(&mut self, arrival: Arrival<u32>) {
        let Arrival { service, peer, keep_result: keep, job, .. } = arrival;
        let id = arrival.id.clone();
        if self.open.contains(&service) {
            *self.arrived.entry(service).or_default() += 1;
        }
        let first = id.as_ref().and_then(|id| self.find(peer, id)).map(|job| self.pending[&job].clone());
        let input = Input::Request(arrival);
        match first {
            Some(first) if keep && first.keep && first.service == service => {
                assert_eq!(self.outputs_of(input), [], "the first try gives the answer");
            }
            Some(first) => {
                let outputs = self.outputs_of(input);
                let [Output::Refuse { peer: to, id: name, error }] = &outputs[..] else {
                    panic!("{outputs:?}")
                };
                assert_eq!((*to, Some(name)), (peer, first.id.as_ref()));
                assert!(matches!(error.code, -32600 | -32006), "{error}");
            }
            None => {
                self.pending.insert(job, Pending { service, peer, id, keep, ticket: None });
                self.tell(input);
            }
        }
    }

    fn find(&self, peer: PeerId, id: &Id) -> Option<u32> {
        let of_peer = self.pending.iter().filter(|(_, request)| request.peer == peer);
        let found: Vec<u32> =
            of_peer.filter(|(_, request)| request.id.as_ref() == Some(id)).map(|(&job, _)| job).collect();
        assert!(found.len() <= 1, "one id, several requests");
        found.first().copied()
    }

    fn outputs_of(&mut self, input: Input<u32, Answer>) -> Vec<Output<u32, Answer>> {
        self.server.handle(self.now, input);
        std::iter::from_fn(|| self.server.poll_output()).collect()
    }

    fn tell(&mut self, input: Input<u32, Answer>) {
        self.server.handle(self.now, input);
        self.book_outputs();
    }

    fn book_outputs(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Start { ticket, service, job } => {
                    assert!(self.tickets.insert(ticket), "a ticket was started twice");
                    let request = self.pending.get_mut(&job).expect("started what has ended");
                    assert_eq!((request.ticket, request.service), (None, service));
                    request.ticket = Some(ticket);
                    self.slots.insert(ticket, (service, Some(job)));
                }
                Output::Abort { ticket, peer, id, error } => {
                    let (service, job) = self.slots.get_mut(&ticket).expect("aborted what does not run");
                    let job = job.take().expect("aborted twice");
                    *self.aborted.entry(*service).or_default() += 1;
                    let request = self.pending.remove(&job).expect("aborted what has ended");
                    assert!(id.is_some() || error.is_none(), "an answer to a notification");
                    assert_eq!((request.peer, request.id), (peer, id));
                }
                Output::Refuse { peer, id, .. } => {
                    let job = self.find(peer, &id).expect("refused what has ended");
                    assert_eq!(self.pending[&job].ticket, None, "refused what runs");
                    self.pending.remove(&job);
                }
                Output::Replay { peer, id, .. } => {
                    let job = self.find(peer, &id).expect("replayed what has ended");
                    assert!(job == self.next_job && self.pending[&job].keep);
                    assert_eq!(self.pending[&job].ticket, None, "replayed what runs");
                    self.pending.remove(&job);
                }
                Output::Drained { service } => {
                    assert!(self.drained.insert(service), "told twice");
                    assert!(self.slots.values().all(|(of, _)| *of != service));
                }
            }
        }
        // Notifications may end without a word.
        let waiting: BTreeSet<u32> = self.server.waiting().copied().collect();
        self.pending
            .retain(|job, request| request.id.is_some() || request.ticket.is_some() || waiting.contains(job));
    }

    /// What the server says of itself is what the books say.
    fn compare(&self) {
        let waiting = self.pending.iter().filter(|(_, request)| request.ticket.is_none());
        assert_eq!(self.server.waiting().collect::<BTreeSet<_>>(), waiting.map(|(job, _)| job).collect());
        for service in &self.open {
            let load = self.server.load(*service).unwrap();
            let slots = self.slots.values().filter(|(of, _)| of == service);
            assert_eq!(load.running, slots.clone().count());
            assert_eq!(load.aborted, slots.filter(|(_, job)| job.is_none()).count());
            let pending = self.pending.values().filter(|request| request.service == *service);
            assert_eq!(load.waiting, pending.filter(|request| request.ticket.is_none()).count());
            assert!(load.running <= LIMITS.concurrency && load.waiting <= LIMITS.queue);
            assert!(load.waiting == 0 || load.running == LIMITS.concurrency, "waits beside a free slot");
            assert_eq!(load.started, load.finished + load.running as u64);
            // Every arrival is counted once; what was aborted is counted as started as well.
            let ended = load.refused + load.dropped + load.expired + load.cancelled + load.lost;
            let counted = load.started + load.replayed + load.repeated + load.waiting as u64 + ended;
            let arrived = self.arrived.get(service).copied().unwrap_or_default();
            assert_eq!(counted, arrived + self.aborted.get(service).copied().unwrap_or_default());
        }
    }
}

proptest! {
    #[test]
    fn every_request_ends_once_and_nothing_stays_behind(ops in prop::collection::vec(op(), 0..300)) {
        let mut books = Books::new();
        for op in ops {
            books.run(op);
        }
        while let Some((&ticket, _)) = books.slots.first_key_value() {
            books.finish(ticket);
        }
        books.run(Op::Pass { ms: 80_000, timer: true });
        assert!(books.pending.is_empty(), "{:?}", books.pending);
        assert!(books.server.is_at_rest());
    }
}
