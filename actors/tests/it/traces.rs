//! Spans of calls and handlers, joined over the wire.

use crate::common::{Lan, PATIENCE, eventually, heard, met, within};
use actix::{Actor, Handler, Message};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Once};
use tracing::Metadata;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use zyre_actors::{ActorSystem, Context, Params, RemoteMessage};

/// What became of the spans that a test's thread made of this layer.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Captured>>);

#[derive(Default)]
struct Captured {
    /// In the order they were made.
    spans: Vec<Span>,
    /// The name of the span that each of the test's own events was in.
    events: Vec<Option<String>>,
}

#[derive(Clone, Default)]
struct Span {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
    entered: usize,
}

thread_local! {
    static ACTIVE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

impl Capture {
    /// Captures what this thread does from now on. There is one subscriber for the whole process, since what one thread's
    /// own subscriber wants is remembered for all threads.
    fn start() -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Everything))
                .expect("the only one");
        });
        let capture = Self::default();
        ACTIVE.set(Some(capture.clone()));
        capture
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().expect("not poisoned").spans.clone()
    }

    /// The only span with this name and method.
    fn span(&self, name: &str, method: &str) -> Span {
        let mut found = self.spans();
        found.retain(|span| span.name == name && span.field("rpc.method") == Some(method));
        assert_eq!(found.len(), 1, "{name} {method}");
        found.remove(0)
    }
}

