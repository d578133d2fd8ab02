//! Work for a pool: numbered, so that what was lost and what was done twice can be told.

use serde::{Deserialize, Serialize};
use zyre_actors::RemoteMessage;

/// Takes a while and gives its number. Not idempotent: whether it is tried again is for its caller to say.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, RemoteMessage)]
#[remote("job.run", result = "u64")]
pub struct Job {
    /// Which one.
    pub n: u64,
    /// How long it takes in milliseconds.
    pub ms: u64,
}
