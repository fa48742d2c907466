//! The time as the store sees it: the system's, which a test may put forward.
//!
//! Owns nothing but the distance between the two. Knows nothing of what is dated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A clock; clones go together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_us: Arc<AtomicU64>,
}

impl Clock {
    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        now_us().saturating_add(self.ahead_us.load(Ordering::Relaxed))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }

    /// Puts the clock and all its clones forward, so that a test need not wait for days.
    pub fn put_forward(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.ahead_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// Microseconds since the Unix epoch, by the system's clock.
#[must_use]
pub fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
