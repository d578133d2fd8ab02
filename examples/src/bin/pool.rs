//! Spreads calls over a pool and shows who worked: start it, then start and stop (or kill) workers, `calc_server` and
//! `python/actor.py`, as you like.

use clap::Parser;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use zyre_actors::{ActorSystem, Up};
use zyre_examples::calc::Add;
use zyre_examples::{Failure, NodeArgs};
use zyre_rs::printable;

/// Makes calls of calc.add at a steady rate, each to the worker that costs least.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    /// Calls per second
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Calls to make
    #[arg(long, default_value_t = 2000)]
    count: i64,
    /// Wait for this many workers before the first call
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let system = ActorSystem::start(cli.node.builder("pool")).await?;
    let pool = system.pool("calc");
    let mut watch = pool.watch();
    tokio::spawn(async move {
        while let Some(news) = watch.next().await {
            match news {
                Up::Up { peer } => println!("{peer} works"),
                Up::Down { peer, reason } => println!("{peer} does not work any more: {reason:?}"),
                _ => {}
            }
        }
    });
    pool.ready_with(cli.workers, Duration::from_secs(30)).await?;

    let (mut calls, mut tick) =
        (JoinSet::new(), tokio::time::interval(Duration::from_secs(1) / cli.rate.max(1)));
    for n in 0..cli.count {
        tick.tick().await;
        let call = pool.call(Add { a: n, b: n });
        calls.spawn(async move { (n, call.answered_by().await) });
    }
    let (mut answers, mut failed) = (BTreeMap::<_, u64>::new(), 0);
    while let Some(done) = calls.join_next().await {
        match done? {
            (n, Ok((worker, sum))) if sum == 2 * n => *answers.entry(worker).or_default() += 1,
            (n, outcome) => {
                eprintln!("call {n}: {outcome:?}");
                failed += 1;
            }
        }
    }
    for (worker, answers) in answers {
        let name = system.node().peer(worker).map_or_else(|| "gone".to_owned(), |peer| peer.name.to_string());
        println!("{worker} ({}) has answered {answers}", printable(&name));
    }
    system.stop().await;
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} calls failed", cli.count).into()) }
}
