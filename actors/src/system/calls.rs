//! The calling half of the driver: sends what the caller machine decides and hands answers to those who wait.

use super::command::{Answer, Outgoing, Reply};
use super::driver::Driver;
use crate::caller::{self, Call, CallId, Failure, Target, Verdict};
use crate::wire::{self, Id, Incarnation, Meta, OwnId, Response};
use crate::{Body, CallError, Codec, RpcError, code};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use zyre_rs::{Message, PeerId, SendError};

/// How long a provider may take to say how much it takes; it is called all the same meanwhile.
const CAPACITY_TIMEOUT: Duration = Duration::from_secs(5);

/// Groups with handles that are remembered although nobody is in them: whoever calls by names that come from elsewhere
/// makes up any number. Of a group that was forgotten, members that come later are not asked how much they take.
const MAX_INTERESTING: usize = 1024;

/// Bytes of calls that travel as one array: far below what a provider accepts, beyond which it could not even say whose
/// calls it refuses.
const MAX_ARRAY: usize = 1024 * 1024;

/// The calls somebody waits for.
#[derive(Debug)]
pub(super) struct Calls {
    incarnation: Incarnation,
    /// Counts down from the top, so that the driver's own calls never meet those of handles.
    next_own: u64,
    waiting: HashMap<CallId, Reply>,
    /// Who holds a stream's call, for granting it room.
    streams: BTreeMap<CallId, PeerId>,
    interesting: BTreeSet<Arc<str>>,
    /// Peers that are being asked how much they take, and whether to ask once more since they have joined a group meanwhile.
    asked: BTreeMap<PeerId, bool>,
    /// Calls of a batch on their way to one provider.
    batches: BTreeMap<(u64, PeerId), Vec<(CallId, Message)>>,
    /// The response being handled.
    answer: Option<Result<Answer, RpcError>>,
}

impl Calls {
    pub(super) fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            next_own: u64::MAX,
            waiting: HashMap::new(),
            streams: BTreeMap::new(),
            interesting: BTreeSet::new(),
            asked: BTreeMap::new(),
            batches: BTreeMap::new(),
            answer: None,
        }
    }

    pub(super) fn open(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_interesting(&self, group: &str) -> bool {
        self.interesting.contains(group)
    }

    pub(super) fn forget(&mut self, call: CallId) {
        self.waiting.remove(&call);
        self.streams.remove(&call);
    }

    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.asked.remove(&peer);
    }

    /// The system ends: nobody will be answered any more.
    pub(super) fn end(&mut self) {
        for (_, reply) in self.waiting.drain() {
            reply.fail(CallError::Cancelled);
        }
    }

    fn id(&self, call: CallId) -> OwnId {
        OwnId(self.incarnation, call)
    }
}

impl Reply {
    fn fail(self, error: CallError) {
        match self {
            Self::One(end) | Self::Stream { end, .. } => _ = end.send(Err(error)),
            Self::Capacity(_) => {}
        }
    }
}

impl Driver {
    pub(super) fn on_call(&mut self, now: Instant, call: Call<Arc<Outgoing>>, reply: Reply) {
        self.calls.waiting.insert(call.id, reply);
        self.caller.handle(now, caller::Input::Call(call));
        self.perform_calls(now);
    }

    pub(super) fn perform_calls(&mut self, now: Instant) {
        while let Some(output) = self.caller.poll_output() {
            match output {
                caller::Output::Send { call, peer, attempt, remaining, payload } => {
                    self.send(now, call, peer, attempt, remaining, &payload);
                }
                caller::Output::SendCancel { call, peer } => {
                    self.calls.streams.remove(&call);
                    let id = self.calls.id(call);
                    if peer == self.node.id() {
                        self.local.push_back(wire::Packet::Cancel { id: id.into() });
                    } else if self.node.try_whisper(peer, wire::encode_cancel(&id)).is_err() {
                        self.count("cancels_dropped", 1);
                    }
                }
                caller::Output::Answered { call } => self.answered(now, call),
                caller::Output::Failed { call, failure } => self.failed(now, call, failure),
            }
        }
    }

