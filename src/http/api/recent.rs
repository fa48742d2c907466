//! Counters an hour ago: what happened since tells more about now than what happened since the start.
//!
//! Owns which counters are remembered, and for how long. It must not judge them.

use std::collections::VecDeque;

use parking_lot::Mutex;
use prometheus::IntCounterVec;
use prometheus::core::Collector as _;

use crate::metrics::Metrics;

/// Values kept: one a minute for an hour.
const KEPT: usize = 60;

/// Values of each minute of the last hour, or since the start.
#[derive(Default)]
pub(in crate::http) struct Recent(Mutex<VecDeque<Counted>>);

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counted {
    /// Requests refused for who asked.
    pub(super) auth_refusals: u64,
    /// Records dropped because their checksum did not match.
    pub(super) damaged: u64,
    /// Objects evicted to make room, for whatever reason but time.
    pub(super) evicted: u64,
    /// Of them those that went to keep `min_free_disk` free, or because the disk was full.
    pub(super) evicted_for_disk: u64,
    /// Objects that were not queued for the bucket.
    pub(super) not_queued: u64,
    /// Failures of the disk.
    pub(super) store_errors: u64,
}

impl Recent {
    /// Notes what has been counted so far; to be called each minute.
    pub(super) fn remember(&self, metrics: &Metrics) {
        let mut kept = self.0.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Counted::now(metrics));
    }

    /// What was counted in the last hour.
    pub(super) fn last_hour(&self, metrics: &Metrics) -> Counted {
        let kept = self.0.lock();
        // Younger than an hour: all there is.
        let before = kept.front().filter(|_| kept.len() == KEPT).copied().unwrap_or_default();
        Counted::now(metrics).since(before)
    }
}

impl Counted {
    fn now(metrics: &Metrics) -> Self {
        let evicted = |reason: &str| {
            let found = by_label(&metrics.evictions).into_iter().find(|(label, _)| label == reason);
            found.map_or(0, |(_, count)| count)
        };
        let for_disk = evicted("min_free_disk") + evicted("disk_full");
        Self {
            auth_refusals: sum(&metrics.auth_refusals),
            damaged: metrics.damaged.get(),
            evicted: evicted("capacity") + for_disk,
            evicted_for_disk: for_disk,
            not_queued: metrics.bucket_not_queued.get(),
            store_errors: sum(&metrics.store_errors),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            auth_refusals: self.auth_refusals - before.auth_refusals,
            damaged: self.damaged - before.damaged,
            evicted: self.evicted - before.evicted,
            evicted_for_disk: self.evicted_for_disk - before.evicted_for_disk,
            not_queued: self.not_queued - before.not_queued,
            store_errors: self.store_errors - before.store_errors,
        }
    }
}

/// The counts of a metric with one label, by that label.
pub(super) fn by_label(counters: &IntCounterVec) -> Vec<(String, u64)> {
    let families = counters.collect();
    let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    let rows = metrics.map(|metric| {
        let label = metric.get_label().first().map(|label| label.value().to_owned());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count, written as f64"
        )]
        let count = metric.get_counter().get_value() as u64;
        (label.unwrap_or_default(), count)
    });
    rows.collect()
}

fn sum(counters: &IntCounterVec) -> u64 {
    by_label(counters).iter().map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_looked_back_and_no_further() {
        let (metrics, recent) = (Metrics::new().unwrap(), Recent::default());
        metrics.damaged.inc();
        metrics.auth_refusals.with_label_values(&["unknown"]).inc();
        metrics.auth_refusals.with_label_values(&["missing"]).inc_by(2);
        metrics.evictions.with_label_values(&["expired"]).inc();
        metrics.evictions.with_label_values(&["capacity"]).inc();
        metrics.evictions.with_label_values(&["disk_full"]).inc();
        let all =
            Counted { damaged: 1, auth_refusals: 3, evicted: 2, evicted_for_disk: 1, ..Counted::default() };
        assert_eq!(recent.last_hour(&metrics), all);
        for _ in 1..KEPT {
            recent.remember(&metrics);
            assert_eq!(recent.last_hour(&metrics), all);
        }
        recent.remember(&metrics);
        metrics.damaged.inc_by(5);
        assert_eq!(recent.last_hour(&metrics), Counted { damaged: 5, ..Counted::default() });
    }
}
