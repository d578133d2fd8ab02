//! One call on its way: what all kinds of calls share.

use super::{DEFAULT_TIMEOUT, Service, deadline_after};
use crate::caller::{self, CallId, Target};
use crate::system::{Answer, Command, Outgoing, Reply, Shared};
use crate::trace;
use crate::wire::{self, Meta, TraceParent};
use crate::{Body, CallError, Codec, Context, NoError, RemoteMessage};
use serde::Serialize;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{Instrument, Span};
use zyre_rs::PeerId;

/// How a call is to be made.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) timeout: Option<Duration>,
    /// `None`: as the method says.
    pub(super) retries: Option<u32>,
    pub(super) key: Option<u64>,
    pub(super) codec: Option<Codec>,
    pub(super) within: Option<Context>,
}

/// How often a call of an idempotent method is tried again.
pub(super) const IDEMPOTENT_RETRIES: u32 = 3;

impl Options {
    pub(super) fn keyed(&mut self, key: &(impl Hash + ?Sized)) {
        // Fixed keys: every node sends a key to the same worker.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.key = Some(hasher.finish());
    }

    /// The request this call is made on behalf of.
    fn context(&self) -> Option<Context> {
        self.within.clone().or_else(Context::current)
    }
}

/// A call with everything encoded and decided but its provider.
#[derive(Debug)]
pub(super) struct Invocation {
    shared: Arc<Shared>,
    target: Target,
    target_name: String,
    method: Arc<str>,
    body: Body,
    pub(super) options: Options,
    pub(super) batch: Option<u64>,
}

impl Invocation {
    pub(super) fn new(
        service: &Service,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<Self, CallError> {
        Self::with(service, method, params, Options::default())
    }

    pub(super) fn with<T: Serialize + ?Sized>(
        service: &Service,
        method: &str,
        params: &T,
        options: Options,
    ) -> Result<Self, CallError> {
        let target = service.target()?;
        let codec = options.codec.unwrap_or_else(|| service.codec(&target));
        let body = Body::encode(codec, params).map_err(|error| CallError::Decode(error.to_string()))?;
        let (shared, target_name) = (service.shared.clone(), service.target_name());
        Ok(Self { shared, target, target_name, method: method.into(), body, options, batch: None })
    }

    /// Sends it and waits for the answer.
    pub(super) async fn run(self) -> Result<Answer, CallError> {
        let (end, answer) = oneshot::channel();
        let (open, context) = self.send(Reply::One(end), None)?;
        open.wait(answer, context).await
    }

    /// Sends it; items come through the channel. `room` of them are granted, `most` may wait.
    pub(super) fn stream(
        mut self,
        room: usize,
        most: usize,
    ) -> Result<(OpenCall, mpsc::Receiver<Body>, Answered, Option<Context>), CallError> {
        // A second provider would begin again, and items come twice.
        self.options.retries = Some(0);
        let (items, taken) = mpsc::channel(most);
        let (end, answer) = oneshot::channel();
        let credit = u32::try_from(room).unwrap_or(u32::MAX);
        let (open, context) = self.send(Reply::Stream { items, end }, Some(credit))?;
        Ok((open, taken, answer, context))
    }

    fn send(self, reply: Reply, credit: Option<u32>) -> Result<(OpenCall, Option<Context>), CallError> {
        let context = self.options.context();
        let own = deadline_after(self.options.timeout.unwrap_or(DEFAULT_TIMEOUT));
        let deadline = context.as_ref().and_then(Context::deadline).map_or(own, |outer| outer.min(own));
        let (span, traceparent) = trace::call(&self.method, context.as_ref());
        let meta = Meta { credit, traceparent, ..Meta::default() };
        let id = self.shared.next_call();
        let payload = Arc::new(Outgoing { method: self.method, body: self.body, meta, batch: self.batch });
        let call = caller::Call {
            id,
            target: self.target,
            deadline,
            retries: self.options.retries.unwrap_or(0),
            key: self.options.key,
            payload,
        };
        self.shared.mailbox.send(Command::Call { call, reply }).map_err(|_| stopped())?;
        let open = OpenCall { shared: self.shared, id, target_name: self.target_name, span, done: false };
        Ok((open, context))
    }

    /// Sends it as a notification.
    pub(super) async fn tell(self) -> Result<(), CallError> {
        let (span, traceparent) = trace::call(&self.method, self.options.context().as_ref());
        self.tell_as(span.clone(), traceparent).instrument(span).await
    }

    async fn tell_as(self, span: Span, traceparent: Option<TraceParent>) -> Result<(), CallError> {
        let peer = match &self.target {
            Target::Peer(peer) => *peer,
            Target::Group(group) => {
                let (reply, picked) = oneshot::channel();
                let pick = Command::Pick { group: group.clone(), key: self.options.key, reply };
                self.shared.mailbox.send(pick).map_err(|_| stopped())?;
                let target = self.target_name;
                picked.await.map_err(|_| stopped())?.ok_or(CallError::NoProvider { target })?
            }
        };
        trace::called(&span, peer);
        let meta = Meta { traceparent, ..Meta::default() };
        if peer == self.shared.node.id() {
            let (method, params) = (self.method.to_string(), self.body);
            let request = wire::Packet::Request(wire::Request { id: None, method, params, meta });
            return self.shared.mailbox.send(Command::Local(Box::new(request))).map_err(|_| stopped());
        }
        let body = self.shared.directory.borrow().readable_by(peer, &self.body);
        let body = body.map_err(|error| CallError::Decode(error.to_string()))?;
        let message = wire::encode_notification(&self.method, &body, &meta);
        self.shared
            .node
            .whisper(peer, message)
            .await
            .map_err(|error| CallError::NotSent { reason: error.to_string() })
    }
}

pub(super) type Answered = oneshot::Receiver<Result<Answer, CallError>>;

/// A call somebody waits for. Dropped before its answer, it is cancelled, at its provider too.
#[derive(Debug)]
pub(super) struct OpenCall {
    shared: Arc<Shared>,
    pub(super) id: CallId,
    target_name: String,
    span: Span,
    done: bool,
}

impl OpenCall {
    /// Waits for the answer; for a call on behalf of a request also for that request's end.
    async fn wait(self, answer: Answered, context: Option<Context>) -> Result<Answer, CallError> {
        let span = self.span.clone();
        let wait = async {
            match context {
                None => self.answered(answer.await),
                Some(context) => tokio::select! {
                    biased;
                    answer = answer => self.answered(answer),
                    () = context.cancelled() => Err(CallError::Cancelled),
                },
            }
        };
        wait.instrument(span).await
    }

