//! Who comes and who goes.

use super::Service;
use crate::system::Command;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use zyre_rs::{ExitReason, PeerId};

/// News that wait for a slow reader; more are dropped and counted as `watch_news_dropped`.
const NEWS: usize = 1024;

/// A provider has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Up {
    /// It provides the service from now on.
    Up {
        /// Who.
        peer: PeerId,
    },
    /// It does not any more.
    Down {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: Down,
    },
    /// Its actor died and was started anew; what it worked on is lost, what waited is not. At most once delivered, and
    /// only by providers with this layer.
    Restarted {
        /// Who.
        peer: PeerId,
    },
}

/// Why a provider went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Down {
    /// It left the group: it drains, or serves something else now.
    Left,
    /// Its node is not reachable any more.
    Exited(ExitReason),
}

/// The providers of a service as they come and go; made by [`Service::watch`]. Also a [`Stream`].
#[derive(Debug)]
pub struct Watch(mpsc::Receiver<Up>);

impl Watch {
    pub(super) fn new(service: &Service) -> Self {
        let (news, taken) = mpsc::channel(NEWS);
        _ = service.shared.mailbox.send(Command::Watch { group: service.group.clone(), news });
        Self(taken)
    }

    /// The next change; `None` once the system has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Up> {
        self.0.recv().await
    }
}

impl Stream for Watch {
    type Item = Up;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Up>> {
        self.0.poll_recv(cx)
    }
}
