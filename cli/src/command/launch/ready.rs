//! Whether what a node depends on is there: looked up among the peers of a node of ours, instead of slept for.

use super::file::Until;
use super::plan::Wait;
use std::collections::BTreeSet;
use std::time::Duration;
use zyre_rs::{GroupName, Membership, Node};

/// How long peers are awaited unless the file or `--timeout` says otherwise.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until all is there; what was still missing when the time was over. Each wait has its own time.
///
/// # Cancel safety
/// Cancel safe.
pub(super) async fn ready(node: &Node, waits: &[Wait], default: Duration) -> Result<(), String> {
    let began = tokio::time::Instant::now();
    for wait in waits {
        let limit = match &wait.dependency.until {
            Until::Seen { timeout: Some(timeout), .. } => *timeout,
            _ => default,
        };
        let complete = node.wait_until(|membership| missing(wait, &peers(membership)).is_empty());
        match tokio::time::timeout_at(began + limit, complete).await {
            Ok(true) => {}
            Ok(false) => return Err("the node of this command has stopped unexpectedly".to_owned()),
            Err(_) => {
                let membership = node.membership();
                let missing = missing(wait, &peers(&membership));
                return Err(format!("after {limit:?} {}", missing.join(", ")));
            }
        }
    }
    Ok(())
}

/// Names and groups.
type Peers<'m> = [(&'m str, &'m BTreeSet<GroupName>)];

fn peers(membership: &Membership) -> Vec<(&str, &BTreeSet<GroupName>)> {
    membership.peers().map(|peer| (&*peer.name, &*peer.groups)).collect()
}

/// What is not yet as it should be, in words.
fn missing(wait: &Wait, peers: &Peers<'_>) -> Vec<String> {
    let Until::Seen { group, service, .. } = &wait.dependency.until else { return Vec::new() };
    let lacks = |name: &String| {
        let mut called = peers.iter().filter(|(peer, _)| peer == name).peekable();
        if called.peek().is_none() {
            return Some(format!("no peer {name} was seen"));
        }
        // Of several peers of one name one that has everything will do.
        let lack = |groups: &BTreeSet<GroupName>| {
            let is_in = |group: &str| groups.iter().any(|joined| *joined == *group);
            let group = group.as_ref().filter(|group| !is_in(group)).map(|group| format!("group {group}"));
            let served =
                |service: &&String| !is_in(&format!("svc/{service}")) && !is_in(&format!("pool/{service}"));
            let service = service.as_ref().filter(served).map(|service| format!("service {service}"));
            let lack: Vec<String> = group.into_iter().chain(service).collect();
            (!lack.is_empty()).then(|| format!("{name} was seen without {}", lack.join(" and ")))
        };
        called.map(|(_, groups)| lack(groups)).min().flatten()
    };
    wait.peers.iter().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::launch::{file, plan};

    /// What is missing of two peers with a group and a service, when there are these.
    fn lacking(peers: &[(&str, &[&str])]) -> Vec<String> {
        let text = "\
nodes:
  cam: {command: x, count: 2}
  end: {command: x, depends_on: {cam: {group: G, service: calc}}}
";
        let nodes = file::read(text).expect("a good file");
        let plan = plan::Plan::new(&nodes, &plan::Choice::default()).expect("no cycle");
        let names = |groups: &[&str]| {
            groups.iter().map(|group| GroupName::try_from(*group).expect("short")).collect()
        };
        let groups: Vec<BTreeSet<GroupName>> = peers.iter().map(|(_, groups)| names(groups)).collect();
        let peers: Vec<_> = peers.iter().zip(&groups).map(|((name, _), groups)| (*name, groups)).collect();
        missing(&plan.steps[1].waits[0], &peers)
    }

    #[test]
    fn all_processes_must_be_seen_in_the_group_with_the_service() {
        assert_eq!(lacking(&[]), ["no peer cam-1 was seen", "no peer cam-2 was seen"]);
        let half: [(&str, &[&str]); 2] = [("cam-1", &["G", "svc/calc"]), ("cam-2", &["H"])];
        assert_eq!(lacking(&half), ["cam-2 was seen without group G and service calc"]);
        let no_service: [(&str, &[&str]); 2] =
            [("cam-1", &["G", "svc/calc"]), ("cam-2", &["G", "svc/other"])];
        assert_eq!(lacking(&no_service), ["cam-2 was seen without service calc"]);
        assert!(lacking(&[("cam-1", &["G", "svc/calc"]), ("cam-2", &["pool/calc", "G"])]).is_empty());
    }

    #[test]
    fn of_two_peers_with_one_name_the_complete_one_counts() {
        let twins: [(&str, &[&str]); 3] =
            [("cam-1", &[]), ("cam-1", &["G", "svc/calc"]), ("cam-2", &["G", "pool/calc"])];
        assert!(lacking(&twins).is_empty());
    }
}
