//! This project: whole nodes that find each other by beacon; events reach the application.

use crate::session::{Session, hold};
use crate::stopwatch::{Span, Stopwatch, percentiles, rate};
use crate::workload::{Checker, GROUP, Ring, SHOUT_PEERS, WINDOW, Workload};
use crate::{Result, curve, usage};
use futures_util::future::try_join_all;
use serde_json::json;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use zyre_rs::{Event, Events, Message, Node, NodeBuilder, PeerId};

/// How many events are read at a time.
const BATCH: usize = 1024;
/// The header in which a newcomer says when it was started (nanoseconds since 1970).
const STARTED: &str = "X-STARTED";

fn builder(session: &Session, name: &str) -> NodeBuilder {
    let builder = Node::builder(name).interface("127.0.0.1").beacon_port(session.job.port);
    if session.job.secured { builder.network_key(curve::key()) } else { builder }
}

/// Starts the receiving nodes, and receives, echoes or waits for newcomers.
pub(crate) async fn sink(session: Session) -> Result<Infallible> {
    match session.job.workload {
        Workload::Shout { .. } => {
            let mut nodes = Vec::new();
            for _ in 0..SHOUT_PEERS {
                nodes.push(builder(&session, "sink").join(GROUP).start().await?);
            }
            receive(session, nodes).await
        }
        Workload::OneWay { .. } | Workload::Curve { .. } => {
            let node = builder(&session, "sink").start().await?;
            receive(session, vec![node]).await
        }
        Workload::Discovery => newcomers(session).await,
        _ => echo(session).await,
    }
}

/// Starts a node, waits for the receivers and sends.
pub(crate) async fn source(session: Session) -> Result<Infallible> {
    if session.job.workload == Workload::Discovery {
        return arrive(session).await;
    }
    let (node, mut events) = builder(&session, "source").start().await?;
    match session.job.workload {
        Workload::Shout { .. } => {
            node.wait_until(|now| now.members(GROUP).count() == SHOUT_PEERS).await;
            shout(session, &node).await
        }
        workload => {
            let peer = enter(&mut events).await?;
            match workload {
                Workload::OneWay { .. } | Workload::Curve { .. } => whisper(session, &node, peer).await,
                Workload::CurveAttack { .. } => attacked(session, &node, &mut events, peer).await,
                Workload::Echo { .. } | Workload::Call => request(session, &node, &mut events, peer).await,
                _ => ping(session, &node, &mut events, peer).await,
            }
        }
    }
}

async fn enter(events: &mut Events) -> Result<PeerId> {
    loop {
        if let Event::Enter { peer, .. } = events.next().await.ok_or("the node stopped")? {
            return Ok(peer);
        }
    }
}

async fn receive(session: Session, nodes: Vec<(Node, Events)>) -> Result<Infallible> {
    session.ready("");
    let tasks = nodes.into_iter().map(|(node, events)| {
        let watch = Stopwatch::new(&session);
        tokio::spawn(async move { Ok((take_all(events, watch).await?, node)) })
    });
    let done: Result<Vec<_>> = try_join_all(tasks).await?.into_iter().collect();
    let (done, _nodes): (Vec<(Span, Events)>, Vec<Node>) = done?.into_iter().unzip();
    let (spans, _events): (Vec<Span>, Vec<Events>) = done.into_iter().unzip();
    session.result(rate(&spans, session.job.count)).await
}

async fn take_all(mut events: Events, mut watch: Stopwatch) -> Result<(Span, Events)> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        read(&mut events, &mut batch).await?;
        for event in batch.drain(..) {
            let span = first_frame(&event).map(|frame| watch.take(frame)).transpose()?.flatten();
            if let Some(span) = span {
                return Ok((span, events));
            }
        }
    }
}

async fn read(events: &mut Events, batch: &mut Vec<Event>) -> Result<()> {
    match events.recv_many(batch, BATCH).await {
        0 => Err("the node stopped".into()),
        _ => match batch.iter().find(|event| matches!(event, Event::Exit { .. })) {
            Some(exit) => Err(format!("a peer left in the middle: {exit:?}").into()),
            None => Ok(()),
        },
    }
}

