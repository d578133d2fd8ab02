//! What the example programs share, so that each of them shows only its own idea.
//!
//! [`NodeArgs`] are the options every program takes, [`next_event`] and [`interrupted`] end a program on Ctrl-C, [`rpc`] reads and
//! writes JSON-RPC 2.0 (one JSON text in frame 0 of a whisper), [`work`] is the dealer's bookkeeping, [`calc`] what the programs
//! on the actor layer tell each other.

pub mod calc;
pub mod rpc;
pub mod work;

use clap::Args;
use std::sync::OnceLock;
use std::{error::Error, fmt};
use tokio::sync::watch;
use zyre_rs::{Event, Events, Node, NodeBuilder};

/// The options every example takes.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// Name that other nodes see
    #[arg(long)]
    pub name: Option<String>,
    /// Network interface: a name, an address, several separated by commas, or `*` for all
    #[arg(long)]
    pub interface: Option<String>,
    /// UDP port of the beacons; only nodes with the same one see each other
    #[arg(long, default_value_t = 5670)]
    pub port: u16,
}

impl NodeArgs {
    /// A builder with these options, called `default` unless the user chose another name.
    pub fn builder(&self, default: &str) -> NodeBuilder {
        let builder = Node::builder(self.name.as_deref().unwrap_or(default)).beacon_port(self.port);
        match &self.interface {
            Some(interface) => builder.interface(interface),
            None => builder,
        }
    }
}

/// The next event; `None` once the node has stopped or the user pressed Ctrl-C.
pub async fn next_event(events: &mut Events) -> Option<Event> {
    tokio::select! {
        event = events.next() => event,
        () = interrupted() => None,
    }
}

/// Completes once the user has pressed Ctrl-C, also when nobody waited for it just then: a program that is busy
/// between two events must not swallow it.
pub async fn interrupted() {
    static PRESSED: OnceLock<watch::Receiver<bool>> = OnceLock::new();
    let listen = || {
        let (press, pressed) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                press.send_replace(true);
            }
        });
        pressed
    };
    let mut pressed = PRESSED.get_or_init(listen).clone();
    if pressed.wait_for(|pressed| *pressed).await.is_err() {
        // There are no signals here; the program ends by itself or by force.
        std::future::pending::<()>().await;
    }
}

/// What `main` returns when something failed: any error, shown as its message instead of its debug form.
pub struct Failure(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
