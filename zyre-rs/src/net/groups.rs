//! The groups this node is in, as the readers see them: looked up once per group and read, not per message.

use crate::GroupName;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// Written by the driver, read by every connection.
#[derive(Debug, Default)]
pub(crate) struct OwnGroups(RwLock<BTreeSet<GroupName>>);

impl OwnGroups {
    pub(crate) fn new(groups: BTreeSet<GroupName>) -> Self {
        Self(RwLock::new(groups))
    }

    pub(crate) fn replace(&self, groups: BTreeSet<GroupName>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = groups;
    }

    /// The group of this name, if this node is in it; its clone costs no allocation.
    pub(crate) fn find(&self, name: &[u8]) -> Option<GroupName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
