//! One module per command; each says what it waits for and what it prints.

mod call;
mod chat;
mod demo;
mod key;
mod methods;
mod peers;
mod ping;
mod scout;
mod send;
mod serve;
mod services;
mod shout;
mod sub;
mod whisper;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::key_file;
use crate::output::Output;
use crate::session::Session;
use crate::signals::Signals;

/// Runs what the command line asks for.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Args { options, repeatable, command } = args;
    let output = Output::new(options.json);
    let key = options.key_file.as_deref().map(key_file::load).transpose()?;
    let session = Session { options, repeatable, key, signals: Signals::catch()?, output };
    match command {
        Command::Scout(scout) => scout::run(session, &scout).await,
        Command::Peers(peers) => peers::run(session, &peers).await,
        Command::Sub(sub) => sub::run(session, &sub).await,
        Command::Shout(shout) => shout::run(session, shout).await,
        Command::Whisper(whisper) => whisper::run(session, whisper).await,
        Command::Chat(chat) => chat::run(session, &chat).await,
        Command::Services(services) => services::run(session, &services).await,
        Command::Methods(methods) => methods::run(session, &methods).await,
        Command::Call(call) => call::run(session, call).await,
        Command::Serve(serve) => serve::run(session, serve).await,
        Command::Ping(ping) => ping::run(session, &ping).await,
        Command::Key(key) => key::run(session, &key),
        Command::Demo => demo::run(session).await,
    }
}
