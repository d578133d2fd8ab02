//! The machines' counters under the names users read.

use crate::{caller, server};

pub(super) fn of_caller(stats: &caller::Stats) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    named([
        ("calls", stats.calls),
        ("calls_answered", stats.answered),
        ("calls_cancelled", stats.cancelled),
        ("calls_without_provider", stats.no_provider),
        ("calls_over_queue", stats.full),
        ("calls_expired_unsent", stats.expired_unsent),
        ("calls_timed_out", stats.timed_out),
        ("calls_lost_with_peer", stats.lost),
        ("calls_retried", stats.retries),
        ("calls_over_retry_budget", stats.retries_over_budget),
        ("calls_refused", stats.refused),
        ("calls_not_sent", stats.send_failed),
        ("workers_ejected", stats.ejections),
        ("responses_late", stats.late),
    ])
}

pub(super) fn of_server(counters: &server::Counters) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    named([
        ("requests_of_closed_services", counters.unknown_service),
        ("cancels_too_late", counters.unknown_cancel),
        ("handlers_ended_late", counters.finished_late),
        ("results_kept", u64::try_from(counters.results).unwrap_or(u64::MAX)),
        ("results_pushed_out", counters.results_pushed_out),
        ("results_too_large_to_keep", counters.results_too_large),
    ])
}

/// Those that occurred.
pub(super) fn named<const N: usize>(
    figures: [(&'static str, u64); N],
) -> impl Iterator<Item = (&'static str, u64)> {
    figures.into_iter().filter(|(_, figure)| *figure > 0)
}
