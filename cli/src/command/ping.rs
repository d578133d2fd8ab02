//! `zyre ping`: round trips by `rpc.ping`, one after the other.

use super::methods::why_silent;
use super::send::DEFAULT_TIMEOUT;
use super::whisper::wait_for_peer;
use crate::args;
use crate::failure::Failure;
use crate::output::{Output, RoundTrip, Summary};
use crate::session::Session;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use zyre_actors::{ActorSystem, CallError};
use zyre_rs::PeerId;

pub(crate) async fn run(session: Session, args: &args::Ping) -> Result<(), Failure> {
    let port = session.options.port;
    let limit = session.options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let json = session.options.json;
    let mut summary = Summary::default();
    let mut silent = String::new();
    let outcome = session
        .with_system(async |system, output| {
            let peer = wait_for_peer(system.node(), &args.peer, 0, limit, port).await?;
            silent = why_silent(system.node(), peer, limit);
            ping(system, peer, args, limit, output, &mut summary).await
        })
        .await;
    // Also after Ctrl-C.
    if summary.sent() > 0 {
        let mut output = Output::new(json);
        output.line(&summary.figures())?;
        output.flush()?;
    }
    outcome?;
    if summary.answered() == 0 { Err(Failure::Timeout(silent)) } else { Ok(()) }
}

async fn ping(
    system: &ActorSystem,
    peer: PeerId,
    args: &args::Ping,
    limit: Duration,
    output: &mut Output,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let name = system.node().peer(peer).map_or_else(|| peer.short().into(), |peer| peer.name);
    // tokio has no interval of zero.
    let mut pace = tokio::time::interval(args.interval.max(Duration::from_nanos(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seq = 0;
    while args.count.is_none_or(|count| seq < count) {
        pace.tick().await;
        seq += 1;
        let began = Instant::now();
        let outcome = match system.call_json("rpc.ping", json!({})).on(peer).timeout(limit).await {
            // An error of the peer's own has made the round trip as well.
            Ok(_) | Err(CallError::Remote(_)) => Ok(began.elapsed()),
            Err(error) => Err(error.to_string()),
        };
        summary.add(&outcome);
        output.line(&RoundTrip::new(seq, peer, &name, &outcome))?;
        output.flush()?;
    }
    Ok(())
}
