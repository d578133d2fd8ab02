//! One run: a seed, and which of its faults may happen; and how a failing run is brought down to the faults that it needs.

use super::{Scenario, World};
use std::collections::BTreeSet;

/// What happened in a run that broke no invariant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Happenings played.
    pub happenings: u64,
    /// Faults and attacks that happened.
    pub faults: u64,
    /// Whispers and shouts delivered.
    pub delivered: u64,
    /// Content that reached another node than it was sent to, since that had taken over the endpoint.
    pub strayed: u64,
    /// Exits told.
    pub exits: u64,
    /// Enters told.
    pub enters: u64,
    /// A digest of all events, equal for equal runs.
    pub digest: u64,
}

/// The first invariant that a seed broke, and what happened before.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What broke, and when.
    pub what: String,
    /// What went wrong by then, numbered in the order in which the seed brings it.
    pub faults: Vec<(u64, String)>,
    /// The end of the trace.
    pub trace: Vec<String>,
}

impl Violation {
    /// The name of the invariant: what a shorter run has to break too.
    fn invariant(&self) -> &str {
        let words = self.what.split_once(" s: ").map_or("", |(_, what)| what);
        words.split_once(':').map_or(words, |(name, _)| name)
    }
}

/// Runs in which a fault is left out before it counts as needed.
const VARIANTS: u64 = 8;

/// A run to play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What everything follows from.
    pub seed: u64,
    /// What may go wrong.
    pub scenario: Scenario,
    /// The numbers of the faults that may happen; `None` for all. Leaving one out leaves the others what they are.
    pub only: Option<BTreeSet<u64>>,
    /// Which of many runs with these faults: all but the faults is left to other numbers in each.
    pub variant: u64,
}

impl Plan {
    /// The whole run of a seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, scenario: Scenario::of(seed), only: None, variant: 0 }
    }

    pub(super) fn allows(&self, fault: u64) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&fault))
    }

    /// Plays it.
    ///
    /// # Errors
    /// The first invariant that broke.
    pub fn play(&self) -> Result<Report, Violation> {
        match World::new(self, false).run() {
            Ok(report) => Ok(report),
            // A trace costs as much as all the rest, so it is drawn only where somebody will read it.
            Err(untraced) => Err(World::new(self, true).run().err().unwrap_or(untraced)),
        }
    }

    /// The shortest run found that breaks the same invariant: halves, quarters and at last single faults are left
    /// out as long as it still breaks. What is found is a run of its own: its faults are those that it had. `None` if it breaks none.
    pub fn shrink(&self) -> Option<Violation> {
        let mut shortest = self.play().err()?;
        let mut size = shortest.faults.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            while start < shortest.faults.len() {
                let left_out = start..start + size;
                let kept = shortest.faults.iter().enumerate().filter(|(place, _)| !left_out.contains(place));
                let only: BTreeSet<_> = kept.map(|(_, (number, _))| *number).collect();
                // Without a fault all that follows falls out otherwise, so one run tells little.
                let runs =
                    (0..VARIANTS).map(|variant| Self { only: Some(only.clone()), variant, ..self.clone() });
                let mut broken = runs.filter_map(|plan| plan.play().err());
                let shorter = broken.find(|run| {
                    run.invariant() == shortest.invariant() && run.faults.len() < shortest.faults.len()
                });
                match shorter {
                    Some(shorter) => shortest = shorter,
                    None => start += size,
                }
            }
            size /= 2;
        }
        Some(shortest)
    }
}
