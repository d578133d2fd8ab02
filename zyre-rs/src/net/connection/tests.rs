//! Raw peers over TCP loopback against the listener, with a scripted driver behind it.

mod attacks;
mod sessions;

use super::Mailbox;
use crate::net::counters::Counters;
use crate::net::groups::OwnGroups;
use crate::net::inbox::{Events, Inbox, inbox};
use crate::net::line::Line;
use crate::net::listener;
use crate::net::request::{Admission, Driver, Leash, Request};
use crate::net::security::Security;
use crate::net::transport::Listener;
use crate::proto::Input;
use crate::wire::{Command, Endpoint, Hello};
use crate::zmtp::{Handshake, Limits, Mechanism, Role, Status, put_message};
use crate::{Event, ExitReason, Headers, PeerId};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

pub(in crate::net) const PATIENCE: Duration = Duration::from_secs(20);

pub(in crate::net) fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 16])
}

/// Waits for a condition that other tasks bring about.
pub(in crate::net) async fn until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "never: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// What the scripted driver does and has seen.
#[derive(Default)]
pub(in crate::net) struct Script {
    pub(in crate::net) refuse_resume: AtomicBool,
    pub(in crate::net) seen: Mutex<Vec<Input>>,
    pub(in crate::net) leashes: Mutex<Vec<Arc<Leash>>>,
    pub(in crate::net) line: Arc<Line>,
    pub(in crate::net) enters: AtomicU64,
}

impl Script {
    fn act(&self, inbox: &Inbox, input: &Input) {
        let name: Arc<str> = "n".into();
        if let Input::Command { peer, command: Command::Join { group, .. }, .. } = input {
            inbox.push_event(*peer, Event::Join { peer: *peer, name, group: group.clone() });
        } else if let Input::Gap { peer, missing, .. } = input {
            let reason = ExitReason::MessagesLost { count: *missing };
            inbox.push_event(*peer, Event::Exit { peer: *peer, name, reason });
        }
        self.seen.lock().unwrap().push(input.clone());
    }

    fn admit(&self, inbox: &Inbox, input: &Input, leash: Arc<Leash>) -> Option<Admission> {
        self.act(inbox, input);
        match input {
            Input::Hello { peer, .. } => {
                self.enters.fetch_add(1, Ordering::SeqCst);
                let endpoint: Endpoint = "tcp://127.0.0.1:1".parse().unwrap();
                let headers = Headers::default();
                inbox.push_event(*peer, Event::Enter { peer: *peer, name: "n".into(), endpoint, headers });
            }
            _ if self.refuse_resume.load(Ordering::SeqCst) => return None,
            _ => {}
        }
        self.leashes.lock().unwrap().push(leash);
        Some(Admission { name: "n".into(), line: Arc::clone(&self.line) })
    }

    pub(in crate::net) fn has_seen(&self, wanted: impl Fn(&Input) -> bool) -> bool {
        self.seen.lock().unwrap().iter().any(wanted)
    }
}

/// A mailbox on loopback.
pub(in crate::net) struct Net {
    pub(in crate::net) address: SocketAddr,
    pub(in crate::net) script: Arc<Script>,
    pub(in crate::net) counters: Arc<Counters>,
    pub(in crate::net) groups: Arc<OwnGroups>,
    pub(in crate::net) inbox: Inbox,
    pub(in crate::net) mailbox: Arc<Mailbox>,
    pub(in crate::net) stop: Arc<Leash>,
    pub(in crate::net) listener: tokio::task::JoinHandle<()>,
}

pub(in crate::net) async fn net() -> (Net, Events) {
    net_with(Limits::default(), |_, _| true).await
}

