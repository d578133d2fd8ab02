//! In which order nodes start and stop: decisions without processes and clocks.

use super::file::{Dependency, Node, Until};
use super::yaml::{Problem, meant};
use std::collections::BTreeSet;

/// What is to be started, in an order in which each node comes after those it depends on.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

/// One node of it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) node: Node,
    /// The steps it depends on, itself or through others.
    after: BTreeSet<usize>,
    /// What has to be ready first; what was left out is not waited for.
    pub(super) waits: Vec<Wait>,
}

/// A peer that has to be seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wait {
    pub(super) dependency: Dependency,
    /// The names of the peers.
    pub(super) peers: Vec<String>,
}

/// Which nodes a user wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// These alone; all if it is empty.
    pub(super) only: Vec<String>,
    pub(super) except: Vec<String>,
}

impl Choice {
    fn takes(&self, name: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|listed| listed == name);
        (self.only.is_empty() || names(&self.only)) && !names(&self.except)
    }

    /// Refuses names of no node.
    pub(super) fn check(&self, nodes: &[Node]) -> Result<(), String> {
        let known = nodes.iter().map(|node| node.name.as_str());
        let unknown = |name: &&String| !known.clone().any(|known| known == **name);
        match self.only.iter().chain(&self.except).find(unknown) {
            Some(name) => Err(format!("the file has no node `{name}`; {}", meant(name, known))),
            None if !known.clone().any(|name| self.takes(name)) => {
                Err("--only and --except leave no node to start".to_owned())
            }
            None => Ok(()),
        }
    }
}

impl Plan {
    /// Orders the nodes of a file and takes the chosen ones. A cycle is refused, chosen or not.
    pub(super) fn new(nodes: &[Node], choice: &Choice) -> Result<Self, Problem> {
        let mut steps: Vec<Step> = Vec::new();
        // With those left out: the order of nodes that depend on each other through them stays.
        let mut before: Vec<(&str, BTreeSet<usize>)> = Vec::new();
        for node in order(nodes)? {
            let needs = |name: &str| node.depends_on.iter().any(|dependency| dependency.node == name);
            let needed = before.iter().filter(|(name, _)| needs(name));
            let after: BTreeSet<usize> = needed.flat_map(|(_, steps)| steps.iter().copied()).collect();
            let mut reach = after.clone();
            if choice.takes(&node.name) {
                reach.insert(steps.len());
                let waits = node.depends_on.iter().filter_map(|dependency| wait(dependency, nodes, choice));
                steps.push(Step { node: node.clone(), after, waits: waits.collect() });
            }
            before.push((&node.name, reach));
        }
        Ok(Self { steps })
    }

    /// Whether some node waits for peers.
    pub(super) fn waits(&self) -> bool {
        self.steps.iter().any(|step| !step.waits.is_empty())
    }

    /// The steps whose turn it is when these were started.
    pub(super) fn next(&self, started: &BTreeSet<usize>) -> Vec<usize> {
        let due = |(index, step): &(usize, &Step)| !started.contains(index) && step.after.is_subset(started);
        self.steps.iter().enumerate().filter(due).map(|(index, _)| index).collect()
    }

    /// Those of the running steps on which no other running one depends: they are stopped first.
    pub(super) fn last(&self, running: &BTreeSet<usize>) -> BTreeSet<usize> {
        let of_running = running.iter().filter_map(|index| self.steps.get(*index));
        let needed: BTreeSet<usize> = of_running.flat_map(|step| step.after.iter().copied()).collect();
        running.difference(&needed).copied().collect()
    }
}

fn wait(dependency: &Dependency, nodes: &[Node], choice: &Choice) -> Option<Wait> {
    let Until::Seen { peer, .. } = &dependency.until else { return None };
    let node =
        nodes.iter().find(|node| node.name == dependency.node).filter(|node| choice.takes(&node.name))?;
    let peers = peer.as_ref().map_or_else(|| node.instances(), |peer| vec![peer.clone()]);
    Some(Wait { dependency: dependency.clone(), peers })
}

/// The nodes with each behind those it depends on, else in the order of the file.
fn order(nodes: &[Node]) -> Result<Vec<&Node>, Problem> {
    let mut ordered: Vec<&Node> = Vec::new();
    let mut left: Vec<&Node> = nodes.iter().collect();
    while let Some(first) = left.first().copied() {
        match left.iter().position(|node| blocker(node, &left).is_none()) {
            Some(free) => ordered.push(left.remove(free)),
            None => return Err(cycle(first, &left)),
        }
    }
    Ok(ordered)
}

/// What keeps a node back: a dependency that is itself left, with what it names.
fn blocker<'n>(node: &'n Node, left: &[&'n Node]) -> Option<(&'n Dependency, &'n Node)> {
    let find = |dependency: &'n Dependency| {
        let found = left.iter().find(|other| other.name == dependency.node);
        found.map(|other| (dependency, *other))
    };
    node.depends_on.iter().find_map(find)
}

/// Names the cycle that this node leads to; all that are left are blocked.
fn cycle(first: &Node, left: &[&Node]) -> Problem {
    let mut path = vec![first];
    let mut at = first;
    let mut place = first.place;
    while let Some((dependency, next)) = blocker(at, left) {
        place = dependency.place;
        let begin = path.iter().position(|earlier| earlier.name == next.name);
        path.push(next);
        at = next;
        if let Some(begin) = begin {
            path.drain(..begin);
            break;
        }
    }
    let names: Vec<_> = path.iter().map(|node| node.name.as_str()).collect();
    place.problem(format!("nodes depend on each other in a circle: {}", names.join(" → ")))
}

#[cfg(test)]
mod tests;
