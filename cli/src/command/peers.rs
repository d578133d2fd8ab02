//! `zyre peers` and `zyre groups`: joins in, meets peers for a while and lists them, or the groups they are in.

mod watch;

use crate::args;
use crate::failure::Failure;
use crate::hidden::is_listed;
use crate::output::{GroupRow, Output, PeerRow, group_table, note, peer_table};
use crate::session::{Session, ignore, wait_for};
use zyre_rs::{Membership, Peer};

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Peers,
    Groups,
}

/// What is listed, of whom.
#[derive(Clone, Copy, Debug)]
struct List {
    listed: Listed,
    /// Nodes that hide included.
    shows_all: bool,
}

pub(crate) async fn run(session: Session, args: &args::Listing, listed: Listed) -> Result<(), Failure> {
    let list = List { listed, shows_all: args.hidden };
    if args.watch {
        return watch::run(session, list).await;
    }
    let (port, limit) = (session.options.port, session.options.timeout);
    let wait = limit.map_or(args.wait, |limit| limit.min(args.wait));
    session
        .with_node(&[], async |node, events, output| {
            ignore(events);
            // A wish that is never granted: peers may come until the time is over.
            wait_for(node, wait, |_| false).await?;
            if let Some(limit) = limit.filter(|_| list.is_empty(&node.membership())) {
                wait_for(node, limit.saturating_sub(wait), |membership| !list.is_empty(membership)).await?;
            }
            let membership = node.membership();
            if !list.is_empty(&membership) {
                return list.print(&membership, output);
            }
            let waited = limit.unwrap_or(wait);
            let message = if membership.peers().any(|peer| is_listed(peer, list.shows_all)) {
                format!("no peer met in {waited:?} is in a group; `zyre sub GROUP` joins one")
            } else if list.shows_all || membership.peers().next().is_none() {
                format!("no peer met in {waited:?}; {}", checks(port))
            } else {
                format!("only nodes that look met in {waited:?}; --hidden lists them")
            };
            if limit.is_some() {
                return Err(Failure::Timeout(message));
            }
            note(message);
            Ok(())
        })
        .await
}

impl List {
    fn peers(self, membership: &Membership) -> impl Iterator<Item = &Peer> {
        membership.peers().filter(move |peer| is_listed(peer, self.shows_all))
    }

    fn peer_rows(self, membership: &Membership) -> Vec<PeerRow<'_>> {
        self.peers(membership).map(PeerRow::from).collect()
    }

    fn group_rows(self, membership: &Membership) -> Vec<GroupRow<'_>> {
        let row = |group| {
            let members: Vec<_> = self.peers(membership).filter(|peer| peer.groups.contains(group)).collect();
            (!members.is_empty()).then(|| GroupRow::new(group, &members))
        };
        membership.peer_groups().filter_map(row).collect()
    }

    fn is_empty(self, membership: &Membership) -> bool {
        match self.listed {
            Listed::Peers => self.peers(membership).next().is_none(),
            Listed::Groups => self.peers(membership).all(|peer| peer.groups.is_empty()),
        }
    }

    fn print(self, membership: &Membership, output: &mut Output) -> Result<(), Failure> {
        match self.listed {
            Listed::Peers => output.peers(&self.peer_rows(membership)),
            Listed::Groups => output.groups(&self.group_rows(membership)),
        }
    }

    fn table(self, membership: &Membership) -> String {
        match self.listed {
            Listed::Peers => peer_table(&self.peer_rows(membership)),
            Listed::Groups => group_table(&self.group_rows(membership)),
        }
    }
}

/// What to look at when nobody is there.
pub(crate) fn checks(port: u16) -> String {
    format!(
        "check that others run with --port {port}, that --interface is on their network and that no firewall \
         drops UDP broadcasts or TCP (`zyre scout` shows beacons alone)"
    )
}
