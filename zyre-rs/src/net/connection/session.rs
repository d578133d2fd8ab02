//! A connection whose peer is known: parses what it sends, keeps its sequence, hands on content and commands.

use super::gather::Gather;
use super::handshake::{Greeting, write_all};
use super::reader::Reader;
use super::sealed::Sealed;
use super::{Connection, End, HELLO_TIMEOUT, MAX_MESSAGE, STUCK_TIMEOUT};
use crate::net::inbox::batch::{Batch, Piece};
use crate::net::inbox::{Feed, Share};
use crate::proto::sequence::{Flavour, Inbound};
use crate::proto::{Input, sequence};
use crate::wire::{Command, Hello, MAX_HELLO, decode, decode_content};
use crate::zmtp::curve::PublicKey;
use crate::zmtp::{Decoder, Limits, Step};
use crate::{PeerId, wire};
use bytes::BytesMut;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::debug;

/// Protocol errors within [`ERROR_WINDOW`] that end a connection (T17).
const MAX_ERRORS: u32 = 1_000;
const ERROR_WINDOW: Duration = Duration::from_secs(10);

/// What a walk over the buffer came to, after noting all content before it.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing more that is whole; so many bytes are missing at least.
    End { missing: usize },
    /// A message of the control plane.
    Control(Box<Command>),
    /// A HELLO that starts the count anew.
    Hello(Box<Hello>),
    /// A ZMTP command, which is to be answered.
    Answer(Vec<u8>),
    /// The batch must go before more is noted.
    Full,
    /// Messages are missing.
    Gap { missing: u16 },
    /// Too many errors.
    Misbehaved,
}

