//! Trace context: a span `rpc.call` around a call, a span `rpc.serve` around its handler, joined over the wire by
//! [W3C `traceparent`](https://www.w3.org/TR/trace-context/), so that the spans of all nodes make one tree.
//!
//! | span | entered | fields |
//! |---|---|---|
//! | `rpc.call` | while its caller waits for the answer, or a notification is handed to the node | `rpc.method`, `peer` (who answered, once known), `trace_id`, `span_id`, `parent_id` |
//! | `rpc.serve` | whenever the handler runs: each poll of a closure's future, an actor's `handle` until it returns | `rpc.method`, `peer` (who calls), `trace_id`, `span_id`, `parent_id` |
//!
//! Both are at level `DEBUG` with target `zyre_actors::rpc`. The `parent_id` of an `rpc.serve` is the `span_id` of the
//! caller's `rpc.call`; that of an `rpc.call` made on behalf of a request (see [`Call::within`](crate::Call::within))
//! is the `span_id` of that request's `rpc.serve`. A call on behalf of none begins a trace of its own.
//!
//! Ids are made only where a subscriber is interested in the span; elsewhere a call costs one look at a flag, and the
//! trace of a request goes on to nested calls as it came, so that a node that records nothing leaves no gap.

use crate::Context;
use crate::wire::TraceParent;
use tracing::{Span, debug_span, field};
use uuid::Uuid;
use zyre_rs::PeerId;

/// Of a trace that begins here: recorded by whoever asked for the span.
const SAMPLED: u8 = 1;

/// The span of a call, and what is sent of it: part of the request the call is made for, else of a trace of its own if
/// anybody looks.
pub(crate) fn call(method: &str, context: Option<&Context>) -> (Span, Option<TraceParent>) {
    let span = debug_span!(
        target: "zyre_actors::rpc",
        "rpc.call",
        rpc.method = method,
        peer = field::Empty,
        trace_id = field::Empty,
        span_id = field::Empty,
        parent_id = field::Empty,
    );
    let own = joined(&span, context.and_then(Context::trace));
    (span, own)
}

/// The span of a request, and its place in the trace that its caller sent, if any.
pub(crate) fn serve(method: &str, peer: PeerId, caller: Option<TraceParent>) -> (Span, Option<TraceParent>) {
    let span = debug_span!(
        target: "zyre_actors::rpc",
        // Whatever this node was doing when the request came in is not what it came from.
        parent: None,
        "rpc.serve",
        rpc.method = method,
        %peer,
        trace_id = field::Empty,
        span_id = field::Empty,
        parent_id = field::Empty,
    );
    let own = joined(&span, caller);
    (span, own)
}

/// Tells who has the call.
pub(crate) fn called(span: &Span, peer: PeerId) {
    span.record("peer", field::display(peer));
}

/// Makes the span a child of `parent`, or the root of a new trace.
fn joined(span: &Span, parent: Option<TraceParent>) -> Option<TraceParent> {
    if span.is_disabled() {
        return parent;
    }
    let trace = parent.map_or_else(|| Uuid::new_v4().into_bytes(), |parent| parent.trace);
    let id = Uuid::new_v4().as_u64_pair().1;
    let flags = parent.map_or(SAMPLED, |parent| parent.flags);
    span.record("trace_id", field::display(format_args!("{:032x}", u128::from_be_bytes(trace))));
    span.record("span_id", field::display(format_args!("{id:016x}")));
    if let Some(parent) = parent {
        span.record("parent_id", field::display(format_args!("{:016x}", u64::from_be_bytes(parent.span))));
    }
    Some(TraceParent { trace, span: id.to_be_bytes(), flags })
}
