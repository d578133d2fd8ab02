//! What `zyre launch` prints: lines of nodes, what happens to them, and its plan.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use zyre_rs::printable;

/// Colours that can be read on a light and on a dark ground, taken in turn.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A line that a node has printed. For people it is passed on as it is: it is a program of theirs.
#[derive(Serialize)]
#[serde(tag = "event", rename = "LINE")]
pub(crate) struct Said<'a> {
    pub(crate) node: &'a str,
    pub(crate) stream: Stream,
    pub(crate) text: &'a str,
    /// The longest name.
    #[serde(skip)]
    pub(crate) width: usize,
    /// The number of the node, if its name is to be coloured.
    #[serde(skip)]
    pub(crate) colour: Option<usize>,
}

/// Something that has happened to a node.
#[derive(Serialize)]
pub(crate) struct Happened<'a> {
    #[serde(flatten)]
    pub(crate) what: What,
    pub(crate) node: &'a str,
}

/// What that can be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "UPPERCASE")]
pub(crate) enum What {
    /// It waits for others.
    Waiting {
        peers: Vec<String>,
    },
    Started {
        pid: Option<u32>,
    },
    /// It has ended, with an exit code or by a signal.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
        killed: bool,
    },
    /// It is going to be started again.
    Restart {
        restart: u32,
        in_ms: u128,
    },
    /// It was asked to end.
    Stopping,
}

/// One line of a plan.
#[derive(Serialize)]
pub(crate) struct PlanRow<'a> {
    pub(crate) order: usize,
    pub(crate) node: &'a str,
    pub(crate) processes: Vec<String>,
    pub(crate) command: &'a [String],
    pub(crate) directory: String,
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// What is awaited, in words.
    pub(crate) waits_for: Vec<String>,
    pub(crate) restart: &'static str,
    pub(crate) grace: f64,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, width, text, .. } = self;
        match self.colour.and_then(|number| COLOURS.get(number % COLOURS.len())) {
            Some(colour) => write!(f, "\x1b[{colour}m{node:<width$} |\x1b[0m {text}"),
            None => write!(f, "{node:<width$} | {text}"),
        }
    }
}

impl fmt::Display for Happened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.node)?;
        match &self.what {
            What::Waiting { peers } => write!(f, "waits for {}", peers.join(", ")),
            What::Started { pid: Some(pid) } => write!(f, "has started (process {pid})"),
            What::Started { pid: None } => f.write_str("has started"),
            What::Ended { killed: true, .. } => f.write_str("did not end in time and was killed"),
            What::Ended { code: Some(code), .. } => write!(f, "has ended with exit code {code}"),
            What::Ended { signal: Some(signal), .. } => write!(f, "was ended by signal {signal}"),
            What::Ended { .. } => f.write_str("has ended"),
            What::Restart { restart, in_ms } => {
                write!(f, "is started again in {in_ms} ms (restart {restart})")
            }
            What::Stopping => f.write_str("is told to end"),
        }
    }
}

impl fmt::Display for PlanRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, processes, directory, restart, grace, .. } = self;
        let command: Vec<_> = self.command.iter().map(|word| quoted(word)).collect();
        write!(f, "{order}. {}: {}", processes.join(", "), command.join(" "))?;
        if !self.waits_for.is_empty() {
            write!(f, "\n   once {}", self.waits_for.join(", and "))?;
        }
        write!(f, "\n   in {}, restart {restart}, {grace} s to end", printable(directory))?;
        let variables: Vec<_> =
            self.environment.iter().map(|(name, value)| quoted(&format!("{name}={value}"))).collect();
        if !variables.is_empty() {
            write!(f, "\n   with {}", variables.join(" "))?;
        }
        Ok(())
    }
}

/// A word as a shell would take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: What, json: &str, text: &str) {
        let happened = Happened { what, node: "cam-1" };
        assert_eq!(serde_json::to_string(&happened).expect("text keys"), json);
        assert_eq!(happened.to_string(), text);
    }

    #[test]
    fn what_happens_is_an_object_for_programs_and_a_sentence_for_people() {
        check(
            What::Started { pid: Some(7) },
            r#"{"event":"STARTED","pid":7,"node":"cam-1"}"#,
            "cam-1 has started (process 7)",
        );
        check(
            What::Waiting { peers: vec!["a-1".to_owned(), "a-2".to_owned()] },
            r#"{"event":"WAITING","peers":["a-1","a-2"],"node":"cam-1"}"#,
            "cam-1 waits for a-1, a-2",
        );
        check(
            What::Ended { code: None, signal: Some(9), killed: false },
            r#"{"event":"ENDED","code":null,"signal":9,"killed":false,"node":"cam-1"}"#,
            "cam-1 was ended by signal 9",
        );
        check(
            What::Restart { restart: 2, in_ms: 900 },
            r#"{"event":"RESTART","restart":2,"in_ms":900,"node":"cam-1"}"#,
            "cam-1 is started again in 900 ms (restart 2)",
        );
        check(What::Stopping, r#"{"event":"STOPPING","node":"cam-1"}"#, "cam-1 is told to end");
    }

    #[test]
    fn a_line_stands_behind_the_name_of_its_node() {
        let said = Said { node: "cam", stream: Stream::Stderr, text: "oh no", width: 5, colour: None };
        assert_eq!(said.to_string(), "cam   | oh no");
        let json = r#"{"event":"LINE","node":"cam","stream":"stderr","text":"oh no"}"#;
        assert_eq!(serde_json::to_string(&said).expect("text keys"), json);
        assert_eq!(Said { colour: Some(7), ..said }.to_string(), "\x1b[33mcam   |\x1b[0m oh no");
    }

    #[test]
    fn words_that_a_shell_would_cut_are_quoted() {
        assert_eq!(
            [quoted("zyre"), quoted("a b"), quoted(""), quoted("it's")],
            ["zyre", "'a b'", "''", r"'it'\''s'"]
        );
    }
}
