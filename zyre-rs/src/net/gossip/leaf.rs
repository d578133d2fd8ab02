//! A leaf: a DEALER without identity that stays registered at one hub, and comes back to it for ever.

use super::address::HubAddress;
use super::connection::{Closed, Connection};
use super::{Gossip, Said};
use crate::proto::gossip::{BEAT, LinkNo, Registration, Say};
use crate::wire::gossip::Message;
use crate::zmtp::Role;
use crate::zmtp::curve::PublicKey;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

/// First pause before the hub is tried again; it doubles with each failure.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// Longest pause: a hub that comes back is found within this time.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long looking up and connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A hub that answers none of some 25 PINGs is gone.
const HUB_SILENT_AFTER: Duration = Duration::from_secs(10);

/// A running leaf. It stops when dropped.
#[derive(Debug)]
pub(crate) struct Leaf {
    task: AbortHandle,
}

impl Leaf {
    /// Connects to a hub, now or as soon as there is one. `key` is what it has to prove, where that is needed.
    pub(crate) fn start(gossip: &Gossip, hub: HubAddress, key: Option<PublicKey>) -> Self {
        Self { task: tokio::spawn(run(gossip.clone(), hub, key)).abort_handle() }
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(gossip: Gossip, hub: HubAddress, key: Option<PublicKey>) {
    let mut retry_after = RETRY_AFTER;
    loop {
        let link = gossip.link(true);
        let mut served = false;
        let closed = match connect(&gossip, &hub, key).await {
            Ok(connection) => attend(&gossip, link, connection, &mut served).await,
            Err(closed) => closed,
        };
        gossip.count(&closed);
        tracing::debug!(%hub, %closed, "no gossip hub");
        if served {
            retry_after = RETRY_AFTER;
            let _ = gossip.say(Said::Closed(link)).await;
        }
        if matches!(closed, Closed::Stopped) || gossip.said.is_closed() {
            return;
        }
        sleep(retry_after).await;
        retry_after = (retry_after * 2).min(MAX_RETRY_AFTER);
    }
}

async fn connect(gossip: &Gossip, hub: &HubAddress, key: Option<PublicKey>) -> Result<Connection, Closed> {
    let mechanism = gossip.security.client(key)?;
    let connecting = async {
        let mut failed = io::ErrorKind::NotFound.into();
        for address in hub.resolve().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    };
    let stream = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| Closed::Slow)??;
    Connection::open(stream, Role::Dealer { identity: Vec::new() }, mechanism).await
}

/// Stays registered until the connection ends. Sets `served` once the hub has said something.
async fn attend(gossip: &Gossip, link: LinkNo, connection: Connection, served: &mut bool) -> Closed {
    let Err(closed) = stay(gossip, link, connection, served).await;
    closed
}

async fn stay(
    gossip: &Gossip,
    link: LinkNo,
    mut connection: Connection,
    served: &mut bool,
) -> Result<Infallible, Closed> {
    let mut news = gossip.table.clone();
    let mut registration = Registration::default();
    let mut seen = greet(&mut connection)?;
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    let revoked = gossip.security.revoked(connection.peer_key());
    tokio::pin!(revoked);
    loop {
        loop {
            let message = match connection.next()? {
                Some(Ok(message)) => message,
                Some(Err(_)) => {
                    gossip.garbage();
                    continue;
                }
                None => break,
            };
            *served = true;
            heard_at = Instant::now();
            if let Some(Say::Greeting) = registration.on_message(&message) {
                seen = greet(&mut connection)?;
            }
            if let Message::Publish(publish) = message {
                gossip.say(Said::Published(link, publish)).await?;
            }
        }
        news.mark_unchanged();
        gossip.pass_on(link, &mut seen, &mut connection)?;
        tokio::select! {
            turned = connection.turn() => turned?,
            changed = news.changed() => changed.map_err(|_| Closed::Stopped)?,
            () = &mut revoked => return Err(Closed::Untrusted),
            _ = beat.tick() => {
                if heard_at.elapsed() > HUB_SILENT_AFTER {
                    return Err(Closed::Silent);
                }
                match registration.on_beat() {
                    Say::Greeting => seen = greet(&mut connection)?,
                    Say::OwnTuple => {
                        let own = gossip.table.borrow().own();
                        if let Some(own) = &own {
                            connection.queue(own)?;
                        }
                    }
                    Say::Ping => connection.queue(&Message::Ping)?,
                }
            }
        }
    }
}

/// HELLO; the tuples follow, since nothing counts as seen by the hub any more.
fn greet(connection: &mut Connection) -> Result<u64, Closed> {
    connection.queue(&Message::Hello)?;
    Ok(0)
}
