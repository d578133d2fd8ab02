//! Whispers and shouts, answered by whispers.

use super::echoes::Echoes;
use super::tally::{Answered, Lost, Tally};
use super::{GROUP, Run, load, message};
use crate::failure::Failure;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use zyre_rs::{Event, Events, Message, Node, PeerId, SendError};

pub(super) async fn whispers(run: Run) -> Result<(), Failure> {
    measure(run, |client: Arc<Client>, number| async move {
        let peer = client.servers.get(usize::try_from(number).unwrap_or_default() % client.servers.len());
        let Some(peer) = peer else { return Ok(0) };
        client.node.whisper(*peer, client.message(number)).await.map(|()| 1)
    })
    .await
}

pub(super) async fn shouts(run: Run) -> Result<(), Failure> {
    measure(run, |client: Arc<Client>, number| async move {
        client.node.shout(GROUP, client.message(number)).await
    })
    .await
}

/// What the messages share.
struct Client {
    node: Node,
    servers: Vec<PeerId>,
    payload: Bytes,
    limit: Duration,
    echoes: Arc<Echoes>,
    tally: Arc<Tally>,
}

/// Measures messages sent by `send`, which tells how many peers they went to.
async fn measure<F>(
    run: Run,
    send: impl Fn(Arc<Client>, u64) -> F + Copy + Send + Sync + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<usize, SendError>> + Send + 'static,
{
    run.measure(async |session, task| {
        session
            .with_node(&[], async |node, events, _output| {
                let echoes = Arc::new(Echoes::default());
                // It ends with the node.
                tokio::spawn(listen(events, echoes.clone()));
                let client = Arc::new(Client {
                    node: node.clone(),
                    servers: task.servers(node).await?,
                    payload: vec![b'.'; task.setting.size.unwrap_or_default() as usize].into(),
                    limit: task.limit,
                    echoes,
                    tally: task.tally.clone(),
                });
                load::run(task, move |number| client.clone().round_trip(number, send)).await
            })
            .await
    })
    .await
}

async fn listen(mut events: Events, echoes: Arc<Echoes>) {
    while let Some(event) = events.next().await {
        if let Event::Whisper { message, .. } = &event
            && let Some(number) = message::number(message)
        {
            echoes.answered(number);
        }
    }
}

impl Client {
    fn message(&self, number: u64) -> Message {
        message::encode(number, &self.payload)
    }

    async fn round_trip<F>(
        self: Arc<Self>,
        number: u64,
        send: impl Fn(Arc<Self>, u64) -> F,
    ) -> Result<Answered, Lost>
    where
        F: Future<Output = Result<usize, SendError>>,
    {
        let completed = self.echoes.expect(number);
        let outcome = match send(self.clone(), number).await {
            Ok(0) => Err((1, "nobody that serves is there any more".to_owned())),
            Ok(wanted) => {
                self.echoes.want(number, wanted);
                match timeout(self.limit, completed).await {
                    Ok(Ok(at)) => Ok(Answered { answers: wanted as u64, at }),
                    _ => Err((wanted, format!("no answer in {:?}; wait longer with --timeout", self.limit))),
                }
            }
            Err(error) => Err((1, error.to_string())),
        };
        let came = self.echoes.forget(number);
        outcome.map_err(|(wanted, why)| {
            self.tally.add_partly(came as u64);
            Lost { answers: wanted.saturating_sub(came) as u64, why }
        })
    }
}
