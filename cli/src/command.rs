//! One module per command; each says what it waits for and what it prints.

mod bag;
mod bench;
mod call;
mod chat;
mod cheat;
mod completions;
mod demo;
mod docs_cli;
mod doctor;
mod key;
mod launch;
mod man;
mod methods;
mod peers;
mod ping;
mod rate;
mod scout;
mod send;
mod serve;
mod services;
mod shout;
mod sub;
mod whisper;

use crate::args::{Args, Command};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::output::{BwRow, HzRow, Output};
use crate::session::Session;
use crate::signals::Signals;
use peers::Listed;

/// Runs what the command line asks for.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Args { options, mut repeatable, command } = args;
    if command.only_looks() {
        repeatable.hide();
    }
    let output = Output::new(options.json);
    let credentials = if command.joins_in() { Credentials::load(&options)? } else { Credentials::Open };
    let session = Session { options, repeatable, credentials, signals: Signals::catch()?, output };
    match command {
        Command::Scout(scout) => scout::run(session, &scout).await,
        Command::Peers(listing) => peers::run(session, &listing, Listed::Peers).await,
        Command::Groups(listing) => peers::run(session, &listing, Listed::Groups).await,
        Command::Sub(sub) => sub::run(session, &sub).await,
        Command::Hz(rates) => rate::run::<HzRow>(session, &rates).await,
        Command::Bw(rates) => rate::run::<BwRow>(session, &rates).await,
        Command::Shout(shout) => shout::run(session, shout).await,
        Command::Whisper(whisper) => whisper::run(session, whisper).await,
        Command::Chat(chat) => chat::run(session, &chat).await,
        Command::Services(services) => services::run(session, &services).await,
        Command::Methods(methods) => methods::run(session, &methods).await,
        Command::Call(call) => call::run(session, call).await,
        Command::Serve(serve) => serve::run(session, serve).await,
        Command::Bench(bench) => bench::run(session, bench).await,
        Command::Ping(ping) => ping::run(session, &ping).await,
        Command::Launch(launch) => launch::run(session, launch).await,
        Command::Bag(bag) => bag::run(session, bag).await,
        Command::Demo => demo::run(session).await,
        Command::Doctor => doctor::run(session).await,
        Command::Key(key) => key::run(&session.options, session.output, &key),
        Command::Cheat(cheat) => cheat::run(session.output, &cheat),
        Command::Completions(completions) => completions::run(session.output, &completions),
        Command::Man(man) => man::run(session.output, &man),
        Command::DocsCli => docs_cli::run(session.output),
    }
}
