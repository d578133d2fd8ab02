//! Serving actors, as users see it.

use super::serve::{Plan, Set};
use crate::server::ServiceId;
use crate::supervise::Strategy;
use crate::system::directory::{pool_group, service_group};
use crate::system::{ActorSystem, Command, Registration, Serving, Shared};
use crate::{RemoteMessage, ServeError};
use actix::{Actor, Addr, Handler, Message};
use std::fmt;
use std::sync::Arc;

impl ActorSystem {
    /// Serves messages with an actor: `system.serve("calc", || Calc).method::<Add>().start().await?`.
    ///
    /// Any actix actor with the usual context can be served as it is. The factory builds it, and builds it anew after
    /// a panic, as the [`restart`](ServeBuilder::restart) strategy says. Actors run on the system's own threads
    /// ([`arbiters`](crate::ActorSystemBuilder::arbiters)): a handler that blocks delays its neighbours there.
    pub fn serve<A>(&self, name: &str, factory: impl FnMut() -> A + Send + 'static) -> ServeBuilder<A>
    where
        A: Actor<Context = actix::Context<A>>,
    {
        let plan = self.0.host.handle().map(|host| host.serve(name, factory));
        ServeBuilder { home: self.0.clone(), name: name.to_owned(), plan, pools: Vec::new() }
    }

    /// Begins a set of actors that are restarted together, by one strategy.
    pub fn supervise(&self, strategy: impl Into<Strategy>) -> Supervision {
        let set = self.0.host.handle().map(|host| host.supervise(strategy));
        Supervision { home: self.0.clone(), set }
    }

    /// Runs an actor that serves nothing to other nodes, as actix does: a panic ends it.
    ///
    /// # Errors
    /// When the thread that actors run on cannot be started.
    pub fn spawn<A>(&self, factory: impl FnOnce() -> A + Send + 'static) -> Result<Addr<A>, ServeError>
    where
        A: Actor<Context = actix::Context<A>>,
    {
        Ok(self.0.host.handle()?.spawn(factory))
    }
}

/// Actors that are restarted together; made by [`ActorSystem::supervise`].
///
/// Dropping it leaves those it serves running.
#[derive(Clone)]
pub struct Supervision {
    home: Arc<Shared>,
    set: Result<Set, ServeError>,
}

impl Supervision {
    /// Serves the methods of an actor, as a member of the set. The order of starting is the order of
    /// [`RestForOne`](crate::RestForOne).
    pub fn serve<A>(&self, name: &str, factory: impl FnMut() -> A + Send + 'static) -> ServeBuilder<A>
    where
        A: Actor<Context = actix::Context<A>>,
    {
        let plan = self.set.clone().map(|set| set.serve(name, factory));
        ServeBuilder { home: self.home.clone(), name: name.to_owned(), plan, pools: Vec::new() }
    }
}

impl fmt::Debug for Supervision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Supervision").field(&self.set).finish()
    }
}

/// A service by an actor, before it starts; made by [`ActorSystem::serve`].
#[must_use = "nothing is served until it is started"]
pub struct ServeBuilder<A: Actor> {
    home: Arc<Shared>,
    name: String,
    plan: Result<Plan<A>, ServeError>,
    pools: Vec<String>,
}

impl<A: Actor<Context = actix::Context<A>>> ServeBuilder<A> {
    /// Serves the actor's handler of this message. Who calls by name looks for `calc.add` at the service `calc`: serve it
    /// under that name.
    pub fn method<M>(mut self) -> Self
    where
        A: Handler<M>,
        M: RemoteMessage + Message<Result = <M as RemoteMessage>::Output>,
    {
        self.plan = self.plan.map(Plan::method::<M>);
        self
    }

    /// How many requests the actor is handed at once, at least 1; 16 by default. They wait in its inbox, or for what
    /// their asynchronous handlers wait for.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.plan = self.plan.map(|plan| plan.concurrency(requests));
        self
    }

    /// How many more may wait; 256 by default. Any beyond that are refused with −32001, so that callers go elsewhere.
    pub fn queue(mut self, requests: usize) -> Self {
        self.plan = self.plan.map(|plan| plan.queue(requests));
        self
    }

    /// Restarts the actor by this strategy, in a set of its own; [`OneForOne`](crate::OneForOne) with at most 5
    /// restarts in 10 s by default. A member of a [`Supervision`] leaves that set with this.
    pub fn restart(mut self, strategy: impl Into<Strategy>) -> Self {
        self.plan = self.plan.map(|plan| plan.restart(strategy));
        self
    }

    /// Also joins `pool/<name>`.
    pub fn pool(mut self, name: &str) -> Self {
        self.pools.push(name.to_owned());
        self
    }

    /// Starts the actor, then joins the service's group `svc/<name>`.
    ///
    /// # Errors
    /// See [`ServeError`]; nothing is served then.
    ///
    /// # Cancel safety
    /// Dropped early, it may or may not be served.
    pub async fn start(self) -> Result<Serving, ServeError> {
        let (home, plan) = (self.home, self.plan?);
        if plan.is_empty() {
            return Err(ServeError::NoMethod { service: self.name });
        }
        let groups =
            std::iter::once(service_group(&self.name)).chain(self.pools.iter().map(|pool| pool_group(pool)));
        let service: ServiceId = home.next_service();
        let mailbox = home.mailbox.clone();
        let parts = plan.install(move |event| _ = mailbox.send(Command::Host { service, event }));
        let registration =
            Registration::new(service, &parts.name, groups, parts.methods, parts.limits, parts.backend)?;
        home.serve(registration).await
    }
}

impl<A: Actor> fmt::Debug for ServeBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeBuilder")
            .field("plan", &self.plan)
            .field("pools", &self.pools)
            .finish_non_exhaustive()
    }
}
