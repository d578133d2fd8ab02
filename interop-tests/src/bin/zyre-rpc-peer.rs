//! A node with actors, driven by JSON lines as `zyre-rs-peer` is: it serves what its options name until it is killed, or
//! stops cleanly on SIGTERM. What its handlers do shows on standard output, so that it is known also of a killed one.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use zyre_actors::{ActorSystem, Context, Params};
use zyre_examples::calc::{Add, CalcError, Div};
use zyre_interop_tests::adapter::{Outcome, emit, exit, lines, options};
use zyre_interop_tests::job::Job;
use zyre_rs::Node;

#[tokio::main]
async fn main() -> ExitCode {
    exit(run().await)
}

async fn run() -> Outcome<()> {
    let options = options()?;
    let name = options.get("name").and_then(Value::as_str).ok_or("name missing")?;
    let mut stop = signal(SignalKind::terminate())?;
    let system = ActorSystem::start(Node::builder(name)).await?;
    for service in options.get("groups").and_then(Value::as_array).into_iter().flatten() {
        match service.as_str().ok_or("a service is text")? {
            "calc" => serve_calc(&system).await?,
            "count" => serve_count(&system).await?,
            "job" => serve_job(&system).await?,
            "endless" => serve_endless(&system).await?,
            "front" => serve_front(&system).await?,
            unknown => return Err(format!("no service {unknown}").into()),
        }
    }
    let endpoint = system.node().endpoint().to_string();
    emit(&json!({"event": "READY", "peer": system.node().id().to_string(), "endpoint": endpoint}));

    let mut lines = lines();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = stop.recv() => None,
        };
        let Some(line) = line else { break };
        let command: Value = serde_json::from_str(&line)?;
        let stats = system.stats().await;
        emit(&json!({"event": "REPLY", "id": command.get("id"), "value": stats.counters}));
    }
    system.stop().await;
    emit(&json!({"event": "STOPPED"}));
    Ok(())
}

/// `calc.add` and `calc.div`, as the examples do, also in the pool `calc`.
async fn serve_calc(system: &ActorSystem) -> Outcome<()> {
    let add = |Add { a, b }: Add, _: Context| async move { a.checked_add(b).ok_or(CalcError::Overflow) };
    let div = |Div { a, b }: Div, _: Context| async move {
        if b == 0 { Err(CalcError::DivisionByZero) } else { a.checked_div(b).ok_or(CalcError::Overflow) }
    };
    system.handle(add).pool("calc").await?;
    system.handle(div).pool("calc").await?;
    Ok(())
}

/// `count.to [n]` streams the numbers below n, and gives n.
async fn serve_count(system: &ActorSystem) -> Outcome<()> {
    let count = |params: Params, context: Context| async move {
        let (n,): (u64,) = params.parse()?;
        for number in 0..n {
            context.item(&number).await?;
        }
        Ok(n)
    };
    system.method("count.to", count).await?;
    Ok(())
}

/// [`Job`], which tells that it runs before it does. Also in the pool `job`.
async fn serve_job(system: &ActorSystem) -> Outcome<()> {
    let run = |Job { n, ms }: Job, _: Context| async move {
        emit(&json!({"event": "RAN", "n": n}));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        n
    };
    system.handle(run).pool("job").await?;
    Ok(())
}

/// `endless.work` tells how long it has, and when it is dropped.
async fn serve_endless(system: &ActorSystem) -> Outcome<()> {
    let work = |_: Params, context: Context| async move {
        let _watched = begin("endless.work", &context);
        std::future::pending::<()>().await;
        Ok(())
    };
    system.method("endless.work", work).await?;
    Ok(())
}

/// `front.work` hands its work on to `endless.work`, with more patience than its caller has.
async fn serve_front(system: &ActorSystem) -> Outcome<()> {
    system.service("endless").ready(Duration::from_secs(20)).await?;
    let back = system.clone();
    let work = move |_: Params, context: Context| {
        let back = back.clone();
        async move {
            let _watched = begin("front.work", &context);
            Ok(back.call_json("endless.work", json!([])).timeout(Duration::from_secs(60)).await?)
        }
    };
    system.method("front.work", work).await?;
    Ok(())
}

/// Tells that a request is worked on, and when it is not any more.
fn begin(method: &'static str, context: &Context) -> impl Drop {
    struct Ended(&'static str);
    impl Drop for Ended {
        fn drop(&mut self) {
            emit(&json!({"event": "DROPPED", "name": self.0}));
        }
    }
    let left = context.remaining().and_then(|left| u64::try_from(left.as_millis()).ok());
    emit(&json!({"event": "BEGUN", "name": method, "left_ms": left}));
    Ended(method)
}
