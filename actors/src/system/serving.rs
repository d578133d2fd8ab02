//! The serving half of the driver: routes requests to services, starts what the server machine lets through, answers the rest.

use super::command::Kept;
use super::directory::service_of;
use super::driver::Driver;
use super::registry::Service;
use super::route::{Answers, BatchReply, Route, encode_outcome};
use crate::server::{self, Arrival, Load, Offences, Server, ServiceId, Ticket};
use crate::wire::{self, Id, Packet, Request};
use crate::work::{Caller, Context, Responder, Work};
use crate::{Body, RpcError, code, trace};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zyre_rs::PeerId;

/// A deadline further away than this is this: clocks are not asked to count so far.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// What is needed to start a request once the server lets it.
#[derive(Debug)]
pub(crate) struct Job {
    request: Request,
    peer: PeerId,
    method: usize,
    name: Arc<str>,
    deadline: Option<Instant>,
    keep: bool,
}

/// What this node serves.
#[derive(Debug, Default)]
pub(super) struct Serving {
    pub(super) services: BTreeMap<ServiceId, Service>,
    pub(super) methods: HashMap<Arc<str>, (ServiceId, usize)>,
    /// Methods that were served until a moment ago: a call that was on its way may go elsewhere. The last [`MAX_CLOSED`].
    pub(super) closed: VecDeque<Arc<str>>,
    /// Actors that ended before their service was registered, which is then refused. The last [`MAX_CLOSED`], since
    /// those are among them that ended when it had just closed.
    pub(super) stillborn: VecDeque<ServiceId>,
    running: HashMap<Ticket, Context>,
    /// Running requests that may send items, for granting them room.
    streams: BTreeMap<(PeerId, Id), Context>,
    /// Requests of arrays that have not been answered.
    batches: BTreeMap<(PeerId, Id), Arc<BatchReply>>,
    pub(super) offences: Offences,
}

impl Serving {
    /// The caller has room for more items. False if no stream of its has this id, as one that has just ended.
    pub(super) fn grant(&mut self, peer: PeerId, id: &Id, n: u32) -> bool {
        let route = self.streams.get(&(peer, id.clone())).and_then(Context::route);
        route.inspect(|route| route.grant(n)).is_some()
    }

    /// Nobody waits for its answers any more.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.batches.retain(|(caller, _), _| *caller != peer);
    }

    /// The system ends: handlers stop at their next await, so that nothing of it is held any longer.
    pub(super) fn end(&mut self) {
        for context in self.running.values() {
            context.cancel();
        }
    }

    /// Invalid packets that were not answered, since their sender got enough answers.
    pub(super) fn errors_unanswered(&self) -> u64 {
        self.offences.unanswered()
    }

    pub(super) fn loads(&self, server: &Server<Job, Kept>) -> BTreeMap<String, Load> {
        let loads = self.services.iter().filter_map(|(id, service)| {
            let name = service
                .registration
                .methods
                .first()
                .map_or(&service.registration.service, |method| &method.name);
            Some((name.to_string(), server.load(*id)?))
        });
        loads.collect()
    }
}

impl Driver {
    /// Answers to these packets travel together.
    pub(super) fn open_batch(&mut self, peer: PeerId, packets: &[Packet]) {
        let ids = packets.iter().filter_map(|packet| match packet {
            Packet::Request(Request { id: Some(id), .. }) => Some(id.clone()),
            _ => None,
        });
        let ids: BTreeSet<Id> = ids.collect();
        let reply = Arc::new(BatchReply::new(ids.len()));
        for id in ids {
            // A repeat of one that still waits is answered with this array.
            if let Some(former) = self.serving.batches.insert((peer, id), reply.clone()) {
                self.send_answers(peer, former.skip());
            }
        }
    }

