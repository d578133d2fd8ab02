//! The node under attack and its good peer.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use zyre_rs::{Event, Events, ExitReason, Node, NodeBuilder, PeerId};

/// Bound of every wait; far above what a step takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two echoes.
const PACE: Duration = Duration::from_millis(20);
/// Between two looks at a counter, which tells nobody when it moves.
const LOOK: Duration = Duration::from_millis(5);

/// Nodes on one UDP port see each other, so every stage has its own.
pub(crate) fn beacon_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let place = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + process::id().wrapping_mul(97);
        let port = 10_000 + (place % 20_000) as u16;
        if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// What the victim's application has seen, the good peer's echoes left out.
type Log = Vec<Event>;

pub(super) struct Stage {
    pub(super) victim: Node,
    pub(super) good: Node,
    pub(super) port: u16,
    log: watch::Receiver<Log>,
    /// How long the log was when each echo request was read.
    marks: watch::Receiver<Vec<usize>>,
    reading: watch::Sender<bool>,
    ending: watch::Sender<bool>,
    echoes: JoinHandle<Result<u32, String>>,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// `settings` are the victim's.
    pub(super) async fn with(settings: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        Self::of(settings, |builder| builder).await
    }

    /// `settings` are those of both.
    pub(super) async fn alike(settings: impl Fn(NodeBuilder) -> NodeBuilder) -> Self {
        Self::of(&settings, &settings).await
    }

    async fn of(
        victims: impl FnOnce(NodeBuilder) -> NodeBuilder,
        good_ones: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let port = beacon_port();
        let builder = |name| Node::builder(name).interface("127.0.0.1").beacon_port(port).join("all");
        let (victim, heard) = victims(builder("victim")).start().await.unwrap();
        let (good, answers) = good_ones(builder("good")).start().await.unwrap();
        for (one, other) in [(&victim, &good), (&good, &victim)] {
            let met = one.wait_until(|members| members.peer(other.id()).is_some());
            assert!(timeout(PATIENCE, met).await.expect("the good pair meets"));
        }
        let (log_in, log) = watch::channel(Log::new());
        let (marks_in, marks) = watch::channel(Vec::new());
        let (reading, gate) = watch::channel(true);
        let (ending, end) = watch::channel(false);
        tokio::spawn(serve(victim.clone(), heard, good.id(), log_in, marks_in, gate));
        let echoes = tokio::spawn(exchange(good.clone(), answers, victim.id(), end));
        Self { victim, good, port, log, marks, reading, ending, echoes }
    }

    /// Where the victim's mailbox is.
    pub(super) fn mailbox(&self) -> SocketAddr {
        self.victim.endpoint().address()
    }

    pub(super) fn counter(&self, name: &str) -> u64 {
        self.victim.stats().counter(name)
    }

    /// Waits until a counter has reached `at_least`.
    pub(super) async fn counted(&self, name: &str, at_least: u64) {
        let reached = timeout(PATIENCE, async {
            while self.counter(name) < at_least {
                sleep(LOOK).await;
            }
        });
        let stats = || self.victim.stats().counters;
        reached.await.unwrap_or_else(|_| panic!("{name} does not reach {at_least}: {:?}", stats()));
    }

    /// Waits until the victim's application has seen something.
    pub(super) async fn until(&self, what: &str, mut seen: impl FnMut(&[Event]) -> bool) {
        let mut log = self.log.clone();
        let done = timeout(PATIENCE, log.wait_for(|events| seen(events))).await.is_ok();
        assert!(done, "{what} does not come: {:?} {:?}", self.tail(), self.victim.stats().counters);
    }

    pub(super) async fn enters(&self, peer: PeerId) {
        self.until("ENTER", |events| is_in(events, peer)).await;
    }

    /// Waits for a whisper with this text.
    pub(super) async fn hears(&self, peer: PeerId, text: &str) {
        let wanted = |event: &Event| {
            event.peer() == peer && event.message().is_some_and(|message| message.text() == Some(text))
        };
        self.until(text, |events| events.iter().rev().any(wanted)).await;
    }

    pub(super) async fn exits(&self, peer: PeerId, wanted: ExitReason) {
        let is_it = |event: &Event| matches!(event, Event::Exit { peer: who, reason, .. } if *who == peer && *reason == wanted);
        self.until(wanted.as_str(), |events| events.iter().any(is_it)).await;
    }

