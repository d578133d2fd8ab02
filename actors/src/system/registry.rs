//! Which services there are: how they come, are announced to callers, drain and go.

use super::driver::Driver;
use super::stop::leave_unless_served;
use crate::host::HostEvent;
use crate::server::{self, Limits, ServiceId};
use crate::work::Backend;
use crate::{Down, MethodSchema, ServeError};
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

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
                name if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c)) => {
                    "a method name has only letters, digits and _ . / -"
                }
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

/// A service that is registered.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) registration: Registration,
    /// Its groups have been joined.
    announced: bool,
    /// Those that wait until it has nothing left to do.
    pub(super) drained: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub(super) fn on_register(&mut self, now: Instant, registration: Registration) -> Result<(), ServeError> {
        for method in &registration.methods {
            if self.serving.methods.contains_key(&method.name) {
                return Err(ServeError::MethodTaken { method: method.name.to_string() });
            }
        }
        let service = registration.id;
        if self.serving.stillborn.contains(&service) {
            return Err(ServeError::Ended);
        }
        for (index, method) in registration.methods.iter().enumerate() {
            self.serving.methods.insert(method.name.clone(), (service, index));
            self.serving.closed.retain(|closed| *closed != method.name);
        }
        self.server.handle(now, server::Input::Open { service, limits: registration.limits });
        self.serving
            .services
            .insert(service, Service { registration, announced: false, drained: Vec::new() });
        Ok(())
    }

    /// Its groups have been joined (or are about to be left): callers on this node see it come and go as others do.
    pub(super) fn on_announce(
        &mut self,
        now: Instant,
        service: ServiceId,
        up: bool,
    ) -> Result<(), ServeError> {
        let Some(service) = self.serving.services.get_mut(&service) else { return Err(ServeError::Ended) };
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
                    if !self.directory.is_member(&group, own) {
                        self.on_join(now, own, group.clone());
                    }
                    self.caller.handle(now, crate::caller::Input::Capacity { peer: own, group, concurrency });
                }
                (false, false) if self.directory.is_member(&group, own) => {
                    self.on_leave(now, own, &group, Down::Left);
                }
                (false, _) => {}
            }
        }
        Ok(())
    }

    pub(super) fn on_drain(&mut self, now: Instant, service: ServiceId, done: oneshot::Sender<()>) {
        let Some(known) = self.serving.services.get_mut(&service) else {
            _ = done.send(());
            return;
        };
        // Whoever drains it too, and perhaps for less long, must not cut this one short.
        known.drained.push(done);
        self.server.handle(now, server::Input::Drain { service });
        // Where it was drained before, the machine says no more.
        if self.server.load(service).is_some_and(|load| load.running + load.waiting == 0) {
            self.drained(service);
        }
    }

    pub(super) fn drained(&mut self, service: ServiceId) {
        if let Some(known) = self.serving.services.get_mut(&service) {
            known.drained.drain(..).for_each(|waits| _ = waits.send(()));
        }
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
            // It may have been paused before it ran for the first time.
            HostEvent::Up => self.server.handle(now, server::Input::Resume { service }),
            HostEvent::Paused { until } => self.server.handle(now, server::Input::Pause { service, until }),
            HostEvent::Resumed => {
                self.server.handle(now, server::Input::Resume { service });
                self.count("services_restarted", 1);
                self.tell_restarted(service);
            }
            HostEvent::Stopped | HostEvent::GaveUp if !self.serving.services.contains_key(&service) => {
                self.serving.stillborn.push_back(service);
                let surplus = self.serving.stillborn.len().saturating_sub(MAX_CLOSED);
                self.serving.stillborn.drain(..surplus);
            }
            HostEvent::Stopped | HostEvent::GaveUp => {
                self.count("services_ended", 1);
                // It is known, as has been asked.
                _ = self.on_announce(now, service, false);
                self.leave_groups(service);
                self.on_close(now, service);
            }
        }
    }

    /// Lets peers know that a service has died for good, unless others here stand for its groups.
    fn leave_groups(&self, service: ServiceId) {
        let Some(known) = self.serving.services.get(&service) else { return };
        let (node, groups) = (self.node.clone(), known.registration.groups.clone());
        let (membership, directory) = (self.membership.clone(), self.published.subscribe());
        tokio::spawn(async move {
            let _membership = membership.lock().await;
            for group in groups {
                leave_unless_served(&node, &directory, &group).await;
            }
        });
    }
}
