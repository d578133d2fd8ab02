//! ZMTP 3.x (RFC 23, RFC 37): the protocol below ZRE, as pure functions of bytes.
//!
//! A connection starts as a [`Handshake`] (greeting, security mechanism, READY) and goes on as a
//! [`Decoder`] for what arrives and [`put_frame`] for what leaves; with [`curve`] each frame is sealed on top
//! of that. The caller owns the socket, the buffers and the clock; nothing here reads, waits or spawns.
//!
//! Invariant: no bytes of a peer can panic this code or make it hold memory they have not paid for
//! in bytes sent. Whatever is refused is refused with an error that has a name to count it by.
#![deny(clippy::indexing_slicing, clippy::disallowed_methods)]

mod codec;
mod command;
pub mod curve;
mod greeting;
mod handshake;
mod mechanism;

pub use codec::{
    Decoder, FrameError, Header, Limits, Message, Step, next_read_size, put_frame, put_frame_header,
    put_message,
};
pub use command::{
    Command, CommandError, MAX_COMMAND, MAX_PROPERTIES, Metadata, Received, answer, put_command, put_error,
    put_ping, put_pong,
};
pub use greeting::{Greeting, GreetingError};
pub use handshake::{
    Handshake, HandshakeError, Identities, IdentityError, Peer, Role, SocketType, Status, peer_id,
};
pub use mechanism::{Mechanism, Progress};