#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) peer: PeerId,
    pub(super) reader: Reader,
    pub(super) decoder: Decoder,
    gather: Gather,
    pub(super) inbound: Inbound,
    pub(super) feed: Option<Feed>,
    /// The driver has heard of this connection.
    pub(super) announced: bool,
    /// The peer's count of its joins and leaves; not known after a resumption.
    pub(super) status: Option<u8>,
    errors: u32,
    errors_since: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(connection: &'a Connection, greeting: Greeting) -> Self {
        let share = Share::new(connection.mailbox.inbox.clone());
        let Greeting { peer, rest, traffic } = greeting;
        let reader = match traffic {
            None => Reader::new(rest, None, share),
            Some(traffic) => {
                let sealed = Sealed::new(*traffic, rest, MAX_HELLO);
                Reader::new(BytesMut::new(), Some(Box::new(sealed)), share)
            }
        };
        Self {
            connection,
            peer,
            reader,
            decoder: Decoder::new(Limits { max_message: MAX_HELLO, ..connection.mailbox.limits }),
            gather: Gather::default(),
            inbound: Inbound::after_hello(),
            feed: None,
            announced: false,
            status: None,
            errors: 0,
            errors_since: Instant::now(),
        }
    }

    /// What the peer has proven, where the connection is sealed.
    pub(super) fn proven_key(&self) -> Option<PublicKey> {
        self.reader.sealed.as_ref().map(|sealed| sealed.peer_key())
    }

    /// Tells the driver of the end, if it has heard of the connection. Boxed: an idle connection should not carry its size.
    pub(super) fn farewell(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let Connection { mailbox, conn, .. } = self.connection;
        mailbox.counters.add("events_discarded", self.gather.messages);
        self.feed = None;
        let (peer, expected) = (self.peer, self.inbound.expected());
        let closed = self.announced.then_some(Input::ConnClosed { conn: *conn, peer, expected });
        Box::pin(async move {
            if let Some(closed) = closed {
                // A driver that has ended does not want to know.
                let _ = mailbox.driver.tell(closed).await;
            }
        })
    }

    /// Serves the connection to its end. Dropping the future ends it as well.
    pub(super) async fn run(&mut self) -> End {
        let Err(end) = self.serve().await else { return End };
        end
    }

    async fn serve(&mut self) -> Result<(), End> {
        let hello = Box::pin(timeout(HELLO_TIMEOUT, self.await_hello()));
        hello.await.unwrap_or_else(|_| {
            self.connection.count("hello_timeout");
            Err(End)
        })?;
        let limits = self.connection.mailbox.limits;
        let max_message = limits.max_message.min(MAX_MESSAGE);
        self.decoder = Decoder::new(Limits { max_message, ..limits });
        if let Some(sealed) = &mut self.reader.sealed {
            sealed.max_frame = max_message;
        }
        loop {
            let missing = self.digest().await?;
            let line = self.feed.as_ref().map(|feed| &feed.line);
            self.reader.read(self.connection, line, missing).await?;
            if let Some(line) = line {
                line.note_read();
            }
        }
    }

    /// Handles all that is whole; returns how many bytes the next message lacks.
    async fn digest(&mut self) -> Result<usize, End> {
        loop {
            let found = self.walk()?;
            self.flush().await?;
            match found {
                Found::End { missing } => return Ok(missing),
                Found::Full => {}
                rare => Box::pin(self.act(rare)).await?,
            }
        }
    }

    async fn act(&mut self, found: Found) -> Result<(), End> {
        let Connection { mailbox, conn, .. } = self.connection;
        let (conn, peer) = (*conn, self.peer);
        match found {
            Found::End { .. } | Found::Full => {}
            Found::Answer(bytes) => self.answer(&bytes).await?,
            Found::Control(command) => {
                if let Some(feed) = &mut self.feed {
                    feed.wait(&mut self.reader.share).await.map_err(|_| End)?;
                }
                let input = Input::Command { conn, peer, command: *command };
                mailbox.driver.tell_ordered(input).await.map_err(|_| End)?;
            }
            Found::Hello(hello) => {
                self.connection.count("hello_in_band");
                if !self.say_hello(*hello).await? {
                    return Err(End);
                }
            }
            Found::Gap { missing } => {
                debug!(%peer, missing, "messages are missing");
                self.connection.count("sequence_gap");
                let _ = mailbox.driver.tell_ordered(Input::Gap { conn, peer, missing }).await;
                return Err(End);
            }
            Found::Misbehaved => {
                self.connection.count("misbehaved");
                let _ = mailbox.driver.tell_ordered(Input::Misbehaved { conn, peer }).await;
                return Err(End);
            }
        }
        Ok(())
    }

    /// Writes the answer to a ZMTP command, before anything more is read: a flood of them costs its sender.
    pub(super) async fn answer(&mut self, bytes: &[u8]) -> Result<(), End> {
        let sealed =
            self.reader.sealed.as_mut().map(|sealed| sealed.seal(bytes)).transpose().map_err(|_| End)?;
        let bytes = sealed.as_deref().unwrap_or(bytes);
        match timeout(STUCK_TIMEOUT, write_all(&self.connection.stream, bytes)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End),
        }
    }

    /// Walks the buffer, noting content, up to something else or its end.
    fn walk(&mut self) -> Result<Found, End> {
        let mailbox = &self.connection.mailbox;
        loop {
            if self.gather.is_full() {
                return Ok(Found::Full);
            }
            let base = self.reader.parsed;
            let message = match self.decoder.next(self.reader.unparsed()) {
                Ok(Step::Message(message)) => message,
                Ok(Step::NeedMore { at_least }) => return Ok(Found::End { missing: at_least }),
                Ok(Step::Command { body, consumed }) => {
                    let answer = self.connection.answer_to(body)?;
                    self.reader.parsed += consumed;
                    match answer {
                        Some(answer) => return Ok(Found::Answer(answer)),
                        None => continue,
                    }
                }
                Err(error) => {
                    debug!(peer = %self.peer, %error, "a connection is closed");
                    self.connection.count(error.counter());
                    return Err(End);
                }
            };
            let consumed = message.consumed();
            let head = message.frame(0).unwrap_or_default();
            if let Some(content) = decode_content(head) {
                if let Err(gap) = self.inbound.check(content.sequence) {
                    return Ok(Found::Gap { missing: gap.missing });
                }
                let group = match content.group {
                    None => Some(Piece::WHISPER),
                    Some(name) => self.gather.group(name, &mailbox.groups, mailbox.foreign_shouts),
                };
                if let Some(group) = group {
                    self.gather.add(base, message.ranges().get(1..).unwrap_or_default(), group);
                }
                self.reader.parsed += consumed;
                continue;
            }
            let decoded = decode(head);
            self.reader.parsed += consumed;
            if let Some(found) = self.judge(decoded) {
                return Ok(found);
            }
        }
    }

    /// A message that is not content. None: it counts in the sequence, if at all, and is ignored.
    fn judge(&mut self, decoded: Result<wire::Decoded, wire::MessageError>) -> Option<Found> {
        let number = match &decoded {
            Ok(decoded) => Some(decoded.sequence),
            Err(error) => error.sequence(),
        };
        if let Ok(wire::Decoded { sequence: sequence::FIRST, command: Command::Hello(hello) }) = decoded {
            return Some(Found::Hello(Box::new(hello)));
        }
        if let Some(Err(gap)) = number.map(|number| self.inbound.check(number)) {
            return Some(Found::Gap { missing: gap.missing });
        }
        let counter = match decoded {
            Ok(wire::Decoded { command: Command::Hello(_), .. }) => "hello_misnumbered",
            Ok(wire::Decoded { command: Command::Unknown { .. }, .. }) => "message_unknown_id",
            Ok(wire::Decoded { command, .. }) => {
                self.check_status(&command);
                return Some(Found::Control(Box::new(command)));
            }
            Err(error) => error.counter(),
        };
        self.error(counter)
    }

    /// Others die of a status that is not the previous one plus 1; here it is counted and never enforced (T13).
    fn check_status(&mut self, command: &Command) {
        let (Command::Join { status, .. } | Command::Leave { status, .. }) = command else { return };
        let Some(last) = self.status.replace(*status) else { return };
        // zyre.js counts modulo 255.
        if *status != last.wrapping_add(1) && (last, *status) != (254, 0) {
            self.connection.count("status_mismatch");
        }
    }

    pub(super) fn error(&mut self, counter: &'static str) -> Option<Found> {
        self.connection.count(counter);
        let now = Instant::now();
        if now.duration_since(self.errors_since) > ERROR_WINDOW {
            (self.errors, self.errors_since) = (0, now);
        }
        self.errors += 1;
        (self.errors > MAX_ERRORS).then_some(Found::Misbehaved)
    }

    /// Hands the noted content to the inbox, waiting for room.
    async fn flush(&mut self) -> Result<(), End> {
        let counters = &self.connection.mailbox.counters;
        if self.gather.foreign > 0 {
            counters.add("shout_foreign", std::mem::take(&mut self.gather.foreign));
        }
        let Some(feed) = &mut self.feed else { return Err(End) };
        if self.inbound.flavour != Flavour::Unknown {
            feed.line.learn(self.inbound.flavour);
        }
        if self.gather.pieces.is_empty() {
            if self.reader.parsed > 0 {
                self.reader.drop_parsed();
            }
            return Ok(());
        }
        let (pieces, groups) = self.gather.take();
        let bytes = self.reader.take_parsed();
        let batch = Box::new(Batch::new(feed.peer, feed.name.clone(), bytes, pieces, groups));
        if !feed.try_push(batch, &mut self.reader.share).map_err(|_| End)? {
            Box::pin(feed.wait(&mut self.reader.share)).await.map_err(|_| End)?;
        }
        Ok(())
    }
}
