//! Messages without a number yet, in the order of queueing.
//!
//! Content and control are kept apart, as only content is ever dropped; the oldest of it goes in one step.

use crate::GroupName;
use crate::message::Message;
use crate::wire::{Command, HelloFields};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Unencoded messages; the numbers keep the order of both kinds.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) content: VecDeque<Content>,
    pub(super) control: VecDeque<(u64, Box<Control>)>,
    /// Bytes the content will take on the wire.
    pub(super) bytes: usize,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Content {
    pub(super) order: u64,
    pub(super) queued_at: Instant,
    pub(super) group: Option<GroupName>,
    pub(super) message: Message,
    pub(super) size: usize,
}

#[derive(Debug)]
pub(super) struct Control {
    pub(super) command: Command,
    pub(super) hello: Option<Arc<HelloFields>>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.content.is_empty() && self.control.is_empty()
    }

    pub(super) fn order(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn pop_content(&mut self) -> Option<Content> {
        let content = self.content.pop_front()?;
        self.bytes -= content.size;
        Some(content)
    }

    pub(super) fn control_is_first(&self) -> bool {
        match (self.control.front(), self.content.front()) {
            (Some((control, _)), Some(content)) => *control < content.order,
            (control, _) => control.is_some(),
        }
    }
}
