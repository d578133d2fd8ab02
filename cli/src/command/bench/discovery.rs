//! New nodes, and how soon they know the others.

use super::tally::{Answered, Lost};
use super::{GROUP, Run, load};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::session;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use zyre_rs::NodeBuilder;

pub(super) async fn run(run: Run) -> Result<(), Failure> {
    if let Credentials::Node(..) = run.session.credentials {
        let problem =
            "discovery starts several nodes, and a node key is for one; leave --cert and --trust away";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let (mut options, mut repeatable) = (run.session.options.clone(), run.session.repeatable.clone());
    // Places for one node alone: this command's own, which looks who is there to be met.
    options.endpoint = None;
    repeatable.gossip_bind.clear();
    let newcomer = session::builder(&options, &repeatable, &run.session.credentials);
    run.measure(async |session, task| {
        session
            .with_node(&[], async |node, events, _output| {
                session::ignore(events);
                task.servers(node).await?;
                let (wanted, limit) = (task.setting.peers as usize, task.limit);
                load::run(task, move |_number| meet(newcomer.clone(), wanted, limit)).await
            })
            .await
    })
    .await
}

/// Starts a node, and stops it once it has met this many. Stopping does not count.
async fn meet(newcomer: NodeBuilder, wanted: usize, limit: Duration) -> Result<Answered, Lost> {
    let lost = |why: String| Lost { answers: 1, why };
    let (node, events) = newcomer.start().await.map_err(|error| lost(error.to_string()))?;
    session::ignore(events);
    let met = node.wait_until(|membership| membership.members(GROUP).count() >= wanted);
    let outcome = match timeout(limit, met).await {
        Ok(true) => Ok(Answered { answers: 1, at: Instant::now() }),
        Ok(false) => Err(lost("a node stopped by itself".to_owned())),
        Err(_) => Err(lost(format!("not met in {limit:?}; wait longer with --timeout"))),
    };
    node.stop().await;
    outcome
}
