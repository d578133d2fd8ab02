//! The serving half of the driver: routes requests to services, starts what the server machine lets through, answers the rest.

use super::command::Kept;
use super::directory::service_of;
use super::driver::Driver;
use super::route::{BatchReply, Route, encode_outcome};
use crate::host::HostEvent;
use crate::server::{self, Arrival, Limits, Load, Offences, Server, ServiceId, Ticket};
use crate::wire::{self, Id, Packet, Request};
use crate::work::{Backend, Caller, Context, Responder, Work};
use crate::{Body, Down, MethodSchema, RpcError, ServeError, code};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use zyre_rs::PeerId;

/// A deadline further away than this is this: clocks are not asked to count so far.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// Methods remembered after their service has closed.
const MAX_CLOSED: usize = 256;

/// Longest name of a method; with `svc/` before it, it still fits into a group name.
const MAX_METHOD: usize = 200;

/// What a service asks the driver to serve.
pub(crate) struct Registration {
    pub(crate) id: ServiceId,
    pub(crate) service: Arc<str>,
    /// The groups that make it known: `svc/<name>`, `pool/<name>`.
    pub(crate) groups: Vec<Arc<str>>,
    pub(crate) methods: Vec<MethodEntry>,
    pub(crate) limits: Limits,
    pub(crate) backend: Box<dyn Backend>,
}