    fn send(
        &mut self,
        now: Instant,
        call: CallId,
        peer: PeerId,
        attempt: u32,
        remaining: Duration,
        out: &Arc<Outgoing>,
    ) {
        let id = self.calls.id(call);
        let meta =
            Meta { deadline: Some(remaining), attempt: (attempt > 1).then_some(attempt), ..out.meta.clone() };
        if matches!(self.calls.waiting.get(&call), Some(Reply::Stream { .. })) {
            self.calls.streams.insert(call, peer);
        }
        if peer == self.node.id() {
            let (method, params) = (out.method.to_string(), out.body.clone());
            let request = wire::Request { id: Some(id.into()), method, params, meta };
            return self.local.push_back(wire::Packet::Request(request));
        }
        let body = match self.directory.readable_by(peer, &out.body) {
            Ok(body) => body,
            Err(error) => return self.send_failed(now, call, peer, error.to_string(), true),
        };
        let message = wire::encode_request(&id, &out.method, &body, &meta);
        match out.batch {
            // A plain worker answers one request at a time and may know nothing of arrays.
            Some(batch) if body.codec == Codec::Json && self.directory.speaks_rpc(peer) => {
                self.calls.batches.entry((batch, peer)).or_default().push((call, message));
            }
            _ => self.whisper_call(now, call, peer, message),
        }
    }

    fn whisper_call(&mut self, now: Instant, call: CallId, peer: PeerId, message: Message) {
        if let Err(error) = self.node.try_whisper(peer, message) {
            let permanent = matches!(error, SendError::TooLarge { .. } | SendError::Stopped);
            self.send_failed(now, call, peer, error.to_string(), permanent);
        }
    }

    fn send_failed(&mut self, now: Instant, call: CallId, peer: PeerId, reason: String, permanent: bool) {
        self.caller.handle(now, caller::Input::SendFailed { call, peer, reason, permanent });
    }

    /// Sends the batches whose calls have all been placed. False if there are none; else the caller machine may have
    /// more to say, of calls that could not be sent.
    pub(super) fn flush_batches(&mut self, now: Instant) -> bool {
        let batches = std::mem::take(&mut self.calls.batches);
        let any = !batches.is_empty();
        for ((_, peer), calls) in batches {
            for calls in calls.chunks(wire::MAX_BATCH) {
                self.send_array(now, peer, calls);
            }
        }
        any
    }

    /// As one array if that is worth it, else one by one.
    fn send_array(&mut self, now: Instant, peer: PeerId, calls: &[(CallId, Message)]) {
        let size: usize = calls.iter().map(|(_, message)| message.size()).sum();
        if calls.len() > 1 && size <= MAX_ARRAY {
            let array = wire::encode_batch(calls.iter().map(|(_, message)| message.clone()));
            match self.node.try_whisper(peer, array) {
                Ok(()) => return,
                // Each may fit.
                Err(SendError::TooLarge { .. }) => {}
                Err(error) => {
                    let permanent = matches!(error, SendError::Stopped);
                    for (call, _) in calls {
                        self.send_failed(now, *call, peer, error.to_string(), permanent);
                    }
                    return;
                }
            }
        }
        for (call, message) in calls {
            self.whisper_call(now, *call, peer, message.clone());
        }
    }

    pub(super) fn on_response(&mut self, now: Instant, peer: PeerId, response: Response) {
        let Some(call) = self.own_call(&response.id) else {
            return self.count("responses_unknown", 1);
        };
        let verdict = match &response.outcome {
            Err(error) if matches!(error.code, code::OVERLOADED | code::RESTARTING) => {
                Verdict::Refused { retry_after: error.retry_after() }
            }
            _ => Verdict::Done,
        };
        self.calls.answer = Some(response.outcome.map(|body| Answer { peer, body }));
        self.caller.handle(now, caller::Input::Response { call, peer, verdict });
        self.perform_calls(now);
        self.calls.answer = None;
    }

    /// The call of ours that an id belongs to.
    pub(super) fn own_call(&self, id: &Id) -> Option<CallId> {
        wire::parse_own(id, self.calls.incarnation)
    }

    fn answered(&mut self, now: Instant, call: CallId) {
        self.calls.streams.remove(&call);
        let Some(reply) = self.calls.waiting.remove(&call) else { return };
        let Some(answer) = self.calls.answer.take() else { return };
        match reply {
            Reply::One(end) | Reply::Stream { end, .. } => {
                _ = end.send(answer.map_err(|error| match error.code {
                    // The provider's clock was a little ahead of ours.
                    code::DEADLINE_EXCEEDED => CallError::TimedOut { maybe_executed: true },
                    _ => CallError::Remote(error),
                }));
            }
            Reply::Capacity(peer) => {
                if let Ok(answer) = answer {
                    self.on_capacity(now, peer, &answer.body);
                }
                self.asked_capacity(now, peer);
            }
        }
    }