pub(in crate::net) async fn net_with(
    limits: Limits,
    is_welcome: impl Fn(SocketAddr, SocketAddr) -> bool + Send + 'static,
) -> (Net, Events) {
    let (counters, groups, script) =
        (Arc::<Counters>::default(), Arc::<OwnGroups>::default(), Arc::<Script>::default());
    let (inbox, events) = inbox(Arc::clone(&counters), limits.max_message);
    let (sender, mut requests) = mpsc::channel(64);
    let (driver_script, driver_inbox) = (Arc::clone(&script), inbox.clone());
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Ask(_) => unreachable!("no application here"),
                Request::Tell(input) => driver_script.act(&driver_inbox, &input),
                Request::Ordered(input, done) => {
                    driver_script.act(&driver_inbox, &input);
                    let _ = done.send(());
                }
                Request::Admit(input, leash, reply) => {
                    if let Some(admission) = driver_script.admit(&driver_inbox, &input, leash) {
                        let _ = reply.send(admission);
                    }
                }
            }
        }
    });
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = door.local_addr().unwrap();
    let mailbox = Arc::new(Mailbox {
        driver: Driver(sender),
        inbox: inbox.clone(),
        counters: Arc::clone(&counters),
        groups: Arc::clone(&groups),
        limits,
        security: Security::Open,
        foreign_shouts: false,
    });
    let stop = Arc::<Leash>::default();
    let listener =
        tokio::spawn(listener::run(Listener::Tcp(door), Arc::clone(&mailbox), is_welcome, Arc::clone(&stop)));
    (Net { address, script, counters, groups, inbox, mailbox, stop, listener }, events)
}

impl Net {
    pub(in crate::net) fn counted(&self, name: &str) -> u64 {
        self.counters.snapshot().get(name).copied().unwrap_or_default()
    }

    /// A peer that has done its handshake.
    pub(in crate::net) async fn greet(&self, peer: PeerId) -> Peer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut handshake = Handshake::new(Role::dealer(peer), Mechanism::Null);
        let mut input = Vec::new();
        loop {
            stream.write_all(&handshake.take_output()).await.unwrap();
            let (consumed, status) = handshake.receive(&input).unwrap();
            input.drain(..consumed);
            if matches!(status, Status::Done(_)) {
                return Peer { stream, sequence: 0 };
            }
            assert_ne!(timeout(PATIENCE, stream.read_buf(&mut input)).await.unwrap().unwrap(), 0);
        }
    }

    /// A peer whose HELLO is on its way.
    pub(in crate::net) async fn enter(&self, peer: PeerId) -> Peer {
        let mut peer = self.greet(peer).await;
        let hello = peer.bytes(&hello(), &[]);
        peer.write(&hello).await;
        peer
    }
}

pub(in crate::net) fn hello() -> Command {
    Command::Hello(Hello::new(Default::default()).unwrap())
}

pub(in crate::net) fn shout(group: &str) -> Command {
    Command::Shout { group: group.try_into().unwrap() }
}

pub(in crate::net) struct Peer {
    pub(in crate::net) stream: TcpStream,
    /// Of the last message.
    pub(in crate::net) sequence: u16,
}

impl Peer {
    /// The next message as it goes over the wire.
    pub(in crate::net) fn bytes(&mut self, command: &Command, content: &[&[u8]]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut head = Vec::new();
        command.encode(self.sequence, &mut head);
        let frames: Vec<&[u8]> = std::iter::once(head.as_slice()).chain(content.iter().copied()).collect();
        let mut out = Vec::new();
        put_message(&mut out, &frames);
        out
    }

    pub(in crate::net) async fn say(&mut self, command: &Command, content: &[&[u8]]) {
        let bytes = self.bytes(command, content);
        self.write(&bytes).await;
    }

    pub(in crate::net) async fn whisper(&mut self, content: &str) {
        self.say(&Command::Whisper, &[content.as_bytes()]).await;
    }

    pub(in crate::net) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits until the other side closes.
    pub(in crate::net) async fn closed(&mut self) {
        let mut sink = [0; 4096];
        timeout(PATIENCE, async { while !matches!(self.stream.read(&mut sink).await, Ok(0) | Err(_)) {} })
            .await
            .expect("the connection stays open");
    }
}

/// The next event, as a line.
pub(in crate::net) async fn next(events: &mut Events) -> String {
    let event = timeout(PATIENCE, events.next()).await.expect("no event").expect("the events have ended");
    text(&event)
}

pub(in crate::net) fn text(event: &Event) -> String {
    let frames: Vec<_> = event
        .message()
        .into_iter()
        .flat_map(|message| message.frames().iter().map(|frame| String::from_utf8_lossy(frame).into_owned()))
        .collect();
    let group = event.group().map(|group| format!(" {group}")).unwrap_or_default();
    format!("{}{group} {}", event.kind(), frames.join("|")).trim_end().to_owned()
}
