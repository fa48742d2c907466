//! What the bucket was found not to have, remembered for a moment: a storm of misses is not a storm of requests.

use std::time::{Duration, Instant};

use crate::index::table::NameHash;

/// Names remembered at most.
const MOST: usize = 1 << 16;

/// The names that the bucket did not have a moment ago.
pub(in crate::cache) struct Absent {
    since: quick_cache::sync::Cache<u128, Instant>,
    time: Duration,
}

impl Absent {
    /// Remembers each name for `time`.
    pub(super) fn new(time: Duration) -> Self {
        Self { since: quick_cache::sync::Cache::new(MOST), time }
    }

    /// True where the bucket need not be asked.
    pub(in crate::cache) fn has(&self, hash: NameHash) -> bool {
        self.since.get(&hash.number()).is_some_and(|since| since.elapsed() < self.time)
    }

    /// The bucket does not have it.
    pub(in crate::cache) fn remember(&self, hash: NameHash) {
        if !self.time.is_zero() {
            self.since.insert(hash.number(), Instant::now());
        }
    }

    /// It was written.
    pub(in crate::cache) fn forget(&self, hash: NameHash) {
        self.since.remove(&hash.number());
    }
}
