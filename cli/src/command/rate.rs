//! `zyre hz` and `zyre bw`: how often and how much is said in groups.

mod meter;

use crate::args::Rates;
use crate::failure::Failure;
use crate::output::{Output, RateRow, Screen, counted, rate_table};
use crate::session::Session;
use meter::{Measure, Meter};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use zyre_rs::{Event, Events};

/// How often the figures are shown.
const EVERY: Duration = Duration::from_secs(1);
const MAX_BATCH: usize = 256;

pub(crate) async fn run<R: Measure + RateRow>(session: Session, args: &Rates) -> Result<(), Failure> {
    let mut board = Board::new(args, Output::new(session.options.json));
    let limit = session.options.timeout;
    let worked = session
        .with_node(&args.groups, async |_node, mut events, _output| {
            board.has_begun = true;
            let longest = [args.duration, limit].into_iter().flatten().min();
            let Some(longest) = longest else { return board.watch::<R>(&mut events, args.count).await };
            match timeout(longest, board.watch::<R>(&mut events, args.count)).await {
                Ok(done) => done,
                Err(_) => board.has_enough(args, limit),
            }
        })
        .await;
    // What has come since the last second belongs to the user, however it ends.
    if board.has_begun && !matches!(worked, Err(Failure::Output(_))) {
        board.show::<R>()?;
    }
    worked
}

/// The groups, each with its meter.
struct Board {
    meters: BTreeMap<String, Meter>,
    output: Output,
    screen: Screen,
    messages: u64,
    has_begun: bool,
}

impl Board {
    fn new(args: &Rates, output: Output) -> Self {
        let window = args.window as usize;
        let meters = args.groups.iter().map(|group| (group.clone(), Meter::new(window))).collect();
        Self { meters, screen: Screen::new(&output), output, messages: 0, has_begun: false }
    }

    /// Measures until enough messages have come.
    async fn watch<R: Measure + RateRow>(
        &mut self,
        events: &mut Events,
        count: Option<u64>,
    ) -> Result<(), Failure> {
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.show::<R>()?,
                received = events.recv_many(&mut batch, MAX_BATCH) => {
                    if received == 0 {
                        return Err(Failure::Stopped);
                    }
                    for event in batch.drain(..) {
                        self.take(&event);
                        if count == Some(self.messages) {
                            return Ok(());
                        }
                    }
                    // A stream that never runs dry must not shut out Ctrl-C and the end of the time.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let Event::Shout { group, message, .. } = event else { return };
        if let Some(meter) = self.meters.get_mut(&*group.to_str_lossy()) {
            meter.add(Instant::now(), message.size());
            self.messages += 1;
        }
    }

    fn show<R: Measure + RateRow>(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let rows: Vec<R> = self.meters.iter().map(|(group, meter)| R::measure(group, meter, now)).collect();
        if self.screen.is_live() {
            return self.screen.draw(&mut self.output, &rate_table(&rows));
        }
        rows.iter().try_for_each(|row| self.output.line(row))?;
        self.output.flush()
    }

    /// The time is over: that was all that was asked for, unless a number of messages was, to come by --timeout.
    fn has_enough(&self, args: &Rates, limit: Option<Duration>) -> Result<(), Failure> {
        match (args.count, limit) {
            (Some(count), Some(limit)) if args.duration.is_none_or(|duration| limit < duration) => {
                Err(Failure::Timeout(format!(
                    "{} of {} came in {limit:?}; wait longer with --timeout, or check with `zyre peers` that \
                     the senders are there",
                    self.messages,
                    counted(count, "message")
                )))
            }
            _ => Ok(()),
        }
    }
}
