//! `zyre key rotate`: from one key of a network to the next in three steps, between which every node gets the file.
//!
//! The file says itself how far it is, in a comment: two keys alone would not tell which is the new one.

use crate::failure::Failure;
use crate::key_file;
use serde::Serialize;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;
use zyre_rs::{NetworkKey, NodeKey};

/// What the comment begins with; the number of the step follows.
const MARK: &str = "# zyre key rotate: step ";
const STEPS: usize = 3;

/// A step that was taken.
#[derive(Serialize)]
pub(super) struct Rotated {
    file: String,
    step: usize,
    of: usize,
    /// The key that nodes show from now on.
    public: String,
    /// Keys accepted besides.
    others: usize,
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, step, of, .. } = self;
        let (now, next) = match step {
            1 => ("it holds the old key and a new one", true),
            2 => ("it holds the new key first, and still the old one", true),
            _ => ("it holds the new key alone", false),
        };
        write!(f, "{file}, step {step} of {of}: {now}. Give this file to every node, one after the other")?;
        if next {
            write!(f, " (a node reads it when it starts), then run `zyre key rotate {file}` again.")
        } else {
            write!(f, "; then the old key opens nothing any more.")
        }
    }
}

pub(super) fn rotate(path: &Path) -> Result<Rotated, Failure> {
    let fresh = NetworkKey::generate().map_err(Failure::Runtime)?;
    key_file::rewrite(path, |text| {
        let (next, step) = advance(text, &fresh)?;
        let key: NetworkKey = next.parse().map_err(|error: zyre_rs::InvalidNetworkKey| error.to_string())?;
        let (public, others) = (key.public_key().to_string(), key.accepted() - 1);
        Ok((next, Rotated { file: path.display().to_string(), step, of: STEPS, public, others }))
    })
}

/// The text after the next step, and which that is.
fn advance(text: &str, fresh: &NetworkKey) -> Result<(Zeroizing<String>, usize), String> {
    if text.parse::<NodeKey>().is_ok() {
        return Err("it is the key of one node: make a new one (`zyre key new --node`), add its line to the trust files of \
                    the others, then let the node use it and remove the old line"
            .to_owned());
    }
    text.parse::<NetworkKey>().map_err(|error| error.to_string())?;
    let lines = || text.lines().map(str::trim);
    let comments = lines().filter(|line| line.starts_with('#') && !line.starts_with(MARK));
    let keys: Vec<&str> = lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let marked = lines().find_map(|line| line.strip_prefix(MARK)?.chars().next());
    let new = fresh.reveal();
    let (step, keys) = match (marked, keys.as_slice()) {
        (None, [old]) => (1, vec![*old, new.as_str()]),
        (Some('1'), [old, new]) => (2, vec![*new, *old]),
        (Some('2'), [new, _]) => (3, vec![*new]),
        (None, keys) => {
            return Err(format!(
                "it holds {} keys and does not say which is the new one; leave in it only the key that all nodes have",
                keys.len()
            ));
        }
        (Some(_), keys) => {
            return Err(format!(
                "its line `{MARK}…` does not fit its {} keys; it was changed by hand: put it right as docs/security.md \
                 tells, or leave in it only the key that all nodes have, without that line",
                keys.len()
            ));
        }
    };
    // As large as it gets: growing would leave parts of a secret behind.
    let mut next = Zeroizing::new(String::with_capacity(text.len() + new.len() + 100));
    comments.for_each(|comment| push_line(&mut next, comment));
    if step < STEPS {
        push_line(&mut next, &format!("{MARK}{step} of {STEPS}"));
    }
    keys.into_iter().for_each(|key| push_line(&mut next, key));
    Ok((next, step))
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> NetworkKey {
        NetworkKey::from_bytes([n; 32])
    }

    fn text(n: u8) -> String {
        key(n).reveal().to_string()
    }

    #[test]
    fn three_steps_lead_from_one_key_to_the_next_and_neighbours_share_the_key_they_show() {
        let (old, new) = (text(1), text(2));
        let mut file = Zeroizing::new(format!("# hall 3\n\n  {old}  \n"));
        let mut before: NetworkKey = file.parse().expect("a key");
        for (expected, marked, keys) in
            [(1, true, vec![&old, &new]), (2, true, vec![&new, &old]), (3, false, vec![&new])]
        {
            let (next, step) = advance(&file, &key(2)).expect("a step");
            assert_eq!(step, expected);
            let found: Vec<_> = next.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(found, keys);
            assert_eq!(next.lines().any(|line| line.starts_with(MARK)), marked, "{}", *next);
            assert!(next.starts_with("# hall 3\n"), "comments stay");
            let after: NetworkKey = next.parse().expect("keys");
            assert!(after.accepts(&before.public_key()) && before.accepts(&after.public_key()));
            (file, before) = (next, after);
        }
        assert_eq!(advance(&file, &key(3)).expect("the next rotation").1, 1);
    }

    #[test]
    fn what_does_not_say_where_it_stands_is_left_alone_and_not_repeated() {
        let (one, two, three) = (text(1), text(2), text(3));
        for (file, remedy) in [
            (format!("{one}\n{two}\n"), "only the key that all nodes have"),
            (format!("{MARK}1 of 3\n{one}\n"), "changed by hand"),
            (format!("{MARK}2 of 3\n{one}\n{two}\n{three}\n"), "changed by hand"),
            (format!("{MARK}7 of 3\n{one}\n{two}\n"), "changed by hand"),
            (String::new(), "zyre key new"),
            (format!("{one}\n{}\n", &two[1..]), "line 2"),
            (NodeKey::from_secret([1; 32]).to_zcert("n").to_string(), "zyre key new --node"),
        ] {
            let problem = advance(&file, &key(9)).expect_err("refused");
            assert!(problem.contains(remedy), "{problem}");
            assert!(!problem.contains(&one[..8]) && !problem.contains(&two[1..9]), "{problem}");
        }
    }
}
