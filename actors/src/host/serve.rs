//! How a service by an actor is described, and what it then consists of. [`builder`](super::builder) is what users see of it.

use super::child::Child;
use super::intake::{self, Desk, Run};
use super::set::{self, Command, Member};
use super::{HostEvent, HostHandle};
use crate::RemoteMessage;
use crate::server::Limits;
use crate::supervise::{ChildId, Input, Strategy};
use crate::system::MethodEntry;
use crate::work::{Backend, Work};
use actix::{Actor, Handler, Message};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// An installed service. Its actor is on its way up; dropping the backend stops it.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    /// By the index `Backend::start` takes.
    pub(crate) methods: Vec<MethodEntry>,
    pub(crate) backend: Box<dyn Backend>,
}

/// Actors that are restarted together, by one [`Strategy`].
///
/// Dropping it leaves those it serves running.
#[derive(Clone)]
pub(crate) struct Set {
    host: HostHandle,
    commands: mpsc::UnboundedSender<Command>,
    next: Arc<AtomicU64>,
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Set")
    }
}

impl HostHandle {
    /// Begins a set of actors.
    pub(crate) fn supervise(&self, strategy: impl Into<Strategy>) -> Set {
        let (commands, receiver) = mpsc::unbounded_channel();
        // Not on an arbiter of several: a handler that blocks must not hold up restarts elsewhere.
        self.0.system.arbiter().spawn(set::run(strategy.into(), receiver));
        Set { host: self.clone(), commands, next: Arc::default() }
    }

    /// Describes a service by an actor in a set of its own.
    pub(crate) fn serve<A>(
        &self,
        name: impl Into<String>,
        factory: impl FnMut() -> A + Send + 'static,
    ) -> Plan<A>
    where
        A: Actor<Context = actix::Context<A>>,
    {
        Plan::new(Restarts::Alone(self.clone(), Strategy::default()), name.into(), Box::new(factory))
    }
}

impl Set {
    /// Serves the methods of an actor under this name, as a member of the set. The order of serving is the order of
    /// [`RestForOne`](crate::RestForOne).
    pub(crate) fn serve<A>(
        &self,
        name: impl Into<String>,
        factory: impl FnMut() -> A + Send + 'static,
    ) -> Plan<A>
    where
        A: Actor<Context = actix::Context<A>>,
    {
        Plan::new(Restarts::In(self.clone()), name.into(), Box::new(factory))
    }
}

#[derive(Debug)]
enum Restarts {
    Alone(HostHandle, Strategy),
    In(Set),
}

/// A service by an actor, before it starts.
#[must_use = "nothing is served until it is started"]
pub(crate) struct Plan<A: Actor> {
    name: String,
    factory: Box<dyn FnMut() -> A + Send>,
    entries: Vec<MethodEntry>,
    runs: Vec<Run<A>>,
    limits: Limits,
    restarts: Restarts,
}

impl<A: Actor> fmt::Debug for Plan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.name)
            .field("methods", &self.entries)
            .field("limits", &self.limits)
            .field("restarts", &self.restarts)
            .finish_non_exhaustive()
    }
}

impl<A: Actor<Context = actix::Context<A>>> Plan<A> {
    fn new(restarts: Restarts, name: String, factory: Box<dyn FnMut() -> A + Send>) -> Self {
        Self { name, factory, entries: Vec::new(), runs: Vec::new(), limits: Limits::default(), restarts }
    }

    /// Serves the actor's handler of this message.
    pub(crate) fn method<M>(mut self) -> Self
    where
        A: Handler<M>,
        M: RemoteMessage + Message<Result = <M as RemoteMessage>::Output>,
    {
        self.entries.push(MethodEntry {
            name: M::METHOD.into(),
            idempotent: M::IDEMPOTENT,
            schema: M::schema(),
        });
        self.runs.push(intake::run::<A, M>);
        self
    }

    /// Hands the actor this many requests at once, at least 1; 64 unless told. They wait in its inbox, or for what
    /// their asynchronous handlers wait for.
    pub(crate) fn concurrency(mut self, requests: usize) -> Self {
        self.limits.concurrency = requests.max(1);
        self
    }

    /// Lets this many more requests wait; 256 unless told. Callers of any beyond that hear at once that the service is
    /// overloaded.
    pub(crate) fn queue(mut self, requests: usize) -> Self {
        self.limits.queue = requests;
        self
    }

    /// Restarts the actor by this strategy, in a set of its own; [`OneForOne`](crate::OneForOne) with at most 5
    /// restarts in 10 s unless told. A service of a [`Set`] leaves that set with this.
    pub(crate) fn restart(mut self, strategy: impl Into<Strategy>) -> Self {
        let host = match self.restarts {
            Restarts::Alone(host, _) | Restarts::In(Set { host, .. }) => host,
        };
        self.restarts = Restarts::Alone(host, strategy.into());
        self
    }

    /// Without any method.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Starts the actor. `events` is called on the host's thread, and must not block.
    pub(crate) fn install(self, events: impl Fn(HostEvent) + Send + 'static) -> Parts {
        let set = match self.restarts {
            Restarts::Alone(host, strategy) => host.supervise(strategy),
            Restarts::In(set) => set,
        };
        let id = ChildId(set.next.fetch_add(1, Ordering::Relaxed));
        let (desk, queue) = intake::queue(self.limits);
        let (orders, receiver) = mpsc::unbounded_channel();
        let child = Child {
            id,
            name: self.name.clone(),
            factory: self.factory,
            methods: self.runs,
            queue,
            orders: receiver,
            set: set.commands.downgrade(),
        };
        set.host.arbiter().spawn_fn(move || drop(tokio::task::spawn_local(child.run())));
        let member = Member { orders, events: Box::new(events), was_up: false };
        if let Err(mpsc::error::SendError(Command::Add(_, member))) =
            set.commands.send(Command::Add(id, member))
        {
            // The host has stopped.
            (member.events)(HostEvent::GaveUp);
        }
        let backend = Box::new(ActorBackend { desk, id, set: set.commands });
        Parts { name: self.name, limits: self.limits, methods: self.entries, backend }
    }
}

/// Hands requests to an actor, and stops it when dropped.
struct ActorBackend {
    desk: Desk,
    id: ChildId,
    set: mpsc::UnboundedSender<Command>,
}

impl Backend for ActorBackend {
    fn start(&mut self, method: usize, work: Work) {
        self.desk.start(method, work);
    }
}

impl Drop for ActorBackend {
    fn drop(&mut self) {
        let _ = self.set.send(Command::Tell(Input::Remove(self.id)));
    }
}
