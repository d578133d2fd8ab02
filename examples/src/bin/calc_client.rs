//! Calls a calculator, whoever serves it: `calc_server`, or `python/actor.py`.

use clap::Parser;
use std::time::Duration;
use zyre_actors::{ActorSystem, CallError};
use zyre_examples::calc::{Add, CalcError, Div};
use zyre_examples::{Failure, NodeArgs};

/// Calls calc.add and calc.div and prints the results.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    /// The first number
    #[arg(allow_negative_numbers = true, default_value_t = 7)]
    a: i64,
    /// The second number; 0 shows what becomes of an error
    #[arg(allow_negative_numbers = true, default_value_t = 2)]
    b: i64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Cli { node, a, b } = Cli::parse();
    let system = ActorSystem::start(node.builder("calc-client")).await?;
    let calc = system.service("calc").ready(Duration::from_secs(10)).await?;

    println!("{a} + {b} = {}", calc.call(Add { a, b }).await?);
    match calc.call(Div { a, b }).timeout(Duration::from_secs(1)).await {
        Ok(quotient) => println!("{a} / {b} = {quotient}"),
        // The server's own error, as the type it has there.
        Err(CallError::Application(CalcError::DivisionByZero)) => println!("{a} / {b} is not defined"),
        Err(error) => return Err(error.into()),
    }
    let sums = calc.batch((1..=3).map(|n| Add { a: n, b: n })).await;
    println!("a batch of three: {:?}", sums.into_iter().collect::<Result<Vec<_>, _>>()?);
    let mut all = calc.call_all(Add { a, b });
    while let Some((peer, sum)) = all.next().await {
        println!("{peer} says {}", sum?);
    }
    system.stop().await;
    Ok(())
}
