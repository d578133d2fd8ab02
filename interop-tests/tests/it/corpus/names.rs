//! What the tables are as a whole.

use std::collections::BTreeSet;

use super::case::{Case, Door};
use super::ours::groups;
use crate::common::figure;

#[test]
fn the_corpus_has_six_hundred_cases_that_can_be_told_by_name() {
    let mut names = BTreeSet::new();
    let (mut count, mut silent) = (0, 0);
    for (group, tables) in groups() {
        for case in tables.into_iter().flat_map(|table| table.cases) {
            count += 1;
            assert!(
                names.insert((group, case.door, case.name.clone())),
                "{group}: {:?}, {} is there twice",
                case.door,
                case.name
            );
            explained(&case);
            silent += usize::from(is_silent(&case));
        }
    }
    figure(&format!(
        "corpus: {count} cases; {silent} of them are proper or without meaning, and move no counter"
    ));
    assert!(count - silent >= 600, "{count}, {silent}");
}

/// Moves no counter; events of the application are in capitals.
fn is_silent(case: &Case) -> bool {
    case.expect.moves.keys().all(|name| name.starts_with(|first: char| first.is_ascii_uppercase()))
}

/// Who moves nothing says why.
fn explained(case: &Case) {
    assert!(
        !case.expect.moves.is_empty() || !case.expect.why.is_empty(),
        "{:?}, {} moves nothing and does not say why",
        case.door,
        case.name
    );
    assert!(!case.hang_up || case.door != Door::Beacon, "{}: a datagram has no end", case.name);
}
