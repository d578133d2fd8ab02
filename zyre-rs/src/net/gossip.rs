//! Gossip on the network: hubs that listen, leaves that connect, and the task that owns what they know.
//!
//! All hubs and leaves of a node share one table (`proto::gossip`). Its only writer is the task started here;
//! connections ask it to take tuples and read the table through a `watch` channel, each at its own pace.
//! A connection whose tuple waits for a busy driver waits with it, and nobody else's news get lost.

mod address;
mod connection;
mod hub;
mod leaf;

pub(crate) use address::{Bind, HubAddress};
pub(crate) use hub::Hub;
pub(crate) use leaf::Leaf;

use super::counters::Counters;
use super::request::Driver;
use super::security::Security;
use crate::PeerId;
use crate::proto::Input;
use crate::proto::gossip::{Learned, LinkNo, Table};
use crate::wire::Endpoint;
use crate::wire::gossip::Publish;
use connection::{Closed, Connection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{mpsc, watch};

/// Tuples that wait for the owner; whoever has one more waits.
const MAX_WAITING: usize = 64;

/// A node's gossip; clones are handles to the same. It ends with the last of them, the driver, or our endpoint's sender.
#[derive(Clone, Debug)]
pub(crate) struct Gossip {
    said: mpsc::Sender<Said>,
    sessions: mpsc::UnboundedSender<Session>,
    table: watch::Receiver<Table>,
    counters: Arc<Counters>,
    security: Security,
    links: Arc<AtomicU64>,
}

/// What a connection tells the owner.
#[derive(Debug)]
enum Said {
    Published(LinkNo, Publish),
    Closed(LinkNo),
}

/// What the driver tells the owner.
#[derive(Debug)]
enum Session {
    Alive(PeerId),
    Gone(PeerId),
    /// Not a session, but all of them: other keys are trusted now.
    Trust,
}

/// Gossip has ended, and with it every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ended;

impl Gossip {
    /// Starts the owner. `own` is who and where we are; every change of the endpoint is published.
    pub(crate) fn start(
        own: watch::Receiver<(PeerId, Endpoint)>,
        driver: Driver,
        counters: Arc<Counters>,
        security: Security,
    ) -> Self {
        let (said, hearing) = mpsc::channel(MAX_WAITING);
        // Unbounded, since the driver must not wait for us while we wait for it. It says one thing per
        // session that begins or ends, and it limits those.
        let (sessions, changes) = mpsc::unbounded_channel();
        let (id, endpoint) = *own.borrow();
        let (table, reader) = watch::channel(Table::new(id, endpoint, security.public_key()));
        let owner = Owner { table, driver, counters: counters.clone() };
        tokio::spawn(owner.run(own, hearing, changes));
        Self { said, sessions, table: reader, counters, security, links: Arc::default() }
    }

    /// A session with a peer has begun: its tuple stays whoever closes a connection.
    pub(crate) fn alive(&self, peer: PeerId) {
        let _ = self.sessions.send(Session::Alive(peer));
    }

    /// A session with a peer has ended: newcomers are no longer told of it, unless it is published again.
    pub(crate) fn forget(&self, peer: PeerId) {
        let _ = self.sessions.send(Session::Gone(peer));
    }

    /// Other keys are trusted now: the driver wants to hear again of everybody.
    pub(crate) fn trust_changed(&self) {
        let _ = self.sessions.send(Session::Trust);
    }

    fn link(&self, upstream: bool) -> LinkNo {
        LinkNo { number: self.links.fetch_add(1, Relaxed), upstream }
    }

    async fn say(&self, said: Said) -> Result<(), Ended> {
        self.said.send(said).await.map_err(|_| Ended)
    }

    /// Queues what has changed since `seen`, as much as the connection takes for now.
    fn pass_on(&self, link: LinkNo, seen: &mut u64, connection: &mut Connection) -> Result<(), Closed> {
        let table = self.table.borrow();
        for (revision, message) in table.news(link, *seen) {
            if !connection.wants_more() {
                return Ok(());
            }
            connection.queue(&message)?;
            *seen = revision;
        }
        // What was left out as an echo has been seen too.
        *seen = table.revision();
        Ok(())
    }

    /// Counts why a connection has ended, if that was a fault.
    fn count(&self, closed: &Closed) {
        let counter = match closed {
            Closed::Handshake(cause) => Some(self.security.counter(cause)),
            closed => closed.counter(),
        };
        if let Some(counter) = counter {
            self.counters.count(counter);
        }
    }

    /// Hands a frame that is no gossip message to the counters.
    fn garbage(&self) {
        self.counters.count("gossip_garbage");
    }
}

struct Owner {
    table: watch::Sender<Table>,
    driver: Driver,
    counters: Arc<Counters>,
}

impl Owner {
    async fn run(
        self,
        mut own: watch::Receiver<(PeerId, Endpoint)>,
        mut said: mpsc::Receiver<Said>,
        mut sessions: mpsc::UnboundedReceiver<Session>,
    ) {
        loop {
            tokio::select! {
                // What the driver knows goes before what others say of it.
                biased;
                session = sessions.recv() => match session {
                    Some(Session::Alive(peer)) => self.change(|table| table.alive(peer)),
                    Some(Session::Gone(peer)) => self.change(|table| table.forget(peer)),
                    Some(Session::Trust) => {
                        if self.tell_all().await.is_err() {
                            return;
                        }
                    }
                    None => return,
                },
                changed = own.changed() => match changed {
                    Ok(()) => {
                        let (_, endpoint) = *own.borrow_and_update();
                        self.change(|table| _ = table.set_own(endpoint));
                    }
                    Err(_) => return,
                },
                said = said.recv() => match said {
                    Some(Said::Published(link, publish)) => {
                        if self.on_publish(link, &publish).await.is_err() {
                            return;
                        }
                    }
                    Some(Said::Closed(link)) => self.change(|table| table.closed(link)),
                    None => return,
                },
            }
        }
    }

    async fn tell_all(&self) -> Result<(), Ended> {
        let peers: Vec<_> = self.table.borrow().peers().collect();
        for (peer, endpoint, key) in peers {
            self.driver.tell(Input::Gossip { peer, endpoint, key }).await.map_err(|_| Ended)?;
        }
        Ok(())
    }

    async fn on_publish(&self, link: LinkNo, publish: &Publish) -> Result<(), Ended> {
        let mut learned = Ok(Learned::Nothing);
        self.change(|table| learned = table.publish(link, publish));
        match learned {
            Ok(Learned::Nothing) => {}
            Ok(Learned::Peer(peer, endpoint, key)) => {
                self.driver.tell(Input::Gossip { peer, endpoint, key }).await.map_err(|_| Ended)?;
            }
            Ok(Learned::Unusable) => self.counters.count("gossip_endpoint_unusable"),
            Err(refused) => self.counters.count(refused.counter()),
        }
        Ok(())
    }

    /// Changes the table, and wakes the connections only when there is something to pass on.
    fn change(&self, change: impl FnOnce(&mut Table)) {
        self.table.send_if_modified(|table| {
            let before = table.revision();
            change(table);
            table.revision() != before
        });
    }
}

#[cfg(test)]
mod tests;
