//! What `zyre doctor` has found: a list of checks, each with its outcome and what to do about it.

use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

/// How a check has come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// It may be meant so; the remedy says what if not.
    Warning,
    /// A node cannot work like this.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) check: &'static str,
    pub(crate) status: Status,
    pub(crate) says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
    /// More, line by line, for people.
    #[serde(skip)]
    lines: String,
    /// The same for programs.
    #[serde(flatten)]
    data: Map<String, Value>,
}

/// All checks of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    ok: bool,
    checks: Vec<Check>,
}

impl Check {
    pub(crate) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        let (says, data) = (says.into(), Map::new());
        Self { check, status: Status::Ok, says, remedy: None, lines: String::new(), data }
    }

    pub(crate) fn warning(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warning, remedy: Some(remedy.into()), ..Self::ok(check, says) }
    }

    pub(crate) fn failure(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Failure, remedy: Some(remedy.into()), ..Self::ok(check, says) }
    }

    /// One that another failure has kept from being made.
    pub(crate) fn untried(check: &'static str, because: &str) -> Self {
        Self::warning(check, format!("not tried, since {because}"), "see the failures above")
    }

    /// Adds lines for people.
    pub(crate) fn lines(mut self, lines: impl Into<String>) -> Self {
        self.lines = lines.into();
        self
    }

    /// Adds a value for programs.
    pub(crate) fn with(mut self, key: &str, value: impl Serialize) -> Self {
        // What is handed in are texts, numbers and lists of them, which all have a JSON form.
        self.data.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }
}

impl Report {
    pub(crate) fn new(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.status != Status::Failure), checks }
    }

    /// How many have come out so, of how many.
    pub(crate) fn count(&self, status: Status) -> (usize, usize) {
        (self.checks.iter().filter(|check| check.status == status).count(), self.checks.len())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
        let indent = "failure".len() + width + 4;
        for (at, check) in self.checks.iter().enumerate() {
            let end = if at > 0 { "\n" } else { "" };
            write!(f, "{end}{:<7}  {:<width$}  {}", check.status, check.check, check.says)?;
            for line in check.lines.lines() {
                write!(f, "\n{:indent$}{line}", "")?;
            }
            if let Some(remedy) = &check.remedy {
                write!(f, "\n{:indent$}to do: {remedy}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(vec![
            Check::ok("mode", "open").with("port", 5670),
            Check::warning("peers", "nobody", "start one"),
            Check::ok("interfaces", "1 of 2 used").lines("eth0\nlo\n"),
        ])
    }

    #[test]
    fn people_get_columns_with_details_and_remedies_below() {
        let expected = "\
ok       mode        open
warning  peers       nobody
                     to do: start one
ok       interfaces  1 of 2 used
                     eth0
                     lo";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn programs_get_one_object_that_says_first_whether_all_is_well() {
        let text = serde_json::to_string(&report()).expect("text keys");
        let expected = concat!(
            r#"{"ok":true,"checks":[{"check":"mode","status":"ok","says":"open","port":5670},"#,
            r#"{"check":"peers","status":"warning","says":"nobody","remedy":"start one"},"#,
            r#"{"check":"interfaces","status":"ok","says":"1 of 2 used"}]}"#
        );
        assert_eq!(text, expected);
        let failed = Report::new(vec![Check::failure("ports", "taken", "stop it")]);
        assert!(!failed.ok);
        assert_eq!(failed.count(Status::Failure), (1, 1));
    }
}
