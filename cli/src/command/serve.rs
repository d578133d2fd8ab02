//! `zyre serve`: one method, answered by an echo or by a command.

mod process;

use crate::args;
use crate::failure::Failure;
use crate::output::counted;
use crate::session::Session;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zyre_actors::{Context, Params, RpcError};
use zyre_rs::printable;

pub(crate) async fn run(session: Session, args: args::Serve) -> Result<(), Failure> {
    let limit = session.options.timeout;
    let args::Serve { method, echo: _, command, concurrency, queue, pool, count, work } = args;
    session
        .with_system(async |system, _output| {
            let answered = Arc::new(Semaphore::new(0));
            let answerer = Arc::new(match command {
                Some(command) => Answerer::Command(command),
                None => Answerer::Echo { after: work },
            });
            let handle = {
                let answered = answered.clone();
                move |params: Params, context: Context| {
                    let (answerer, answered) = (answerer.clone(), answered.clone());
                    async move {
                        let mut request = Request::begin(context);
                        let outcome = answerer.answer(params, &request.context).await;
                        request.end(&outcome);
                        answered.add_permits(1);
                        outcome
                    }
                }
            };
            let mut builder = system.method(&method, handle);
            if let Some(requests) = concurrency {
                builder = builder.concurrency(requests as usize);
            }
            if let Some(requests) = queue {
                builder = builder.queue(requests as usize);
            }
            if let Some(pool) = &pool {
                builder = builder.pool(pool);
            }
            builder.start().await?;
            tracing::info!(%method, "serving");
            wait(&answered, count, limit).await
        })
        .await
}

/// Waits for what ends the command; requests that are still worked on are finished after that.
async fn wait(answered: &Semaphore, count: Option<u32>, limit: Option<Duration>) -> Result<(), Failure> {
    let enough = async {
        match count {
            Some(count) => _ = answered.acquire_many(count).await,
            None => std::future::pending().await,
        }
    };
    let Some(limit) = limit else {
        enough.await;
        return Ok(());
    };
    match (tokio::time::timeout(limit, enough).await, count) {
        (Err(_), Some(count)) => Err(Failure::Timeout(format!(
            "{} of {} came in {limit:?}; wait longer with --timeout",
            answered.available_permits(),
            counted(count.into(), "request")
        ))),
        // Serving for so long was all that was asked for.
        _ => Ok(()),
    }
}

/// What makes the answers.
enum Answerer {
    Echo { after: Duration },
    Command(String),
}

impl Answerer {
    async fn answer(&self, params: Params, context: &Context) -> Result<Value, RpcError> {
        let params = params.json()?;
        match self {
            Self::Echo { after } => {
                tokio::time::sleep(*after).await;
                Ok(params)
            }
            Self::Command(command) => process::run(command, &params, context).await,
        }
    }
}

/// A request on its way, told of in the log once it has ended.
struct Request {
    context: Context,
    began: Instant,
    outcome: String,
}

impl Request {
    fn begin(context: Context) -> Self {
        Self { context, began: Instant::now(), outcome: "nobody waits for it any more".to_owned() }
    }

    fn end(&mut self, outcome: &Result<Value, RpcError>) {
        self.outcome = match outcome {
            Ok(_) => "answered".to_owned(),
            Err(error) => error.to_string(),
        };
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        tracing::info!(
            method = self.context.method(),
            by = %printable(self.context.name()),
            peer = %self.context.peer(),
            took = ?self.began.elapsed(),
            "{}",
            self.outcome
        );
    }
}
