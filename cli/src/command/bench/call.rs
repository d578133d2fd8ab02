//! Calls, answered with what they were made with.

use super::tally::{Answered, Lost};
use super::{METHOD, Run, SERVICE, load};
use crate::failure::Failure;
use serde_json::json;
use tokio::time::Instant;

pub(super) async fn run(run: Run) -> Result<(), Failure> {
    run.measure(async |session, task| {
        session
            .with_system(async |system, _output| {
                task.servers(system.node()).await?;
                let (wanted, limit) = (task.setting.peers as usize, task.limit);
                // The node knows of them a moment before the system does.
                let service = system.service(SERVICE).ready_with(wanted, limit).await?;
                let params = json!({ "payload": ".".repeat(task.setting.size.unwrap_or_default() as usize) });
                load::run(task, move |_number| {
                    let call = service.call_json(METHOD, params.clone()).timeout(limit);
                    async move {
                        match call.await {
                            Ok(_) => Ok(Answered { answers: 1, at: Instant::now() }),
                            Err(error) => Err(Lost { answers: 1, why: error.to_string() }),
                        }
                    }
                })
                .await
            })
            .await
    })
    .await
}
