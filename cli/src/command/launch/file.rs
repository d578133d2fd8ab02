//! What a launch file says: which nodes there are, what each runs, after what, and what happens when it ends.

use super::restart::{Policy, Restart};
use super::yaml::{Document, Place, Problem, Value, meant, unknown};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most processes of one node: more is a slip of the finger.
const MAX_COUNT: u32 = 1_000;
/// Longest name of a peer.
const MAX_NAME: usize = 255;
/// How long a node may take to end before it is killed, unless its `grace` says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// One entry of `nodes`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) place: Place,
    /// The program and its arguments; at least the program is there.
    pub(super) command: Vec<String>,
    /// How many processes, if that was said; their names end in a number then.
    pub(super) count: Option<u32>,
    pub(super) environment: BTreeMap<String, String>,
    /// As written; relative to the file.
    pub(super) directory: Option<String>,
    pub(super) depends_on: Vec<Dependency>,
    pub(super) restart: Restart,
    pub(super) grace: Duration,
}

/// Another node that has to be there first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dependency {
    pub(super) node: String,
    pub(super) place: Place,
    pub(super) until: Until,
}

/// When a node is ready for those that depend on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Until {
    /// Its processes were started.
    Started,
    /// Its peers are seen, in this group and with this service where they are named.
    Seen {
        /// The peer to look for, if its name is not that of the node.
        peer: Option<String>,
        group: Option<String>,
        service: Option<String>,
        timeout: Option<Duration>,
    },
}

impl Node {
    /// The names of its processes, which are those of their peers.
    pub(super) fn instances(&self) -> Vec<String> {
        match self.count {
            None => vec![self.name.clone()],
            Some(count) => (1..=count).map(|number| format!("{}-{number}", self.name)).collect(),
        }
    }
}

/// Reads the nodes, in their order. That names of others exist is checked; that there is no cycle is not.
pub(super) fn read(text: &str) -> Result<Vec<Node>, Problem> {
    let document = Document::read(text)?;
    let root = document.root();
    let found = root.keyed("a mapping that begins with `nodes:`", &["nodes", "environment"])?;
    let common = environment(found.get("environment").copied())?;
    let named =
        found.get("nodes").ok_or_else(|| root.problem("`nodes` is missing: what is to be started"))?;
    let named = named
        .as_map()
        .ok_or_else(|| named.problem("here belong nodes, each `NAME:` with keys of its own"))?;
    let nodes = named.map(|(name, value)| node(name, value, &common)).collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() {
        return Err(root.problem("there is no node to start"));
    }
    check_names(&nodes)?;
    Ok(nodes)
}

fn node(
    name: Value<'_, '_>,
    value: Value<'_, '_>,
    common: &BTreeMap<String, String>,
) -> Result<Node, Problem> {
    const KEYS: [&str; 8] =
        ["command", "shell", "count", "environment", "directory", "depends_on", "restart", "grace"];
    let place = name.place();
    let name = peer_name(name)?;
    let found = value.keyed("what the node runs, for example `command: zyre sub CHAT`", &KEYS)?;
    let written = found.get("command").ok_or_else(|| place.problem(format!("`{name}` has no `command`")))?;
    let shell = found.get("shell").map_or(Ok(false), |shell| shell.parsed("true or false", |_| true))?;
    let count = found.get("count").map(|count| {
        count.parsed(&format!("a number of processes from 1 to {MAX_COUNT}"), |count| {
            (1..=MAX_COUNT).contains(count)
        })
    });
    let mut variables = common.clone();
    variables.extend(environment(found.get("environment").copied())?);
    let directory = found.get("directory").map(|directory| directory.text("a directory, for example ./data"));
    Ok(Node {
        name,
        place,
        command: command(*written, shell)?,
        count: count.transpose()?,
        environment: variables,
        directory: directory.transpose()?.map(str::to_owned),
        depends_on: found.get("depends_on").map_or(Ok(Vec::new()), |value| dependencies(*value))?,
        restart: found.get("restart").map_or(Ok(Restart::default()), |value| restart(*value))?,
        grace: found.get("grace").map_or(Ok(DEFAULT_GRACE), |grace| seconds(*grace))?,
    })
}

fn peer_name(value: Value<'_, '_>) -> Result<String, Problem> {
    let name = value.text("the name of a node")?;
    if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
        return Err(value.problem(format!("a name has 1 to {MAX_NAME} bytes and no control characters")));
    }
    Ok(name.to_owned())
}

fn command(value: Value<'_, '_>, shell: bool) -> Result<Vec<String>, Problem> {
    let what = "a command, as `zyre sub CHAT` or as a list of words";
    let words = match value.as_list() {
        Some(_) if shell => return Err(value.problem("with `shell: true` a command is one text")),
        Some(words) => words.map(|word| word.text("a word").map(str::to_owned)).collect::<Result<_, _>>()?,
        None if shell => vec!["sh".to_owned(), "-c".to_owned(), value.text(what)?.to_owned()],
        None => shlex::split(value.text(what)?)
            .ok_or_else(|| value.problem("a quote is not closed, or a backslash stands at the end"))?,
    };
    let program: Option<&String> = words.first();
    if program.is_none_or(String::is_empty) {
        return Err(value.problem(format!("here belongs {what}")));
    }
    Ok(words)
}

