//! Reads a filter: comparisons with `&&`, `||`, `!` and parentheses.

use super::{Filter, Operand, Path, Relation};
use serde_json::Value;
use std::iter::Peekable;
use std::str::FromStr;
use std::vec::IntoIter;

/// Longest filter, in bytes, and parentheses and `!` within each other: what is read recurses.
const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: u8 = 64;

const HELP: &str = "a filter reads for example 'json.temp > 20 && name == \"cam-1\"'; see `zyre sub --help`";

/// In this order, so that the longer of two is found first.
const RELATIONS: [(&str, Relation); 7] = [
    ("==", Relation::Equal),
    ("!=", Relation::Unequal),
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("<", Relation::Less),
    (">", Relation::More),
    ("~", Relation::Contains),
];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Operand(Operand),
    Relation(Relation),
    And,
    Or,
    Not,
    Open,
    Close,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("a filter has at most {MAX_LENGTH} bytes; filter behind --json instead"));
        }
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
        let filter = parser.either()?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some((at, _)) => Err(wrong(at, "&& or || is missing before this")),
        }
    }
}

fn wrong(at: usize, what: &str) -> String {
    format!("at character {}: {what}; {HELP}", at + 1)
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut at = 0;
    loop {
        let trimmed = rest.trim_start();
        at += rest.chars().count() - trimmed.chars().count();
        rest = trimmed;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, length) = token(first, rest).map_err(|what| wrong(at, what))?;
        tokens.push((at, token));
        let (read, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        at += read.chars().count();
        rest = behind;
    }
}

/// The token that the text begins with, and its length in bytes.
fn token(first: char, text: &str) -> Result<(Token, usize), &'static str> {
    if let Some((sign, relation)) = RELATIONS.iter().find(|(sign, _)| text.starts_with(sign)) {
        return Ok((Token::Relation(*relation), sign.len()));
    }
    for (sign, token) in
        [("&&", Token::And), ("||", Token::Or), ("!", Token::Not), ("(", Token::Open), (")", Token::Close)]
    {
        if text.starts_with(sign) {
            return Ok((token, sign.len()));
        }
    }
    match first {
        '"' | '\'' => {
            let inner = text.get(1..).unwrap_or_default();
            let end = inner.find(first).ok_or("this quote is not closed")?;
            let inner = inner.get(..end).unwrap_or_default();
            Ok((Token::Operand(Operand::Literal(inner.into())), inner.len() + 2))
        }
        '0'..='9' | '-' => {
            let word = while_in(text, |c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let number = serde_json::from_str::<serde_json::Number>(word);
            let number = number.map_err(|_| "this is no number such as 3 or -0.5")?;
            Ok((Token::Operand(Operand::Literal(Value::Number(number))), word.len()))
        }
        '=' => Err("equality is written =="),
        '&' | '|' => Err("conditions are joined by && and ||"),
        c if c.is_alphabetic() || c == '_' => {
            let word = while_in(text, |c| c.is_alphanumeric() || "_-.".contains(c));
            Ok((Token::Operand(named(word)?), word.len()))
        }
        _ => Err("this sign means nothing here"),
    }
}

fn while_in(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// What a word stands for: a property of the event, a constant or else a field of the payload.
fn named(word: &str) -> Result<Operand, &'static str> {
    Ok(match word {
        "event" => Operand::Event,
        "peer" => Operand::Peer,
        "name" => Operand::Name,
        "group" => Operand::Group,
        "size" => Operand::Size,
        "true" => Operand::Literal(true.into()),
        "false" => Operand::Literal(false.into()),
        "null" => Operand::Literal(Value::Null),
        "json" => Operand::Field(Path(Vec::new())),
        word => {
            let path = word.strip_prefix("json.").unwrap_or(word).parse();
            Operand::Field(path.map_err(|_: String| "the names of a field have one dot between them")?)
        }
    })
}

struct Parser {
    tokens: Peekable<IntoIter<(usize, Token)>>,
    depth: u8,
}

impl Parser {
    fn either(&mut self) -> Result<Filter, String> {
        let mut left = self.both()?;
        while self.takes(&Token::Or) {
            left = Filter::Either(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, String> {
        let mut left = self.single()?;
        while self.takes(&Token::And) {
            left = Filter::Both(Box::new(left), Box::new(self.single()?));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Filter, String> {
        match self.next()? {
            (at, Token::Not) => Ok(Filter::Not(Box::new(self.deeper(at, Self::single)?))),
            (at, Token::Open) => {
                let inner = self.deeper(at, Self::either)?;
                if self.takes(&Token::Close) {
                    Ok(inner)
                } else {
                    Err(wrong(at, "this parenthesis is not closed"))
                }
            }
            (_, Token::Operand(left)) => self.compared(left),
            (at, _) => Err(wrong(at, "a name, a number or a text is missing before this")),
        }
    }

    fn compared(&mut self, left: Operand) -> Result<Filter, String> {
        let Some((at, Token::Relation(relation))) =
            self.tokens.next_if(|(_, token)| matches!(token, Token::Relation(_)))
        else {
            return Ok(Filter::Holds(left));
        };
        match self.tokens.next() {
            Some((_, Token::Operand(right))) => Ok(Filter::Compare(left, relation, right)),
            _ => Err(wrong(at, "a name, a number or a text in quotes is missing behind this")),
        }
    }

    fn deeper(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self) -> Result<Filter, String>,
    ) -> Result<Filter, String> {
        if self.depth == MAX_DEPTH {
            return Err(wrong(at, "this is too deep within parentheses"));
        }
        self.depth += 1;
        let inner = read(self);
        self.depth -= 1;
        inner
    }

    fn next(&mut self) -> Result<(usize, Token), String> {
        self.tokens.next().ok_or_else(|| format!("a condition is missing at the end; {HELP}"))
    }

    fn takes(&mut self, wanted: &Token) -> bool {
        self.tokens.next_if(|(_, token)| token == wanted).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_an_example() {
        for (text, told) in [
            ("", "a condition is missing at the end"),
            ("a >", "at character 3: a name, a number or a text in quotes is missing behind"),
            ("a = 3", "at character 3: equality is written =="),
            ("ä & b", "at character 3: conditions are joined by && and ||"),
            ("a > 3 b", "at character 7: && or || is missing"),
            ("(a", "at character 1: this parenthesis is not closed"),
            ("a)", "at character 2"),
            ("> 3", "at character 1: a name, a number or a text is missing before"),
            ("name == 'x", "at character 9: this quote is not closed"),
            ("a > 3x", "at character 5: this is no number"),
            ("a. > 3", "one dot between"),
            ("a # b", "means nothing"),
            ("a &&", "a condition is missing at the end"),
        ] {
            let error = Filter::from_str(text).expect_err(text);
            assert!(error.contains(told) && error.contains("json.temp > 20"), "{text}: {error}");
        }
    }

    #[test]
    fn neither_length_nor_depth_exhausts_the_stack() {
        let deep = "(".repeat(2000);
        assert!(Filter::from_str(&deep).expect_err("deep").contains("too deep"));
        assert!(Filter::from_str(&"!".repeat(2000)).expect_err("deep").contains("too deep"));
        assert!(Filter::from_str(&"a&&".repeat(2000)).expect_err("long").contains("4096"));
        assert!(Filter::from_str(&format!("{}a", "a||".repeat(1300))).is_ok());
    }
}
