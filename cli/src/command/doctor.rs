//! `zyre doctor`: joins in for a while, listens, and says what of it all is as it should be.
//!
//! [`findings`] holds what was seen and heard; each check is a pure function over that, in a file of its own.

mod broadcast;
mod findings;
mod holders;
mod interfaces;
mod mode;
mod names;
mod others;
mod peers;
mod ports;
mod refused;
#[cfg(test)]
mod tests;
mod versions;

use crate::failure::Failure;
use crate::output::{Check, Report, Status};
use crate::session::Session;
use findings::Findings;
use std::time::Duration;

/// How long it listens: three beacons of everybody.
const LISTENING: Duration = Duration::from_secs(3);

/// All checks, in the order in which they are shown: one that has failed often explains those behind it.
const CHECKS: [fn(&Findings) -> Check; 9] = [
    mode::check,
    interfaces::check,
    ports::check,
    broadcast::check,
    others::check,
    peers::check,
    names::check,
    versions::check,
    refused::check,
];

pub(crate) async fn run(mut session: Session) -> Result<(), Failure> {
    let listening = session.options.timeout.unwrap_or(LISTENING);
    let builder = session.builder();
    let credentials = std::mem::replace(&mut session.credentials, crate::credentials::Credentials::Open);
    let looking = findings::gather(&session.options, credentials, builder, listening);
    let findings = session.signals.unless(looking).await?;
    let report = Report::new(CHECKS.iter().map(|check| check(&findings)).collect());
    session.output.line(&report)?;
    session.output.flush()?;
    match report.count(Status::Failure) {
        (0, _) => Ok(()),
        (failed, all) => Err(Failure::Unwell(format!("{failed} of {all} checks failed"))),
    }
}
