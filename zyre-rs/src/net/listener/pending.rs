//! Connections whose handshake is not done: how many there may be, and who goes when there are too many.

use crate::net::request::Leash;
use crate::proto::ConnId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Most handshakes at a time.
const MAX_PENDING: usize = 256;
/// Most handshakes at a time with one address.
const MAX_PER_ADDRESS: usize = 32;

/// In the order they came, since identifiers grow.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<BTreeMap<ConnId, (IpAddr, Arc<Leash>)>>);

impl Pending {
    /// Takes a place; true if another connection was closed for it.
    pub(super) fn enter(&self, conn: ConnId, address: IpAddr, leash: Arc<Leash>) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same = places.iter().filter(|(_, (other, _))| *other == address).map(|(conn, _)| *conn);
        let oldest_same = same.next();
        let victim = if same.count() + 1 >= MAX_PER_ADDRESS {
            oldest_same
        } else if places.len() >= MAX_PENDING {
            places.keys().next().copied()
        } else {
            None
        };
        let evicted = victim.and_then(|victim| places.remove(&victim));
        if let Some((_, leash)) = &evicted {
            leash.pull();
        }
        places.insert(conn, (address, leash));
        evicted.is_some()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A place among the pending, given back when dropped.
pub(super) struct Place {
    pub(super) pending: Arc<Pending>,
    pub(super) conn: ConnId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pending.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.conn);
    }
}
