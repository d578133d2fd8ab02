//! A hub: a ROUTER that lets any client in, and is more lenient than czmq's.
//!
//! A client stays as long as its connection, idle or not, and PUBLISH without HELLO counts as HELLO, since an
//! older czmq does not say it again after a reconnect.

use super::address::Bind;
use super::connection::{Closed, Connection};
use super::{Gossip, Said};
use crate::net::security::Security;
use crate::proto::gossip::LinkNo;
use crate::wire::gossip::Message;
use crate::zmtp::{Identities, Role};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Most clients; one more is refused. Each is a task and a socket.
pub(crate) const MAX_CLIENTS: usize = 512;
/// Most connections in their handshake; one more ends the oldest, so that slow ones cannot lock others out.
const MAX_HANDSHAKES: usize = 64;
/// How long to wait when the system refuses to accept, for want of file descriptors as a rule.
const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(100);

/// A running hub. It stops when dropped, and its connections with it.
#[derive(Debug)]
pub(crate) struct Hub {
    local: SocketAddr,
    task: AbortHandle,
}

impl Hub {
    /// Listens, and serves clients from now on.
    ///
    /// # Errors
    /// When the address cannot be listened at, because it is in use or not ours.
    pub(crate) async fn start(gossip: &Gossip, bind: Bind) -> io::Result<Self> {
        let listener = TcpListener::bind(bind.0).await?;
        let local = listener.local_addr()?;
        let server = Server { gossip: gossip.clone(), clients: JoinSet::new() };
        Ok(Self { local, task: tokio::spawn(server.run(listener)).abort_handle() })
    }

    /// Where it listens; the port is the real one when any was asked for.
    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    gossip: Gossip,
    clients: JoinSet<()>,
}

impl Server {
    async fn run(mut self, listener: TcpListener) {
        let mut handshakes: JoinSet<Result<Connection, Closed>> = JoinSet::new();
        let mut waiting: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        waiting.retain(|handshake| !handshake.is_finished());
                        if waiting.len() >= MAX_HANDSHAKES && let Some(oldest) = waiting.pop_front() {
                            oldest.abort();
                            self.gossip.counters.count("gossip_handshakes_full");
                        }
                        waiting.push_back(handshakes.spawn(greet(stream, self.gossip.security.clone())));
                    }
                    Err(_) => {
                        self.gossip.counters.count("gossip_accept_failed");
                        tokio::time::sleep(ACCEPT_RETRY_AFTER).await;
                    }
                },
                Some(greeted) = handshakes.join_next() => match greeted {
                    Ok(Ok(connection)) => self.admit(connection),
                    Ok(Err(closed)) => self.gossip.count(&closed),
                    Err(_) => {}
                },
                Some(_) = self.clients.join_next() => {}
                () = self.gossip.said.closed() => return,
            }
        }
    }

    fn admit(&mut self, connection: Connection) {
        if self.clients.len() >= MAX_CLIENTS {
            self.gossip.counters.count("gossip_clients_refused");
            return;
        }
        self.clients.spawn(serve(self.gossip.clone(), connection));
    }
}

async fn greet(stream: TcpStream, security: Security) -> Result<Connection, Closed> {
    Connection::open(stream, Role::Router { accept: Identities::Any }, security.server()?).await
}

async fn serve(gossip: Gossip, mut connection: Connection) {
    let link = gossip.link(false);
    let mut news = gossip.table.clone();
    let revoked = gossip.security.revoked(connection.peer_key());
    tokio::pin!(revoked);
    // The last revision the client has; `None` until it has said something that makes it a client.
    let mut seen = None;
    let closed = loop {
        if let Err(closed) = hear(&gossip, link, &mut seen, &mut connection).await {
            break closed;
        }
        news.mark_unchanged();
        if let Some(seen) = &mut seen
            && let Err(closed) = gossip.pass_on(link, seen, &mut connection)
        {
            break closed;
        }
        let turned = tokio::select! {
            turned = connection.turn() => turned,
            changed = news.changed(), if seen.is_some() => changed.map_err(|_| Closed::Stopped),
            () = &mut revoked => Err(Closed::Untrusted),
        };
        if let Err(closed) = turned {
            break closed;
        }
    };
    gossip.count(&closed);
    let _ = gossip.say(Said::Closed(link)).await;
}

async fn hear(
    gossip: &Gossip,
    link: LinkNo,
    seen: &mut Option<u64>,
    connection: &mut Connection,
) -> Result<(), Closed> {
    while let Some(heard) = connection.next()? {
        match heard {
            Ok(Message::Hello) => *seen = Some(0),
            Ok(Message::Publish(publish)) => {
                seen.get_or_insert(0);
                gossip.say(Said::Published(link, publish)).await?;
            }
            Ok(Message::Ping) => connection.queue(&Message::Pong)?,
            Ok(Message::Pong | Message::Invalid) => gossip.counters.count("gossip_unexpected"),
            Err(_) => {
                gossip.garbage();
                connection.queue(&Message::Invalid)?;
            }
        }
    }
    Ok(())
}
