//! `--watch`: the list drawn anew at a terminal, else a line for each change.

use super::{List, Listed};
use crate::failure::Failure;
use crate::hidden::is_hiding;
use crate::output::{Output, Screen};
use crate::session::Session;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::timeout;
use zyre_rs::{Event, Events, Node, PeerId};

const MAX_BATCH: usize = 256;

pub(super) async fn run(session: Session, list: List) -> Result<(), Failure> {
    let limit = session.options.timeout;
    session
        .with_node(&[], async |node, mut events, output| {
            let watching = follow(node, &mut events, output, list);
            match limit {
                // Watching for so long was all that was asked for.
                Some(limit) => timeout(limit, watching).await.unwrap_or(Ok(())),
                None => watching.await,
            }
        })
        .await
}

async fn follow(node: &Node, events: &mut Events, output: &mut Output, list: List) -> Result<(), Failure> {
    let mut screen = Screen::new(output);
    let mut present = Present::default();
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        if screen.is_live() {
            screen.draw(output, &list.table(&node.membership()))?;
        } else {
            output.flush()?;
        }
        if events.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return Err(Failure::Stopped);
        }
        for event in batch.drain(..) {
            if matches!(event, Event::IdentityConflict { .. } | Event::KeyMismatch { .. }) {
                // A warning stands above the list.
                screen.erase(output)?;
                output.flush()?;
                output.event(&event)?;
            } else if present.is_change(&event, list) && !screen.is_live() {
                output.event(&event)?;
            }
        }
        // Peers that come and go without end must not shut out Ctrl-C and the timeout.
        tokio::task::yield_now().await;
    }
}

/// What is known of the peers that are there.
#[derive(Default)]
struct Present {
    hidden: BTreeSet<PeerId>,
    /// In how many groups each is that is in one.
    groups: BTreeMap<PeerId, usize>,
}

impl Present {
    /// Whether the event changes the list.
    fn is_change(&mut self, event: &Event, list: List) -> bool {
        let peer = event.peer();
        let (was_hidden, was_member) = (self.hidden.contains(&peer), self.groups.contains_key(&peer));
        let is_change = match event {
            Event::Enter { headers, .. } => {
                if is_hiding(headers) {
                    self.hidden.insert(peer);
                }
                list.listed == Listed::Peers
            }
            Event::Join { .. } => {
                *self.groups.entry(peer).or_default() += 1;
                true
            }
            Event::Leave { .. } => {
                if let Some(groups) = self.groups.get_mut(&peer) {
                    *groups -= 1;
                    if *groups == 0 {
                        self.groups.remove(&peer);
                    }
                }
                true
            }
            Event::Exit { .. } => {
                self.hidden.remove(&peer);
                self.groups.remove(&peer);
                list.listed == Listed::Peers || was_member
            }
            _ => false,
        };
        let is_hidden = was_hidden || self.hidden.contains(&peer);
        is_change && (list.shows_all || !is_hidden)
    }
}
