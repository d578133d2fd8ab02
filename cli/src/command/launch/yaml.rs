//! A YAML text as values that know where they stand, so that whatever is wrong with one can be shown there.
//!
//! Scalars stay text until somebody asks for a number: `1.10` and `no` in an environment are meant literally.

use saphyr::{MarkedYaml, ScanError, YamlData, YamlLoader};
use saphyr_parser::{Event, Marker, Parser, SpannedEventReceiver};
use std::collections::BTreeMap;
use std::str::FromStr;

/// More than a launch file has use for, and little enough for values to be dropped on any stack.
const MAX_DEPTH: usize = 16;
/// How alike a wrong word must be to a known one to be taken for it (0 to 1).
const ALIKE: f64 = 0.75;

/// What is wrong, and where; line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {text}", .place.line, .place.column)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) text: String,
}

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

/// The text's only document.
pub(super) struct Document<'i>(MarkedYaml<'i>);

/// A value of it.
#[derive(Clone, Copy)]
pub(super) struct Value<'a, 'i>(&'a MarkedYaml<'i>);

impl Place {
    /// Where a file begins.
    const START: Self = Self { line: 1, column: 1 };

    fn of(marker: Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1 }
    }

    pub(super) fn problem(self, text: impl Into<String>) -> Problem {
        Problem { place: self, text: text.into() }
    }
}

impl<'i> Document<'i> {
    pub(super) fn read(text: &'i str) -> Result<Self, Problem> {
        let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
        loader.early_parse(false);
        let mut depth = 0_usize;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| misread(&error))?;
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(Place::of(span.start).problem(format!("nested more than {MAX_DEPTH} deep")));
            }
            loader.on_event(event, span);
        }
        if let Some(error) = loader.error() {
            return Err(misread(error));
        }
        let mut documents = loader.into_documents().into_iter();
        match (documents.next(), documents.next()) {
            (Some(document), None) => Ok(Self(document)),
            (None, _) => Err(Place::START.problem("the file is empty; it begins with `nodes:`")),
            (_, Some(second)) => Err(Place::of(second.span.start).problem("a file has one document")),
        }
    }

    pub(super) fn root(&self) -> Value<'_, 'i> {
        Value(&self.0)
    }
}

impl<'a, 'i> Value<'a, 'i> {
    pub(super) fn place(self) -> Place {
        Place::of(self.0.span.start)
    }

    pub(super) fn problem(self, text: impl Into<String>) -> Problem {
        self.place().problem(text)
    }

    /// Whether nothing is written here.
    pub(super) fn is_empty(self) -> bool {
        use saphyr::ScalarStyle::Plain;
        matches!(&self.0.data, YamlData::Representation(text, Plain, _) if matches!(&**text, "" | "~" | "null"))
    }

    /// The text, if it is one.
    pub(super) fn as_text(self) -> Option<&'a str> {
        match &self.0.data {
            YamlData::Representation(text, ..) if !self.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The text; `what` says what it is to be, with an example.
    pub(super) fn text(self, what: &str) -> Result<&'a str, Problem> {
        match self.as_text() {
            Some(text) if text.contains('\0') => Err(self.problem("no program takes a text with NUL in it")),
            text => text.ok_or_else(|| self.problem(format!("here belongs {what}"))),
        }
    }

    /// A value that is written as text, such as a number.
    pub(super) fn parsed<T: FromStr>(self, what: &str, fits: impl FnOnce(&T) -> bool) -> Result<T, Problem> {
        let parsed = self.as_text().and_then(|text| text.parse().ok()).filter(fits);
        parsed.ok_or_else(|| self.problem(format!("here belongs {what}")))
    }

    /// The elements, if it is a list.
    pub(super) fn as_list(self) -> Option<impl Iterator<Item = Self>> {
        match &self.0.data {
            YamlData::Sequence(values) => Some(values.iter().map(Value)),
            _ => None,
        }
    }

    /// Keys and values, in their order, if it is a mapping.
    pub(super) fn as_map(self) -> Option<impl Iterator<Item = (Self, Self)>> {
        match &self.0.data {
            YamlData::Mapping(map) => Some(map.iter().map(|(key, value)| (Value(key), Value(value)))),
            _ => None,
        }
    }

    /// The values of a mapping that may have these keys and no others. One without a value is as if not there.
    pub(super) fn keyed(self, what: &str, known: &[&str]) -> Result<BTreeMap<&'a str, Self>, Problem> {
        let map = self.as_map().ok_or_else(|| self.problem(format!("here belongs {what}")))?;
        let mut found = BTreeMap::new();
        for (key, value) in map {
            let name = key.text("a key")?;
            if !known.contains(&name) {
                return Err(unknown(key, "key", name, known.iter().copied()));
            }
            if !value.is_empty() {
                found.insert(name, value);
            }
        }
        Ok(found)
    }
}

fn misread(error: &ScanError) -> Problem {
    Place::of(*error.marker()).problem(error.info())
}

/// Says that a word is not known, and which one may be meant.
pub(super) fn unknown<'k>(
    value: Value<'_, '_>,
    what: &str,
    word: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Problem {
    value.problem(format!("unknown {what} `{word}`; {}", meant(word, known)))
}

/// Names the known word that is nearest, or all of them.
pub(super) fn meant<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(word, known);
    let nearest = known.clone().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|nearest| likeness(nearest) >= ALIKE) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let document = Document::read(text);
        let keyed =
            document.and_then(|document| document.root().keyed("keys", &["nodes", "other"]).map(drop));
        keyed.expect_err("a problem").to_string()
    }

    #[test]
    fn a_problem_says_line_and_column_and_what_may_be_meant() {
        assert_eq!(problem("nodes:\n  a: 1\nnods: 2\n"), "3:1: unknown key `nods`; did you mean `nodes`?");
        assert_eq!(problem("\n xyz: 2\n"), "2:2: unknown key `xyz`; known are nodes, other");
        assert_eq!(problem("- a\n"), "1:1: here belongs keys");
    }

    #[test]
    fn a_text_that_is_no_yaml_a_key_twice_and_no_text_at_all_are_problems() {
        assert!(problem("nodes: [1, 2\nother: 3").starts_with("2:"), "{}", problem("nodes: [1, 2\nother: 3"));
        assert!(problem("nodes: 1\nnodes: 2\n").starts_with("2:1: duplicated key"));
        assert!(problem("").contains("begins with `nodes:`"));
        assert!(problem("nodes: 1\n---\nnodes: 2\n").contains("one document"));
    }

    #[test]
    fn a_deeply_nested_text_is_refused() {
        for (opened, said) in
            [("- ", "nested more than"), ("? ", "nested more than"), ("[", "limit"), ("{a: ", "limit")]
        {
            let problem = problem(&opened.repeat(20_000));
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn scalars_are_kept_as_they_are_written() {
        let document = Document::read("[1.10, no, 'null', \"a b\", null, 0x10]").expect("YAML");
        let texts: Vec<_> = document.root().as_list().expect("a list").map(Value::as_text).collect();
        assert_eq!(texts, [Some("1.10"), Some("no"), Some("null"), Some("a b"), None, Some("0x10")]);
    }
}
