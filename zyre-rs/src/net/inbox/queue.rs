//! The queue itself: a lane per peer, turns between lanes, and what all of it may cost.
//!
//! Invariant: a lane is in `turns` or being read (`Turn::peer`) exactly when `in_turn` is set, which is the case
//! whenever it holds anything. Everything here is quick and called under the inbox's lock.

use super::batch::Batch;
use super::{TURN_BYTES, TURN_MESSAGES, WINDOW};
use crate::{Event, PeerId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::Notify;

/// What a waiting event counts against its peer's window, so that a flood of JOINs is held back like one of content.
const EVENT_COST: usize = 256;

#[derive(Debug)]
pub(super) enum Item {
    Event(Event),
    Batch(Box<Batch>),
}

impl Item {
    fn messages(&self) -> u64 {
        match self {
            Self::Event(_) => 1,
            Self::Batch(batch) => batch.messages(),
        }
    }
}

/// Everything of one peer that waits, oldest first.
#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Item>,
    /// Of what is in it and of the batch being read.
    cost: usize,
    in_turn: bool,
    /// Connections that may push.
    feeds: usize,
    /// How often the peer has left: content of a session that is over is refused.
    exits: u32,
    /// Readers that wait for the window.
    waiting: Vec<Arc<Notify>>,
}

/// The reader's place: whose turn it is and what is left of it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    peer: Option<PeerId>,
    messages: usize,
    bytes: usize,
}

impl Turn {
    #[inline]
    pub(super) fn spend(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    fn start(&mut self, peer: PeerId) {
        *self = Self { peer: Some(peer), messages: TURN_MESSAGES, bytes: TURN_BYTES };
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Taken,
    /// Ask again when notified.
    Wait,
    /// The peer has left, or the node stops.
    Refused,
}

#[derive(Debug)]
pub(super) struct Queue {
    lanes: HashMap<PeerId, Lane>,
    turns: VecDeque<PeerId>,
    /// Cost of all lanes.
    queued: usize,
    /// Bytes of unfinished messages.
    assembling: usize,
    /// One reader may go beyond what the others may assemble: else many halves could block each other for ever.
    overdrawn: bool,
    budget: usize,
    /// Readers that wait for the budget.
    waiting: Vec<Arc<Notify>>,
    pub(super) closed: bool,
    /// The application has dropped its `Events`.
    pub(super) abandoned: bool,
    pub(super) reader: Option<Waker>,
}

impl Queue {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            queued: 0,
            assembling: 0,
            overdrawn: false,
            budget,
            waiting: Vec::new(),
            closed: false,
            abandoned: false,
            reader: None,
        }
    }

    /// Bytes held for messages, whole and unfinished.
    pub(super) fn used(&self) -> usize {
        self.queued + self.assembling
    }

    /// A connection may push from now on; returns the session its content belongs to.
    pub(super) fn attach(&mut self, peer: PeerId) -> u32 {
        let lane = self.lanes.entry(peer).or_default();
        lane.feeds += 1;
        lane.exits
    }

    pub(super) fn detach(&mut self, peer: PeerId) {
        if let Some(lane) = self.lanes.get_mut(&peer) {
            lane.feeds = lane.feeds.saturating_sub(1);
        }
        self.tidy(peer);
    }

    pub(super) fn push_event(&mut self, peer: PeerId, event: Event) {
        let lane = self.lanes.entry(peer).or_default();
        if matches!(event, Event::Exit { .. }) {
            lane.exits = lane.exits.wrapping_add(1);
        }
        lane.items.push_back(Item::Event(event));
        lane.cost += EVENT_COST;
        self.queued += EVENT_COST;
        self.enter_turn(peer);
    }

    /// Counts an exit nobody is told of.
    pub(super) fn pass_over(&mut self, peer: PeerId, event: &Event) {
        if let (Event::Exit { .. }, Some(lane)) = (event, self.lanes.get_mut(&peer)) {
            lane.exits = lane.exits.wrapping_add(1);
        }
    }

    /// Queues a batch (or nothing, just to be told) if the window and the budget allow it. `share` is what has
    /// been reserved for it.
    pub(super) fn push(
        &mut self,
        peer: PeerId,
        session: u32,
        share: usize,
        batch: &mut Option<Box<Batch>>,
        notify: &Arc<Notify>,
    ) -> Pushed {
        let cost = batch.as_ref().map_or(0, |batch| batch.cost());
        let used = self.used().saturating_sub(share);
        let Some(lane) = self.lanes.get_mut(&peer) else { return Pushed::Refused };
        if self.closed || lane.exits != session {
            return Pushed::Refused;
        }
        if lane.cost >= WINDOW {
            lane.waiting.push(Arc::clone(notify));
            return Pushed::Wait;
        }
        if share == 0 && self.queued > 0 && used + cost > self.budget {
            self.waiting.push(Arc::clone(notify));
            return Pushed::Wait;
        }
        if let Some(batch) = batch.take() {
            lane.cost += cost;
            lane.items.push_back(Item::Batch(batch));
            self.queued += cost;
            self.enter_turn(peer);
        }
        Pushed::Taken
    }

