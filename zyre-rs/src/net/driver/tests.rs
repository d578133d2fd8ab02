//! The driver's own bookkeeping, on a network in memory: batches of requests, and its table of links.

use super::*;
use crate::membership::{self, View};
use crate::net::addresses::Addresses;
use crate::net::inbox::inbox;
use crate::net::memory::MemoryNetwork;
use crate::net::request::Driver;
use crate::net::security::Security;
use crate::net::transport::Transport;
use crate::wire::{Hello, HelloFields};
use crate::{EndpointPolicy, GroupName, Timers};
use std::net::SocketAddr;
use tokio::time::{advance, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody listens there.
const PEER: &str = "10.0.0.9:5000";

fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

fn group(name: &str) -> GroupName {
    GroupName::try_from(name).unwrap()
}

/// A driver on a network in memory, not yet running, and what its askers hold.
struct Bench {
    task: DriverTask,
    requests: mpsc::Sender<Request>,
    membership: View,
}

impl Bench {
    fn new() -> Self {
        let host = MemoryNetwork::new().attach();
        let beaconing = Beaconing::Memory(host.beacons(5670));
        let (requests, queue) = mpsc::channel(64);
        let counters = Arc::<Counters>::default();
        let subnets = vec![(host.ip(), 24)];
        let machine = proto::Node::new(
            Instant::now().into_std(),
            proto::Config {
                id: id(100),
                name: b"us".to_vec(),
                headers: Vec::new(),
                groups: BTreeSet::new(),
                contest: BTreeSet::new(),
                timers: Timers::default(),
                beacon: true,
                beacon_port: 5670,
                mailbox_port: 4711,
                endpoint_policy: EndpointPolicy::default(),
                subnets,
                trust: proto::Trust::Open,
                authorize: None,
            },
        );
        let (membership, view) = membership::view();
        let links = LinkContext {
            id: id(100),
            advertised: None,
            mailbox_port: 4711,
            addresses: Arc::<Addresses>::default(),
            transport: Transport::Memory(host),
            driver: Driver(requests.clone()),
            counters: counters.clone(),
            security: Security::Open,
        };
        let task = DriverTask::new(Parts {
            machine,
            name: "us".to_owned(),
            requests: queue,
            beaconing,
            links: Arc::new(links),
            inbox: inbox(counters.clone(), 1 << 20).0,
            counters,
            membership,
            own_groups: Arc::default(),
            abandoned: Arc::default(),
            door: Arc::default(),
            gossip: None,
            link_limit: LinkLimit::default(),
            overflow: Overflow::default(),
        });
        Self { task, requests, membership: view }
    }

    fn request(&self, request: Request) {
        self.requests.try_send(request).expect("room");
    }

    fn ask_to_stop(&self) -> oneshot::Receiver<()> {
        let (done, stopped) = oneshot::channel();
        self.request(Request::Ask(Ask::Stop { timeout: Duration::from_secs(1), done }));
        stopped
    }

    /// A beacon of the peer's, which opens a link where there is none.
    fn beacon(&mut self) {
        let at: SocketAddr = PEER.parse().unwrap();
        let beacon = Beacon { id: id(1), port: at.port(), key: None };
        self.task.feed(Input::Beacon { source: SocketAddr::new(at.ip(), 5670), beacon });
    }
}

fn hello() -> Input {
    let fields = HelloFields { endpoint: format!("tcp://{PEER}").into_bytes(), ..HelloFields::default() };
    let source = "10.0.0.9:40000".parse().unwrap();
    Input::Hello { conn: ConnId(1), peer: id(1), source, hello: Hello::new(fields).unwrap(), key: None }
}

async fn told<T>(answer: oneshot::Receiver<T>) -> T {
    timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn requests_behind_a_stop_in_the_same_batch_are_acted_on() {
    let bench = Bench::new();
    let first = bench.ask_to_stop();
    bench.request(Request::Tell(Input::Join(group("told"))));
    let (done, acted) = oneshot::channel();
    bench.request(Request::Ordered(Input::Join(group("ordered")), done));
    let (reply, admission) = oneshot::channel();
    bench.request(Request::Admit(hello(), Arc::default(), reply));
    let second = bench.ask_to_stop();
    let membership = bench.membership.clone();
    let running = tokio::spawn(bench.task.run(Vec::new()));

    told(acted).await;
    told(admission).await;
    let now = membership.get().clone();
    assert!(now.own_groups().eq([&group("ordered"), &group("told")]));
    assert!(now.peer(id(1)).is_some(), "who was let in is there");
    told(first).await;
    told(second).await;
    timeout(PATIENCE, running).await.expect("the driver ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_links_leave_the_table() {
    let mut bench = Bench::new();
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        bench.beacon();
        bench.task.feed(Input::Timeout);
        bench.task.publish();
        let links: Vec<_> = bench.task.links.keys().copied().collect();
        let [link] = links[..] else { panic!("one peer, one link: {links:?}") };
        assert!(seen.insert(link), "a new link each time");
        bench.task.feed(Input::LinkUp { link });
        bench.task.feed(Input::LinkLost { link, cause: proto::LinkLoss::Closed });
        assert!(bench.task.links.is_empty(), "a lost link is let go");
        bench.task.publish();
        advance(Duration::from_secs(6)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_earlier_ping_does_not_end_the_drain() {
    let mut bench = Bench::new();
    bench.beacon();
    bench.task.feed(hello());
    let link = bench.task.parts.machine.peer(id(1)).and_then(|view| view.link).expect("a link");
    for _ in 0..2 {
        bench.task.with_link(link, |outbox| outbox.send_control(&Command::Ping, None));
    }
    bench.task.draining = Some(BTreeSet::from([id(1)]));
    let mut answer = || {
        let (done, _) = oneshot::channel();
        let command = Input::Command { conn: ConnId(1), peer: id(1), command: Command::PingOk };
        bench.task.on_request(Request::Ordered(command, done));
        bench.task.draining.as_ref().is_some_and(BTreeSet::is_empty)
    };
    assert!(!answer(), "the last PING, and what was said before it, may not have been read");
    assert!(answer());
}
