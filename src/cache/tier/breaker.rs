//! The circuit breaker: after failures in a row the bucket is left alone, then asked once, and more when that went well.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures in a row after which the bucket is left alone.
const FAILURES: u32 = 5;
/// Time that it is left alone at first; doubled while it goes on failing.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Whether the bucket is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) enum BreakerState {
    /// It is.
    Closed,
    /// One call finds out.
    Probing,
    /// It is not.
    Open,
}

impl BreakerState {
    /// As the metric says it.
    pub(in crate::cache) fn gauge(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Probing => 1,
            Self::Open => 2,
        }
    }
}

/// The breaker.
#[derive(Default)]
pub(in crate::cache) struct Breaker(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    failures: u32,
    /// Until when the bucket is left alone.
    open_until: Option<Instant>,
    pause: Duration,
    probing: bool,
}

/// Leave for one call, which has to be reported. Dropped without a report, it says nothing.
pub(in crate::cache) struct Admitted<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
    reported: bool,
}

impl Breaker {
    /// Leave for a call. `None`: not now.
    pub(in crate::cache) fn admit(&self) -> Option<Admitted<'_>> {
        let mut inner = self.0.lock();
        let is_probe = match inner.open_until {
            None => false,
            Some(until) if Instant::now() < until || inner.probing => return None,
            Some(_) => {
                inner.probing = true;
                true
            }
        };
        Some(Admitted { breaker: self, is_probe, reported: false })
    }

    /// Whether the bucket is asked now.
    pub(in crate::cache) fn state(&self) -> BreakerState {
        let inner = self.0.lock();
        match inner.open_until {
            None => BreakerState::Closed,
            Some(until) if Instant::now() < until => BreakerState::Open,
            Some(_) => BreakerState::Probing,
        }
    }
}

impl Admitted<'_> {
    /// Tells how the call went.
    pub(in crate::cache) fn report(mut self, failed: bool) {
        self.reported = true;
        let mut inner = self.breaker.0.lock();
        if self.is_probe {
            inner.probing = false;
        }
        if !failed {
            // What was asked before the failures says nothing of now.
            if self.is_probe || inner.open_until.is_none() {
                *inner = Inner::default();
            }
            return;
        }
        inner.failures = inner.failures.saturating_add(1);
        if self.is_probe || inner.open_until.is_none() && inner.failures >= FAILURES {
            let pause = (inner.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            inner.pause = pause;
            // Servers that share a bucket must not all come back in the same moment.
            let jitter = pause.mul_f64(0.25 * jitter());
            inner.open_until = Some(Instant::now() + pause - jitter);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if !self.reported && self.is_probe {
            self.breaker.0.lock().probing = false;
        }
    }
}

/// A number from 0 to 1 that nobody can foresee.
pub(in crate::cache) fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let [byte, ..] = RandomState::new().hash_one(0).to_le_bytes();
    f64::from(byte) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_decides() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            breaker.admit().unwrap().report(true);
        }
        assert!(breaker.admit().is_none());
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.0.lock().open_until = Some(Instant::now());
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_none(), "one at a time");
        probe.report(true);
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.0.lock().open_until = Some(Instant::now());
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().report(false);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn one_success_forgets_the_failures_before_it() {
        let breaker = Breaker::default();
        for _ in 0..3 * FAILURES {
            for _ in 1..FAILURES {
                breaker.admit().unwrap().report(true);
            }
            breaker.admit().unwrap().report(false);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
