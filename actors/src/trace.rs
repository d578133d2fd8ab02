//! Trace context: spans of a call and of its work, joined over the wire by W3C `traceparent`.

use crate::Context;
use crate::wire::TraceParent;
use tracing::Level;

/// Spans and events of this layer.
pub(crate) const TARGET: &str = "zyre_actors::rpc";

/// Whether anybody looks at spans; ids are not made for nobody.
fn is_enabled() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

/// The `traceparent` of a call: part of the request it is made for, else of a trace of its own if anybody looks.
pub(crate) fn outgoing(method: &str, context: Option<&Context>) -> Option<TraceParent> {
    let parent = context.and_then(Context::trace);
    if parent.is_none() && !is_enabled() {
        return None;
    }
    let random = uuid::Uuid::new_v4();
    let (_, span) = random.as_u64_pair();
    let trace = parent.map_or_else(|| uuid::Uuid::new_v4().into_bytes(), |parent| parent.trace);
    let flags = parent.map_or(1, |parent| parent.flags);
    let own = TraceParent { trace, span: span.to_be_bytes(), flags };
    tracing::debug!(target: TARGET, method, traceparent = %own, parent = parent.map(|parent| parent.to_string()), "call");
    Some(own)
}
