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
    /// Bodies in a row that broke off. The answers that they belonged to had begun well, and those count as no success here.
    broken_bodies: u32,
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

    /// A body broke off, or nothing more of it came.
    pub(in crate::cache) fn body_broke_off(&self) {
        let mut inner = self.0.lock();
        inner.broken_bodies = inner.broken_bodies.saturating_add(1);
        if inner.open_until.is_none() && inner.broken_bodies >= FAILURES {
            inner.open();
        }
    }

    /// A body came to its end.
    pub(in crate::cache) fn body_ended(&self) {
        self.0.lock().broken_bodies = 0;
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
                let broken_bodies = inner.broken_bodies;
                // A bucket that only begins well is left alone for as long as one that does not.
                let pause = if broken_bodies > 0 { inner.pause } else { Duration::ZERO };
                *inner = Inner { broken_bodies, pause, ..Inner::default() };
            }
            return;
        }
        inner.failures = inner.failures.saturating_add(1);
        if self.is_probe || inner.open_until.is_none() && inner.failures >= FAILURES {
            inner.open();
        }
    }
}

impl Inner {
    /// Leaves the bucket alone for a while, longer each time.
    fn open(&mut self) {
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        // Servers that share a bucket must not all come back in the same moment.
        let jitter = self.pause.mul_f64(0.25 * jitter());
        self.open_until = Some(Instant::now() + self.pause - jitter);
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
    fn answers_that_begin_well_do_not_outweigh_bodies_that_break_off() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.state(), BreakerState::Closed);
            breaker.admit().unwrap().report(false);
            breaker.body_broke_off();
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        // One probe finds out nothing, one more body does.
        breaker.0.lock().open_until = Some(Instant::now());
        breaker.admit().unwrap().report(false);
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.body_broke_off();
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.0.lock().open_until = Some(Instant::now());
        breaker.admit().unwrap().report(false);
        breaker.body_ended();
        breaker.body_broke_off();
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