fn first_frame(event: &Event) -> Option<&[u8]> {
    event.message().and_then(|message| message.first()).map(|frame| &frame[..])
}

async fn whisper(session: Session, node: &Node, peer: PeerId) -> Result<Infallible> {
    let ring = Ring::new(session.job.workload.size());
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        node.whisper(peer, Message::from(ring.payload(number))).await?;
    }
    hold().await
}

async fn shout(session: Session, node: &Node) -> Result<Infallible> {
    let ring = Ring::new(session.job.workload.size());
    for number in 0..session.job.total() {
        if number == session.job.warmup {
            session.measure();
        }
        node.shout(GROUP, Message::from(ring.payload(number))).await?;
    }
    hold().await
}

async fn echo(session: Session) -> Result<Infallible> {
    let (node, mut events) = builder(&session, "sink").start().await?;
    session.ready("");
    let (mut batch, mut seen) = (Vec::with_capacity(BATCH), 0);
    loop {
        read(&mut events, &mut batch).await?;
        for event in batch.drain(..) {
            if let Event::Whisper { peer, message, .. } = event {
                node.whisper(peer, message).await?;
                seen += 1;
                if seen == session.job.warmup {
                    session.measure();
                }
            }
        }
    }
}

async fn request(session: Session, node: &Node, events: &mut Events, peer: PeerId) -> Result<Infallible> {
    let total = session.job.total();
    let (ring, mut watch) = (Ring::new(session.job.workload.size()), Stopwatch::new(&session));
    let (mut batch, mut sent) = (Vec::with_capacity(BATCH), 0);
    while sent < total.min(WINDOW) {
        node.whisper(peer, Message::from(ring.payload(sent))).await?;
        sent += 1;
    }
    loop {
        read(events, &mut batch).await?;
        for event in batch.drain(..) {
            let Some(frame) = first_frame(&event) else { continue };
            if let Some(span) = watch.take(frame)? {
                return session.result(rate(&[span], session.job.count)).await;
            }
            if sent < total {
                node.whisper(peer, Message::from(ring.payload(sent))).await?;
                sent += 1;
            }
        }
    }
}

async fn ping(session: Session, node: &Node, events: &mut Events, peer: PeerId) -> Result<Infallible> {
    let mut pings = Pings::new(&session, node, events, peer);
    pings.round_trips(session.job.warmup).await?;
    session.measure();
    let times = pings.round_trips(session.job.count).await?;
    session.result(percentiles(times)).await
}

/// Quiet first; then the same while strangers do what they can.
async fn attacked(session: Session, node: &Node, events: &mut Events, peer: PeerId) -> Result<Infallible> {
    let target = node.peer(peer).ok_or("the peer has gone")?.endpoint.address();
    let mut pings = Pings::new(&session, node, events, peer);
    pings.round_trips(session.job.warmup).await?;
    session.measure();
    let quiet = pings.round_trips(session.job.count).await?;
    let attack = curve::Attack::begin(peer, session.job.port, target);
    let times = pings.round_trips(session.job.count).await?;
    let done = attack.end()?;
    session.result(curve::attack_numbers(quiet, times, &done)).await
}

/// Whispers that come back, one at a time.
struct Pings<'a> {
    node: &'a Node,
    events: &'a mut Events,
    peer: PeerId,
    ring: Ring,
    checker: Checker,
    batch: Vec<Event>,
    sent: u64,
}

impl<'a> Pings<'a> {
    fn new(session: &Session, node: &'a Node, events: &'a mut Events, peer: PeerId) -> Self {
        let size = session.job.workload.size();
        let (ring, checker, batch) = (Ring::new(size), Checker::new(size), Vec::with_capacity(BATCH));
        Self { node, events, peer, ring, checker, batch, sent: 0 }
    }

