//! `zyre launch`: starts the nodes of a file in order, keeps them running, stops them in order.
//!
//! `yaml` and `file` read it, `plan` and `restart` decide, `ready` looks whether peers are there, `process` has the
//! processes, and `crew` is the one task that owns all of it.

mod crew;
mod file;
mod plan;
mod process;
mod ready;
mod restart;
mod yaml;

use crate::args;
use crate::failure::Failure;
use crate::output::PlanRow;
use crate::session::{Session, ignore};
use crew::Crew;
use file::Until;
use plan::{Choice, Plan, Wait};
use process::Surroundings;
use restart::Policy;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longer files are something else, given by mistake.
const MAX_FILE: u64 = 1 << 20;

pub(crate) async fn run(mut session: Session, args: args::Launch) -> Result<(), Failure> {
    let args::Launch { file: path, only, except, dry_run } = args;
    let shown = path.display();
    let text = read(&path).map_err(|error| {
        Failure::Launch(format!("cannot read {shown}: {error}; name the file, as in `zyre launch demo.yaml`"))
    })?;
    let wrong = |problem| Failure::Launch(format!("{shown}:{problem}"));
    let nodes = file::read(&text).map_err(wrong)?;
    let choice = Choice { only, except };
    choice.check(&nodes).map_err(Failure::Usage)?;
    let plan = Plan::new(&nodes, &choice).map_err(wrong)?;
    let surroundings = Surroundings::new(&path, &session.options).map_err(Failure::Process)?;
    if dry_run {
        rows(&plan, &surroundings).iter().try_for_each(|row| session.output.line(row))?;
        return session.output.flush();
    }
    session.options.name.get_or_insert_with(|| "launch".to_owned());
    let patience = session.options.timeout.unwrap_or(ready::DEFAULT_TIMEOUT);
    let node = if plan.waits() {
        let (node, events) = session.signals.unless(session.builder().start()).await??;
        ignore(events);
        Some(node)
    } else {
        None
    };
    let crew = Crew::new(&plan, &surroundings, node.as_ref(), patience, &mut session.output);
    let ended = crew.run(&mut session.signals).await;
    if let Some(node) = node {
        node.stop().await;
    }
    ended
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn rows<'a>(plan: &'a Plan, surroundings: &Surroundings) -> Vec<PlanRow<'a>> {
    let row = |(index, step): (usize, &'a plan::Step)| PlanRow {
        order: index + 1,
        node: &step.node.name,
        processes: step.node.instances(),
        command: &step.node.command,
        directory: surroundings.directory(&step.node).display().to_string(),
        environment: &step.node.environment,
        waits_for: step.waits.iter().map(awaited).collect(),
        restart: match step.node.restart.policy {
            Policy::Never => "never",
            Policy::OnFailure => "on-failure",
            Policy::Always => "always",
        },
        grace: step.node.grace.as_secs_f64(),
    };
    plan.steps.iter().enumerate().map(row).collect()
}

/// What a node waits for, in words.
fn awaited(wait: &Wait) -> String {
    let mut text = wait.peers.join(", ");
    if let Until::Seen { group, service, .. } = &wait.dependency.until {
        if let Some(group) = group {
            text.push_str(&format!(" in group {group}"));
        }
        if let Some(service) = service {
            text.push_str(&format!(" with service {service}"));
        }
    }
    text + " seen"
}
