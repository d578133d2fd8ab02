//! `zyre services`: who is in the groups that stand for services and pools.

use super::peers::checks;
use crate::args;
use crate::failure::Failure;
use crate::hidden::is_listed;
use crate::output::{Change, Output, ProviderRow, Screen, note, provider_table};
use crate::session::{Session, wait_for};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zyre_actors::ActorSystem;
use zyre_rs::{Event, ExitReason, GroupName, Membership, Peer, PeerId};

/// How long a provider may take to say its capacity.
const INFO_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) async fn run(session: Session, args: &args::Services) -> Result<(), Failure> {
    let (port, limit) = (session.options.port, session.options.timeout);
    if args.watch {
        return session
            .with_system(async |system, output| {
                let watching = watch(system, output);
                match limit {
                    // Watching for so long was all that was asked for.
                    Some(limit) => tokio::time::timeout(limit, watching).await.unwrap_or(Ok(())),
                    None => watching.await,
                }
            })
            .await;
    }
    let wait = limit.map_or(args.wait, |limit| limit.min(args.wait));
    session
        .with_system(async |system, output| {
            let node = system.node();
            wait_for(node, wait, |_| false).await?;
            if let Some(limit) = limit.filter(|_| !has_providers(&node.membership())) {
                wait_for(node, limit.saturating_sub(wait), has_providers).await?;
            }
            let membership = node.membership();
            if has_providers(&membership) {
                return output.providers(&rows(system, &membership).await);
            }
            let message = format!(
                "no service or pool seen in {:?}; start one, for example `zyre serve test.echo --echo`, or {}",
                limit.unwrap_or(wait),
                checks(port)
            );
            if limit.is_some() {
                return Err(Failure::Timeout(message));
            }
            note(message);
            Ok(())
        })
        .await
}

/// The name of a group that stands for a service or a pool.
fn provided(group: &GroupName) -> Option<String> {
    let text = group.to_str_lossy();
    (text.starts_with("svc/") || text.starts_with("pool/")).then(|| text.into_owned())
}

fn has_providers(membership: &Membership) -> bool {
    !providers(membership).is_empty()
}

/// One row per group and provider, with what the providers say of their capacity.
async fn rows(system: &ActorSystem, membership: &Membership) -> Vec<ProviderRow> {
    let mut asked = JoinSet::new();
    for peer in listed(membership).filter(|peer| is_asked(peer)) {
        let (id, call) = (peer.id, system.call_json("rpc.info", serde_json::json!({})));
        asked.spawn(async move {
            let info = call.on(id).timeout(INFO_TIMEOUT).await.ok()?;
            Some((id, serde_json::from_value::<Info>(info).ok()?))
        });
    }
    let infos: BTreeMap<PeerId, Info> = asked.join_all().await.into_iter().flatten().collect();
    let mut rows = Vec::new();
    for group in membership.peer_groups() {
        let Some(text) = provided(group) else { continue };
        for peer in listed(membership).filter(|peer| peer.groups.contains(group)) {
            let capacity = infos.get(&peer.id).and_then(|info| info.groups.get(&text));
            rows.push(ProviderRow {
                group: text.clone(),
                name: peer.name.to_string(),
                uuid: peer.id.to_string(),
                concurrency: capacity.and_then(|capacity| capacity.concurrency),
                queue: capacity.and_then(|capacity| capacity.queue),
            });
        }
    }
    rows
}

/// Whether it provides something and says that it speaks RPC: one that does not might not even know what it was asked.
fn is_asked(peer: &Peer) -> bool {
    peer.groups.iter().any(|group| provided(group).is_some()) && speaks_rpc(peer)
}

/// Whether its headers announce JSON-RPC.
pub(super) fn speaks_rpc(peer: &Peer) -> bool {
    ["X-RPC", "X-RPC-CODECS"].into_iter().any(|header| peer.headers.get(header).is_some())
}