    async fn round_trips(&mut self, count: u64) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let sent_at = Instant::now();
            self.node.whisper(self.peer, Message::from(self.ring.payload(self.sent))).await?;
            while !self.batch.iter().any(|event| matches!(event, Event::Whisper { .. })) {
                read(self.events, &mut self.batch).await?;
            }
            times.push(sent_at.elapsed());
            self.sent += 1;
            for event in self.batch.drain(..) {
                first_frame(&event).map(|frame| self.checker.check(frame)).transpose()?;
            }
        }
        Ok(times)
    }
}

#[expect(clippy::disallowed_types, reason = "two processes of one machine have no other clock in common")]
fn since_1970() -> Duration {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// The existing node: takes the time at each ENTER and answers, so that the newcomer may leave.
async fn newcomers(session: Session) -> Result<Infallible> {
    let (node, mut events) = builder(&session, "sink").start().await?;
    session.ready("");
    session.measure();
    let mut times = Vec::new();
    while (times.len() as u64) < session.job.count {
        if let Event::Enter { peer, headers, .. } = events.next().await.ok_or("the node stopped")? {
            let started = headers.get(STARTED).and_then(|nanoseconds| nanoseconds.parse().ok());
            let started = started.map(Duration::from_nanos).ok_or("a newcomer without its start time")?;
            times.push(since_1970().saturating_sub(started));
            node.whisper(peer, "welcome").await?;
        }
    }
    session.result(percentiles(times)).await
}

async fn arrive(session: Session) -> Result<Infallible> {
    session.measure();
    let mut previous: Option<(Node, Events)> = None;
    for newcomer in 0..session.job.count {
        if let Some((node, _)) = previous.take() {
            node.stop().await;
        }
        // Beacons come once a second: spread the starts over that second.
        tokio::time::sleep(Duration::from_millis(200 + newcomer * 370 % 1000)).await;
        let started = since_1970().as_nanos().to_string();
        let (node, mut events) = builder(&session, "newcomer").header(STARTED, started).start().await?;
        while !matches!(events.next().await.ok_or("the node stopped")?, Event::Whisper { .. }) {}
        previous = Some((node, events));
    }
    hold().await
}

/// All nodes of an idle mesh in this process.
pub(crate) async fn mesh(session: Session) -> Result<Infallible> {
    session.ready("");
    let nodes = session.job.count;
    let links = (nodes * (nodes - 1)) as f64;
    let memory_before = usage::anonymous_rss_kib()?;
    let started_at = Instant::now();
    let (mut running, mut complete) = (Vec::new(), Vec::new());
    for index in 0..nodes {
        let (node, events) = builder(&session, &format!("node-{index}")).start().await?;
        let (done, waiting) = oneshot::channel();
        tokio::spawn(watch(events, nodes - 1, done));
        complete.push(waiting);
        running.push(node);
    }
    try_join_all(complete).await?;
    let full = started_at.elapsed();
    let idle = Duration::from_secs_f64(session.job.idle_seconds);
    tokio::time::sleep(idle / 2).await;
    session.measure();
    let (cpu_before, idle_at) = (usage::cpu_seconds()?, Instant::now());
    tokio::time::sleep(idle).await;
    let cpu = (usage::cpu_seconds()? - cpu_before) / idle_at.elapsed().as_secs_f64();
    let memory = usage::anonymous_rss_kib()? - memory_before;
    let whole = running.iter().all(|node| node.peers().len() as u64 == nodes - 1);
    if !whole {
        return Err("the mesh did not stay whole".into());
    }
    session
        .result(json!({
            "seconds": full.as_secs_f64(),
            "full_mesh_ms": full.as_secs_f64() * 1e3,
            "idle_cpu_percent": cpu * 100.0,
            "kib_per_link": memory / links,
            "kib": memory,
        }))
        .await
}

/// Reads a node's events for ever; tells when it has met all others.
async fn watch(mut events: Events, peers: u64, done: oneshot::Sender<()>) {
    let (mut met, mut done) = (0, Some(done));
    while let Some(event) = events.next().await {
        met += u64::from(matches!(event, Event::Enter { .. }));
        if met == peers
            && let Some(done) = done.take()
        {
            let _ = done.send(());
        }
    }
}
