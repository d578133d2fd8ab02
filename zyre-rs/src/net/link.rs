//! One outgoing connection: connects, greets, says HELLO, then writes what its [`Outbox`] holds.
//!
//! One task per link. It tries to connect once and reports; the protocol machine decides about the next try, and
//! the queue stays meanwhile. Nothing is ever sent twice: what was not written when the connection broke
//! is counted, since numbers begin anew with the next session. An idle link holds no buffers.

mod incoming;
mod open;
mod sealed;
#[cfg(test)]
mod tests;

use super::counters::Counters;
use super::outbox::{Chunk, MAX_SLICES, Outbox, Step};
use super::request::Driver;
use super::security::Security;
use super::stream::Stream;
use super::transport::Transport;
use crate::net::addresses::Addresses;
use crate::proto::{Input, LinkId, LinkLoss};
use crate::wire::{Endpoint, Limit};
use crate::zmtp::curve::PublicKey;
use crate::{PeerId, proto::sequence::Flavour};
use incoming::Incoming;
use sealed::Sealing;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A peer that has said nothing for so long has probably nothing queued for us, which it would throw away
/// on our second HELLO (pyre).
const QUIET: Duration = Duration::from_millis(5);

/// How long to wait for that. Below the 5 s after which a blocked sender gives up by default.
const MAX_HOLD: Duration = Duration::from_secs(4);

/// The same for a HELLO that mends a session: what is thrown away is of the old one.
const MAX_ASKED_HOLD: Duration = Duration::from_millis(200);

/// How long an idle link keeps the buffer in which it seals.
const KEEP_BUFFER: Duration = Duration::from_millis(100);

/// What the links of one node share.
#[derive(Debug)]
pub(crate) struct LinkContext {
    /// Who we are.
    pub(crate) id: PeerId,
    /// What HELLO says our endpoint is; else the local address of the link's connection and `mailbox_port`.
    pub(crate) advertised: Option<Endpoint>,
    pub(crate) mailbox_port: u16,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) transport: Transport,
    pub(crate) security: Security,
    pub(crate) driver: Driver,
    pub(crate) counters: Arc<Counters>,
}

/// What one link needs to run.
#[derive(Debug)]
pub(crate) struct LinkTask {
    pub(crate) link: LinkId,
    pub(crate) address: SocketAddr,
    /// What the other side has to prove; see [`Security::client`].
    pub(crate) key: Option<PublicKey>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) context: Arc<LinkContext>,
}

impl Drop for LinkTask {
    /// Nobody may wait on an outbox that no task serves, whatever ended the task.
    fn drop(&mut self) {
        self.outbox.close();
        let unsent = self.outbox.unsent();
        self.context.counters.add("messages_unsent", unsent);
        self.context.counters.add("messages_dropped", self.outbox.dropped());
    }
}

/// How a link's life ended.
enum End {
    /// By our wish.
    Closed,
    Lost(LinkLoss),
}

impl End {
    /// What [`Outbox::ended`] means.
    fn of(full: bool) -> Self {
        if full { Self::Lost(LinkLoss::Full) } else { Self::Closed }
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Lost(LinkLoss::Closed)
    }
}

/// Runs a link until it is closed, cut or lost, or the node is gone.
pub(crate) async fn run(task: LinkTask) {
    let mut chunk = Chunk::default();
    let end = serve(&task, &mut chunk).await;
    task.outbox.abandon(&mut chunk);
    let (link, context) = (task.link, task.context.clone());
    drop(task);
    if let End::Lost(cause) = end {
        if cause == LinkLoss::Full {
            context.counters.count("link_full");
        }
        lost(context, link, cause).await;
    }
}

/// Boxed: news is rare, and an idle link should not carry its size.
fn lost(
    context: Arc<LinkContext>,
    link: LinkId,
    cause: LinkLoss,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let _ = context.driver.tell(Input::LinkLost { link, cause }).await;
    })
}

async fn serve(task: &LinkTask, chunk: &mut Chunk) -> End {
    match Box::pin(open::up(task)).await {
        Ok(open::Opened { stream, incoming, sealer }) => {
            let sealing = sealer.map(|sealer| Box::new(Sealing::new(sealer)));
            let mut writer = Writer { task, stream, incoming, sealing };
            let end = writer.run(chunk).await;
            // Closing with something unread would reset the connection and take back what it has not delivered.
            let _ = writer.incoming.fill(&writer.stream);
            end
        }
        Err(end) => end,
    }
}

