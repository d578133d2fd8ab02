//! The task that owns the machines: events and commands go in, whispers come out. It decides nothing and waits for nothing
//! but the next input; what it cannot send at once it hands back or counts.
//!
//! The calling side goes on in `calls.rs`, the serving side in `serving.rs`.

use super::calls::Calls;
use super::command::{Command, Kept, Mailbox, Outgoing};
use super::directory::{Directory, PeerInfo, is_provider_group};
use super::figures;
use super::serving::{Job, Serving};
use crate::caller::{self, Caller};
use crate::server::{self, Server};
use crate::topic::{Incoming, Sink};
use crate::wire::{self, Decoded, Packet};
use crate::{Down, SystemStats, Up};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use zyre_rs::{Event, Events, GroupName, Message, Node, PeerId};

/// Events and commands taken before timers are looked at again.
const TURN: usize = 256;
/// How far a sleep without any deadline reaches.
const IDLE: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct Driver {
    pub(super) node: Node,
    pub(super) mailbox: Mailbox,
    pub(super) limits: wire::Limits,
    pub(super) caller: Caller<Arc<Outgoing>>,
    pub(super) server: Server<Job, Kept>,
    pub(super) calls: Calls,
    pub(super) serving: Serving,
    pub(super) directory: Arc<Directory>,
    pub(super) published: watch::Sender<Arc<Directory>>,
    pub(super) watchers: BTreeMap<Arc<str>, Vec<mpsc::Sender<Up>>>,
    pub(super) topics: BTreeMap<Arc<str>, Vec<Box<dyn Sink>>>,
    /// Packets from this node to itself, handled after what caused them.
    pub(super) local: VecDeque<Packet>,
    /// The application's events; `None` until it asks for them.
    pub(super) application: Option<mpsc::Sender<Event>>,
    pub(super) counters: BTreeMap<&'static str, u64>,
    /// As `Shared` has it.
    pub(super) membership: Arc<Mutex<()>>,
}

impl Driver {
    /// Runs until the node stops or nobody holds a handle any more.
    pub(super) async fn run(mut self, mut events: Events, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (mut happened, mut asked) = (Vec::with_capacity(TURN), Vec::with_capacity(TURN));
        let wake = tokio::time::sleep(IDLE);
        tokio::pin!(wake);
        loop {
            tokio::select! {
                taken = events.recv_many(&mut happened, TURN) => if taken == 0 { break },
                taken = commands.recv_many(&mut asked, TURN) => if taken == 0 { break },
                () = &mut wake => {}
            }
            let now = Instant::now();
            for event in happened.drain(..) {
                self.on_event(now, event);
            }
            let mut end = false;
            for command in asked.drain(..) {
                end |= matches!(command, Command::End);
                self.on_command(now, command);
            }
            self.caller.on_deadline(now);
            self.server.on_deadline(now);
            self.settle(now);
            if end {
                break;
            }
            let next = [self.caller.next_deadline(), self.server.next_deadline()].into_iter().flatten().min();
            let next = next.unwrap_or(now + IDLE);
            // Moving a timer costs; one that fires early only looks again.
            if next < wake.deadline() || wake.is_elapsed() {
                wake.as_mut().reset(next);
            }
        }
    }