    pub(super) fn on_request(&mut self, now: Instant, peer: PeerId, request: Request) {
        if let Some(builtin) = request.method.strip_prefix("rpc.") {
            if request.id.is_none() {
                return self.on_notification(peer, builtin, &request.params);
            }
            let outcome = self.builtin(builtin);
            self.count("methods_unknown", u64::from(outcome.is_err()));
            return self.reply(peer, request.id, request.params.codec, outcome);
        }
        let Some((service, method)) = self.serving.methods.get(&*request.method).copied() else {
            self.count("methods_unknown", 1);
            let error = self.unknown_method(&request.method);
            return self.reply(peer, request.id, request.params.codec, Err(error));
        };
        let Some(entry) =
            self.serving.services.get(&service).and_then(|service| service.registration.methods.get(method))
        else {
            return;
        };
        let deadline = request.meta.deadline.map(|left| now + left.min(MAX_DEADLINE));
        let (name, keep) = (entry.name.clone(), entry.idempotent);
        let id = request.id.clone();
        let job = Job { request, peer, method, name, deadline, keep };
        let arrival = Arrival { service, peer, id, deadline, keep_result: keep, job };
        self.server.handle(now, server::Input::Request(arrival));
        self.perform_services(now);
    }

    /// A built-in notification; `name` comes without `rpc.`.
    fn on_notification(&mut self, peer: PeerId, name: &str, params: &Body) {
        match name {
            "restarted" => self.on_restarted(peer, params),
            _ => self.count("methods_unknown", 1),
        }
    }

    fn unknown_method(&self, method: &str) -> RpcError {
        if self.serving.closed.iter().any(|closed| **closed == *method) {
            return RpcError::new(code::RESTARTING, "the service has left; another provider may have it");
        }
        let service = service_of(method);
        let known = self.serving.methods.keys().filter(|known| service_of(known) == service);
        let mut known: Vec<_> = known.map(|known| &**known).collect();
        known.sort_unstable();
        let message = match known.as_slice() {
            [] => format!("no service {service:?} here; `rpc.methods` lists what there is"),
            known => format!("no method {method:?} here; {service} has {}", known.join(", ")),
        };
        RpcError::new(code::METHOD_NOT_FOUND, message)
    }

    pub(super) fn on_invalid(&mut self, now: Instant, peer: PeerId, id: Option<Id>, error: RpcError) {
        self.count("packets_invalid", 1);
        // A response that is none ends its call; nobody answers a response.
        if let Some(id) = id.as_ref().filter(|id| self.own_call(id).is_some()) {
            return self.on_response(now, peer, wire::Response { id: id.clone(), outcome: Err(error) });
        }
        if self.serving.offences.may_answer(now, peer) {
            let id = id.unwrap_or(Id(Bytes::from_static(b"null")));
            self.send_reply(peer, &id, &Err(error));
        }
    }

    pub(super) fn perform_services(&mut self, now: Instant) {
        while let Some(output) = self.server.poll_output() {
            match output {
                server::Output::Start { ticket, service, job } => self.start(now, ticket, service, job),
                server::Output::Abort { ticket, peer, id, error } => self.abort(ticket, peer, id, error),
                // An id that is in use is an offence as invalid JSON is.
                server::Output::Refuse { peer, id, error } if error.code == code::INVALID_REQUEST => {
                    self.on_invalid(now, peer, Some(id), error);
                }
                server::Output::Refuse { peer, id, error } => self.send_reply(peer, &id, &Err(error)),
                server::Output::Replay { peer, id, answer } => self.send_reply(peer, &id, &answer),
                server::Output::Drained { service } => self.drained(service),
            }
        }
    }

