//! Why a request ends before its handler ends it, and what its caller is told.

use crate::{RpcError, code};
use serde_json::json;
use std::time::Duration;

/// Why a request is not worked on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// No slot, and no room in the queue of this many.
    Overloaded { queue: usize, retry_after: Duration },
    /// The service is paused.
    Restarting { retry_after: Duration },
    /// The service was closed before the request was started.
    Closed,
    /// The service was closed while the request ran.
    ActorGone,
    /// Its deadline has passed.
    Expired,
    /// Its caller cancelled it.
    Cancelled,
    /// Its caller is gone.
    PeerGone,
    /// Another request of the same caller has its id.
    IdInUse,
}

impl Ending {
    /// What the caller is told; nothing where there is no caller.
    pub(super) fn error(self) -> Option<RpcError> {
        let error = match self {
            Self::Overloaded { queue, retry_after } => RpcError::new(code::OVERLOADED, "overloaded")
                .with_data(json!({ "queue": queue, "retry_after_ms": millis(retry_after) })),
            Self::Restarting { retry_after } => {
                RpcError::new(code::RESTARTING, "the actor is being restarted")
                    .with_data(json!({ "retry_after_ms": millis(retry_after) }))
            }
            Self::Closed => RpcError::new(code::RESTARTING, "the service is closed here")
                .with_data(json!({ "retry_after_ms": millis(super::RETRY_AFTER) })),
            Self::ActorGone => {
                RpcError::new(code::ACTOR_GONE, "the service was closed while it worked on the request")
            }
            Self::Expired => {
                RpcError::new(code::DEADLINE_EXCEEDED, "the deadline passed before the work was done")
            }
            Self::Cancelled => RpcError::new(code::CANCELLED, "cancelled"),
            Self::IdInUse => RpcError::new(code::INVALID_REQUEST, "id in use"),
            Self::PeerGone => return None,
        };
        Some(error)
    }
}

/// At least 1: zero would ask for the next try at once.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