/// What is read of `rpc.info`.
#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    groups: BTreeMap<String, Capacity>,
}

#[derive(Deserialize)]
struct Capacity {
    concurrency: Option<u32>,
    queue: Option<u32>,
}

async fn watch(system: &ActorSystem, output: &mut Output) -> Result<(), Failure> {
    let mut screen = Screen::new(output);
    if screen.is_live() {
        return draw(system, &mut screen, output).await;
    }
    // Asked for first: what happens from here on is in the events, what was before in the membership.
    let mut events = system.events();
    let mut seen = Seen::default();
    for peer in listed(&system.node().membership()) {
        peer.groups.iter().try_for_each(|group| seen.join(output, peer.id, &peer.name, group))?;
    }
    output.flush()?;
    follow(system, &mut events, &mut seen, output).await
}

/// Draws the list anew whenever a provider has come or gone.
async fn draw(system: &ActorSystem, screen: &mut Screen, output: &mut Output) -> Result<(), Failure> {
    let mut drawn = None;
    while system
        .node()
        .wait_until(|membership| {
            let now = Some(providers(membership));
            let has_changed = now != drawn;
            drawn = now;
            has_changed
        })
        .await
    {
        let rows = rows(system, &system.node().membership()).await;
        screen.draw(output, &provider_table(&rows))?;
    }
    Err(Failure::Stopped)
}

/// The peers but those that only look: they provide nothing, whatever groups they are in.
fn listed(membership: &Membership) -> impl Iterator<Item = &Peer> {
    membership.peers().filter(|peer| is_listed(peer, false))
}

/// Who is in which of the groups that stand for services and pools.
fn providers(membership: &Membership) -> BTreeSet<(PeerId, String)> {
    let provided = |peer: &Peer| {
        let id = peer.id;
        peer.groups.iter().filter_map(provided).map(move |group| (id, group)).collect::<Vec<_>>()
    };
    listed(membership).flat_map(provided).collect()
}

async fn follow(
    system: &ActorSystem,
    events: &mut mpsc::Receiver<Event>,
    seen: &mut Seen,
    output: &mut Output,
) -> Result<(), Failure> {
    while let Some(event) = events.recv().await {
        match &event {
            Event::Join { peer, name, group } => {
                if system.node().peer(*peer).is_none_or(|peer| is_listed(&peer, false)) {
                    seen.join(output, *peer, name, group)?;
                }
            }
            Event::Leave { peer, name, group } => {
                if let Some(group) = provided(group) {
                    seen.leave(output, *peer, name, &group)?;
                }
            }
            Event::Exit { peer, name, reason } => seen.exit(output, *peer, name, *reason)?,
            _ => continue,
        }
        output.flush()?;
    }
    Err(Failure::Stopped)
}

/// The providers whose coming was printed.
#[derive(Default)]
struct Seen(BTreeMap<PeerId, BTreeSet<String>>);

impl Seen {
    fn join(
        &mut self,
        output: &mut Output,
        peer: PeerId,
        name: &str,
        group: &GroupName,
    ) -> Result<(), Failure> {
        match provided(group) {
            Some(group) if self.0.entry(peer).or_default().insert(group.clone()) => {
                output.line(&Change::up(&group, peer, name))
            }
            _ => Ok(()),
        }
    }

    fn leave(&mut self, output: &mut Output, peer: PeerId, name: &str, group: &str) -> Result<(), Failure> {
        if self.0.get_mut(&peer).is_some_and(|groups| groups.remove(group)) {
            output.line(&Change::down(group, peer, name, None))?;
        }
        Ok(())
    }

    fn exit(
        &mut self,
        output: &mut Output,
        peer: PeerId,
        name: &str,
        reason: ExitReason,
    ) -> Result<(), Failure> {
        let groups = self.0.remove(&peer).unwrap_or_default();
        groups.iter().try_for_each(|group| output.line(&Change::down(group, peer, name, Some(reason))))
    }
}
