//! `zyre peers`: joins in, meets peers for a while and lists them.

use crate::args;
use crate::failure::Failure;
use crate::output::{PeerRow, note};
use crate::session::{Session, ignore, wait_for};
use zyre_rs::Membership;

pub(crate) async fn run(session: Session, args: &args::Peers) -> Result<(), Failure> {
    let (port, limit) = (session.options.port, session.options.timeout);
    let wait = limit.map_or(args.wait, |limit| limit.min(args.wait));
    session
        .with_node(&[], async |node, events, output| {
            ignore(events);
            // A wish that is never granted: peers may come until the time is over.
            wait_for(node, wait, |_| false).await?;
            if let Some(limit) = limit.filter(|_| is_empty(&node.membership())) {
                wait_for(node, limit.saturating_sub(wait), |membership| !is_empty(membership)).await?;
            }
            let membership = node.membership();
            if !is_empty(&membership) {
                return output.peers(&membership.peers().map(PeerRow::from).collect::<Vec<_>>());
            }
            let message = format!("no peer met in {:?}; {}", limit.unwrap_or(wait), checks(port));
            if limit.is_some() {
                return Err(Failure::Timeout(message));
            }
            note(message);
            Ok(())
        })
        .await
}

fn is_empty(membership: &Membership) -> bool {
    membership.peers().next().is_none()
}

/// What to look at when nobody is there.
pub(crate) fn checks(port: u16) -> String {
    format!(
        "check that others run with --port {port}, that --interface is on their network and that no firewall \
         drops UDP broadcasts or TCP (`zyre scout` shows beacons alone)"
    )
}