    fn start(&mut self, now: Instant, ticket: Ticket, service: ServiceId, job: Job) {
        let Job { request, peer, method, name, deadline, keep } = job;
        let Request { id, params, meta, .. } = request;
        let known = self.directory.peers.get(&peer);
        let (span, trace) = trace::serve(&name, peer, meta.traceparent);
        let caller = Caller {
            peer,
            name: known.map_or_else(|| "".into(), |peer| peer.name.clone()),
            headers: known.map(|peer| peer.headers.clone()).unwrap_or_default(),
            method: name,
            deadline,
            trace,
            span,
        };
        let route = Route {
            node: self.node.clone(),
            mailbox: self.mailbox.clone(),
            ticket,
            codec: params.codec,
            keep,
            batch: id.as_ref().and_then(|id| self.take_batch(peer, id)),
            credit: meta.credit.map(|credit| {
                Semaphore::new(usize::try_from(credit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS / 2))
            }),
            sequence: AtomicU64::new(0),
            id: id.clone(),
        };
        let context = Context::new(caller, Some(route));
        if let Some(id) = id
            && meta.credit.is_some()
        {
            self.serving.streams.insert((peer, id), context.clone());
        }
        let responder = Responder::new({
            let context = context.clone();
            move |outcome| context.answer(outcome)
        });
        self.serving.running.insert(ticket, context.clone());
        match self.serving.services.get_mut(&service) {
            Some(service) => service.registration.backend.start(method, Work { params, context, responder }),
            // Dropping the responder answers that the actor is gone.
            None => self.server.handle(now, server::Input::Finished { ticket, answer: None }),
        }
    }

    fn abort(&mut self, ticket: Ticket, peer: PeerId, id: Option<Id>, error: Option<RpcError>) {
        let Some(context) = self.serving.running.get(&ticket) else { return };
        // The handler may have answered just now: then that is the answer.
        if context.cancel()
            && let (Some(id), Some(error)) = (id, error)
        {
            match context.route().and_then(|route| route.batch.clone()) {
                Some(batch) => self.send_answers(peer, batch.add(&id, &Err(error))),
                None => self.send_reply(peer, &id, &Err(error)),
            }
        }
    }

    pub(super) fn on_finished(&mut self, now: Instant, ticket: Ticket, answer: Option<Kept>) {
        if let Some(context) = self.serving.running.remove(&ticket)
            && let Some(route) = context.route()
        {
            if let Some(id) = route.stream_id() {
                self.serving.streams.remove(&(context.peer(), id.clone()));
            }
            // A repeat that came in an array is answered by the first try alone.
            if let Some(id) = &route.id
                && let Some(batch) = self.take_batch(context.peer(), id)
            {
                self.send_answers(context.peer(), batch.skip());
            }
        }
        self.server.handle(now, server::Input::Finished { ticket, answer });
        self.perform_services(now);
    }

    fn take_batch(&mut self, peer: PeerId, id: &Id) -> Option<Arc<BatchReply>> {
        if self.serving.batches.is_empty() {
            return None;
        }
        self.serving.batches.remove(&(peer, id.clone()))
    }

    fn reply(
        &mut self,
        peer: PeerId,
        id: Option<Id>,
        codec: crate::Codec,
        outcome: Result<serde_json::Value, RpcError>,
    ) {
        let Some(id) = id else { return };
        let encode = |value| {
            Body::encode(codec, &value)
                .map_err(|error| RpcError::new(code::INTERNAL_ERROR, error.to_string()))
        };
        self.send_reply(peer, &id, &outcome.and_then(encode));
    }

    /// Answers what no handler has worked on. What does not fit into the peer's link is counted: it does not read.
    fn send_reply(&mut self, peer: PeerId, id: &Id, outcome: &Result<Body, RpcError>) {
        if peer == self.node.id() {
            let response = wire::Response { id: id.clone(), outcome: outcome.clone() };
            return self.local.push_back(Packet::Response(response));
        }
        if let Some(batch) = self.take_batch(peer, id) {
            return self.send_answers(peer, batch.add(id, outcome));
        }
        if self.node.try_whisper(peer, encode_outcome(id, outcome)).is_err() {
            self.count("replies_dropped", 1);
        }
    }

    /// Answers an array, once all its answers are there.
    fn send_answers(&mut self, peer: PeerId, answers: Option<Answers>) {
        if answers.is_some_and(|answers| answers.whisper(&self.node, peer).is_err()) {
            self.count("replies_dropped", 1);
        }
    }
}
