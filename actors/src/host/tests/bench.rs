//! A served actor with the shell's side in a test's hands.

use super::actors::{Counter, all};
use crate::host::serve::Plan;
use crate::host::{Host, HostEvent};
use crate::system::MethodEntry;
use crate::work::{Backend, Caller, Responder, Work};
use crate::{Body, Codec, Context, RemoteMessage, RpcError};
use actix::Actor;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use zyre_rs::{Headers, PeerId};

pub(super) async fn bounded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it takes no 10 s")
}

pub(super) struct Bench {
    backend: Box<dyn Backend>,
    methods: Vec<MethodEntry>,
    events: mpsc::UnboundedReceiver<HostEvent>,
    /// Lives as long, if it is for this service alone.
    _host: Option<Host>,
}

impl Bench {
    /// A counter on a host of its own.
    pub(super) async fn counter(arbiters: usize) -> Self {
        let host = Host::start(arbiters).expect("a host");
        let counter = Self::of(all(host.handle().serve("counter", Counter::new))).await;
        Self { _host: Some(host), ..counter }
    }

    pub(super) async fn of<A: Actor<Context = actix::Context<A>>>(service: Plan<A>) -> Self {
        let mut bench = Self::starting(service);
        assert_eq!(bench.event().await, HostEvent::Up);
        bench
    }

    pub(super) fn starting<A: Actor<Context = actix::Context<A>>>(service: Plan<A>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let parts = service.install(move |event| {
            let _ = sender.send(event);
        });
        Self { backend: parts.backend, methods: parts.methods, events, _host: None }
    }

    pub(super) async fn event(&mut self) -> HostEvent {
        bounded(self.events.recv()).await.expect("the set lives")
    }

    pub(super) async fn call<M: RemoteMessage>(&mut self, message: &M) -> Result<M::Reply, RpcError> {
        self.start(message).reply::<M>().await
    }

    pub(super) fn start<M: RemoteMessage>(&mut self, message: &M) -> Pending {
        self.start_in(Codec::Json, message)
    }

    pub(super) fn start_in<M: RemoteMessage>(&mut self, codec: Codec, message: &M) -> Pending {
        let method = self.methods.iter().position(|entry| &*entry.name == M::METHOD).expect("it is served");
        self.start_body(method, M::METHOD, Body::encode(codec, message).expect("it encodes"))
    }

    pub(super) fn start_json(&mut self, method: usize, params: &'static str) -> Pending {
        self.start_body(method, "test", Body { codec: Codec::Json, bytes: params.into() })
    }

    fn start_body(&mut self, method: usize, name: &str, params: Body) -> Pending {
        let caller = Caller {
            peer: PeerId::from_bytes([7; 16]),
            name: "tester".into(),
            headers: Headers::default(),
            method: name.into(),
            deadline: None,
            trace: None,
            span: tracing::Span::none(),
        };
        let context = Context::new(caller, None);
        let cancel = context.clone();
        let (sender, answer) = oneshot::channel();
        let responder = Responder::new(move |outcome| drop(sender.send(outcome)));
        self.backend.start(method, Work { params, context, responder });
        Pending { answer, cancel }
    }
}

/// A request whose answer is awaited.
pub(super) struct Pending {
    answer: oneshot::Receiver<Result<Body, RpcError>>,
    cancel: Context,
}

impl Pending {
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    pub(super) async fn reply<M: RemoteMessage>(self) -> Result<M::Reply, RpcError> {
        let outcome = bounded(self.answer).await.expect("every request is answered");
        outcome.map(|body| body.decode().expect("the reply decodes"))
    }

    pub(super) async fn code<M: RemoteMessage>(self) -> i64 {
        self.reply::<M>().await.err().expect("it fails").code
    }
}
