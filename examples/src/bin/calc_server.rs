//! Serves a calculator: an actor behind the service `calc` and in the pool `calc`. Twin: `python/actor.py`.

use actix::{Actor, Context, Handler};
use clap::Parser;
use zyre_actors::{ActorSystem, OneForOne};
use zyre_examples::calc::{Add, CalcError, Div};
use zyre_examples::{Failure, NodeArgs, interrupted};
use zyre_rs::printable;

/// Serves calc.add and calc.div until Ctrl-C.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
}

/// An actor as any other of actix; that it is called over the network is not its business.
struct Calculator;

impl Actor for Calculator {
    type Context = Context<Self>;
}

impl Handler<Add> for Calculator {
    type Result = Result<i64, CalcError>;

    fn handle(&mut self, Add { a, b }: Add, _: &mut Context<Self>) -> Self::Result {
        a.checked_add(b).ok_or(CalcError::Overflow)
    }
}

impl Handler<Div> for Calculator {
    type Result = Result<i64, CalcError>;

    fn handle(&mut self, Div { a, b }: Div, _: &mut Context<Self>) -> Self::Result {
        if b == 0 { Err(CalcError::DivisionByZero) } else { a.checked_div(b).ok_or(CalcError::Overflow) }
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let system = ActorSystem::start(cli.node.builder("calc-server")).await?;
    system
        .serve("calc", || Calculator)
        .method::<Add>()
        .method::<Div>()
        .restart(OneForOne::new())
        .pool("calc")
        .start()
        .await?;
    println!("{} serves calc.add and calc.div", printable(system.node().name()));
    interrupted().await;
    // Leaves its groups first and works off what has come: no caller loses an answer.
    system.stop().await;
    Ok(())
}
