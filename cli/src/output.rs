//! Standard output: events, answers and lists, as JSON for programs or as text for people.
//!
//! The JSON is a contract: keys and their order stay, keys that do not apply are absent. Text from
//! peers is escaped before it reaches a terminal.

mod answer;
mod event;
mod group;
mod launch;
mod list;
mod measured;
mod progress;
mod rate;
mod report;
mod round_trip;
mod schema;
mod screen;
mod service;
mod size;
mod stage;
mod subscribed;
mod value;

pub(crate) use answer::{Answer, ErrorLine};
pub(crate) use event::EventLine;
pub(crate) use group::{GroupRow, group_table};
pub(crate) use launch::{Happened, PlanRow, Said, Stream, What};
pub(crate) use list::{PeerRow, SightingRow, peer_table, table};
pub(crate) use measured::{Measured, MeasuredResult, Setting};
pub(crate) use progress::{PROGRESS_EVERY, Progress};
pub(crate) use rate::{BwRow, HzRow, RateRow, Spread, rate_table};
pub(crate) use report::{Check, Report, Status};
pub(crate) use round_trip::{RoundTrip, Summary};
pub(crate) use screen::Screen;
pub(crate) use service::{Change, ProviderRow, provider_table};
pub(crate) use size::sized;
pub(crate) use stage::{Board, Stage, Total, WorkerLine};
pub(crate) use subscribed::{FieldLine, Heard};

use crate::failure::Failure;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use zyre_rs::Event;

/// Large enough that a busy group costs one write per some hundred events.
const BUFFER: usize = 64 << 10;

/// Where data goes. Nothing is seen before [`flush`](Self::flush) or a full buffer.
pub(crate) struct Output {
    json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: BufWriter::with_capacity(BUFFER, io::stdout()) }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Output)
    }

    /// Prints an event. One that is about this node's setup and not about a peer is a note.
    pub(crate) fn event(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::IdentityConflict { peer, address } => note(format_args!(
                "warning: {address} uses the UUID {peer}, which is taken; give each node its own"
            )),
            Event::KeyMismatch { peer, address, key } => note(format_args!(
                "warning: {address} uses the UUID {peer} with the key {key}, which does not belong to it, and was refused"
            )),
            event => return self.line(&EventLine::from(event)),
        }
        Ok(())
    }

    /// Prints bytes as they are, whether data is for programs or for people.
    pub(crate) fn text(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.out.write_all(text).map_err(Failure::Output)
    }

    /// Prints one line of data.
    pub(crate) fn line(&mut self, line: &(impl serde::Serialize + fmt::Display)) -> Result<(), Failure> {
        if self.json { write_json(&mut self.out, line) } else { writeln!(self.out, "{line}") }
            .map_err(Failure::Output)
    }

    pub(crate) fn peers(&mut self, peers: &[PeerRow<'_>]) -> Result<(), Failure> {
        self.list(peers, peer_table)
    }

    pub(crate) fn groups(&mut self, groups: &[GroupRow<'_>]) -> Result<(), Failure> {
        self.list(groups, group_table)
    }

    pub(crate) fn sightings(&mut self, sightings: &[SightingRow]) -> Result<(), Failure> {
        self.list(sightings, list::sighting_table)
    }

    pub(crate) fn providers(&mut self, providers: &[ProviderRow]) -> Result<(), Failure> {
        self.list(providers, provider_table)
    }

    /// The entries of `rpc.methods`, as they came or in short.
    pub(crate) fn methods(&mut self, methods: &[serde_json::Value]) -> Result<(), Failure> {
        self.list(methods, schema::method_table)
    }

    /// Whether data is printed for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    fn list<R: serde::Serialize>(
        &mut self,
        rows: &[R],
        table: impl FnOnce(&[R]) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            rows.iter().try_for_each(|row| write_json(&mut self.out, row))
        } else {
            self.out.write_all(table(rows).as_bytes())
        }
        .map_err(Failure::Output)
    }

    /// Says how a command has ended: with JSON as data, else as a note.
    pub(crate) fn report(&mut self, report: &(impl serde::Serialize + fmt::Display)) -> Result<(), Failure> {
        if !self.json {
            note(report);
            return Ok(());
        }
        self.line(report)?;
        self.flush()
    }

    /// Says how many messages went to how many peers: with JSON as data, else as a note.
    pub(crate) fn sent(&mut self, sent: u64, peers: usize) -> Result<(), Failure> {
        if self.json {
            return writeln!(self.out, "{{\"sent\":{sent},\"peers\":{peers}}}").map_err(Failure::Output);
        }
        note(format_args!("sent {} to {}", counted(sent, "message"), counted(peers as u64, "peer")));
        Ok(())
    }
}

fn write_json(out: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Says something on standard error. That it may be closed is no reason to fail.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "zyre: {text}");
}

/// Whether what goes there is to be coloured: it is a terminal, and nobody has said no by `NO_COLOR`.
pub(crate) fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !refuses_colour()
}

/// Whether a terminal is to get text alone: it can do no more, or `NO_COLOR` asks for that.
fn is_plain() -> bool {
    refuses_colour() || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

fn refuses_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// `1 peer`, `2 peers`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