    pub(super) fn answered(
        mut self,
        answer: Result<Result<Answer, CallError>, oneshot::error::RecvError>,
    ) -> Result<Answer, CallError> {
        self.done = true;
        match answer {
            Ok(Err(CallError::NoProvider { .. })) => {
                Err(CallError::NoProvider { target: std::mem::take(&mut self.target_name) })
            }
            Ok(answer) => {
                if let Ok(answer) = &answer {
                    trace::called(&self.span, answer.peer);
                }
                answer
            }
            Err(_) => Err(stopped()),
        }
    }

    pub(super) fn grant(&self, n: u32) {
        _ = self.shared.mailbox.send(Command::Grant { call: self.id, n });
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if !self.done {
            _ = self.shared.mailbox.send(Command::Cancel(self.id));
        }
    }
}

fn stopped() -> CallError {
    CallError::NotSent { reason: "the system has stopped".to_owned() }
}

/// Makes a call, if it could be encoded, and reads its answer as what the message's author declared; with who gave it.
pub(super) async fn run<M: RemoteMessage>(
    invocation: Result<Invocation, CallError>,
) -> Result<(PeerId, M::Reply), CallError<M::Error>> {
    let answer = match invocation {
        Ok(invocation) => invocation.run().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => Ok((answer.peer, decode::<M>(Ok(answer))?)),
        Err(error) => Err(failed::<M>(error)),
    }
}

/// Reads an answer as what the message's author declared.
pub(super) fn decode<M: RemoteMessage>(
    answer: Result<Answer, CallError>,
) -> Result<M::Reply, CallError<M::Error>> {
    match answer {
        Ok(answer) => answer
            .body
            .decode()
            .map_err(|error| CallError::Decode(format!("the result does not fit: {error}"))),
        Err(error) => Err(failed::<M>(error)),
    }
}

/// Tells the method's own errors from the others.
fn failed<M: RemoteMessage>(error: CallError) -> CallError<M::Error> {
    match error {
        CallError::Remote(error) => match error.application() {
            Some(application) => CallError::Application(application),
            None => CallError::Remote(error),
        },
        error => error.widen(),
    }
}

impl CallError<NoError> {
    /// The same for a method that has an error of its own.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        match self {
            Self::Application(never) => match never {},
            Self::NoProvider { target } => CallError::NoProvider { target },
            Self::Rejected { retry_after } => CallError::Rejected { retry_after },
            Self::NotSent { reason } => CallError::NotSent { reason },
            Self::TimedOut { maybe_executed } => CallError::TimedOut { maybe_executed },
            Self::PeerLost { peer, maybe_executed } => CallError::PeerLost { peer, maybe_executed },
            Self::Cancelled => CallError::Cancelled,
            Self::Remote(error) => CallError::Remote(error),
            Self::Decode(reason) => CallError::Decode(reason),
        }
    }
}

/// Asks a peer whether its RPC answers.
pub(crate) fn ping(
    shared: &Arc<Shared>,
    peer: PeerId,
    deadline: Instant,
) -> impl Future<Output = Result<(), CallError>> + use<> {
    let timeout = deadline.saturating_duration_since(Instant::now());
    let invocation = Invocation {
        shared: shared.clone(),
        target: Target::Peer(peer),
        target_name: String::new(),
        method: "rpc.ping".into(),
        body: Body::null(),
        options: Options { timeout: Some(timeout), ..Options::default() },
        batch: None,
    };
    async move { invocation.run().await.map(|_| ()) }
}
