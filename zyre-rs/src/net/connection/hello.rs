//! Getting in: HELLO, or the right to go on without one (RFC 36, "a peer's first message is HELLO").

use super::session::Session;
use super::{Connection, End};
use crate::net::inbox::Feed;
use crate::proto::Input;
use crate::proto::sequence::{FIRST, Inbound};
use crate::wire::{Command, Decoded, Hello, decode, decode_content};
use crate::zmtp::{Header, Step};
use std::sync::Arc;

/// What is due before a session.
enum Due {
    Bytes(usize),
    Answer(Vec<u8>),
    Hello(Hello),
}

impl Session<'_> {
    /// Waits until the driver lets the connection in. The caller limits the time.
    pub(super) async fn await_hello(&mut self) -> Result<(), End> {
        let mut first = true;
        loop {
            if first && let Some(head) = self.first_head()? {
                first = false;
                // libzmq reconnects by itself and goes on where it was.
                if let Some(sequence) = resumes(head)
                    && self.resume(sequence).await?
                {
                    return Ok(());
                }
            }
            let due = self.next_before_hello()?;
            self.reader.drop_parsed();
            match due {
                Due::Bytes(missing) => self.reader.read(self.connection, None, missing).await?,
                Due::Answer(bytes) => self.answer(&bytes).await?,
                Due::Hello(hello) => return if self.say_hello(hello).await? { Ok(()) } else { Err(End) },
            }
        }
    }

    /// The first frame of the first message, before the rest of a large one is here.
    fn first_head(&self) -> Result<Option<&[u8]>, End> {
        let bytes = self.reader.unparsed();
        let Ok(header) = Header::decode(bytes) else {
            // The decoder will say which it is and have it counted.
            return Ok(None);
        };
        Ok(header.filter(|header| !header.command).and_then(|header| {
            let end = header.size.checked_add(usize::try_from(header.body).ok()?)?;
            bytes.get(header.size..end)
        }))
    }

    fn next_before_hello(&mut self) -> Result<Due, End> {
        loop {
            match self.decoder.next(self.reader.unparsed()) {
                Ok(Step::NeedMore { at_least }) => return Ok(Due::Bytes(at_least)),
                Ok(Step::Command { body, consumed }) => {
                    let answer = self.connection.answer_to(body)?;
                    self.reader.parsed += consumed;
                    if let Some(answer) = answer {
                        return Ok(Due::Answer(answer));
                    }
                }
                Ok(Step::Message(message)) => {
                    let decoded = decode(message.frame(0).unwrap_or_default());
                    self.reader.parsed += message.consumed();
                    let counter = match decoded {
                        Ok(Decoded { sequence: FIRST, command: Command::Hello(hello) }) => {
                            return Ok(Due::Hello(hello));
                        }
                        Ok(_) => "before_hello",
                        Err(error) => error.counter(),
                    };
                    if self.error(counter).is_some() {
                        self.connection.count("misbehaved");
                        return Err(End);
                    }
                }
                Err(error) => {
                    self.connection.count(error.counter());
                    return Err(End);
                }
            }
        }
    }

    async fn resume(&mut self, sequence: u16) -> Result<bool, End> {
        let Connection { conn, source, .. } = self.connection;
        let input =
            Input::Resume { conn: *conn, peer: self.peer, source: *source, sequence, key: self.proven_key() };
        let admitted = self.admit(input).await?;
        if admitted {
            self.connection.count("session_resumed");
            self.inbound = Inbound::resuming(sequence);
        }
        Ok(admitted)
    }

    /// Says HELLO to the driver; true once it counts.
    pub(super) async fn say_hello(&mut self, hello: Hello) -> Result<bool, End> {
        let Connection { conn, source, .. } = self.connection;
        let status = hello.status;
        let input =
            Input::Hello { conn: *conn, peer: self.peer, source: *source, hello, key: self.proven_key() };
        let admitted = self.admit(input).await?;
        if admitted {
            self.inbound = Inbound::after_hello();
            self.status = Some(status);
        } else {
            self.connection.count("hello_refused");
        }
        Ok(admitted)
    }

    async fn admit(&mut self, input: Input) -> Result<bool, End> {
        let Connection { mailbox, leash, .. } = self.connection;
        self.announced = true;
        let Some(admission) = mailbox.driver.admit(input, Arc::clone(leash)).await.map_err(|_| End)? else {
            return Ok(false);
        };
        let (name, line, leash) = (admission.name, admission.line, Arc::clone(leash));
        line.note_read();
        self.feed = Some(Feed::new(mailbox.inbox.clone(), self.peer, name, line, leash));
        Ok(true)
    }
}

/// The number of a first message that is a ZRE message but no HELLO.
fn resumes(head: &[u8]) -> Option<u16> {
    if let Some(content) = decode_content(head) {
        return Some(content.sequence);
    }
    match decode(head) {
        Ok(Decoded { command: Command::Hello(_), .. }) => None,
        Ok(decoded) => Some(decoded.sequence),
        Err(error) => error.sequence(),
    }
}
