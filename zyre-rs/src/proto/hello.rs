//! HELLO: who may enter, on which connection, and what a repeated one means.

use super::bug::{Bug, bug};
use super::links::Dial;
use super::node::{MAX_PEERS, NATIVE_HEADER, Node, PROBE_TIMEOUT};
use super::peer::{LinkState, Mailbox, Newcomer, Peer, Profile};
use super::sequence::Flavour;
use super::trust::KEY_HEADER;
use super::{ConnId, Output};
use crate::trust::Applicant;
use crate::wire::{Command, Endpoint, HelloFields};
use crate::zmtp::curve::PublicKey;
use crate::{EndpointPolicy, Event, ExitReason, Headers, PeerId};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A HELLO this soon after ours is its answer and asks for none (attack row T8).
pub(super) const ANSWER_WINDOW: Duration = Duration::from_secs(2);
/// The old connection of a peer that comes anew from the same address is read to its end for this long, and
/// longer while it still brings something.
const HANDOVER_QUIET: Duration = Duration::from_millis(200);
/// Until when a repeated HELLO has to be followed by a PING-OK.
pub(super) const VERIFY_TIMEOUT: Duration = Duration::from_secs(2);

impl Node {
    pub(super) fn on_hello(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: PeerId,
        source: SocketAddr,
        hello: HelloFields,
        key: Option<PublicKey>,
    ) {
        if !self.judge_key(now, id, source.ip(), key, Some(&hello)) {
            return self.outputs.push_back(Output::Refuse(conn));
        }
        if id == self.me {
            self.report_conflict(now, id, source.ip());
            return self.outputs.push_back(Output::Refuse(conn));
        }
        if self.is_turned_away(now, id) {
            self.count("authorization_refused");
            return self.outputs.push_back(Output::Refuse(conn));
        }
        let usable = self.usable_endpoint(&hello.endpoint, source);
        let is_new = !self.peers.contains_key(&id);
        if is_new {
            let endpoint = match usable {
                Ok(endpoint) => endpoint,
                Err(counter) => {
                    self.count(counter);
                    return self.outputs.push_back(Output::Refuse(conn));
                }
            };
            if self.peers.len() >= MAX_PEERS {
                self.count("newcomer_no_room");
                return self.outputs.push_back(Output::Refuse(conn));
            }
            if !self.make_room_at(now, endpoint) {
                return self.outputs.push_back(Output::Refuse(conn));
            }
            self.peers.insert(id, Box::new(Peer::new(now, id, endpoint, source.ip())));
        } else if let Err(counter) = usable {
            // It is known by its beacon, which says where it is.
            self.count(counter);
        }
        let is_outdated = self.peers.get(&id).is_some_and(|peer| conn < peer.latest);
        if is_outdated && !bug(Bug::OldHelloCounts) {
            // Connections count in the order in which they come: this HELLO was held back until after its successor.
            self.count("hello_outdated");
            return self.outputs.push_back(Output::Refuse(conn));
        }
        self.note_key(id, key);
        if is_new {
            self.adopt_dial(id, source);
        }
        let Some(peer) = self.peers.get(&id) else { return };
        match peer.mailbox {
            Mailbox::Open(old) if old != conn => self.on_second_connection(now, conn, id, source, hello),
            Mailbox::Closed { .. } if peer.is_ready() && now < peer.rehello_at => {
                self.on_second_connection(now, conn, id, source, hello);
            }
            _ => self.on_admissible_hello(now, now, conn, id, source, hello),
        }
    }