    /// Lets a reader hold `bytes` more of an unfinished message; false means wait to be notified.
    pub(super) fn grow(&mut self, bytes: usize, overdraft: &mut bool, notify: &Arc<Notify>) -> bool {
        // Whole messages go away by themselves.
        if self.queued > 0 && self.used() + bytes > self.budget {
            self.waiting.push(Arc::clone(notify));
            return false;
        }
        // The other half is for whole messages and the overdraft, so that something can always move on.
        if self.assembling + bytes > self.budget / 2 && !*overdraft {
            if self.overdrawn {
                self.waiting.push(Arc::clone(notify));
                return false;
            }
            (self.overdrawn, *overdraft) = (true, true);
        }
        self.assembling += bytes;
        true
    }

    pub(super) fn shrink(&mut self, bytes: usize, overdraft: bool) {
        self.assembling = self.assembling.saturating_sub(bytes);
        self.overdrawn &= !overdraft;
        self.wake_budget();
    }

    /// Takes back the batch being read: what is left of it comes first in the next turn.
    pub(super) fn put_back(&mut self, batch: Box<Batch>) {
        if batch.is_drained() {
            self.settle(batch.peer, batch.cost());
        } else if let Some(lane) = self.lanes.get_mut(&batch.peer) {
            lane.items.push_front(Item::Batch(batch));
        }
    }

    /// So much has left the queue.
    fn settle(&mut self, peer: PeerId, cost: usize) {
        if let Some(lane) = self.lanes.get_mut(&peer) {
            lane.cost = lane.cost.saturating_sub(cost);
            if lane.cost < WINDOW {
                lane.waiting.drain(..).for_each(|waiting| waiting.notify_one());
            }
        }
        self.queued = self.queued.saturating_sub(cost);
        self.wake_budget();
    }

    /// The next item in fair turns.
    pub(super) fn next(&mut self, turn: &mut Turn) -> Option<Item> {
        if let Some(peer) = turn.peer {
            let empty = self.lanes.get(&peer).is_none_or(|lane| lane.items.is_empty());
            if empty {
                turn.peer = None;
                if let Some(lane) = self.lanes.get_mut(&peer) {
                    lane.in_turn = false;
                    // A peer with nothing to say should not cost its busiest hour.
                    lane.items = VecDeque::new();
                }
                self.tidy(peer);
            } else if turn.is_spent() {
                turn.peer = None;
                self.turns.push_back(peer);
            }
        }
        if turn.peer.is_none() {
            turn.start(self.turns.pop_front()?);
        }
        let peer = turn.peer?;
        let item = self.lanes.get_mut(&peer)?.items.pop_front();
        if let Some(Item::Event(_)) = item {
            self.settle(peer, EVENT_COST);
        }
        item
    }

    /// Drops everything, and what comes later too; returns how many events that were.
    pub(super) fn abandon(&mut self, reading: Option<&Batch>) -> u64 {
        let mut lost = reading.map_or(0, Batch::messages);
        self.abandoned = true;
        self.reader = None;
        self.turns.clear();
        self.queued = 0;
        for lane in self.lanes.values_mut() {
            lost += lane.items.drain(..).map(|item| item.messages()).sum::<u64>();
            (lane.cost, lane.in_turn) = (0, false);
        }
        self.lanes.retain(|_, lane| lane.feeds > 0);
        self.wake_all();
        lost
    }

    pub(super) fn wake_all(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.waiting.drain(..).for_each(|waiting| waiting.notify_one());
        }
        self.wake_budget();
    }

    fn wake_budget(&mut self) {
        self.waiting.drain(..).for_each(|waiting| waiting.notify_one());
    }

    fn enter_turn(&mut self, peer: PeerId) {
        if let Some(lane) = self.lanes.get_mut(&peer)
            && !std::mem::replace(&mut lane.in_turn, true)
        {
            self.turns.push_back(peer);
        }
    }

    fn tidy(&mut self, peer: PeerId) {
        if self.lanes.get(&peer).is_some_and(|lane| lane.feeds == 0 && !lane.in_turn && lane.items.is_empty())
        {
            self.lanes.remove(&peer);
        }
    }
}
