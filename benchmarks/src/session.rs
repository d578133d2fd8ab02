//! The child's side of a run: reports on stdout as JSON lines, ends when stdin does.
//!
//! Lines: `{"ready":ADDRESS}` once peers may come, `{"result":{NAME:NUMBER}}` from the side that holds the
//! watch, `{"usage":{…}}` at the end, `{"error":TEXT}` instead of any of them.

use crate::contender::Contender;
use crate::workload::{Job, Side, Workload};
use crate::{Result, curve, usage};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

/// A child's job and its line to the parent.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) job: Arc<Job>,
    cpu_at_start: Arc<OnceLock<f64>>,
    cpu_at_result: Arc<OnceLock<f64>>,
}

impl Session {
    fn new(job: Job) -> Self {
        Self { job: Arc::new(job), cpu_at_start: Arc::default(), cpu_at_result: Arc::default() }
    }

    /// Peers may come now.
    pub(crate) fn ready(&self, address: &str) {
        print(&json!({ "ready": address }));
    }

    /// The warm-up is over: CPU time counts from here. Only the first call has an effect.
    pub(crate) fn measure(&self) {
        if let Ok(cpu) = usage::cpu_seconds() {
            self.cpu_at_start.get_or_init(|| cpu);
        }
    }

    /// The side that holds the watch is done. Everything stays open until the parent says so, since
    /// the other side may still be working.
    pub(crate) async fn result(&self, numbers: Value) -> Result<Infallible> {
        if let Ok(cpu) = usage::cpu_seconds() {
            self.cpu_at_result.get_or_init(|| cpu);
        }
        print(&json!({ "result": numbers }));
        hold().await
    }

    fn usage(&self) -> Result<Value> {
        let end = self.cpu_at_result.get().copied().map_or_else(usage::cpu_seconds, Ok)?;
        let cpu = end - self.cpu_at_start.get().copied().unwrap_or(end);
        Ok(json!({ "usage": { "cpu": cpu.max(0.0), "peak_rss_kib": usage::peak_rss_kib()? } }))
    }
}

/// Keeps everything open until the parent ends this process.
pub(crate) async fn hold() -> Result<Infallible> {
    std::future::pending().await
}

/// Runs one side of one workload for one contender; the whole life of a child process.
pub(crate) fn run(contender: Contender, job: Job) -> Result<()> {
    let session = Session::new(job);
    let watched = session.clone();
    std::thread::spawn(move || {
        // The parent closes stdin when the run is over, and the system does when the parent has died.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        print(&watched.usage().unwrap_or_else(|error| json!({ "error": error.to_string() })));
        std::process::exit(0);
    });
    // Two workers for every contender. The body runs as a task, because a future in `block_on` is woken
    // through one more thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async { tokio::spawn(play(contender, session)).await });
    let error = match outcome {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    print(&json!({ "error": error }));
    Err(error.into())
}

async fn play(contender: Contender, session: Session) -> Result<Infallible> {
    use crate::contender::actors::Served;
    use crate::contender::{actors, ractor, tarpc, tcp, tcp_json, zeromq, zyre};
    use tarpc::Codec;
    let side = session.job.side;
    match (contender, session.job.workload, side) {
        (Contender::Zyre, Workload::Mesh, _) => zyre::mesh(session).await,
        (Contender::Zyre, Workload::CurveHandshake, _) => curve::handshakes(session).await,
        (Contender::Zyre | Contender::ZyreOpen, _, Side::Sink) => zyre::sink(session).await,
        (Contender::Zyre | Contender::ZyreOpen, _, Side::Source) => zyre::source(session).await,
        (Contender::Tcp, _, Side::Sink) => tcp::sink(session).await,
        (Contender::Tcp, _, Side::Source) => tcp::source(session).await,
        (Contender::Zeromq, _, Side::Sink) => zeromq::sink(session).await,
        (Contender::Zeromq, _, Side::Source) => zeromq::source(session).await,
        (Contender::TcpJson, _, Side::Sink) => tcp_json::sink(session).await,
        (Contender::TcpJson, _, Side::Source) => tcp_json::source(session).await,
        (Contender::TarpcJson, _, Side::Sink) => tarpc::sink(session, Codec::Json).await,
        (Contender::TarpcJson, _, Side::Source) => tarpc::source(session, Codec::Json).await,
        (Contender::TarpcBincode, _, Side::Sink) => tarpc::sink(session, Codec::Bincode).await,
        (Contender::TarpcBincode, _, Side::Source) => tarpc::source(session, Codec::Bincode).await,
        (Contender::Ractor, _, Side::Sink) => ractor::sink(session).await,
        (Contender::Ractor, _, Side::Source) => ractor::source(session).await,
        (Contender::ActorsActix, _, Side::Sink) => actors::sink(session, Served::Actor).await,
        (Contender::ActorsJson | Contender::ActorsMsgpack, _, Side::Sink) => {
            actors::sink(session, Served::Closure).await
        }
        (Contender::ActorsJson, _, Side::Source) => actors::source(session, zyre_actors::Codec::Json).await,
        (Contender::ActorsMsgpack | Contender::ActorsActix, _, Side::Source) => {
            actors::source(session, zyre_actors::Codec::MessagePack).await
        }
        (Contender::Pyre, ..) => Err("pyre runs in Python".into()),
        (Contender::LibzmqDealer | Contender::LibzmqPush, ..) => Err("libzmq runs in C".into()),
    }
}

fn print(line: &Value) {
    let mut stdout = std::io::stdout().lock();
    // A parent that has gone away needs no answer.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
