//! `zyre bench serve`: the other side.

use super::{METHOD, message};
use crate::failure::Failure;
use crate::output::note;
use crate::session::Session;
use zyre_actors::{ActorSystem, Context, Params};
use zyre_rs::{Event, Message, PeerId};

/// Calls worked on at once, and let wait: more than a thousand clients, the most there may be, have on their way.
const CONCURRENCY: usize = 1000;
const QUEUE: usize = 10_000;

pub(super) async fn run(session: Session) -> Result<(), Failure> {
    let limit = session.options.timeout;
    session
        .with_system(async |system, _output| {
            let mut events = system.events();
            let echo = system.method(METHOD, |params: Params, _: Context| async move { params.json() });
            echo.concurrency(CONCURRENCY).queue(QUEUE).start().await?;
            note("answers `zyre bench` until Ctrl-C");
            let answering = async {
                while let Some(event) = events.recv().await {
                    if let Some((peer, answer)) = answer(event) {
                        whisper(system, peer, answer).await;
                    }
                }
                Err(Failure::Stopped)
            };
            match limit {
                // Serving for so long was all that was asked for.
                Some(limit) => tokio::time::timeout(limit, answering).await.unwrap_or(Ok(())),
                None => answering.await,
            }
        })
        .await
}

/// What to whisper to whom: to a whisper the same, to a shout its number.
fn answer(event: Event) -> Option<(PeerId, Message)> {
    match event {
        Event::Whisper { peer, message, .. } => message::number(&message).map(|_| (peer, message)),
        Event::Shout { peer, message, .. } => Some((peer, message::answer(message::number(&message)?))),
        _ => None,
    }
}

async fn whisper(system: &ActorSystem, peer: PeerId, answer: Message) {
    // Whoever measures counts it as lost.
    if let Err(error) = system.node().whisper(peer, answer).await {
        tracing::info!(%peer, %error, "an answer was not taken");
    }
}