    /// The endpoint of a HELLO, if it is one to connect to (attack row T11).
    fn usable_endpoint(&self, text: &[u8], source: SocketAddr) -> Result<Endpoint, &'static str> {
        let mut endpoint = match Endpoint::decode(text) {
            Ok(endpoint) => endpoint,
            Err(_) => unspecified_at(text, source).ok_or("hello_bad_endpoint")?,
        };
        if let SocketAddr::V6(v6) = source
            && endpoint.address().ip() == source.ip()
        {
            endpoint = endpoint.with_scope(v6.scope_id());
        }
        let same_ip = endpoint.ip() == source.ip();
        let welcome = match self.config.endpoint_policy {
            EndpointPolicy::Any => true,
            EndpointPolicy::SameIp => same_ip,
            EndpointPolicy::SameSubnet => same_ip || self.on_our_subnets(endpoint.ip()),
        };
        if welcome || bug(Bug::AnyEndpoint) { Ok(endpoint) } else { Err("hello_foreign_endpoint") }
    }

    /// A peer that we dialled answers: the link that carried our HELLO is its link.
    fn adopt_dial(&mut self, id: PeerId, source: SocketAddr) {
        let personal = self.config.trust.is_personal();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // The endpoint we dialled; failing that (several addresses, NAT) a link that is up to where the HELLO comes from.
        let rank = |dial: &Dial| {
            let up = dial.link.as_ref().is_some_and(|link| link.state == LinkState::Up);
            let near = (up && dial.endpoint.ip() == source.ip()).then_some(1);
            if dial.endpoint == peer.endpoint { Some(0) } else { near }
        };
        let own = |dial: &&mut Dial| !personal || dial.key == peer.key;
        let free =
            self.dials.iter_mut().filter(|dial| dial.adopted.is_none() && dial.link.is_some()).filter(own);
        let ranked = free.filter_map(|dial| rank(dial).map(|rank| (rank, dial)));
        let dial = ranked.min_by_key(|(rank, _)| *rank).map(|(_, dial)| dial);
        if let Some(dial) = dial {
            dial.adopted = Some(id);
            peer.endpoint = dial.endpoint;
            if let Some(link) = dial.link.take() {
                self.outputs.push_back(Output::Adopt { link: link.id, peer: id });
                peer.link = Some(link);
            }
        }
    }

    /// The UUID is in use: its owner comes anew, or somebody else claims it (attack row T9). Its owner waits for its
    /// turn if it comes too often (T7).
    fn on_second_connection(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: PeerId,
        source: SocketAddr,
        hello: HelloFields,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let same_source = source.ip() == peer.address || bug(Bug::HandsOverUnasked);
        let decide_at =
            if same_source { peer.rehello_at.max(now + HANDOVER_QUIET) } else { now + PROBE_TIMEOUT };
        let newcomer = Newcomer { conn, source, hello, decide_at, same_source, asked_at: now };
        if let Some(earlier) = peer.newcomer.replace(Box::new(newcomer)) {
            self.outputs.push_back(Output::Refuse(earlier.conn));
        }
        if same_source {
            peer.latest = conn;
            // It is alive and has said what there is to say: asking or greeting it now would only make it say it again.
            peer.live.heard(now);
            peer.broken_off = true;
            peer.greet_at = None;
            peer.verify_by = None;
        } else {
            self.send(id, Command::Ping);
        }
    }

    /// The time that a newcomer had to wait is over.
    pub(super) fn decide_newcomer(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(mut newcomer) = peer.newcomer.take() else { return };
        if newcomer.same_source {
            let quiet_since = now.checked_sub(HANDOVER_QUIET / 2).unwrap_or(now).max(newcomer.asked_at);
            let busy = peer.live.heard_since(quiet_since);
            if busy && now < newcomer.asked_at + HANDOVER_QUIET * 10 {
                newcomer.decide_at = now + HANDOVER_QUIET / 2;
                peer.newcomer = Some(newcomer);
                return;
            }
        } else if peer.live.heard_since(newcomer.asked_at) {
            self.outputs.push_back(Output::Refuse(newcomer.conn));
            return self.report_conflict(now, id, newcomer.source.ip());
        }
        if let Mailbox::Open(old) = peer.mailbox {
            self.outputs.push_back(Output::Refuse(old));
        }
        self.admit(now, id, *newcomer);
    }

    pub(super) fn admit(&mut self, now: Instant, id: PeerId, newcomer: Newcomer) {
        let Newcomer { conn, source, hello, asked_at, .. } = newcomer;
        self.on_admissible_hello(now, asked_at, conn, id, source, hello);
    }

    /// `said_at`: when the HELLO came, which may have waited for its turn.
    fn on_admissible_hello(
        &mut self,
        now: Instant,
        said_at: Instant,
        conn: ConnId,
        id: PeerId,
        source: SocketAddr,
        hello: HelloFields,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(newcomer) = peer.newcomer.take() {
            self.outputs.push_back(Output::Refuse(newcomer.conn));
        }
        let anew = peer.mailbox != Mailbox::Open(conn);
        if anew {
            peer.live.set_stalled(now, false);
        }
        peer.latest = conn;
        peer.live.heard(now);
        peer.broken_off = false;
        peer.greet_at = None;
        peer.goodbye_at = None;
        peer.goodbye_by = None;
        peer.lost_at = if peer.link_is_up() { None } else { peer.lost_at };
        peer.address = source.ip();
        let (mut profile, native, elects) = read_profile(&hello, peer.endpoint);
        peer.native = native;
        peer.elects |= elects;
        if native || only_zyre_says(&hello, &profile) {
            self.learn_flavour(id, Flavour::Uint16);
        } else {
            self.learn_flavour(id, Flavour::guess_by_name(id, &hello.name));
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let recent = peer.was_greeted_within(said_at, ANSWER_WINDOW) && !bug(Bug::AnswersEveryHello);
        let answer = recent && peer.take_answer();
        peer.mailbox = Mailbox::Open(conn);
        let Some(known) = &peer.profile else {
            self.enter(now, id, conn, source, profile);
            return;
        };
        let same = known.name == profile.name
            && known.headers == profile.headers
            && known.endpoint == profile.endpoint;
        let limited = now < peer.rehello_at && !bug(Bug::AnswersEveryHello);
        if !anew && (same && recent || limited) {
            self.count(if limited { "hello_over_limit" } else { "hello_answers" });
            self.update_groups(now, id, conn, profile);
            return self.verify(now, id);
        }
        // What the end of the old connection carried may be lost, so the session is a new one in any case.
        let wait = peer.rehello_backoff.step(u64::MAX);
        peer.rehello_at = if bug(Bug::NoRehelloLimit) { now } else { now + wait };
        self.exit(id, ExitReason::Restarted);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.mailbox = Mailbox::Open(conn);
        }
        if bug(Bug::RehelloForgetsGroups) {
            profile.groups = Arc::default();
        }
        if !self.enter(now, id, conn, source, profile) {
            return;
        }
        if answer {
            self.count("hello_answers");
            self.verify(now, id);
        } else {
            self.greet(now, id);
        }
    }

    /// Greeting → Ready, if the application lets it in.
    fn enter(
        &mut self,
        now: Instant,
        id: PeerId,
        conn: ConnId,
        source: SocketAddr,
        mut profile: Profile,
    ) -> bool {
        let applicant = Applicant {
            peer: id,
            name: profile.name.clone(),
            headers: profile.headers.clone(),
            endpoint: profile.endpoint,
            source,
            public_key: self.peers.get(&id).and_then(|peer| peer.key),
        };
        if let Err(reason) = self.authorize(&applicant) {
            self.turn_away(now, conn, &applicant, reason);
            return false;
        }
        let groups = Arc::unwrap_or_clone(std::mem::take(&mut profile.groups));
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        peer.refusal = None;
        let (name, endpoint, headers) = (profile.name.clone(), profile.endpoint, profile.headers.clone());
        peer.profile = Some(profile);
        let (has_link, like_zyre_js) = (peer.link.is_some(), peer.flavour == Flavour::Mod65535);
        self.touch();
        self.emit(Event::Enter { peer: id, name: name.clone(), endpoint, headers });
        if !has_link {
            self.open_link(now, id);
        }
        groups.into_iter().for_each(|group| self.on_peer_join(now, id, group));
        self.outputs.push_back(Output::Accept { conn, name });
        // zyre.js drops a HELLO that it takes for a repeated one, and waits for another in silence.
        if like_zyre_js {
            self.verify(now, id);
        }
        true
    }

    /// A repeated HELLO that changes nothing but the groups.
    fn update_groups(&mut self, now: Instant, id: PeerId, conn: ConnId, profile: Profile) {
        let Some(known) = self.peers.get(&id).and_then(|peer| peer.profile.as_ref()) else { return };
        // A name that changes in mid-session is not taken: its events would not agree with its ENTER.
        let name = known.name.clone();
        let left: Vec<_> = known.groups.difference(&profile.groups).cloned().collect();
        let joined: Vec<_> = profile.groups.difference(&known.groups).cloned().collect();
        left.into_iter().for_each(|group| self.on_peer_leave(now, id, group));
        joined.into_iter().for_each(|group| self.on_peer_join(now, id, group));
        self.outputs.push_back(Output::Accept { conn, name });
    }

    /// Says HELLO again, in the same stream where there is one, and asks for the answer that proves it was taken.
    pub(super) fn greet(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.greet_at = None;
        let ready = peer.is_ready();
        match &mut peer.link {
            Some(link) if link.state == LinkState::Up => {
                link.greeted_at = now;
                link.answered = false;
                self.outputs.push_back(Output::Greet(link.id));
                self.elect_with(now, id);
            }
            // A link that is being opened says HELLO first anyway.
            Some(link) if link.state == LinkState::Connecting => {}
            _ => self.open_link(now, id),
        }
        if ready {
            self.verify(now, id);
        }
    }

    /// After a repeated HELLO only a PING-OK shows that the peer holds us for ready.
    fn verify(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.verify_by = (!bug(Bug::NeverVerifies)).then(|| now + VERIFY_TIMEOUT);
        self.send(id, Command::Ping);
    }
}