    fn failed(&mut self, now: Instant, call: CallId, failure: Failure) {
        self.calls.streams.remove(&call);
        let Some(reply) = self.calls.waiting.remove(&call) else { return };
        if let Reply::Capacity(peer) = reply {
            return self.asked_capacity(now, peer);
        }
        reply.fail(match failure {
            Failure::NoProvider => CallError::NoProvider { target: String::new() },
            Failure::Rejected { retry_after } => CallError::Rejected { retry_after },
            Failure::NotSent { reason } => CallError::NotSent { reason },
            Failure::TimedOut { maybe_executed } => CallError::TimedOut { maybe_executed },
            Failure::PeerLost { peer, maybe_executed } => CallError::PeerLost { peer, maybe_executed },
        });
    }

    pub(super) fn on_item(&mut self, now: Instant, peer: PeerId, id: &Id, value: Body) {
        let call = self.own_call(id);
        let Some((call, Reply::Stream { items, .. })) =
            call.and_then(|call| Some((call, self.calls.waiting.get(&call)?)))
        else {
            return self.count("items_unknown", 1);
        };
        if self.calls.streams.get(&call) != Some(&peer) {
            return self.count("items_unknown", 1);
        }
        match items.try_send(value) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return self.overrun(now, call),
            Err(TrySendError::Closed(_)) => {}
        }
        self.caller.handle(now, caller::Input::Item { call, peer });
    }

    /// Items come faster than they are taken, from a provider that does not count them: better none than some missing.
    fn overrun(&mut self, now: Instant, call: CallId) {
        self.count("items_over_credit", 1);
        if let Some(reply) = self.calls.waiting.remove(&call) {
            reply.fail(CallError::Cancelled);
        }
        self.caller.handle(now, caller::Input::Cancel(call));
    }

    pub(super) fn on_grant(&mut self, call: CallId, n: u32) {
        let Some(peer) = self.calls.streams.get(&call).copied() else { return };
        let id = self.calls.id(call);
        if peer == self.node.id() {
            self.local.push_back(wire::Packet::Credit { id: id.into(), n });
        } else if self.node.try_whisper(peer, wire::encode_credit(&id, n)).is_err() {
            self.count("credits_dropped", 1);
        }
    }

    pub(super) fn on_interest(&mut self, now: Instant, group: Arc<str>) {
        let interesting = &mut self.calls.interesting;
        if interesting.len() >= MAX_INTERESTING && !interesting.contains(&group) {
            interesting.retain(|group| self.directory.has_members(group));
        }
        if interesting.insert(group.clone()) {
            for peer in self.directory.clone().members(&group) {
                self.ask_capacity(now, peer);
            }
        }
    }

    /// Asks a provider that speaks this layer's RPC how many requests its services work on at once.
    pub(super) fn ask_capacity(&mut self, now: Instant, peer: PeerId) {
        if !self.directory.speaks_rpc(peer) {
            return;
        }
        if let Some(again) = self.calls.asked.get_mut(&peer) {
            *again = true;
            return;
        }
        self.calls.asked.insert(peer, false);
        let id = CallId(self.calls.next_own);
        self.calls.next_own -= 1;
        let payload = Arc::new(Outgoing {
            method: "rpc.info".into(),
            body: Body::null(),
            meta: Meta::default(),
            batch: None,
        });
        let deadline = now + CAPACITY_TIMEOUT;
        let call = Call { id, target: Target::Peer(peer), deadline, retries: 0, key: None, payload };
        self.on_call(now, call, Reply::Capacity(peer));
    }

    /// It has told, or does not.
    fn asked_capacity(&mut self, now: Instant, peer: PeerId) {
        if self.calls.asked.remove(&peer) == Some(true) {
            self.ask_capacity(now, peer);
        }
    }

    fn on_capacity(&mut self, now: Instant, peer: PeerId, info: &Body) {
        let Ok(info) = info.decode::<super::builtin::Info>() else { return self.count("info_unreadable", 1) };
        for (group, capacity) in info.groups {
            let concurrency = capacity.concurrency;
            self.caller.handle(now, caller::Input::Capacity { peer, group: group.into(), concurrency });
        }
    }
}