    /// Carries out everything the machines want, including what that leads to on this node itself.
    fn settle(&mut self, now: Instant) {
        loop {
            self.perform_calls(now);
            self.perform_services(now);
            if let Some(packet) = self.local.pop_front() {
                self.on_packet(now, self.node.id(), packet);
            } else if !self.flush_batches(now) {
                break;
            }
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Whisper { peer, name, message } => {
                if let Some(message) = self.on_whisper(now, peer, message) {
                    self.tell_application(Event::Whisper { peer, name, message });
                }
                return;
            }
            Event::Shout { peer, ref name, ref group, ref message } if !self.topics.is_empty() => {
                if let Ok(group) = std::str::from_utf8(group.as_bytes()) {
                    self.publish(group, peer, name, message);
                }
            }
            Event::Enter { peer, ref name, ref headers, .. } => {
                let info = PeerInfo::new(name.clone(), headers.clone());
                self.change_directory(|directory| _ = directory.peers.insert(peer, info));
            }
            Event::Join { peer, ref group, .. } => {
                if let Some(group) = provider_group(group) {
                    self.on_join(now, peer, group);
                }
            }
            Event::Leave { peer, ref group, .. } => {
                if let Some(group) = provider_group(group) {
                    self.on_leave(now, peer, &group, Down::Left);
                }
            }
            Event::Evasive { peer, .. } => self.caller.handle(now, caller::Input::Evasive { peer }),
            Event::Exit { peer, reason, .. } => {
                let mut groups = Vec::new();
                self.change_directory(|directory| groups = directory.exit(peer));
                for group in groups {
                    self.tell_watchers(&group, &Up::Down { peer, reason: Down::Exited(reason) });
                }
                self.caller.handle(now, caller::Input::Exit { peer });
                self.server.handle(now, server::Input::PeerGone { peer });
                self.calls.forget_peer(peer);
                self.serving.forget_peer(peer);
            }
            _ => {}
        }
        self.tell_application(event);
    }

    pub(super) fn on_join(&mut self, now: Instant, peer: PeerId, group: Arc<str>) {
        self.change_directory(|directory| directory.join(peer, group.clone()));
        self.caller.handle(now, caller::Input::Join { peer, group: group.clone() });
        self.tell_watchers(&group, &Up::Up { peer });
        if self.calls.is_interesting(&group) {
            self.ask_capacity(now, peer);
        }
    }

    pub(super) fn on_leave(&mut self, now: Instant, peer: PeerId, group: &Arc<str>, reason: Down) {
        self.change_directory(|directory| directory.leave(peer, group));
        self.caller.handle(now, caller::Input::Leave { peer, group: group.clone() });
        self.tell_watchers(group, &Up::Down { peer, reason });
    }

    /// Takes what is RPC; anything else is given back.
    fn on_whisper(&mut self, now: Instant, peer: PeerId, message: Message) -> Option<Message> {
        match wire::decode(&message, &self.limits) {
            Decoded::Other => return Some(message),
            Decoded::One(packet) => self.on_packet(now, peer, packet),
            Decoded::Batch(packets) => {
                self.open_batch(peer, &packets);
                for packet in packets {
                    self.on_packet(now, peer, packet);
                }
            }
        }
        None
    }

    fn on_packet(&mut self, now: Instant, peer: PeerId, packet: Packet) {
        match packet {
            Packet::Request(request) => self.on_request(now, peer, request),
            Packet::Response(response) => self.on_response(now, peer, response),
            Packet::Item { id, value, .. } => self.on_item(now, peer, &id, value),
            Packet::Cancel { id } => self.server.handle(now, server::Input::Cancel { peer, id }),
            Packet::Credit { id, n } => {
                if !self.serving.grant(peer, &id, n) {
                    self.count("credits_unknown", 1);
                }
            }
            Packet::Invalid { id, error } => self.on_invalid(now, peer, id, error),
        }
    }