/// pyre may publish `tcp://0.0.0.0:port`: the source of the connection is meant.
fn unspecified_at(text: &[u8], source: SocketAddr) -> Option<Endpoint> {
    let port = text.strip_prefix(b"tcp://0.0.0.0:").and_then(|port| std::str::from_utf8(port).ok())?;
    Endpoint::new(SocketAddr::new(source.ip(), port.parse().ok()?)).ok()
}

/// Signs of zyre C (and gyre): pyre and zyre.js speak neither CURVE nor IPv6.
fn only_zyre_says(hello: &HelloFields, profile: &Profile) -> bool {
    hello.headers.iter().any(|(key, _)| key == KEY_HEADER.as_bytes()) || profile.endpoint.ip().is_ipv6()
}

/// What a HELLO says, for people; the header by which we know our own is not for them.
fn read_profile(hello: &HelloFields, fallback: Endpoint) -> (Profile, bool, bool) {
    let version = hello.headers.iter().find(|(key, _)| key == NATIVE_HEADER);
    let version = version.map(|(_, version)| String::from_utf8_lossy(version).into());
    let native = version.is_some();
    let headers: Headers = hello
        .headers
        .iter()
        .filter(|(key, _)| key != NATIVE_HEADER)
        .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), Bytes::copy_from_slice(value)))
        .collect();
    let profile = Profile {
        name: String::from_utf8_lossy(&hello.name).into(),
        endpoint: Endpoint::decode(&hello.endpoint).unwrap_or(fallback),
        headers,
        version,
        groups: Arc::new(hello.groups.iter().cloned().collect()),
    };
    (profile, native, native)
}
