//! `zyre scout`: who sends beacons. Opens no mailbox and sends nothing.

use crate::args;
use crate::failure::Failure;
use crate::output::{SightingRow, note};
use crate::session::Session;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;
use zyre_rs::{PeerId, Scout};

type Seen = BTreeMap<PeerId, SightingRow>;

pub(crate) async fn run(mut session: Session, args: &args::Scout) -> Result<(), Failure> {
    let (port, limit) = (session.options.port, session.options.timeout);
    let wait = limit.map_or(args.wait, |limit| limit.min(args.wait));
    let work = async {
        let mut scout = Scout::listen(port, session.options.interface.as_deref())?;
        let mut seen = Seen::new();
        // Running out of time is the usual end of listening.
        let _ = timeout(wait, listen(&mut scout, &mut seen, |_| false)).await;
        if let Some(limit) = limit.filter(|_| seen.is_empty()) {
            let _ =
                timeout(limit.saturating_sub(wait), listen(&mut scout, &mut seen, |seen| !seen.is_empty()))
                    .await;
        }
        Ok::<_, Failure>(seen)
    };
    let seen = session.signals.unless(work).await??;
    if seen.is_empty() {
        return nobody(limit, wait, port);
    }
    session.output.sightings(&seen.into_values().collect::<Vec<_>>())?;
    session.output.flush()
}

/// Collects beacons until it has enough. A node that says goodbye is no longer there.
async fn listen(scout: &mut Scout, seen: &mut Seen, enough: impl Fn(&Seen) -> bool) {
    while !enough(seen) {
        let Some(sighting) = scout.next().await else { return };
        match SightingRow::of(&sighting) {
            Some(row) => seen.insert(sighting.id, row),
            None => seen.remove(&sighting.id),
        };
    }
}

fn nobody(limit: Option<Duration>, wait: Duration, port: u16) -> Result<(), Failure> {
    let waited = limit.unwrap_or(wait);
    let message = format!(
        "no beacon heard on UDP port {port} in {waited:?}; check that nodes use this --port, that --interface is \
         on their network and that no firewall drops UDP broadcasts"
    );
    if limit.is_some() {
        return Err(Failure::Timeout(message));
    }
    note(message);
    Ok(())
}
