//! Whether and when a node is started again: decisions without a clock.

use std::time::Duration;

/// A run of so long counts as well: what happened before it is forgotten.
pub(super) const STEADY: Duration = Duration::from_secs(10);

/// After which ends a node is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Never,
    OnFailure,
    Always,
}

/// What a node's `restart` says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Restart {
    pub(super) policy: Policy,
    /// Most restarts in a row, that is without a run of [`STEADY`] between them.
    pub(super) max: u32,
    /// Before the first restart of a row; twice as long before each further one.
    pub(super) delay: Duration,
    pub(super) max_delay: Duration,
}

/// What follows from an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has done what it was there for.
    Done,
    /// It is started again.
    Again { after: Duration, restart: u32 },
    /// It has failed for good.
    Failed,
}

/// The restarts of one process in a row.
#[derive(Debug, Default)]
pub(super) struct Row(u32);

impl Default for Restart {
    fn default() -> Self {
        let (delay, max_delay) = (Duration::from_millis(500), Duration::from_secs(30));
        Self { policy: Policy::Never, max: 10, delay, max_delay }
    }
}

impl Row {
    /// Judges an end after a run of this length. `chance`, from 0 to 1, spreads what ends at once by a quarter of the delay
    /// either way.
    pub(super) fn judge(&mut self, rule: &Restart, success: bool, ran: Duration, chance: f64) -> Verdict {
        match rule.policy {
            Policy::Never | Policy::OnFailure if success => return Verdict::Done,
            Policy::Never => return Verdict::Failed,
            Policy::OnFailure | Policy::Always => {}
        }
        if ran >= STEADY {
            self.0 = 0;
        }
        if self.0 >= rule.max {
            return Verdict::Failed;
        }
        let doubled = 2_u32.checked_pow(self.0).and_then(|factor| rule.delay.checked_mul(factor));
        let after = doubled.unwrap_or(rule.max_delay).min(rule.max_delay);
        self.0 += 1;
        Verdict::Again { after: after.mul_f64(0.75 + 0.5 * chance.clamp(0.0, 1.0)), restart: self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(policy: Policy) -> Restart {
        Restart { policy, max: 4, delay: Duration::from_secs(1), max_delay: Duration::from_secs(5) }
    }

    fn short(row: &mut Row, policy: Policy, success: bool) -> Verdict {
        row.judge(&rule(policy), success, Duration::from_secs(1), 0.5)
    }

    #[test]
    fn the_policy_decides_which_ends_are_final() {
        for (policy, success, verdict) in [
            (Policy::Never, true, Verdict::Done),
            (Policy::Never, false, Verdict::Failed),
            (Policy::OnFailure, true, Verdict::Done),
        ] {
            assert_eq!(short(&mut Row::default(), policy, success), verdict, "{policy:?} {success}");
        }
        for (policy, success) in [(Policy::OnFailure, false), (Policy::Always, true), (Policy::Always, false)]
        {
            let verdict = short(&mut Row::default(), policy, success);
            assert_eq!(
                verdict,
                Verdict::Again { after: Duration::from_secs(1), restart: 1 },
                "{policy:?} {success}"
            );
        }
    }

    #[test]
    fn each_delay_is_twice_the_last_up_to_the_longest_and_the_limit_ends_it() {
        let mut row = Row::default();
        let mut verdict = || short(&mut row, Policy::OnFailure, false);
        for (restart, seconds) in [(1, 1), (2, 2), (3, 4), (4, 5)] {
            assert_eq!(verdict(), Verdict::Again { after: Duration::from_secs(seconds), restart });
        }
        assert_eq!(verdict(), Verdict::Failed);
    }

    #[test]
    fn a_steady_run_begins_a_new_row() {
        let mut row = Row(4);
        let verdict = row.judge(&rule(Policy::Always), false, STEADY, 0.5);
        assert_eq!(verdict, Verdict::Again { after: Duration::from_secs(1), restart: 1 });
    }

    #[test]
    fn chance_spreads_the_delay_by_a_quarter_either_way() {
        let after = |chance| Row::default().judge(&rule(Policy::Always), false, Duration::ZERO, chance);
        assert_eq!(after(0.0), Verdict::Again { after: Duration::from_millis(750), restart: 1 });
        assert_eq!(after(1.0), Verdict::Again { after: Duration::from_millis(1250), restart: 1 });
    }

    #[test]
    fn restarts_without_end_do_not_overflow() {
        let endless = Restart { max: u32::MAX, ..rule(Policy::Always) };
        let verdict = Row(u32::MAX - 1).judge(&endless, false, Duration::ZERO, 0.5);
        assert_eq!(verdict, Verdict::Again { after: Duration::from_secs(5), restart: u32::MAX });
    }
}