impl Span {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Gives each span to the capture of the thread that made it, whichever thread enters it.
struct Everything;

/// A span's place in its capture.
struct Place(Capture, usize);

fn change<S: tracing::Subscriber + for<'a> LookupSpan<'a>>(
    id: &Id,
    context: &LayerContext<'_, S>,
    change: impl FnOnce(&mut Span),
) {
    let Some(span) = context.span(id) else { return };
    let extensions = span.extensions();
    if let Some(Place(capture, index)) = extensions.get() {
        change(&mut capture.0.lock().expect("not poisoned").spans[*index]);
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Everything {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: LayerContext<'_, S>) -> bool {
        ["zyre_actors::rpc", "test"].contains(&metadata.target()) && ACTIVE.with_borrow(Option::is_some)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: LayerContext<'_, S>) {
        let Some(capture) = ACTIVE.with_borrow(Clone::clone) else { return };
        let mut span = Span { name: attributes.metadata().name(), ..Span::default() };
        attributes.record(&mut span);
        let index = {
            let mut captured = capture.0.lock().expect("not poisoned");
            captured.spans.push(span);
            captured.spans.len() - 1
        };
        context.span(id).expect("new").extensions_mut().insert(Place(capture, index));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: LayerContext<'_, S>) {
        change(id, &context, |span| values.record(span));
    }

    fn on_enter(&self, id: &Id, context: LayerContext<'_, S>) {
        change(id, &context, |span| span.entered += 1);
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: LayerContext<'_, S>) {
        let span = context.event_span(event).map(|span| span.name().to_owned());
        if let Some(capture) = ACTIVE.with_borrow(Clone::clone) {
            capture.0.lock().expect("not poisoned").events.push(span);
        }
    }
}

/// `front.work` asks `back.work` and says what its own place in the trace is.
async fn two_hops(lan: &Lan) -> [ActorSystem; 3] {
    let systems = [lan.system("client").await, lan.system("front").await, lan.system("back").await];
    let [client, front, back] = &systems;
    back.method("back.work", |_: Params, context: Context| async move { Ok(context.traceparent()) })
        .await
        .expect("served");
    let inner = front.clone();
    front
        .method("front.work", move |_: Params, context: Context| {
            let inner = inner.clone();
            async move {
                tokio::task::yield_now().await;
                tracing::info!(target: "test", "in the handler");
                let asked = inner.call_json("back.work", json!({})).await;
                tracing::info!(target: "test", "and still");
                Ok(json!([context.traceparent(), asked?]))
            }
        })
        .await
        .expect("served");
    front.service("back").ready(PATIENCE).await.expect("back");
    client.service("front").ready(PATIENCE).await.expect("front");
    systems
}

#[tokio::test]
async fn the_spans_of_a_call_over_two_hops_are_one_trace_each_the_child_of_the_one_before() {
    let capture = Capture::start();
    let lan = Lan::new();
    let [client, front, back] = two_hops(&lan).await;
    let places = within(client.call_json("front.work", json!({})).into_future()).await.expect("an answer");

    let chain = [
        capture.span("rpc.call", "front.work"),
        capture.span("rpc.serve", "front.work"),
        capture.span("rpc.call", "back.work"),
        capture.span("rpc.serve", "back.work"),
    ];
    let trace = chain[0].field("trace_id").expect("a trace").to_owned();
    assert_eq!(trace.len(), 32);
    assert_eq!(chain[0].field("parent_id"), None, "it begins the trace");
    for pair in chain.windows(2) {
        assert_eq!(pair[1].field("trace_id"), Some(&*trace));
        assert_eq!(pair[1].field("parent_id"), pair[0].field("span_id"), "{}", pair[1].name);
        assert_ne!(pair[1].field("span_id"), pair[0].field("span_id"));
    }
    let [client, front, back] = [client, front, back].map(|system| system.node().id().to_string());
    let peers: Vec<_> = chain.iter().map(|span| span.field("peer").expect("known")).collect();
    assert_eq!(peers, [&front, &client, &back, &front]);
    assert!(chain.iter().all(|span| span.entered > 0));
    // What the handler can hand on is its own place.
    for (place, span) in [(&places[0], &chain[1]), (&places[1], &chain[3])] {
        let expected = format!("00-{trace}-{}-01", span.field("span_id").expect("an id"));
        assert_eq!(place, &json!(expected));
    }
    let events = capture.0.lock().expect("not poisoned").events.clone();
    assert_eq!(events, [Some("rpc.serve".to_owned()), Some("rpc.serve".to_owned())]);
}

#[tokio::test]
async fn each_call_that_belongs_to_no_request_begins_a_trace_and_a_tell_is_part_of_one_too() {
    let capture = Capture::start();
    let lan = Lan::new();
    let [client, _front, _back] = two_hops(&lan).await;
    client.service("back").ready(PATIENCE).await.expect("back");
    client.call_json("back.work", json!({})).tell().await.expect("told");
    eventually(async || capture.spans().iter().any(|span| span.name == "rpc.serve")).await;
    let (told, served) = (capture.span("rpc.call", "back.work"), capture.span("rpc.serve", "back.work"));
    assert_eq!(served.field("parent_id"), told.field("span_id"));
    client.call_json("back.work", json!({})).await.expect("an answer");
    let traces: Vec<_> = capture
        .spans()
        .iter()
        .filter(|span| span.name == "rpc.call")
        .map(|span| span.field("trace_id").map(str::to_owned))
        .collect();
    assert_eq!(traces.len(), 2);
    assert_ne!(traces[0], traces[1]);
}

#[tokio::test]
async fn where_nobody_looks_no_ids_are_made_and_a_trace_that_came_in_goes_on_as_it_is() {
    let lan = Lan::new();
    let [client, front, _back] = two_hops(&lan).await;
    let places = within(client.call_json("front.work", json!({})).into_future()).await.expect("an answer");
    assert_eq!(places, json!([null, null]));
    let (plain, mut events) = lan.plain("plain").await;
    met(&plain, front.node().id()).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "front.work", "params": {"_meta": {"traceparent": trace}}});
    plain.whisper(front.node().id(), request.to_string()).await.expect("queued");
    assert_eq!(heard(&mut events).await["result"], json!([trace, trace]));
}

struct Teller;

impl Actor for Teller {
    type Context = actix::Context<Self>;
}

#[derive(Debug, Serialize, Deserialize, Message, RemoteMessage)]
#[rtype(result = "Option<String>")]
#[remote("place.get")]
struct Get {}

impl Handler<Get> for Teller {
    type Result = Option<String>;

    fn handle(&mut self, _: Get, _: &mut Self::Context) -> Option<String> {
        Context::current().and_then(|context| context.traceparent())
    }
}

#[tokio::test]
async fn an_actors_handler_runs_in_the_span_of_its_request() {
    let capture = Capture::start();
    let lan = Lan::new();
    let (server, client) = (lan.system("server").await, lan.system("client").await);
    server.serve("place", || Teller).method::<Get>().start().await.expect("served");
    let place = client.service("place").ready(PATIENCE).await.expect("a provider");
    let own = within(place.call(Get {}).into_future()).await.expect("an answer").expect("a trace");
    let (call, serve) = (capture.span("rpc.call", "place.get"), capture.span("rpc.serve", "place.get"));
    assert_eq!(serve.field("parent_id"), call.field("span_id"));
    assert_eq!(own.split('-').nth(2), serve.field("span_id"));
    assert_eq!(serve.entered, 1);
}
