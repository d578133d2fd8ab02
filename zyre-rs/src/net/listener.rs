//! The mailbox's door: accepts connections and bounds how many there are at each stage.
//!
//! Half-open and endless handshakes cost a bounded number of places, and the oldest goes first when they are
//! all taken, so that a flood never keeps a good peer out (attack row T1 in `docs/hardening.md`).

mod pending;
#[cfg(test)]
mod tests;

use super::connection::{self, Connection, Mailbox};
use super::request::Leash;
use super::stream::Stream;
use super::transport::Listener;
use crate::proto::ConnId;
use pending::Pending;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

/// Most connections, whatever their state: twice the peers a node keeps.
const MAX_CONNECTIONS: usize = 2_048;
/// How long to leave the door shut when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// How long connections may take to end when the node stops; they have nothing to do then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where connections come from.
pub(crate) trait Accept: Send {
    fn accept(&mut self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send;
}

impl Accept for Listener {
    async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        Listener::accept(self).await
    }
}

/// Accepts connections until `stop` is pulled, then ends them all.
///
/// `is_welcome` is asked with the local and the remote address of each.
pub(crate) async fn run(
    mut door: impl Accept,
    mailbox: Arc<Mailbox>,
    is_welcome: impl Fn(SocketAddr, SocketAddr) -> bool + Send,
    stop: Arc<Leash>,
) {
    let mut open =
        Open { mailbox, tasks: JoinSet::new(), leashes: HashMap::new(), pending: Arc::default(), last: 0 };
    let mut warned: Option<Instant> = None;
    let stopped = stop.pulled();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => break,
            Some(ended) = open.tasks.join_next() => {
                open.ended(ended);
                continue;
            }
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => {
                // Where the local address cannot be told the connection is already gone.
                let welcome = stream.local_addr().is_ok_and(|local| is_welcome(local, source));
                if welcome {
                    open.start(stream, source);
                } else {
                    open.mailbox.counters.count("conn_foreign_interface");
                }
            }
            Err(error) if is_of_the_peer(&error) => open.mailbox.counters.count("accept_aborted"),
            Err(error) => {
                open.mailbox.counters.count("accept_failed");
                if warned.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
                    warned = Some(Instant::now());
                    warn!(%error, "cannot accept connections; are there enough file descriptors (ulimit -n)?");
                }
                tokio::select! {
                    () = &mut stopped => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
    drop(door);
    open.close().await;
}

/// The connection failed before we had it; the next one may be fine.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The connections there are.
struct Open {
    mailbox: Arc<Mailbox>,
    tasks: JoinSet<ConnId>,
    leashes: HashMap<ConnId, Arc<Leash>>,
    pending: Arc<Pending>,
    last: u64,
}

impl Open {
    fn start(&mut self, stream: Stream, source: SocketAddr) {
        let counters = &self.mailbox.counters;
        if self.tasks.len() >= MAX_CONNECTIONS {
            return counters.count("conn_limit");
        }
        self.last += 1;
        let (conn, leash) = (ConnId(self.last), Arc::<Leash>::default());
        if self.pending.enter(conn, source.ip(), Arc::clone(&leash)) {
            counters.count("handshake_evicted");
        }
        self.leashes.insert(conn, Arc::clone(&leash));
        let mailbox = Arc::clone(&self.mailbox);
        let place = pending::Place { pending: Arc::clone(&self.pending), conn };
        let connection = Box::new(Connection { stream, conn, source, mailbox, leash });
        self.tasks.spawn(async move {
            connection::run(connection, move || drop(place)).await;
            conn
        });
    }

    fn ended(&mut self, ended: Result<ConnId, tokio::task::JoinError>) {
        match ended {
            Ok(conn) => drop(self.leashes.remove(&conn)),
            Err(error) => {
                // A panic is a bug; it must not cost more than its connection.
                warn!(%error, "a connection's task failed");
                self.mailbox.counters.count("conn_task_failed");
            }
        }
    }

    async fn close(mut self) {
        self.leashes.values().for_each(|leash| leash.pull());
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE_TIMEOUT, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}
