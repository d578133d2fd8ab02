//! Changing whom a running node trusts.

use super::Node;
use crate::proto::Input;
use crate::{TrustError, TrustedKeys};

impl Node {
    /// Trusts these keys from now on, and no others (see [`NodeBuilder::node_key`](crate::NodeBuilder::node_key)).
    ///
    /// Peers whose keys are no longer among them exit with [`ExitReason::Untrusted`](crate::ExitReason::Untrusted) and are cut
    /// off; their gossip connections too. When it returns, their `Exit` is on its way and nothing of theirs is taken any more. Peers whose keys are new
    /// enter as soon as they are heard of.
    ///
    /// # Errors
    /// When the node has no key of its own or has stopped; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropped early, the list has changed or not, for newcomers and for peers that are there: call it again.
    pub async fn set_trusted(&self, trusted: TrustedKeys) -> Result<(), TrustError> {
        if !self.0.security.is_personal() {
            return Err(TrustError::NoNodeKey);
        }
        self.0.driver.tell_ordered(Input::Trust(trusted)).await.map_err(|_| TrustError::Stopped)
    }
}
