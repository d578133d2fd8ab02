//! `zyre bench`: measures whispers, shouts, calls and discovery between this command and `zyre bench serve`.

mod call;
mod discovery;
mod echo;
mod echoes;
mod load;
mod message;
mod schedule;
mod serve;
mod tally;

use super::peers::checks;
use super::send::DEFAULT_TIMEOUT;
use crate::args::{Bench, Pace};
use crate::failure::Failure;
use crate::output::{Measured, Output, Setting, counted, note};
use crate::session::{Session, wait_for};
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use zyre_rs::{Node, PeerId};

/// The service that those that serve are found by; its members get the shouts.
const SERVICE: &str = "bench";
const GROUP: &str = "svc/bench";
/// What calls call.
const METHOD: &str = "bench.echo";

pub(crate) async fn run(session: Session, bench: Bench) -> Result<(), Failure> {
    match bench {
        Bench::Serve => serve::run(session).await,
        Bench::Whisper(load) => {
            echo::whispers(Run::new("whisper", session, Some(load.size), load.pace)).await
        }
        Bench::Shout(load) => echo::shouts(Run::new("shout", session, Some(load.size), load.pace)).await,
        Bench::Call(load) => call::run(Run::new("call", session, Some(load.size), load.pace)).await,
        Bench::Discovery(pace) => discovery::run(Run::new("discovery", session, None, pace)).await,
    }
}

/// One measurement. What it has come to is printed however it ends.
struct Run {
    session: Session,
    setting: Setting,
    duration: Duration,
    /// How long those that serve are awaited, and each answer.
    limit: Duration,
    port: u16,
    csv: bool,
    tally: Arc<Tally>,
}

/// What is left of it once its session is at work.
struct Task {
    setting: Setting,
    duration: Duration,
    limit: Duration,
    port: u16,
    tally: Arc<Tally>,
}

impl Run {
    fn new(bench: &'static str, session: Session, size: Option<u32>, pace: Pace) -> Self {
        let (limit, port) = (session.options.timeout.unwrap_or(DEFAULT_TIMEOUT), session.options.port);
        let (clients, Pace { peers, duration, rate, csv, .. }) = (pace.clients(), pace);
        let setting = Setting { bench, peers, size, clients, rate };
        Self { session, setting, duration, limit, port, csv, tally: Arc::default() }
    }

    /// Measures, then prints the figures: also after Ctrl-C.
    async fn measure(
        self,
        work: impl AsyncFnOnce(Session, &Task) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { session, setting, duration, limit, port, csv, tally } = self;
        let json = session.options.json;
        let task = Task { setting: setting.clone(), duration, limit, port, tally: tally.clone() };
        let outcome = work(session, &task).await;
        let (result, why) = tally.result();
        if result.sent == 0 {
            return outcome;
        }
        let nothing = result.answered == 0;
        let mut output = Output::new(json);
        let measured = Measured::new(setting, result);
        if csv {
            output.text(measured.csv().as_bytes())?
        } else {
            output.line(&measured)?
        }
        output.flush()?;
        outcome?;
        match why {
            Some(why) if nothing => Err(Failure::Timeout(format!("nothing was answered: {why}"))),
            Some(why) => {
                note(format_args!("the last that was lost: {why}"));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Task {
    /// Waits for those that serve.
    async fn servers(&self, node: &Node) -> Result<Vec<PeerId>, Failure> {
        let wanted = self.setting.peers as usize;
        wait_for(node, self.limit, |membership| membership.members(GROUP).count() >= wanted).await?;
        let found: Vec<_> = node.membership().members(GROUP).map(|peer| peer.id).collect();
        if found.len() >= wanted {
            return Ok(found);
        }
        Err(Failure::Timeout(format!(
            "{} of {} found that answer benchmarks in {:?}; start `zyre bench serve` elsewhere, and {}",
            found.len(),
            counted(wanted as u64, "node"),
            self.limit,
            checks(self.port)
        )))
    }
}