    fn on_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Call { call, reply } => self.on_call(now, call, reply),
            Command::Cancel(call) => {
                self.calls.forget(call);
                self.caller.handle(now, caller::Input::Cancel(call));
            }
            Command::Grant { call, n } => self.on_grant(call, n),
            Command::Pick { group, key, reply } => _ = reply.send(self.caller.pick(now, &group, key)),
            Command::Interest(group) => self.on_interest(now, group),
            Command::Configure { group, settings } => self.caller.configure(group, *settings),
            Command::Watch { group, news } => self.on_watch(group, news),
            Command::Workers { group, reply } => _ = reply.send(self.caller.providers(now, &group).collect()),
            Command::Services(reply) => {
                let services = &self.serving.services;
                let groups = services.iter().map(|(id, service)| (*id, service.registration.groups.clone()));
                _ = reply.send(groups.collect());
            }
            Command::Subscribe { group, sink, reply } => {
                let sinks = self.topics.entry(group).or_default();
                sinks.retain(|sink| sink.is_read());
                sinks.push(sink);
                _ = reply.send(());
            }
            Command::Unsubscribed(group) => {
                if let Some(sinks) = self.topics.get_mut(&group) {
                    sinks.retain(|sink| sink.is_read());
                    if sinks.is_empty() {
                        self.topics.remove(&group);
                    }
                }
            }
            Command::Publish { group, message, reply } => {
                let name = self.node.name().into();
                _ = reply.send(self.publish(&group, self.node.id(), &name, &message));
            }
            Command::Local(packet) => self.on_packet(now, self.node.id(), *packet),
            Command::Finished { ticket, answer } => self.on_finished(now, ticket, answer),
            Command::ReplyDropped => self.count("replies_dropped", 1),
            Command::Register { registration, reply } => _ = reply.send(self.on_register(now, *registration)),
            Command::Announce { service, up, done } => {
                _ = done.send(self.on_announce(now, service, up));
            }
            Command::Drain { service, done } => self.on_drain(now, service, done),
            Command::Close { service, done } => {
                self.on_close(now, service);
                _ = done.send(());
            }
            Command::Host { service, event } => self.on_host(now, service, event),
            Command::Stats(reply) => _ = reply.send(self.stats()),
            Command::TakeEvents(events) => self.application = Some(events),
            Command::End => {}
        }
    }

    fn on_watch(&mut self, group: Arc<str>, news: mpsc::Sender<Up>) {
        for peer in self.directory.members(&group) {
            _ = news.try_send(Up::Up { peer });
        }
        self.watchers.retain(|_, watchers| {
            watchers.retain(|watcher| !watcher.is_closed());
            !watchers.is_empty()
        });
        self.watchers.entry(group).or_default().push(news);
    }

    pub(super) fn tell_watchers(&mut self, group: &str, news: &Up) {
        let Some(watchers) = self.watchers.get_mut(group) else { return };
        let mut missed = 0;
        watchers.retain(|watcher| match watcher.try_send(*news) {
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            sent => {
                missed += u64::from(sent.is_err());
                true
            }
        });
        self.count("watch_news_dropped", missed);
    }

    /// Gives a message to the subscriptions of its topic and says to how many.
    fn publish(&mut self, group: &str, peer: PeerId, name: &Arc<str>, message: &Message) -> usize {
        let (Some(sinks), Some(frame)) = (self.topics.get_mut(group), message.first()) else { return 0 };
        sinks.retain(|sink| sink.is_read());
        for sink in sinks.iter() {
            sink.put(Incoming { peer, name: name.clone(), frame: frame.clone() });
        }
        let reached = sinks.len();
        if reached == 0 {
            self.topics.remove(group);
        }
        reached
    }

    fn tell_application(&mut self, event: Event) {
        if let Some(application) = &self.application
            && application.try_send(event).is_err()
        {
            self.count("events_dropped", 1);
        }
    }

    fn change_directory(&mut self, change: impl FnOnce(&mut Directory)) {
        change(Arc::make_mut(&mut self.directory));
        self.published.send_replace(self.directory.clone());
    }

    pub(super) fn count(&mut self, name: &'static str, n: u64) {
        if n > 0 {
            *self.counters.entry(name).or_default() += n;
        }
    }

    pub(super) fn stats(&self) -> SystemStats {
        let mut counters = self.counters.clone();
        counters.extend(figures::named([("errors_unanswered", self.serving.errors_unanswered())]));
        counters.extend(figures::of_caller(&self.caller.stats()));
        counters.extend(figures::of_server(&self.server.counters()));
        SystemStats { counters, calls_open: self.calls.open(), services: self.serving.loads(&self.server) }
    }
}

/// Nobody waits for anything any more, and nobody is there; also where the runtime ends before the system.
impl Drop for Driver {
    fn drop(&mut self) {
        self.calls.end();
        self.serving.end();
        self.published.send_replace(Arc::default());
    }
}

fn provider_group(group: &GroupName) -> Option<Arc<str>> {
    std::str::from_utf8(group.as_bytes()).ok().filter(|group| is_provider_group(group)).map(Arc::from)
}
