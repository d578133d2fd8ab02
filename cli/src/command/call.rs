//! `zyre call`: calls one provider, or all of them.

use super::peers::checks;
use super::send::DEFAULT_TIMEOUT;
use super::whisper::wait_for_peer;
use crate::args::{self, Params, parse_params};
use crate::failure::Failure;
use crate::input;
use crate::output::{Answer, ErrorLine, Output, counted, note};
use crate::session::Session;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use zyre_actors::{ActorSystem, CallError, JsonCall, Service};
use zyre_rs::{Node, PeerId, printable};

pub(crate) async fn run(mut session: Session, args: args::Call) -> Result<(), Failure> {
    let port = session.options.port;
    let limit = session.options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    if args.method.starts_with("rpc.") && args.peer.is_none() {
        let message = format!("every node answers {}; say whose answer you want with --peer", args.method);
        return Err(Failure::Usage(message));
    }
    let params = match &args.params {
        None => json!({}),
        Some(Params::Given(params)) => params.clone(),
        Some(Params::Input) => {
            let text = session.signals.unless(input::whole()).await??;
            parse_params(&text).map_err(Failure::Usage)?
        }
    };
    session
        .with_system(async |system, output| {
            let method = &args.method;
            if let Some(peer) = &args.peer {
                let peer = wait_for_peer(system.node(), peer, 0, limit, port).await?;
                let call = system.call_json(method, params).on(peer).timeout(limit);
                return one(system.node(), call, args.stream, output).await;
            }
            let providers = Providers::of(system, method);
            if args.all || args.replies.is_some() {
                let service = providers.many(&args, limit).await;
                let service = service.ok_or_else(|| providers.missing(system.node(), limit, port))?;
                return all(system.node(), &service, &args, &params, limit, output).await;
            }
            let service = providers.ready(1, limit).await;
            let service = service.ok_or_else(|| providers.missing(system.node(), limit, port))?;
            one(system.node(), service.call_json(method, params).timeout(limit), args.stream, output).await
        })
        .await
}

/// Those who may serve a method: its service and, of the same name, the pool of workers that are in no service.
struct Providers {
    service: Service,
    pool: Service,
}

impl Providers {
    fn of(system: &ActorSystem, method: &str) -> Self {
        let name = method.rsplit_once('.').map_or(method, |(service, _)| service);
        Self { service: system.service(name), pool: system.pool(name) }
    }

    /// Waits for so many providers of the one or the other.
    async fn ready(&self, count: usize, limit: Duration) -> Option<Service> {
        tokio::select! {
            biased;
            Ok(service) = self.service.ready_with(count, limit) => Some(service),
            Ok(pool) = self.pool.ready_with(count, limit) => Some(pool),
            else => None,
        }
    }

    /// Waits until all there are should have come.
    async fn many(&self, args: &args::Call, limit: Duration) -> Option<Service> {
        let enough = args.replies.map_or(usize::MAX, |replies| replies as usize);
        let wait = args.wait.min(limit);
        match self.ready(enough, wait).await {
            Some(service) => Some(service),
            None => self.ready(1, limit.saturating_sub(wait)).await,
        }
    }

    fn missing(&self, node: &Node, limit: Duration, port: u16) -> Failure {
        let (service, pool) = (printable(self.service.group()), printable(self.pool.group()));
        let membership = node.membership();
        let remedy = if membership.peers().next().is_none() {
            format!("no peer was met; {}", checks(port))
        } else {
            "`zyre services` lists who provides what; wait longer with --timeout".to_owned()
        };
        Failure::Timeout(format!("nobody is in {service} or {pool} after {limit:?}; {remedy}"))
    }
}

async fn one(node: &Node, call: JsonCall, stream: bool, output: &mut Output) -> Result<(), Failure> {
    let outcome = if stream { streamed(call, output).await? } else { answered(node, call, output).await? };
    if let Err(error) = outcome {
        // Programs read it where they would read the result; people are told by the failure.
        if output.is_json() && matches!(error, CallError::Remote(_)) {
            output.line(&Answer::error(&error))?;
        }
        return Err(error.into());
    }
    Ok(())
}

type Outcome = Result<(), CallError>;

async fn answered(node: &Node, call: JsonCall, output: &mut Output) -> Result<Outcome, Failure> {
    match call.answered_by().await {
        Ok((peer, result)) => {
            output.line(&Answer::result(&result).by(peer, &name_of(node, peer)))?;
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error)),
    }
}

async fn streamed(call: JsonCall, output: &mut Output) -> Result<Outcome, Failure> {
    let mut items = match call.stream() {
        Ok(items) => items,
        Err(error) => return Ok(Err(error)),
    };
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => output.line(&Answer::item(&item))?,
            Err(error) => return Ok(Err(error)),
        }
        output.flush()?;
    }
    match items.finish().await {
        Ok(result) => output.line(&Answer::result(&result)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

/// Calls every provider and prints their answers as they come.
async fn all(
    node: &Node,
    service: &Service,
    args: &args::Call,
    params: &Value,
    limit: Duration,
    output: &mut Output,
) -> Result<(), Failure> {
    let providers = service.providers();
    let mut calls = JoinSet::new();
    for peer in &providers {
        let (peer, name) = (*peer, name_of(node, *peer));
        let call = service.call_json(&args.method, params.clone()).on(peer).timeout(limit);
        calls.spawn(async move { (peer, name, call.await) });
    }
    let (mut answers, mut failed) = (0, 0);
    // Those left over when there are enough are dropped, and so cancelled.
    while args.replies.is_none_or(|wanted| answers < wanted)
        && let Some(answered) = calls.join_next().await
    {
        let Ok((peer, name, outcome)) = answered else { continue };
        answers += u32::from(matches!(outcome, Ok(_) | Err(CallError::Remote(_))));
        failed += u64::from(outcome.is_err());
        match outcome {
            Ok(result) => output.line(&Answer::result(&result).by(peer, &name).one_of_several())?,
            Err(error) if output.is_json() => output.line(&Answer::error(&error).by(peer, &name))?,
            Err(error) => note(format_args!("{}: {}", printable(&name), ErrorLine::from(&error))),
        }
        output.flush()?;
    }
    let asked = counted(providers.len() as u64, "provider");
    match args.replies {
        Some(wanted) if answers < wanted => Err(Failure::Timeout(format!(
            "{answers} of {} came from {asked}; wait longer with --wait or --timeout",
            counted(wanted.into(), "answer"),
        ))),
        _ if failed > 0 => Err(Failure::SomeFailed(format!("{failed} of {asked} failed"))),
        _ => Ok(()),
    }
}

fn name_of(node: &Node, peer: PeerId) -> Arc<str> {
    node.peer(peer).map_or_else(|| peer.short().into(), |peer| peer.name)
}