    /// How many events of this kind (`EXIT`…) there were about a peer.
    pub(super) fn events(&self, peer: PeerId, kind: &str) -> usize {
        self.log.borrow().iter().filter(|event| event.peer() == peer && event.kind() == kind).count()
    }

    fn tail(&self) -> Vec<Event> {
        let log = self.log.borrow();
        log.iter().skip(log.len().saturating_sub(10)).cloned().collect()
    }

    pub(super) fn log_len(&self) -> usize {
        self.log.borrow().len()
    }

    /// The victim's application stops taking events, or goes on.
    pub(super) fn read(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// How many events of others the application read, from `start` on, before the next echo request.
    pub(super) async fn before_next_echo(&self, start: usize) -> usize {
        let mut marks = self.marks.clone();
        let found = timeout(PATIENCE, marks.wait_for(|marks| marks.last().is_some_and(|at| *at > start)));
        let marks = found.await.expect("the echoes go on").unwrap();
        marks.iter().find(|at| **at > start).unwrap() - start
    }

    /// Waits until some more echoes have come back.
    pub(super) async fn echoes_on(&self) {
        let mut marks = self.marks.clone();
        let goal = marks.borrow().len() + 3;
        let on = timeout(PATIENCE, marks.wait_for(|marks| marks.len() >= goal)).await;
        assert!(on.is_ok_and(|on| on.is_ok()), "the echoes go on");
    }

    /// The good pair is unharmed: every echo came back and neither saw the other leave.
    pub(super) async fn finish(self) {
        self.echoes_on().await;
        self.ending.send_replace(true);
        let echoes = timeout(PATIENCE * 2, self.echoes).await.expect("bounded").expect("no panic");
        let good = self.good.id();
        assert!(echoes.as_ref().is_ok_and(|count| *count > 3), "{echoes:?}");
        let exited = self.log.borrow().iter().any(|event| event.kind() == "EXIT" && event.peer() == good);
        assert!(!exited, "the good peer exited: {:?}", self.victim.stats().counters);
        assert_eq!(self.victim.stats().counter("conn_task_failed"), 0);
        tokio::join!(self.victim.stop(), self.good.stop());
    }
}

pub(super) fn is_in(events: &[Event], peer: PeerId) -> bool {
    let about = events.iter().rev().filter(|event| event.peer() == peer);
    about.map(Event::kind).find(|kind| ["ENTER", "EXIT"].contains(kind)) == Some("ENTER")
}

/// The victim's application: answers the good peer, notes everything else.
async fn serve(
    node: Node,
    mut events: Events,
    good: PeerId,
    log: watch::Sender<Log>,
    marks: watch::Sender<Vec<usize>>,
    mut gate: watch::Receiver<bool>,
) {
    loop {
        if gate.wait_for(|reading| *reading).await.is_err() {
            return;
        }
        let event = tokio::select! {
            biased;
            changed = gate.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Event::Whisper { peer, message, .. }) if peer == good => {
                marks.send_modify(|marks| marks.push(log.borrow().len()));
                // It may be stopping.
                let _ = node.whisper(good, message).await;
            }
            Some(event) => log.send_modify(|log| log.push(event)),
        }
    }
}

/// The good peer: sends a number, waits for it to come back, says how many did.
async fn exchange(
    node: Node,
    mut events: Events,
    victim: PeerId,
    mut end: watch::Receiver<bool>,
) -> Result<u32, String> {
    for number in 0_u32.. {
        let text = number.to_string();
        node.whisper(victim, text.as_str()).await.map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let next = tokio::time::timeout_at(deadline, events.next()).await;
            let event = next.map_err(|_| format!("echo {number} is lost"))?.ok_or("the good node stopped")?;
            if event.peer() != victim {
                continue;
            }
            match event {
                Event::Whisper { message, .. } if message.text() == Some(&text) => break,
                Event::Whisper { message, .. } => return Err(format!("{message:?} instead of {number}")),
                Event::Exit { reason, .. } => return Err(format!("the victim exited: {reason}")),
                _ => {}
            }
        }
        if timeout(PACE, end.wait_for(|ending| *ending)).await.is_ok() {
            return Ok(number + 1);
        }
    }
    Ok(0)
}
