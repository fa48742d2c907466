//! What evictions cost: how long ago the evicted was used, and how much of it nobody ever read.
//!
//! Owns the counters, which only grow: whoever wants the last day keeps the counts of yesterday and takes them off. Knows no
//! reasons; quotas and times to live tell nothing about the size of the cache, so their evictions need not be told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Upper limits of the ages that are told apart; older ones than the last are counted behind them.
pub const AGE_LIMITS: [Duration; 12] = [
    Duration::from_secs(MINUTE),
    Duration::from_secs(10 * MINUTE),
    Duration::from_secs(HOUR),
    Duration::from_secs(6 * HOUR),
    Duration::from_secs(DAY),
    Duration::from_secs(2 * DAY),
    Duration::from_secs(4 * DAY),
    Duration::from_secs(7 * DAY),
    Duration::from_secs(14 * DAY),
    Duration::from_secs(30 * DAY),
    Duration::from_secs(90 * DAY),
    Duration::from_secs(365 * DAY),
];

/// Counts evictions; any thread may, without a lock.
#[derive(Debug, Default)]
pub struct Evictions {
    bytes: AtomicU64,
    unread_bytes: AtomicU64,
    unread_objects: AtomicU64,
    ages: [AtomicU64; AGE_LIMITS.len() + 1],
}

/// What was counted so far, or between two moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EvictionCounts {
    /// Bytes of disk blocks that evicted objects took.
    pub bytes: u64,
    /// Of them those of objects that nobody read since they were stored.
    pub unread_bytes: u64,
    /// Objects that nobody read since they were stored.
    pub unread_objects: u64,
    /// Objects by age, each up to and with its limit of [`AGE_LIMITS`]; the last are older than all limits.
    pub ages: [u64; AGE_LIMITS.len() + 1],
}

impl Evictions {
    /// An object went to make room: it took `bytes` on disk, was read `hits` times, and `age` went by since its last use, which is when
    /// it was stored for one that was never read.
    pub fn note_eviction(&self, bytes: u64, hits: u32, age: Duration) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let at = AGE_LIMITS.iter().position(|limit| age <= *limit).unwrap_or(AGE_LIMITS.len());
        self.ages[at].fetch_add(1, Ordering::Relaxed);
        // Behind the whole, which whoever sees the part then sees as well.
        if hits == 0 {
            self.unread_bytes.fetch_add(bytes, Ordering::Release);
            self.unread_objects.fetch_add(1, Ordering::Release);
        }
    }

    /// The counts since the start of the process.
    #[must_use]
    pub fn counts(&self) -> EvictionCounts {
        EvictionCounts {
            // Parts first, so that none ever exceeds the whole.
            unread_bytes: self.unread_bytes.load(Ordering::Acquire),
            unread_objects: self.unread_objects.load(Ordering::Acquire),
            bytes: self.bytes.load(Ordering::Relaxed),
            ages: std::array::from_fn(|at| self.ages[at].load(Ordering::Relaxed)),
        }
    }
}

impl EvictionCounts {
    /// Number of objects.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.ages.iter().sum()
    }

    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(earlier.bytes),
            unread_bytes: self.unread_bytes.saturating_sub(earlier.unread_bytes),
            unread_objects: self.unread_objects.saturating_sub(earlier.unread_objects),
            ages: std::array::from_fn(|at| self.ages[at].saturating_sub(earlier.ages[at])),
        }
    }

    /// The share of evicted bytes, 0 to 1, that nobody ever read; `None` when nothing was evicted.
    #[must_use]
    pub fn unread_share(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.unread_bytes as f64 / self.bytes as f64)
    }

    /// An age that this share of the evicted objects, 0 to 1, did not exceed: the lowest of [`AGE_LIMITS`] of which that is true,
    /// [`Duration::MAX`] beyond them; `None` when nothing was evicted.
    #[must_use]
    pub fn age_quantile(&self, share: f64) -> Option<Duration> {
        let objects = self.objects();
        let mut rest = (share.clamp(0.0, 1.0) * objects as f64).max(1.0);
        if objects == 0 {
            return None;
        }
        let at = self.ages.iter().position(|count| {
            rest -= *count as f64;
            rest <= 0.0
        });
        Some(at.and_then(|at| AGE_LIMITS.get(at).copied()).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * HOUR)
    }

    #[test]
    fn bytes_that_nobody_read_are_told_from_those_that_were_read() {
        let evictions = Evictions::default();
        assert_eq!(evictions.counts().unread_share(), None);
        evictions.note_eviction(4096, 0, hours(1));
        evictions.note_eviction(3 * 4096, 7, hours(1));
        let counts = evictions.counts();
        assert_eq!((counts.objects(), counts.unread_objects), (2, 1));
        assert_eq!(counts.unread_share(), Some(0.25));
        evictions.note_eviction(4096, 1, hours(1));
        assert_eq!(evictions.counts().since(&counts).unread_share(), Some(0.0), "the last one was read");
    }

    #[test]
    fn a_quantile_is_the_limit_that_so_many_did_not_exceed() {
        let evictions = Evictions::default();
        assert_eq!(evictions.counts().age_quantile(0.5), None);
        for age in [hours(1), hours(2), hours(2), hours(24 * 1000)] {
            evictions.note_eviction(4096, 1, age);
        }
        let counts = evictions.counts();
        for (share, age) in [(0.0, 1), (0.25, 1), (0.26, 6), (0.75, 6)] {
            assert_eq!(counts.age_quantile(share), Some(hours(age)), "{share}");
        }
        assert_eq!(counts.age_quantile(1.0), Some(Duration::MAX));
        assert!(AGE_LIMITS.is_sorted());
    }
}