impl Registration {
    pub(crate) fn new(
        id: ServiceId,
        service: &str,
        groups: impl Iterator<Item = Arc<str>>,
        methods: Vec<MethodEntry>,
        limits: Limits,
        backend: Box<dyn Backend>,
    ) -> Result<Self, ServeError> {
        for MethodEntry { name, .. } in &methods {
            let problem = match &**name {
                "" => "a method has a name, such as calc.add",
                name if name.starts_with("rpc.") => "names that begin with rpc. are built in",
                name if name.len() > MAX_METHOD => "a method name has at most 200 bytes",
                _ => continue,
            };
            return Err(ServeError::InvalidMethod { method: name.to_string(), problem });
        }
        Ok(Self { id, service: service.into(), groups: groups.collect(), methods, limits, backend })
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("service", &self.service)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

/// A method as `rpc.methods` tells it.
#[derive(Clone, Debug)]
pub(crate) struct MethodEntry {
    pub(crate) name: Arc<str>,
    pub(crate) idempotent: bool,
    pub(crate) schema: MethodSchema,
}

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

#[derive(Debug)]
pub(super) struct Service {
    pub(super) registration: Registration,
    /// Its groups have been joined.
    announced: bool,
    drained: Option<oneshot::Sender<()>>,
}

/// What this node serves.
#[derive(Debug, Default)]
pub(super) struct Serving {
    pub(super) services: BTreeMap<ServiceId, Service>,
    methods: HashMap<Arc<str>, (ServiceId, usize)>,
    /// Methods that were served until a moment ago: a call that was on its way may go elsewhere. The last [`MAX_CLOSED`].
    closed: VecDeque<Arc<str>>,
    running: HashMap<Ticket, Context>,
    /// Running requests that may send items, for granting them room.
    streams: BTreeMap<(PeerId, Id), Context>,
    /// Requests of arrays that have not been answered.
    batches: BTreeMap<(PeerId, Id), Arc<BatchReply>>,
    offences: Offences,
}

impl Serving {
    /// Answers to these packets travel together.
    pub(super) fn open_batch(&mut self, peer: PeerId, packets: &[Packet]) {
        let ids = packets.iter().filter_map(|packet| match packet {
            Packet::Request(Request { id: Some(id), .. }) => Some(id.clone()),
            _ => None,
        });
        let ids: std::collections::BTreeSet<Id> = ids.collect();
        let reply = Arc::new(BatchReply::new(ids.len()));
        for id in ids {
            self.batches.insert((peer, id), reply.clone());
        }
    }

    /// The caller has room for more items.
    pub(super) fn grant(&mut self, peer: PeerId, id: &Id, n: u32) {
        let context = self.streams.get(&(peer, id.clone()));
        if let Some(route) = context.and_then(Context::route) {
            route.grant(n);
        }
    }

    /// The peer is gone: nobody waits for its arrays.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.batches.retain(|(owner, _), _| *owner != peer);
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
    pub(super) fn on_request(&mut self, now: Instant, peer: PeerId, request: Request) {
        if let Some(builtin) = request.method.strip_prefix("rpc.") {
            let outcome = self.builtin(builtin);
            return self.reply(peer, request.id, request.params.codec, outcome);
        }
        let Some((service, method)) = self.serving.methods.get(&*request.method).copied() else {
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

    fn unknown_method(&self, method: &str) -> RpcError {
        if self.serving.closed.iter().any(|closed| **closed == *method) {
            return RpcError::new(code::RESTARTING, "the service has left; another provider may have it");
        }
        let service = service_of(method);
        let known: Vec<_> = self
            .serving
            .methods
            .keys()
            .filter(|known| service_of(known) == service)
            .map(|known| &**known)
            .collect();
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
                server::Output::Drained { service } => {
                    if let Some(drained) =
                        self.serving.services.get_mut(&service).and_then(|service| service.drained.take())
                    {
                        _ = drained.send(());
                    }
                }
            }
        }
    }

    fn start(&mut self, now: Instant, ticket: Ticket, service: ServiceId, job: Job) {
        let Job { request, peer, method, name, deadline, keep } = job;
        let Request { id, params, meta, .. } = request;
        let known = self.directory.peers.get(&peer);
        let caller = Caller {
            peer,
            name: known.map_or_else(|| "".into(), |peer| peer.name.clone()),
            headers: known.map(|peer| peer.headers.clone()).unwrap_or_default(),
            method: name,
            deadline,
            trace: meta.traceparent,
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
            self.send_reply(peer, &id, &Err(error));
        }
    }

    pub(super) fn on_finished(&mut self, now: Instant, ticket: Ticket, answer: Option<Kept>) {
        if let Some(context) = self.serving.running.remove(&ticket)
            && let Some(id) = context.route().and_then(Route::stream_id)
        {
            self.serving.streams.remove(&(context.peer(), id.clone()));
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
        let mut message = encode_outcome(id, outcome);
        if let Some(batch) = self.take_batch(peer, id) {
            match batch.add(id, outcome) {
                Some(complete) => message = complete,
                None => return,
            }
        }
        if self.node.try_whisper(peer, message).is_err() {
            self.count("replies_dropped", 1);
        }
    }

    pub(super) fn on_register(&mut self, now: Instant, registration: Registration) -> Result<(), ServeError> {
        for method in &registration.methods {
            if self.serving.methods.contains_key(&method.name) {
                return Err(ServeError::MethodTaken { method: method.name.to_string() });
            }
        }
        let service = registration.id;
        for (index, method) in registration.methods.iter().enumerate() {
            self.serving.methods.insert(method.name.clone(), (service, index));
            self.serving.closed.retain(|closed| *closed != method.name);
        }
        self.server.handle(now, server::Input::Open { service, limits: registration.limits });
        self.serving.services.insert(service, Service { registration, announced: false, drained: None });
        Ok(())
    }

    /// Its groups have been joined (or are about to be left): callers on this node see it come and go as others do.
    pub(super) fn on_announce(&mut self, now: Instant, service: ServiceId, up: bool) {
        let Some(service) = self.serving.services.get_mut(&service) else { return };
        service.announced = up;
        let own = self.node.id();
        let concurrency = u32::try_from(service.registration.limits.concurrency).unwrap_or(u32::MAX);
        for group in service.registration.groups.clone() {
            let others = self
                .serving
                .services
                .values()
                .any(|other| other.announced && other.registration.groups.contains(&group));
            match (up, others) {
                (true, _) => {
                    if !self.directory.groups.get(&group).is_some_and(|members| members.contains(&own)) {
                        self.on_join(now, own, group.clone());
                    }
                    self.caller.handle(now, crate::caller::Input::Capacity { peer: own, group, concurrency });
                }
                (false, false) => self.on_leave(now, own, &group, Down::Left),
                (false, true) => {}
            }
        }
    }

    pub(super) fn on_drain(&mut self, now: Instant, service: ServiceId, done: oneshot::Sender<()>) {
        let Some(known) = self.serving.services.get_mut(&service) else { return };
        known.drained = Some(done);
        self.server.handle(now, server::Input::Drain { service });
    }

    pub(super) fn on_close(&mut self, now: Instant, service: ServiceId) {
        self.server.handle(now, server::Input::Close { service });
        self.perform_services(now);
        let Some(closed) = self.serving.services.remove(&service) else { return };
        self.serving.methods.retain(|_, (owner, _)| *owner != service);
        self.serving.closed.extend(closed.registration.methods.into_iter().map(|method| method.name));
        let surplus = self.serving.closed.len().saturating_sub(MAX_CLOSED);
        self.serving.closed.drain(..surplus);
    }

    pub(super) fn on_host(&mut self, now: Instant, service: ServiceId, event: HostEvent) {
        match event {
            HostEvent::Up => {}
            HostEvent::Paused { until } => self.server.handle(now, server::Input::Pause { service, until }),
            HostEvent::Resumed => {
                self.server.handle(now, server::Input::Resume { service });
                self.count("services_restarted", 1);
            }
            HostEvent::Stopped | HostEvent::GaveUp => {
                self.count("services_ended", 1);
                self.leave_groups(service);
                self.on_announce(now, service, false);
                self.on_close(now, service);
            }
        }
    }

    /// Lets peers know that a service has died for good.
    fn leave_groups(&self, service: ServiceId) {
        let Some(known) = self.serving.services.get(&service) else { return };
        let shared = |group: &Arc<str>| {
            let others = self.serving.services.iter().filter(|(id, _)| **id != service);
            others
                .map(|(_, other)| other)
                .any(|other| other.announced && other.registration.groups.contains(group))
        };
        for group in known.registration.groups.iter().filter(|group| !shared(group)).cloned() {
            let node = self.node.clone();
            tokio::spawn(async move {
                if let Err(error) = node.leave(&*group).await {
                    tracing::debug!(%group, %error, "not left");
                }
            });
        }
    }
}