struct Writer<'a> {
    task: &'a LinkTask,
    stream: Stream,
    incoming: Incoming,
    /// Where the link is sealed.
    sealing: Option<Box<Sealing>>,
}

impl Writer<'_> {
    async fn run(&mut self, chunk: &mut Chunk) -> End {
        loop {
            let next = match self.task.outbox.next(chunk) {
                Step::Write => self.write(chunk).await,
                Step::Idle => self.wait().await,
                Step::Held => Box::pin(self.hold()).await,
                Step::Ended { full } => return End::of(full),
            };
            if let Err(end) = next {
                return end;
            }
            // Fair to other tasks of this thread, by tokio's own count.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Writes the whole chunk, unless the link ends.
    async fn write(&mut self, chunk: &mut Chunk) -> Result<(), End> {
        self.incoming.read(&self.stream, self.task)?;
        if self.sealing.is_some() {
            return Box::pin(self.write_sealed(chunk)).await;
        }
        while !chunk.is_written() {
            match self.try_write(chunk) {
                Ok(written) => chunk.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Box::pin(self.blocked()).await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn try_write(&self, chunk: &Chunk) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = chunk.slices(&mut slices);
        self.stream.try_write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// Waits until something is to be done, and reads what the peer says.
    async fn wait(&mut self) -> Result<(), End> {
        match &mut self.sealing {
            Some(sealing) if sealing.has_memory() => {
                // Longer than the pauses of a busy link. Boxed: open mode should not carry its size.
                match Box::pin(timeout(KEEP_BUFFER, self.roused())).await {
                    Ok(roused) => roused?,
                    Err(_) => self.sealing.iter_mut().for_each(|sealing| sealing.shed()),
                }
            }
            _ => self.roused().await?,
        }
        self.look()
    }

    async fn roused(&self) -> io::Result<()> {
        tokio::select! {
            biased;
            () = self.task.outbox.woken() => Ok(()),
            ready = self.stream.readable() => ready,
        }
    }

    /// As [`wait`](Self::wait), or until the peer takes more.
    async fn blocked(&mut self) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.task.outbox.woken() => {}
            ready = self.stream.writable() => ready?,
            ready = self.stream.readable() => ready?,
        }
        self.look()
    }

    fn look(&mut self) -> Result<(), End> {
        self.incoming.read(&self.stream, self.task)?;
        match self.task.outbox.ended() {
            None => Ok(()),
            Some(full) => Err(End::of(full)),
        }
    }

    /// Waits until the count may go on: the peer's wrap is known, or it is quiet and takes a second HELLO.
    async fn hold(&mut self) -> Result<(), End> {
        const LOOK: Duration = Duration::from_millis(1);
        let line = self.task.outbox.line();
        let began = Instant::now();
        let (mut reads, mut changed) = (line.reads(), began);
        let asked = self.task.outbox.must_greet();
        let max_hold = if asked { MAX_ASKED_HOLD } else { MAX_HOLD };
        while (asked || line.flavour() == Flavour::Unknown)
            && changed.elapsed() < QUIET
            && began.elapsed() < max_hold
        {
            let look = sleep(LOOK);
            tokio::select! {
                () = look => {}
                result = self.wait() => result?,
            }
            if line.reads() != reads {
                (reads, changed) = (line.reads(), Instant::now());
            }
        }
        match self.task.outbox.release() {
            Ok(true) => {
                self.task.context.counters.count("hello_in_stream");
                // The peer may answer, and its answer is to be known for one.
                let news = Input::LinkUp { link: self.task.link };
                self.task.context.driver.tell(news).await.map_err(|_| End::Closed)?;
            }
            Ok(false) => {}
            Err(limit) => {
                self.task.hello_refused(limit);
                return Err(End::Lost(LinkLoss::Closed));
            }
        }
        Ok(())
    }
}

impl LinkTask {
    fn hello_refused(&self, limit: Limit) {
        self.context.counters.count("hello_too_large");
        tracing::error!(link = self.link.0, %limit, "our own HELLO is beyond a limit; the link cannot open");
    }
}
