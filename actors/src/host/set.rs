//! The shell of a supervision set: carries out what the machine decides.

use super::HostEvent;
use super::child::Order;
use crate::supervise::{ChildId, Input, Output, Strategy, Supervisor};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// What a set is told. There is one `Add` and one `Remove` per service and one `Tell` per order, so what waits is
/// bounded by the number of services.
pub(super) enum Command {
    Add(ChildId, Member),
    Tell(Input),
}

/// A supervised actor as its set sees it.
pub(super) struct Member {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) events: Box<dyn Fn(HostEvent) + Send>,
    pub(super) was_up: bool,
}

/// Runs until nobody holds the set or a service of it any more.
pub(super) async fn run(strategy: Strategy, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut set = Set { machine: Supervisor::new(strategy), members: BTreeMap::new() };
    loop {
        let command = match set.machine.next_deadline() {
            Some(due) => timeout_at(due, commands.recv()).await,
            None => Ok(commands.recv().await),
        };
        match command {
            Ok(Some(Command::Add(child, member))) => {
                set.members.insert(child, member);
                set.tell(Input::Add(child));
            }
            Ok(Some(Command::Tell(input))) => set.tell(input),
            Ok(None) => return,
            Err(_) => set.tell(Input::Timeout),
        }
    }
}

struct Set {
    machine: Supervisor,
    members: BTreeMap<ChildId, Member>,
}

impl Set {
    fn tell(&mut self, input: Input) {
        let now = Instant::now();
        self.machine.handle(now, input);
        while let Some(output) = self.machine.poll_output() {
            self.act(now, output);
        }
        match input {
            Input::Started(child) => {
                if let Some(member) = self.members.get_mut(&child) {
                    let first = !std::mem::replace(&mut member.was_up, true);
                    (member.events)(if first { HostEvent::Up } else { HostEvent::Resumed });
                }
            }
            Input::Remove(child) => drop(self.members.remove(&child)),
            _ => {}
        }
    }

    fn act(&mut self, now: Instant, output: Output) {
        match output {
            Output::Start(child) => self.order(child, Order::Start),
            Output::Stop(child) => self.order(child, Order::Stop),
            Output::Paused(child, until) if until > now => self.report(child, HostEvent::Paused { until }),
            Output::Paused(..) => {}
            Output::Ended(child) => {
                self.report(child, HostEvent::Stopped);
                self.members.remove(&child);
            }
            Output::GaveUp => {
                for member in std::mem::take(&mut self.members).into_values() {
                    (member.events)(HostEvent::GaveUp);
                }
            }
        }
    }

    /// An actor whose host has ended takes no orders any more.
    fn order(&self, child: ChildId, order: Order) {
        if let Some(member) = self.members.get(&child) {
            let _ = member.orders.send(order);
        }
    }

    fn report(&self, child: ChildId, event: HostEvent) {
        if let Some(member) = self.members.get(&child) {
            (member.events)(event);
        }
    }
}