fn environment(value: Option<Value<'_, '_>>) -> Result<BTreeMap<String, String>, Problem> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let map = value.as_map().ok_or_else(|| value.problem("here belong variables, each `NAME: VALUE`"))?;
    map.map(|(key, value)| {
        let name = key.text("the name of a variable")?;
        if name.is_empty() || name.contains('=') {
            return Err(key.problem("the name of a variable has no `=`; write `NAME: VALUE`"));
        }
        let text = if value.is_empty() { "" } else { value.text("the value of a variable, as text")? };
        Ok((name.to_owned(), text.to_owned()))
    })
    .collect()
}

fn dependencies(value: Value<'_, '_>) -> Result<Vec<Dependency>, Problem> {
    let seen = Until::Seen { peer: None, group: None, service: None, timeout: None };
    let named = |name: Value<'_, '_>, until: Until| {
        Ok(Dependency { node: name.text("the name of a node")?.to_owned(), place: name.place(), until })
    };
    if value.as_text().is_some() {
        return Ok(vec![named(value, seen)?]);
    }
    if let Some(mut names) = value.as_list() {
        return names.try_fold(Vec::new(), |mut all, name| {
            all.push(named(name, seen.clone())?);
            Ok(all)
        });
    }
    let map = value
        .as_map()
        .ok_or_else(|| value.problem("here belong names of nodes, as a list or with conditions"))?;
    map.map(|(name, condition)| {
        let until = match condition.as_text() {
            _ if condition.is_empty() => seen.clone(),
            Some("seen") => seen.clone(),
            Some("started") => Until::Started,
            Some(word) => return Err(unknown(condition, "condition", word, ["started", "seen"].into_iter())),
            None => until(condition)?,
        };
        named(name, until)
    })
    .collect()
}

fn until(value: Value<'_, '_>) -> Result<Until, Problem> {
    let what = "`started`, `seen`, or conditions, for example {group: CHAT, timeout: 5}";
    let found = value.keyed(what, &["peer", "group", "service", "timeout"])?;
    let text = |key: &str| {
        let text = found.get(key).map(|value| value.text(&format!("the name of a {key}")).map(str::to_owned));
        text.transpose()
    };
    let timeout = found.get("timeout").map(|value| seconds(*value)).transpose()?;
    Ok(Until::Seen { peer: text("peer")?, group: text("group")?, service: text("service")?, timeout })
}

fn restart(value: Value<'_, '_>) -> Result<Restart, Problem> {
    let mut restart = Restart::default();
    if value.as_text().is_some() {
        restart.policy = policy(value)?;
        return Ok(restart);
    }
    let what = "never, on-failure, always, or a mapping with `policy`";
    let found = value.keyed(what, &["policy", "max", "delay", "max_delay"])?;
    restart.policy = policy(*found.get("policy").ok_or_else(|| value.problem("`policy` is missing"))?)?;
    if let Some(max) = found.get("max") {
        restart.max = max.parsed("a number of restarts in a row, for example 5", |_| true)?;
    }
    if let Some(delay) = found.get("delay") {
        restart.delay = seconds(*delay)?;
        restart.max_delay = restart.max_delay.max(restart.delay);
    }
    if let Some(delay) = found.get("max_delay") {
        restart.max_delay = seconds(*delay)?;
        if restart.max_delay < restart.delay {
            return Err(delay.problem("`max_delay` is less than `delay`"));
        }
    }
    Ok(restart)
}

fn policy(value: Value<'_, '_>) -> Result<Policy, Problem> {
    match value.text("never, on-failure or always")? {
        "never" => Ok(Policy::Never),
        "on-failure" => Ok(Policy::OnFailure),
        "always" => Ok(Policy::Always),
        word => Err(unknown(value, "policy", word, ["never", "on-failure", "always"].into_iter())),
    }
}

/// Up to a year, so that it can be added to any time of day.
fn seconds(value: Value<'_, '_>) -> Result<Duration, Problem> {
    let seconds = value.parsed("a number of seconds, for example 2 or 0.5", |seconds| {
        (0.0..=31_536_000.0).contains(seconds)
    })?;
    Ok(Duration::from_secs_f64(seconds))
}

fn check_names(nodes: &[Node]) -> Result<(), Problem> {
    let mut taken = BTreeSet::new();
    for node in nodes {
        if let Some(twice) = node.instances().into_iter().find(|name| !taken.insert(name.clone())) {
            return Err(node
                .place
                .problem(format!("two processes would be called `{twice}`; rename one of their nodes")));
        }
    }
    for dependency in nodes.iter().flat_map(|node| &node.depends_on) {
        let names = nodes.iter().map(|node| node.name.as_str());
        if !names.clone().any(|name| name == dependency.node) {
            let text = format!("there is no node `{}`; {}", dependency.node, meant(&dependency.node, names));
            return Err(dependency.place.problem(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
